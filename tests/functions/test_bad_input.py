"""Everything a caller can get wrong: its status, its code, its field, and that nothing is queued."""

import ast
import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sd_async import contract
from sd_async.contract import limits
from tests.functions.conftest import Caller
from tests.functions.entry import STATUS_OF
from tests.functions.fakes import WORKFLOW, event_of

JOB: dict[str, Any] = {"runtime": "comfy", "input": WORKFLOW}
ALPHA: dict[str, Any] = {
    "metadata": {"id": "t", "runtime": "comfy", "tasktype": "pipeline", "prefix": "out", "context": ""},
    "content": WORKFLOW,
}


def alpha(**metadata: Any) -> dict[str, Any]:
    merged = ALPHA["metadata"] | metadata
    return {"task": ALPHA | {"metadata": {name: value for name, value in merged.items() if value is not ...}}}


WRONG: list[tuple[str, Any, int, str, str | None]] = [
    ("not JSON", "{", 400, "invalid_json", None),
    ("empty", "", 400, "invalid_json", None),
    ("no body", None, 400, "invalid_json", None),
    ("a lone surrogate", '{"runtime": "\ud800"}', 400, "invalid_json", None),
    ("too deep", '{"input": ' + "[" * 100_000, 400, "invalid_json", None),
    ("not an object", "[]", 400, "invalid_type", None),
    ("an unknown field", JOB | {"inptu": {}}, 400, "unknown_field", "inptu"),
    ("a missing field", {"runtime": "comfy"}, 400, "missing_field", "input"),
    ("a wrong type", JOB | {"timeout_seconds": "soon"}, 400, "invalid_type", "timeout_seconds"),
    ("an unknown runtime", JOB | {"runtime": "flux"}, 422, "unknown_runtime", "runtime"),
    ("a type that is none", JOB | {"type": "text-to-video"}, 400, "invalid_type", "type"),
    ("another runtime's type", JOB | {"type": "inpainting"}, 422, "invalid_value", "type"),
    ("an empty workflow", JOB | {"input": {}}, 422, "empty_workflow", "input"),
    ("the editor's format", JOB | {"input": {"nodes": []}}, 422, "workflow_format_ui", "input"),
    ("a node without class", JOB | {"input": {"3": {}}}, 422, "invalid_workflow", "input.3"),
    ("a file by http", JOB | {"files": {"a": "http://x/y"}}, 422, "file_scheme", "files.a"),
    ("a file from disk", JOB | {"files": {"a": "file:///etc/passwd"}}, 422, "file_scheme", "files.a"),
    ("a foreign bucket", JOB | {"files": {"a": "s3://other/key"}}, 422, "file_bucket", "files.a"),
    ("another job's input", JOB | {"files": {"a": "s3://input/jobs/x/job.json"}}, 422, "file_bucket", "files.a"),
    ("another job's input, shouted", JOB | {"files": {"a": "S3://input/jobs/x"}}, 422, "file_bucket", "files.a"),
    ("a URL behind a space", JOB | {"files": {"a": " s3://input/x"}}, 422, "invalid_value", "files.a"),
    ("a prefix that climbs", JOB | {"output_prefix": "a/../b"}, 422, "invalid_value", "output_prefix"),
    ("a webhook", JOB | {"webhook_url": "https://x"}, 422, "not_available", "webhook_url"),
    ("a timeout over the bound", JOB | {"timeout_seconds": 601}, 422, "invalid_value", "timeout_seconds"),
    ("a large context", JOB | {"context": "x" * limits.MAX_CONTEXT_BYTES}, 413, "too_large", "context"),
    ("a deep context", JOB | {"context": json.loads("[" * 90 + "]" * 90)}, 422, "invalid_value", "context"),
]
WRONG_ALPHA: list[tuple[str, Any, int, str, str | None]] = [
    ("no task", {}, 400, "missing_field", "task"),
    ("no prefix", alpha(prefix=...), 400, "missing_field", "task.metadata.prefix"),
    ("no content", {"task": {"metadata": ALPHA["metadata"]}}, 400, "missing_field", "task.content"),
    ("unknown runtime", alpha(runtime="flux"), 422, "unknown_runtime", "task.metadata.runtime"),
    ("unknown task type", alpha(tasktype="dance"), 422, "invalid_value", "task.metadata.tasktype"),
    ("another runtime's type", alpha(tasktype="inpainting"), 422, "invalid_value", "task.metadata.tasktype"),
    ("an id with a slash", alpha(id="a/b"), 422, "invalid_value", "task.metadata.id"),
    ("a prefix that climbs", alpha(prefix=".."), 422, "invalid_value", "task.metadata.prefix"),
    ("an empty workflow", {"task": ALPHA | {"content": {}}}, 422, "empty_workflow", "task.content"),
    ("a wrong type", alpha(prefix=3), 400, "invalid_type", "task.metadata.prefix"),
]
ALPHA1 = {"task": "text-to-image", "sd_model_checkpoint": "a1111", "save_dir": "out"}
WRONG_ALPHA1: list[tuple[str, Any, int, str, str | None]] = [
    ("no scripts", {"prompt": "x"}, 400, "missing_field", "alwayson_scripts"),
    ("empty scripts", {"alwayson_scripts": {}}, 400, "missing_field", "alwayson_scripts.task"),
    ("no folder", {"alwayson_scripts": ALPHA1 | {"save_dir": None}}, 400, "invalid_type", "alwayson_scripts.save_dir"),
    (
        "unknown runtime",
        {"alwayson_scripts": ALPHA1 | {"sd_model_checkpoint": "flux"}},
        422,
        "unknown_runtime",
        "alwayson_scripts.sd_model_checkpoint",
    ),
]


