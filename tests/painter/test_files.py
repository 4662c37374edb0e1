"""Routes about files: /view and the uploads."""

import io
import json
from typing import Any

import httpx
import pytest
from PIL import Image

from tests.painter.client import Comfy, flat


def _png(color: str, size: int = 8, mode: str = "RGB") -> bytes:
    encoded = io.BytesIO()
    Image.new(mode, (size, size), color).save(encoded, "PNG")
    return encoded.getvalue()


def _upload(comfy: Comfy, name: str, data: bytes, **form: str) -> httpx.Response:
    return comfy.http.post("/upload/image", files={"image": (name, data)}, data=form)


@pytest.fixture(scope="module")
def item(comfy: Comfy) -> dict[str, str]:
    found: dict[str, str] = comfy.run(flat("seen/view"))["outputs"]["2"]["images"][0]
    return found


def test_view_gives_the_file_with_its_type_and_an_etag(comfy: Comfy, item: dict[str, str]) -> None:
    answer = comfy.http.get("/api/view", params=item)
    assert answer.headers["content-type"] == "image/png"
    assert item["filename"] in answer.headers["content-disposition"]
    again = comfy.http.get("/view", params=item, headers={"If-None-Match": answer.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


def test_view_answers_head_and_ranges(comfy: Comfy, item: dict[str, str]) -> None:
    whole = comfy.http.get("/view", params=item).content
    head = comfy.http.head("/view", params=item)
    assert (head.status_code, int(head.headers["content-length"]), head.content) == (200, len(whole), b"")
    part = comfy.http.get("/view", params=item, headers={"Range": "bytes=1-3"})
    assert (part.status_code, part.content) == (206, b"PNG")


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ({}, 404),
        ({"filename": "missing.png"}, 404),
        ({"filename": "x.png", "subfolder": "../.."}, 403),
        ({"filename": "x.png", "subfolder": "/etc"}, 403),
        ({"filename": "../x.png"}, 400),
        ({"filename": "/etc/passwd"}, 400),
        ({"filename": "x.png", "type": "models"}, 400),
    ],
)
def test_view_refuses_what_is_not_there_or_not_meant_to_be_seen(
    comfy: Comfy, query: dict[str, str], status: int
) -> None:
    assert comfy.http.get("/view", params=query).status_code == status


def test_view_without_a_type_means_the_output_folder(comfy: Comfy, item: dict[str, str]) -> None:
    plain = {"filename": item["filename"], "subfolder": item["subfolder"]}
    assert comfy.http.get("/view", params=plain).status_code == 200
    assert comfy.http.get("/view", params={"filename": "example.png"}).status_code == 404
    assert comfy.http.get("/view", params={"filename": "example.png [input]"}).status_code == 200


def test_an_upload_lands_in_the_input_folder_and_can_be_loaded(comfy: Comfy) -> None:
    answer = _upload(comfy, "mine.png", _png("red"), subfolder="deep/er")
    assert answer.json() == {"name": "mine.png", "subfolder": "deep/er", "type": "input"}
    graph = flat("from upload")
    graph["1"] = {"class_type": "LoadImage", "inputs": {"image": "deep/er/mine.png"}}
    picture = Image.open(io.BytesIO(comfy.picture(comfy.run(graph)["outputs"]["2"]["images"][0])))
    assert picture.getpixel((0, 0)) == (255, 0, 0)


def test_another_picture_of_a_taken_name_gets_a_number_and_the_same_one_keeps_it(comfy: Comfy) -> None:
    names = [_upload(comfy, "taken.png", _png(color)).json()["name"] for color in ("red", "blue", "red", "blue")]
    assert names == ["taken.png", "taken (1).png", "taken.png", "taken (1).png"]


@pytest.mark.parametrize("word", ["true", "1"])
def test_overwrite_replaces_a_picture(comfy: Comfy, word: str) -> None:
    for color in ("red", "blue"):
        assert _upload(comfy, "over.png", _png(color), overwrite=word).json()["name"] == "over.png"
    assert (comfy.data / "input" / "over.png").read_bytes() == _png("blue")


def test_an_upload_may_go_to_another_folder_but_not_outside(comfy: Comfy) -> None:
    assert _upload(comfy, "t.png", _png("red"), type="temp").json()["type"] == "temp"
    assert (comfy.data / "temp" / "t.png").exists()
    refused: list[dict[str, Any]] = [{"subfolder": "../../.."}, {"type": "models"}]
    assert [_upload(comfy, "o.png", _png("red"), **form).status_code for form in refused] == [400, 400]
    assert comfy.http.post("/upload/image", data={"image": "no file"}).status_code == 400


def test_a_mask_becomes_the_alpha_of_the_picture_it_was_drawn_on(comfy: Comfy) -> None:
    _upload(comfy, "original.png", _png("green"))
    reference = json.dumps({"filename": "original.png", "subfolder": "", "type": "input"})
    drawn = _png("#ffffff40", mode="RGBA")
    answer = comfy.http.post("/upload/mask", files={"image": ("masked.png", drawn)}, data={"original_ref": reference})
    assert answer.json()["name"] == "masked.png"
    with Image.open(comfy.data / "input" / "masked.png") as masked:
        assert masked.getpixel((0, 0)) == (0, 128, 0, 0x40)
    graph = flat("mask")
    graph["1"] = {"class_type": "LoadImage", "inputs": {"image": "masked.png"}}
    graph["3"] = {"class_type": "MaskToImage", "inputs": {"mask": ["1", 1]}}
    graph["2"]["inputs"]["images"] = ["3", 0]
    picture = Image.open(io.BytesIO(comfy.picture(comfy.run(graph)["outputs"]["2"]["images"][0])))
    assert picture.getpixel((0, 0)) == (191, 191, 191), "a mask is 1 where the picture is transparent"


def test_a_mask_for_a_picture_that_is_not_there_is_refused(comfy: Comfy) -> None:
    for reference in ({"filename": "nowhere.png"}, {"filename": "x.png", "subfolder": "../.."}):
        answer = comfy.http.post(
            "/upload/mask",
            files={"image": ("m.png", _png("#ffffff40", mode="RGBA"))},
            data={"original_ref": json.dumps(reference)},
        )
        assert answer.status_code == 400


def test_the_input_folder_has_an_example_picture(comfy: Comfy) -> None:
    with Image.open(comfy.data / "input" / "example.png") as example:
        assert example.size == (768, 512)
