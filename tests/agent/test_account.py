"""What `result.json` tells of a job, and what it does not."""

import asyncio
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from agent.core.version import VERSION
from agent.outputs.account import InputFile, input_files
from sd_async import __version__
from sd_async.contract.jobs import OutputOptions
from sd_async.contract.records import Phases
from tests.agent.bucket import artifact, bucket_with, run_of
from tests.agent.pictures import PARAMETERS, PROMPT, png
from tests.agent.scenario import JOB_ID, WORKFLOW, in_loop, message_of


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


def test_a_files_digest_is_that_of_all_its_bytes(tmp_path: Path) -> None:
    data = b"x" * 300_000
    (tmp_path / "a").write_bytes(data)
    assert input_files({"a.png": tmp_path / "a"}) == {"a.png": InputFile(hashlib.sha256(data).hexdigest(), len(data))}