def names(rows: list[tuple[str, Any, int, str, str | None]]) -> list[str]:
    return [row[0] for row in rows]


def assert_refused(caller: Caller, answer: Any, status: int, code: str, field: str | None) -> None:
    assert (answer.status, answer.code) == (status, code)
    assert answer.body["error"].get("field") == field
    assert answer.body["error"]["request_id"] == "request-1"
    assert set(answer.body["error"]) <= {"code", "message", "field", "request_id"}, "errors have one shape"
    assert_nothing_written(caller)


def assert_nothing_written(caller: Caller) -> None:
    assert (caller.store.items, caller.store.inputs, caller.store.published) == ({}, {}, [])


@pytest.mark.parametrize(("_name", "body", "status", "code", "field"), WRONG, ids=names(WRONG))
def test_a_wrong_job_is_refused_by_field(
    caller: Caller, _name: str, body: Any, status: int, code: str, field: str | None
) -> None:
    assert_refused(caller, caller.post(body), status, code, field)


@pytest.mark.parametrize(("_name", "body", "status", "code", "field"), WRONG_ALPHA, ids=names(WRONG_ALPHA))
def test_a_wrong_v1alpha2_body_is_refused_by_field(
    caller: Caller, _name: str, body: Any, status: int, code: str, field: str | None
) -> None:
    assert_refused(caller, caller.post(body, "/v1alpha2"), status, code, field)


@pytest.mark.parametrize(("_name", "body", "status", "code", "field"), WRONG_ALPHA1, ids=names(WRONG_ALPHA1))
def test_a_wrong_v1alpha1_body_is_refused_by_field(
    caller: Caller, _name: str, body: Any, status: int, code: str, field: str | None
) -> None:
    assert_refused(caller, caller.post(body, "/v1alpha1"), status, code, field)


def test_a_body_over_the_limit_is_refused_and_one_at_the_limit_is_read(caller: Caller) -> None:
    over = caller.post(" " * (limits.MAX_BODY_BYTES + 1))
    at = caller.post("{}" + " " * (limits.MAX_BODY_BYTES - 2))

    assert_refused(caller, over, 413, "too_large", None)
    assert str(limits.MAX_BODY_BYTES) in over.body["error"]["message"]
    assert at.code == "missing_field"


@pytest.mark.parametrize("media_type", ["text/plain", "application/x-www-form-urlencoded", "", "application/jsonp"])
def test_a_body_of_another_type_is_refused(caller: Caller, media_type: str) -> None:
    answer = caller.post(JOB, headers={"Content-Type": media_type})

    assert_refused(caller, answer, 415, "unsupported_media_type", "Content-Type")


@pytest.mark.parametrize("headers", [{"Content-Type": "Application/JSON; charset=utf-8"}, None])
def test_json_with_parameters_or_without_a_type_is_read(caller: Caller, headers: dict[str, str] | None) -> None:
    event = event_of(body=JOB)
    event["headers"] = headers

    assert caller.send(event).status == 202


def test_header_names_are_read_in_any_case(caller: Caller) -> None:
    answer = caller.send(event_of(body=JOB) | {"headers": {"CONTENT-TYPE": "text/plain"}})

    assert_refused(caller, answer, 415, "unsupported_media_type", "Content-Type")


