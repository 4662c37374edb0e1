"""What of a job's outputs lies in the bucket: names, types, bytes and metadata."""

import hashlib

import pytest

from agent.errors import OutputFormatError, RuntimeLostError
from agent.storing import stored
from tests.agent.bucket import FOLDER, artifact, bucket_with, run_of
from tests.agent.pictures import comfyui_png, encoded, opened, picture, png
from tests.agent.scenario import JOB_ID, in_loop
from tests.support.clock import FakeClock
from tests.support.fakes import FakeBackend, FakeFiles


@in_loop
async def test_without_options_every_byte_is_as_the_runtime_gave_it() -> None:
    made = [artifact("a.png", comfyui_png()), artifact("b.jpg", b"no picture", content_type="image/jpeg")]
    bucket = await bucket_with(made)
    assert (bucket["a.png"], bucket["b.jpg"]) == (comfyui_png(), b"no picture")
    assert bucket.names == ["a.png", "b.jpg"]


@pytest.mark.parametrize(
    ("kind", "name", "magic"),
    [("webp", "fox.webp", b"RIFF"), ("jpeg", "fox.jpg", b"\xff\xd8\xff"), ("png", "fox.png", b"\x89PNG")],
)
@in_loop
async def test_images_are_in_the_format_that_was_asked_for_with_its_name_and_type(
    kind: str, name: str, magic: bytes
) -> None:
    source = "image/webp" if kind == "png" else "image/png"
    data = encoded(picture(), "WEBP") if kind == "png" else comfyui_png()
    bucket = await bucket_with([artifact(f"fox.{source[6:]}", data, content_type=source)], format=kind)
    [output] = bucket.outputs
    assert (output.name, output.content_type, output.key) == (name, f"image/{kind}", f"{FOLDER}/{name}")
    assert bucket[name].startswith(magic)
    assert bucket.content_type(name) == f"image/{kind}"
    assert output.size_bytes == len(bucket[name])


@in_loop
async def test_an_image_that_has_the_format_already_is_not_encoded_again() -> None:
    bucket = await bucket_with([artifact("a.png", b"not even read")], format="png")
    assert bucket["a.png"] == b"not even read"


@in_loop
async def test_a_quality_is_asked_of_the_same_format_too() -> None:
    data = encoded(picture(size=(256, 256)), "JPEG", quality=98)
    bucket = await bucket_with([artifact("a.jpg", data, content_type="image/jpeg")], format="jpeg", quality=5)
    assert len(bucket["a.jpg"]) < len(data)


@in_loop
async def test_videos_audio_texts_and_pictures_without_a_fixed_size_are_left_as_they_are() -> None:
    made = [
        artifact("a.mp4", b"video", "video", "video/mp4"),
        artifact("a.flac", b"audio", "audio", "audio/flac"),
        artifact("a.txt", b"text", "text", "text/plain; charset=utf-8"),
        artifact("a.svg", b"<svg/>", "image", "image/svg+xml"),
        artifact("a.exr", b"light", "image", "image/x-exr"),
    ]
    bucket = await bucket_with(made, format="webp", metadata="strip")
    assert [bucket[name] for name in bucket.names] == [b"video", b"audio", b"text", b"<svg/>", b"light"]


@in_loop
async def test_a_picture_that_moves_keeps_its_format_and_loses_its_description() -> None:
    data = encoded(picture(), "WEBP", save_all=True, append_images=[picture("L").rotate(180)], exif=b"Exif\0\0secret")
    made = [artifact("a.webp", data, content_type="image/webp")]
    bucket = await bucket_with(made, format="jpeg", metadata="strip")
    assert bucket.names == ["a.webp"]
    assert bucket.content_type("a.webp") == "image/webp"
    assert getattr(opened(bucket["a.webp"]), "n_frames", 1) == 2
    assert b"secret" not in bucket["a.webp"]


@in_loop
async def test_metadata_is_stripped_without_a_change_of_format_or_pixels() -> None:
    bucket = await bucket_with([artifact("a.png", comfyui_png())], metadata="strip")
    assert opened(bucket["a.png"]).info == {}
    assert opened(bucket["a.png"]).tobytes() == picture().tobytes()


@in_loop
async def test_names_that_meet_after_the_change_and_the_accounts_own_are_told_apart() -> None:
    made = [
        artifact("a.png", comfyui_png()),
        artifact("a.bmp", encoded(picture(), "BMP"), content_type="image/bmp"),
        artifact("a.webp", encoded(picture(), "WEBP"), content_type="image/webp"),
        artifact("result.json", b"{}", "text", "application/json"),
    ]
    bucket = await bucket_with(made, format="webp")
    assert bucket.names == ["a.webp", "a-2.webp", "a-3.webp", "result-2.json"]
    assert bucket["result-2.json"] == b"{}"
    assert [told.get("made_from") for told in bucket.account()["outputs"]] == [
        "a.png",
        "a.bmp",
        "a.webp",
        "result.json",
    ]


@pytest.mark.parametrize(("option", "value"), [("format", "jpeg"), ("metadata", "strip")])
@in_loop
async def test_a_picture_that_cannot_be_changed_fails_the_job_by_name_in_a_sentence(option: str, value: str) -> None:
    with pytest.raises(OutputFormatError, match=r"`a\.png` cannot be delivered as asked\. \w.*\."):
        await bucket_with([artifact("a.png", b"no picture")], None, **{option: value})


@in_loop
async def test_many_outputs_keep_their_order() -> None:
    made = [artifact(f"{number:02}.png", png({"n": str(number)})) for number in range(16)]
    bucket = await bucket_with(made, format="webp")
    assert bucket.names == [f"{number:02}.webp" for number in range(16)]
    assert [told["name"] for told in bucket.account()["outputs"]] == bucket.names


@in_loop
async def test_a_runtime_that_is_lost_in_between_leaves_no_account() -> None:
    clock, files = FakeClock(), FakeFiles()
    backend = FakeBackend(clock)
    backend.faults.add("read", RuntimeLostError("gone"))
    with pytest.raises(RuntimeLostError):
        await stored(
            [artifact("a.png", b"1"), artifact("b.png", b"2")], FOLDER, backend, files, run=run_of(), clock=clock
        )
    assert f"{FOLDER}/result.json" not in files.stored


@in_loop
async def test_an_objects_metadata_say_whose_it_is_and_what_it_holds() -> None:
    bucket = await bucket_with([artifact("a.png", b"1", node="узел\n9: x")])
    assert bucket.metadata("a.png") == {
        "job-id": JOB_ID,
        "attempt": "0",
        "node-id": "%D1%83%D0%B7%D0%B5%D0%BB%0A9: x",
        "sha256": hashlib.sha256(b"1").hexdigest(),
    }
    assert bucket.metadata("result.json") == {"job-id": JOB_ID, "attempt": "0"}
    assert bucket.content_type("result.json") == "application/json"
