"""What of a job's outputs lies in the bucket: names, types, bytes, metadata, and what `result.json` tells of them."""

import asyncio
import hashlib
import json
from collections.abc import Sequence
from typing import Any

import pytest

from agent.core.version import VERSION
from agent.errors import OutputFormatError, RuntimeLostError
from agent.outputs.account import InputFile, Run
from agent.ports import Artifact
from agent.storing import stored
from sd_async import __version__
from sd_async.contract.adoption import first_record
from sd_async.contract.jobs import OutputOptions
from sd_async.contract.messages import JobMessage
from sd_async.contract.records import Phases, StoredOutput
from tests.agent.pictures import PARAMETERS, PROMPT, comfyui_png, encoded, opened, picture, png
from tests.agent.scenario import JOB_ID, WORKFLOW, in_loop, message_of
from tests.support.clock import START_MS, FakeClock
from tests.support.fakes import FakeBackend, FakeFiles

FOLDER = f"renders/{JOB_ID}/1"


def artifact(name: str, data: bytes, kind: str = "image", content_type: str = "image/png", node: str = "9") -> Artifact:
    return Artifact(name, kind, content_type, node, data)


def run_of(message: JobMessage | None = None, **facts: Any) -> Run:
    message = message or message_of()
    record = first_record(message, now_ms=START_MS, retention_days=30)
    return Run(message=message, record=record, agent_id="comfy-0", **facts)


class Bucket:
    """What storing left behind."""

    def __init__(self) -> None:
        self.files = FakeFiles()
        self.outputs: list[StoredOutput] = []

    def __getitem__(self, name: str) -> bytes:
        return self.files.stored[f"{FOLDER}/{name}"][0]

    def content_type(self, name: str) -> str:
        return self.files.stored[f"{FOLDER}/{name}"][1]

    def metadata(self, name: str) -> dict[str, str]:
        return self.files.metadata[f"{FOLDER}/{name}"]

    def account(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(self["result.json"])
        return document

    @property
    def names(self) -> list[str]:
        return [output.name for output in self.outputs]


async def bucket_with(made: Sequence[Artifact], run: Run | None = None, **options: Any) -> Bucket:
    bucket, clock = Bucket(), FakeClock()
    run = run or run_of(message_of(output=OutputOptions(**options)) if options else None)
    bucket.outputs = await stored(made, FOLDER, FakeBackend(clock), bucket.files, run=run, clock=clock)
    return bucket


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


@in_loop
async def test_the_account_holds_what_it_takes_to_make_the_outputs_again() -> None:
    message = message_of(
        files={"pose.png": "https://h/pose.png?X-Amz-Signature=s", "mask.png": "s3://team/a?b.png"},
        output=OutputOptions(format="webp", quality=80),
        client_id="mine-7",
        context={"private": 1},
    )
    run = run_of(
        message,
        phases=Phases(fetch_ms=7, execution_ms=10_000),
        inputs={"pose.png": InputFile("aa", 3), "mask.png": InputFile("bb", 4)},
        notes={"comfyui_version": "0.3.64"},
    )
    bucket = await bucket_with([artifact("a.png", png({"parameters": PARAMETERS}))], run)
    document = bucket.account()
    outputs = document.pop("outputs")
    assert document == {
        "version": 1,
        "id": JOB_ID,
        "attempt": 0,
        "runtime": "comfy",
        "type": "workflow",
        "form": "v1",
        "client_id": "mine-7",
        "created_at": "2027-01-15T08:00:00.000Z",
        "started_at": "2027-01-15T08:00:00.000Z",
        "completed_at": "2027-01-15T08:00:00.000Z",
        "timeout_seconds": 600,
        "phases": {"fetch_ms": 7, "execution_ms": 10_000},
        "agent": {"id": "comfy-0", "version": VERSION},
        "runtime_notes": {"comfyui_version": "0.3.64"},
        "input": WORKFLOW,
        "files": {
            "pose.png": {"sha256": "aa", "size_bytes": 3},
            "mask.png": {"sha256": "bb", "size_bytes": 4, "s3_uri": "s3://team/a?b.png"},
        },
        "output": {"format": "webp", "quality": 80},
    }
    assert outputs == [
        {
            "name": "a.webp",
            "type": "image",
            "content_type": "image/webp",
            "size_bytes": len(bucket["a.webp"]),
            "sha256": hashlib.sha256(bucket["a.webp"]).hexdigest(),
            "node_id": "9",
            "made_from": "a.png",
        }
    ]
    assert bucket["result.json"].startswith(b'{\n  "version": 1,\n'), "a person reads it"


@in_loop
async def test_what_a_format_had_no_room_for_is_named_in_the_account() -> None:
    data = png({"prompt": json.dumps(PROMPT), "workflow": json.dumps("x" * 70_000)})
    bucket = await bucket_with([artifact("a.png", data)], format="jpeg")
    assert bucket.account()["outputs"][0]["metadata_left_out"] == ["workflow"]


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ("https://u:p@h.example/a.png?X-Amz-Signature=abc#frag", "https://h.example/a.png"),
        ("see HTTPS://h/a?token=1 and http://h2:80/b?c", "see HTTPS://h/a and http://h2:80/b"),
        ("why? a fox: 1 // 2?", "why? a fox: 1 // 2?"),
        ("(fox:1.2), <lora:x:0.8>", "(fox:1.2), <lora:x:0.8>"),
        ('quoted "https://h/a?b" end', 'quoted "https://h/a" end'),
    ],
)
@in_loop
async def test_no_query_and_no_user_of_a_url_stands_in_the_account(asked: str, told: str) -> None:
    document = {"1": {"class_type": "X", "inputs": {"text": asked}}}
    bucket = await bucket_with([artifact("a.png", b"1")], run_of(message_of(input=document), notes={"n": asked}))
    assert bucket.account()["input"]["1"]["inputs"]["text"] == told
    assert bucket.account()["runtime_notes"]["n"] == told


