"""The painter as A1111: what it makes, what it refuses, and what it replaces in silence."""

import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from local.painter.embedded import serving
from local.painter.settings import NOTICE, PainterSettings
from sd_async.contract.jobs import RuntimeType
from tests.painter.a1111 import MODEL, WebUi, example, image_of, picture, pixels


@pytest.fixture(scope="module")
def webui(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebUi]:
    data = tmp_path_factory.mktemp("painter")
    settings = PainterSettings(data=data, type=RuntimeType.A1111, seconds_per_step=0.0, has_faults=True)
    with serving(settings) as url:
        client = WebUi(url)
        with client.http:
            yield client


def test_a_picture_carries_its_parameters_and_the_answer_tells_how_it_was_made(webui: WebUi) -> None:
    answer = webui.made(negative_prompt="blurry", seed=7)
    [text] = answer["images"]
    image, info = image_of(text), json.loads(answer["info"])
    assert (image.format, image.size) == ("PNG", (64, 64))
    assert image.info["Software"] == NOTICE
    assert image.info["parameters"].startswith("a red fox\nNegative prompt: blurry\nSteps: 2, Sampler: Euler a")
    assert (info["all_seeds"], info["sampler_name"], info["sd_model_name"]) == ([7], "Euler a", MODEL)
    assert answer["parameters"]["steps"] == 2
    read = webui.post("png-info", image=text).json()
    assert read["info"] == image.info["parameters"]


def test_the_same_request_is_the_same_picture_and_another_seed_is_another(webui: WebUi) -> None:
    first, again, other = (webui.made(seed=seed)["images"][0] for seed in (3, 3, 4))
    assert first == again != other


def test_a_batch_has_a_seed_for_each_and_a_grid_comes_first_when_pictures_are_saved(webui: WebUi) -> None:
    plain = webui.made(batch_size=2, n_iter=2)
    assert len(plain["images"]) == 4
    saved = webui.made(batch_size=2, n_iter=2, save_images=True)
    info = json.loads(saved["info"])
    assert (info["index_of_first_image"], info["all_seeds"]) == (1, [1, 2, 3, 4])
    assert image_of(saved["images"][0]).size == (128, 128)
    assert saved["images"][1:] == plain["images"]
    assert webui.made(send_images=False)["images"] == []


def test_what_it_does_not_know_is_replaced_in_silence(webui: WebUi) -> None:
    info = json.loads(webui.made(sampler_name="Eular", scheduler="no", unknown_field=1)["info"])
    assert (info["sampler_name"], info["extra_generation_params"]) == ("DPM++ 2M", {"Schedule type": "Automatic"})
    info = json.loads(webui.made(override_settings={"sd_model_checkpoint": "no such"})["info"])
    assert info["sd_model_name"] == MODEL
    info = json.loads(webui.made(sampler_name="DPM++ SDE Karras")["info"])
    assert (info["sampler_name"], info["extra_generation_params"]) == ("DPM++ SDE", {"Schedule type": "Karras"})


def test_another_model_makes_another_picture_for_this_job_only(webui: WebUi) -> None:
    plain = webui.made()
    other = webui.made(override_settings={"sd_model_checkpoint": "sd_xl_base_1.0"})
    assert json.loads(other["info"])["sd_model_name"] == "sd_xl_base_1.0"
    assert other["images"] != plain["images"]
    assert webui.made()["images"] == plain["images"]


def test_image_to_image_keeps_as_much_as_the_strength_leaves(webui: WebUi) -> None:
    source = picture()
    before = pixels(source)[:40]
    distances = []
    for strength in (0.1, 0.5, 0.9):
        answer = webui.made("img2img", init_images=[source], denoising_strength=strength)
        distances.append(float(np.abs(pixels(answer["images"][0])[:40] - before).mean()))
        assert answer["parameters"]["init_images"] is None
    assert 0 < distances[0] < distances[1] < distances[2]


@pytest.mark.parametrize("is_inverted", [0, 1])
def test_inpainting_leaves_what_is_outside_the_mask(webui: WebUi, is_inverted: int) -> None:
    source, mask = picture(), picture((0, 0, 0) if is_inverted else (255, 255, 255), (64, 64))
    body = {"init_images": [source], "denoising_strength": 1, "mask_blur": 0, "inpainting_mask_invert": is_inverted}
    changed = webui.made("img2img", mask=mask, **body)
    assert np.abs(pixels(changed["images"][0]) - pixels(source)).mean() > 5
    kept = webui.made("img2img", mask=mask, **(body | {"inpainting_mask_invert": 1 - is_inverted}))
    assert (pixels(kept["images"][0]) == pixels(source)).all()


def test_extras_enlarge_one_or_several_in_their_order(webui: WebUi) -> None:
    small = [picture((200, 10, 10), (40, 30)), picture((10, 10, 200), (20, 20))]
    one = webui.post("extra-single-image", image=small[0], upscaler_1="Lanczos", upscaling_resize=3).json()
    assert image_of(one["image"]).size == (120, 90)
    listed = [{"data": text, "name": f"{index}.png"} for index, text in enumerate(small)]
    several = webui.post("extra-batch-images", imageList=listed, upscaler_1="R-ESRGAN 4x+", upscaling_resize=2).json()
    assert [image_of(text).size for text in several["images"]] == [(80, 60), (40, 40)]
    unknown = webui.post("extra-single-image", image=small[0], upscaler_1="Lancos").json()
    assert image_of(unknown["image"]).size == (40, 30), "an upscaler that it does not know changes nothing"


def test_what_controlnet_saw_comes_back_after_the_pictures(webui: WebUi) -> None:
    unit = {"args": [{"enabled": True, "image": picture(size=(32, 32))}, {"enabled": False, "image": "?"}]}
    answer = webui.made(alwayson_scripts={"ControlNet": unit})
    assert [image_of(text).size for text in answer["images"]] == [(64, 64), (32, 32)]
    assert len(json.loads(answer["info"])["all_seeds"]) == 1