def test_a_base64_body_is_read_and_a_broken_one_refused(caller: Caller) -> None:
    text = base64.b64encode(b"[]").decode()

    read = caller.send(event_of(body=text) | {"isBase64Encoded": True})
    broken = caller.send(event_of(body=text + "%%%") | {"isBase64Encoded": True})
    not_ascii = caller.send(event_of(body="ü") | {"isBase64Encoded": True})

    assert read.code == "invalid_type"
    assert_refused(caller, broken, 400, "invalid_json", None)
    assert_refused(caller, not_ascii, 400, "invalid_json", None)


def test_a_call_without_a_key_is_refused(caller: Caller) -> None:
    answer = caller.post(JOB, key_id=None, headers={"x-api-key": "not checked by API Gateway"})

    assert_refused(caller, answer, 403, "forbidden", None)


def test_a_route_that_is_none_is_not_found(caller: Caller) -> None:
    assert_refused(caller, caller.post(JOB, "/v1/uploads"), 404, "not_found", None)


@pytest.mark.parametrize("key", ["", "x" * 256, "line\nbreak"])
def test_an_idempotency_key_out_of_bounds_is_refused(caller: Caller, key: str) -> None:
    answer = caller.post(JOB, headers={"Idempotency-Key": key})

    assert_refused(caller, answer, 422, "invalid_value", "Idempotency-Key")


@pytest.mark.parametrize("job_id", ["", "x", "00000000-0000-4000-8000-00000000000G", "../jobs", "a" * 5000])
def test_what_is_no_id_is_not_found_and_not_looked_up(caller: Caller, job_id: str) -> None:
    caller.store.failing["get"] = AssertionError("looked up")

    assert_refused(caller, caller.get(job_id), 404, "not_found", None)


def raised_codes() -> Iterator[str]:
    """First argument of every ContractError in the contract's source."""
    for path in Path(contract.__path__[0]).glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "ContractError":
                assert isinstance(node.args[0], ast.Constant | ast.Name)
                if isinstance(node.args[0], ast.Constant):
                    yield str(node.args[0].value)


def test_every_code_that_the_contract_raises_has_a_status() -> None:
    codes = set(raised_codes())

    assert "unknown_runtime" in codes
    assert codes - {"unknown_message"} <= set(STATUS_OF), "unknown_message is the queue's, and never the API's"


def test_a_workflow_at_the_edge_of_what_can_be_read_is_accepted_or_refused() -> None:
    answers = set()
    for depth in range(700, 1100, 3):
        value = '{"class_type": "X", "inputs": {"a": ' + "[" * depth + "]" * depth + "}}"
        answers.add(Caller().post('{"runtime": "comfy", "input": {"1": ' + value + "}}").status)

    assert answers == {202, 400}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
FIELDS = ("runtime", "input", "type", "files", "output_prefix", "context", "webhook_url", "timeout_seconds")
NEARLY = st.builds(lambda drawn: JOB | drawn, st.dictionaries(st.sampled_from(FIELDS), JSON, max_size=3))
NEARLY_ALPHA = st.builds(
    lambda drawn: alpha(**drawn), st.dictionaries(st.sampled_from(list(ALPHA["metadata"])), JSON, max_size=2)
)
BODIES = st.binary().map(lambda raw: raw.decode("latin-1")) | st.text(st.characters()) | JSON | NEARLY | NEARLY_ALPHA


@given(body=BODIES, resource=st.sampled_from(["/v1/jobs", "/v1alpha2", "/v1alpha1"]), is_base64=st.booleans())
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_no_body_whatsoever_is_answered_by_500(body: Any, resource: str, is_base64: bool) -> None:  # noqa: FBT001
    event = event_of("POST", resource, body)
    if is_base64:
        event["body"] = base64.b64encode(
            event["body"].encode(errors="surrogatepass") if event["body"] else b""
        ).decode()
        event["isBase64Encoded"] = True

    answer = Caller().send(event)

    assert answer.status in {200, 202} or 400 <= answer.status < 500


@given(raw=st.binary())
@settings(max_examples=200, deadline=None)
def test_no_bytes_whatsoever_are_answered_by_500(raw: bytes) -> None:
    event = event_of(body=base64.b64encode(raw).decode()) | {"isBase64Encoded": True}

    assert 400 <= Caller().send(event).status < 500