@in_loop
async def test_pictures_in_the_input_are_named_by_digest_and_secrets_not_at_all() -> None:
    data = "A" * 40_000
    inputs = {
        "init": data,
        "api_key": 'sk-1 "quoted"',
        "hf_token": "hf_1",
        "token_normalization": "none",
        "seed": 2**60,
    }
    document = {"1": {"class_type": "X", "inputs": inputs}}
    bucket = await bucket_with([artifact("a.png", b"1")], run_of(message_of(input=document)))
    assert bucket.account()["input"]["1"]["inputs"] == {
        "init": f"(40000 characters, sha256 {hashlib.sha256(data.encode()).hexdigest()})",
        "api_key": "(left out)",
        "hf_token": "(left out)",
        "token_normalization": "none",
        "seed": 2**60,
    }


@pytest.mark.parametrize(
    "text",
    ["A" * 4_000_000, "://" * 900_000, "_" * 3_000_000, '\\"' * 900_000, "a://b@" * 500_000],
    ids=["base64", "schemes", "names", "quotes", "users"],
)
@in_loop
async def test_no_text_of_a_client_keeps_the_account_busy(text: str) -> None:
    document = {"1": {"class_type": "X", "inputs": {text: text, "n": list(range(20_000)), "z": "after"}}}
    bucket = await asyncio.wait_for(bucket_with([artifact("a.png", b"1")], run_of(message_of(input=document))), 10)
    inputs = bucket.account()["input"]["1"]["inputs"]
    assert (inputs["n"], inputs["z"]) == (list(range(20_000)), "after")


@in_loop
async def test_an_input_as_deep_as_the_contract_takes_is_told_all_the_same() -> None:
    deep: Any = 1
    for _ in range(790):
        deep = [deep]
    document = {"1": {"class_type": "X", "inputs": {"a": deep}}}
    bucket = await bucket_with([artifact("a.png", b"1")], run_of(message_of(input=document)))
    assert b"[" * 3 in bucket["result.json"].replace(b"\n", b"").replace(b" ", b"")


def test_agent_and_client_have_one_version() -> None:
    assert __version__ == VERSION