REFUSED: list[tuple[str, dict[str, Any], int, str]] = [
    ("txt2img", {"steps": "many"}, 422, "steps"),
    ("txt2img", {"alwayson_scripts": []}, 422, "alwayson_scripts"),
    ("txt2img", {"alwayson_scripts": {"no such": {}}}, 422, "always on script no such not found"),
    ("txt2img", {"alwayson_scripts": {"x/y/z plot": {}}}, 422, "Cannot have a selectable script"),
    ("txt2img", {"script_name": "no such"}, 422, "no such"),
    ("txt2img", {"override_settings": {"no_such": 1}}, 500, "KeyError"),
    ("txt2img", {"width": 9000, "height": 9000}, 500, "OutOfMemoryError"),
    ("img2img", {}, 404, "Init image not found"),
    ("img2img", {"init_images": []}, 500, "bad number of images"),
    ("img2img", {"init_images": ["?"]}, 500, "Invalid encoded image"),
    ("img2img", {"init_images": ["https://pictures.example/a.png"]}, 500, "Requests not allowed"),
    ("extra-single-image", {"image": "?"}, 500, "Invalid encoded image"),
    ("extra-single-image", {"image": "?", "upscaling_resize": 0}, 422, "upscaling_resize"),
    ("extra-batch-images", {}, 422, "imageList"),
    ("txt2img", {"prompt": "<painter:raise:NansException:all NaNs>"}, 500, "NansException"),
    ("nothing", {}, 404, "Not Found"),
]


@pytest.mark.parametrize(("route", "body", "status", "told"), REFUSED, ids=[f"{row[0]}-{row[3]}" for row in REFUSED])
def test_what_is_refused_or_raised_is_told_in_a1111s_shapes(
    webui: WebUi, route: str, body: dict[str, Any], status: int, told: str
) -> None:
    answer = webui.post(route, **body)
    assert answer.status_code == status
    document = answer.json()
    assert told in json.dumps(document)
    if status == 422 and isinstance(document["detail"], list):
        assert set(document["detail"][0]) == {"loc", "msg", "type"}
    elif status != 404 or route == "img2img":
        assert set(document) == {"error", "detail", "body", "errors"}
    assert webui.get("progress")["state"]["job_count"] == 0, "a job that failed is over"


def test_options_are_kept_and_an_unknown_model_is_an_error_there(webui: WebUi) -> None:
    assert webui.get("options")["sd_model_checkpoint"].startswith(MODEL)
    assert webui.post("options", samples_format="jpg").status_code == 200
    assert image_of(webui.made()["images"][0]).format == "JPEG"
    webui.post("options", samples_format="png")
    refused = webui.post("options", sd_model_checkpoint="no such")
    assert (refused.status_code, refused.json()["error"]) == (500, "RuntimeError")


@pytest.mark.parametrize(
    "route",
    ["samplers", "schedulers", "sd-models", "sd-vae", "upscalers", "latent-upscale-modes", "scripts", "script-info",
     "embeddings", "extensions", "loras", "cmd-flags", "memory"],
)  # fmt: skip
def test_every_list_is_there(webui: WebUi, route: str) -> None:
    assert isinstance(webui.get(route), dict | list)


def until(webui: WebUi, job_count: int) -> dict[str, Any]:
    """State once a job samples; the protocol has no other way to wait."""
    deadline = time.monotonic() + 20
    while True:
        told: dict[str, Any] = webui.get("progress?skip_current_image=true")
        if told["state"]["job_count"] == job_count and told["state"]["sampling_steps"] > 2:
            return told
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_an_interrupt_ends_a_job_as_a_success_with_fewer_pictures(webui: WebUi) -> None:
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(webui.made, prompt="a fox <painter:sleep:30>", n_iter=3)
        told = until(webui, 3)
        assert 0 < told["progress"] < 0.5
        assert webui.post("interrupt").json() == {}
        answer = running.result()
    assert answer["images"] == []
    assert webui.get("progress")["state"]["interrupted"] is True, "until the next job begins"
    assert len(webui.made()["images"]) == 1, "an interrupt between jobs is forgotten"


def test_jobs_run_one_after_the_other(webui: WebUi) -> None:
    ended: list[int] = []
    lock = threading.Lock()

    def run(number: int) -> None:
        webui.made(seed=number)
        with lock:
            ended.append(number)

    with ThreadPoolExecutor(4) as pool:
        first = pool.submit(webui.made, prompt="a fox <painter:sleep:30>")
        until(webui, 1)
        others = [pool.submit(run, number) for number in range(3)]
        assert ended == []
        webui.post("interrupt")
        first.result()
        for future in others:
            future.result()
    assert sorted(ended) == [0, 1, 2]


@pytest.mark.parametrize(
    "name", ["text-to-image", "image-to-image", "inpainting", "extra-single-image", "extra-batch-images"]
)
def test_every_job_type_has_an_example_that_it_takes(webui: WebUi, name: str) -> None:
    body = example(name)
    assert body["type"] == name
    route = {"text-to-image": "txt2img", "image-to-image": "img2img", "inpainting": "img2img"}.get(name, name)
    answer = webui.post(route, **body["input"])
    assert answer.status_code == 200, answer.text


def test_a_painter_speaks_one_protocol(tmp_path: Path) -> None:
    with serving(PainterSettings(data=tmp_path, type=RuntimeType.A1111, seconds_per_step=0)) as url:
        client = WebUi(url)
        with client.http:
            assert client.http.get(f"{url}/system_stats").status_code == 404
            assert client.made()["images"]
