"""The process boundary: an answer whatever happens, one log line, and nothing in it that is the caller's."""

import hashlib
import json
import os
import subprocess
import sys
from typing import Any

import pytest

from functions.api.ports import UnavailableError
from tests.functions.conftest import Caller
from tests.functions.entry import owner_of
from tests.functions.fakes import ENVIRONMENT, SPEND_ENVIRONMENT, WORKFLOW, event_of

JOB = {"runtime": "comfy", "input": WORKFLOW, "context": "a red fox"}


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_an_unexpected_fault_is_answered_without_detail_and_logged_with_it(
    caller: Caller, capsys: pytest.CaptureFixture[str]
) -> None:
    caller.store.failing["add"] = ZeroDivisionError("inside")

    answer = caller.post(JOB)

    assert (answer.status, answer.code) == (500, "internal")
    assert "inside" not in json.dumps(answer.body)
    assert answer.body["error"]["request_id"] == "request-1"
    [line] = lines(capsys)
    assert line["level"] == "ERROR"
    assert line["request_id"] == "request-1"
    assert line["trace"].endswith("ZeroDivisionError")  # its own words may quote the client's


def test_a_busy_service_is_answered_with_when_to_ask_again(caller: Caller, capsys: pytest.CaptureFixture[str]) -> None:
    caller.store.failing["get"] = UnavailableError("GetItem: ThrottlingException")

    answer = caller.get("00000000-0000-4000-8000-000000000001")

    assert (answer.status, answer.code, answer.headers["Retry-After"]) == (503, "unavailable", "5")
    assert "ThrottlingException" not in json.dumps(answer.body)
    assert lines(capsys)[0]["trace"] == "GetItem: ThrottlingException"


def test_a_request_leaves_one_line_with_every_fact(caller: Caller, capsys: pytest.CaptureFixture[str]) -> None:
    answer = caller.post(JOB)

    [line] = lines(capsys)
    assert line.pop("duration_ms") >= 0
    assert line == {
        "level": "INFO",
        "event": "request",
        "method": "POST",
        "route": "/v1/jobs",
        "status": 202,
        "request_id": "request-1",
        "owner": "key-a",
        "job_id": answer.body["id"],
    }


def test_a_refusal_is_logged_by_its_code(caller: Caller, capsys: pytest.CaptureFixture[str]) -> None:
    caller.post(JOB | {"runtime": "a red fox"})

    [line] = lines(capsys)
    assert (line["status"], line["code"]) == (422, "unknown_runtime")
    assert "red fox" not in json.dumps(line)


@pytest.mark.parametrize("fault", [None, "publish", "add"])
def test_no_log_line_holds_the_key_a_header_or_the_body(
    caller: Caller, capsys: pytest.CaptureFixture[str], fault: str | None
) -> None:
    if fault:
        caller.store.failing[fault] = UnavailableError(f"{fault}: Throttling")
    headers = {"x-api-key": "the-secret-key", "Authorization": "Bearer hidden", "Idempotency-Key": "order-17"}

    caller.post(JOB, headers=headers)

    text = capsys.readouterr().out
    assert text
    for secret in ("the-secret-key", "hidden", "order-17", "red fox", "SaveImage"):
        assert secret not in text


def test_an_event_with_hardly_anything_in_it_is_answered(caller: Caller) -> None:
    answer = caller.send({})

    assert answer.status == 403
    assert answer.body["error"]["request_id"], "a request without an id of API Gateway's gets one of ours"


def test_the_owner_is_the_id_of_the_key_and_never_the_key() -> None:
    event = event_of(headers={"x-api-key": "the-secret-key"})

    assert owner_of(event, is_emulated=False) == "key-a"
    assert owner_of(event, is_emulated=True) == "key-a"


def test_only_an_emulator_is_believed_that_the_header_was_checked() -> None:
    event = event_of(key_id=None, headers={"X-Api-Key": "the-secret-key"})
    digest = hashlib.sha256(b"the-secret-key").hexdigest()[:32]

    assert owner_of(event, is_emulated=False) is None
    assert owner_of(event, is_emulated=True) == f"key-{digest}"
    assert owner_of(event_of(key_id=None), is_emulated=True) is None


def started(module: str, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    kept = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH") if name in os.environ}
    return subprocess.run(
        [sys.executable, "-c", f"from {module} import handle; print(callable(handle))"],
        env=kept | environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(
    ("module", "environment", "needed"),
    [
        ("functions.api.handler", ENVIRONMENT, "SD_JOBS_TABLE"),
        ("functions.outbox", ENVIRONMENT, "SD_JOBS_TABLE"),
        ("functions.dead_letter", ENVIRONMENT, "SD_JOBS_TABLE"),
        ("functions.spend", SPEND_ENVIRONMENT, "SD_STACK_TAGS"),
    ],
)
def test_a_function_starts_with_its_environment_and_not_without(
    module: str, environment: dict[str, str], needed: str
) -> None:
    good = started(module, environment)
    bad = started(module, {name: value for name, value in environment.items() if name != needed})

    assert good.stdout == "True\n", good.stderr
    assert bad.returncode != 0
    assert f"The environment variable {needed} is missing." in bad.stderr
