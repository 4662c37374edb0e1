"""Each refusal, and its twin that is just allowed."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sd_async.contract import checks, limits
from sd_async.contract.errors import ContractError
from sd_async.contract.jobs import JobRequest, JobType, OutputOptions, Runtime, RuntimeType
from tests.contract.values import JSON, judged, nested

RUNTIMES = {
    "comfy": Runtime(type=RuntimeType.COMFYUI, timeout_seconds=3600),
    "auto": Runtime(type=RuntimeType.A1111, timeout_seconds=60),
}
BUCKETS = {"inputs"}
WORKFLOW: dict[str, Any] = {"1": {"class_type": "A", "inputs": {}}}
REQUEST = JobRequest(runtime="comfy", input=WORKFLOW)
S3 = "s3://inputs/"
OPTIONS = OutputOptions


def checked(**changes: Any) -> JobRequest:
    return checks.check_request(msgspec.structs.replace(REQUEST, **changes), RUNTIMES, BUCKETS)


def deep(levels: int) -> dict[str, Any]:
    """A workflow in which the innermost list lies so many levels below the workflow itself."""
    return {"1": {"class_type": "A", "inputs": {"a": nested(levels - 3)}}}


def test_what_was_left_out_is_filled_in() -> None:
    request = checked(output_prefix="/a/b/")
    assert (request.type, request.timeout_seconds, request.output_prefix) == (JobType.WORKFLOW, 3600, "a/b")
    assert checked(runtime="auto").type is JobType.TEXT_TO_IMAGE


REFUSED_AND_ALLOWED = [
    ("unknown_runtime", "runtime", {"runtime": "nowhere"}, {"runtime": "comfy"}),
    ("invalid_value", "type", {"type": JobType.INPAINTING}, {"type": JobType.WORKFLOW}),
    (
        "invalid_value",
        "type",
        {"runtime": "auto", "type": JobType.WORKFLOW},
        {"runtime": "auto", "type": JobType.INPAINTING},
    ),
    ("empty_workflow", "input", {"input": {}}, {"input": {"1": {"class_type": ""}}}),
    ("workflow_format_ui", "input", {"input": {"nodes": []}}, {"input": {"nodes": {"class_type": "A"}}}),
    ("invalid_workflow", "input.1", {"input": {"1": []}}, {"input": {"1": {"class_type": "A"}}}),
    ("invalid_workflow", "input.1", {"input": {"1": {"class_type": 1}}}, {"input": {"1": {"class_type": "A", "x": 1}}}),
    (
        "invalid_workflow",
        "input.1.inputs",
        {"input": {"1": {"class_type": "A", "inputs": []}}},
        {"input": {"1": {"class_type": "A", "inputs": {}}}},
    ),
    ("invalid_json", "input", {"input": deep(limits.MAX_INPUT_DEPTH + 1)}, {"input": deep(limits.MAX_INPUT_DEPTH)}),
    (
        "invalid_value",
        "files",
        {"files": {str(n): S3 + "k" for n in range(limits.MAX_FILES + 1)}},
        {"files": {str(n): S3 + "k" for n in range(limits.MAX_FILES)}},
    ),
    ("invalid_value", "files.", {"files": {"": S3 + "k"}}, {"files": {" ": S3 + "k"}}),
    ("invalid_value", "files...", {"files": {"..": S3 + "k"}}, {"files": {"...": S3 + "k"}}),
    ("invalid_value", "files.a/b", {"files": {"a/b": S3 + "k"}}, {"files": {"a:b": S3 + "k"}}),
    ("invalid_value", "files.a\\b", {"files": {"a\\b": S3 + "k"}}, {"files": {"a b": S3 + "k"}}),
    ("invalid_value", "files.a\0", {"files": {"a\0": S3 + "k"}}, {"files": {"a": S3 + "k"}}),
    ("invalid_value", "files.\ud800", {"files": {"\ud800": S3 + "k"}}, {"files": {"\U0001f600": S3 + "k"}}),
    ("invalid_value", f"files.{'é' * 128}", {"files": {"é" * 128: S3 + "k"}}, {"files": {"é" * 127 + "a": S3 + "k"}}),
    (
        "invalid_value",
        "files.a",
        {"files": {"a": S3 + "k" * (limits.MAX_URL_CHARS - len(S3) + 1)}},
        {"files": {"a": S3 + "k" * (limits.MAX_URL_CHARS - len(S3))}},
    ),
    ("file_scheme", "files.a", {"files": {"a": "http://h/a"}}, {"files": {"a": "https://h/a"}}),
    ("file_scheme", "files.a", {"files": {"a": "file:///etc/passwd"}}, {"files": {"a": "HTTPS://h/a"}}),
    ("file_scheme", "files.a", {"files": {"a": "a.png"}}, {"files": {"a": "https://h"}}),
    ("invalid_value", "files.a", {"files": {"a": "https:///a"}}, {"files": {"a": "https://h/"}}),
    ("invalid_value", "files.a", {"files": {"a": "https://[/a"}}, {"files": {"a": "https://[::1]/a"}}),
    ("invalid_value", "files.a", {"files": {"a": "https://h/\na"}}, {"files": {"a": "https://h/%0Aa"}}),
    ("invalid_value", "files.a", {"files": {"a": "s3://inputs/"}}, {"files": {"a": "s3://inputs/k"}}),
    ("file_bucket", "files.a", {"files": {"a": "s3://other/k"}}, {"files": {"a": "s3://inputs/a b#c?d"}}),
    ("file_bucket", "files.a", {"files": {"a": "s3://inputs@other/k"}}, {"files": {"a": "s3://inputs/other/k"}}),
    (
        "invalid_value",
        "output_prefix",
        {"output_prefix": "x" * (limits.MAX_PREFIX_BYTES + 1)},
        {"output_prefix": "x" * limits.MAX_PREFIX_BYTES},
    ),
    ("invalid_value", "output_prefix", {"output_prefix": "a/../b"}, {"output_prefix": "a/..b"}),
    ("invalid_value", "output_prefix", {"output_prefix": "a//b"}, {"output_prefix": "//a/b//"}),
    ("invalid_value", "output_prefix", {"output_prefix": "a\n"}, {"output_prefix": "a b"}),
    ("invalid_value", "output.format", {"output": OPTIONS(format="gif")}, {"output": OPTIONS(format="png")}),
    ("invalid_value", "output.metadata", {"output": OPTIONS(metadata="x")}, {"output": OPTIONS(metadata="strip")}),
    (
        "invalid_value",
        "output.quality",
        {"output": OPTIONS(format="webp", quality=0)},
        {"output": OPTIONS(format="webp", quality=1)},
    ),
    (
        "invalid_value",
        "output.quality",
        {"output": OPTIONS(format="jpeg", quality=101)},
        {"output": OPTIONS(format="jpeg", quality=100)},
    ),
    (
        "invalid_value",
        "output.quality",
        {"output": OPTIONS(format="png", quality=90)},
        {"output": OPTIONS(format="png", metadata="keep")},
    ),
    ("invalid_value", "output.quality", {"output": OPTIONS(quality=90)}, {"output": OPTIONS()}),
    (
        "too_large",
        "context",
        {"context": "x" * (limits.MAX_CONTEXT_BYTES - 1)},
        {"context": "x" * (limits.MAX_CONTEXT_BYTES - 2)},
    ),
    (
        "invalid_value",
        "context",
        {"context": nested(limits.MAX_CONTEXT_DEPTH + 1)},
        {"context": nested(limits.MAX_CONTEXT_DEPTH)},
    ),
    ("not_available", "webhook_url", {"webhook_url": "https://h"}, {"webhook_url": None}),
    ("invalid_value", "timeout_seconds", {"timeout_seconds": 0}, {"timeout_seconds": 1}),
    ("invalid_value", "timeout_seconds", {"timeout_seconds": 3601}, {"timeout_seconds": 3600}),
]


@pytest.mark.parametrize(
    ("code", "field", "refused", "allowed"), REFUSED_AND_ALLOWED, ids=lambda value: str(value)[:40]
)
def test_a_request_is_refused_by_its_field_and_its_twin_is_taken(
    code: str, field: str, refused: dict[str, Any], allowed: dict[str, Any]
) -> None:
    with pytest.raises(ContractError) as refusal:
        checked(**refused)
    assert (refusal.value.code, refusal.value.field) == (code, field)
    checked(**allowed)


def test_a_refused_output_option_names_what_is_offered() -> None:
    sentences = {
        OPTIONS(format="gif"): "`gif` is none of png, jpeg, webp.",
        OPTIONS(metadata="drop"): "`drop` is neither keep nor strip.",
        OPTIONS(quality=90): "A quality needs a `format` that has one: jpeg or webp; or leave it out.",
    }
    for options, sentence in sentences.items():
        with pytest.raises(ContractError) as refusal:
            checked(output=options)
        assert refusal.value.message == sentence


@pytest.mark.parametrize(
    ("refused", "allowed"),
    [
        ("", "a"),
        ("x" * 129, "x" * 128),
        ("é" * 65, "é" * 64),
        ("a/b", "a b"),
        ("..", "..."),
        ("a\0", "a"),
    ],
)
def test_a_clients_own_id_can_be_part_of_a_key(refused: str, allowed: str) -> None:
    checks.check_client_id(allowed, "id")
    with pytest.raises(ContractError) as refusal:
        checks.check_client_id(refused, "id")
    assert (refusal.value.code, refusal.value.field) == ("invalid_value", "id")


@given(st.text(max_size=200), st.text(max_size=150))
def test_no_prefix_and_id_that_are_allowed_make_a_key_that_s3_refuses(prefix: str, client_id: str) -> None:
    def key() -> str:
        checks.check_client_id(client_id, "id")
        return checks.output_key(checks.clean_prefix(prefix, "prefix"), client_id)

    outcome = judged(key)
    if not isinstance(outcome, ContractError):
        assert len(outcome.encode()) <= limits.MAX_PREFIX_BYTES + 1 + limits.MAX_CLIENT_ID_CHARS
        assert not outcome.startswith("/")
        assert not {"", ".", ".."} & set(outcome.split("/"))


@given(st.text() | st.text().map(lambda rest: f"https://{rest}") | st.text().map(lambda rest: f"s3://{rest}"))
def test_any_text_is_a_url_that_may_be_fetched_or_one_contract_error(url: str) -> None:
    outcome = judged(lambda: checks.check_file_url(url, BUCKETS, "files.a"))
    assert outcome is None or outcome.field == "files.a"


CHECKS: list[Callable[[Any], Any]] = [
    lambda value: checks.check_input(value, JobType.WORKFLOW),
    lambda value: checks.check_input(value, JobType.TEXT_TO_IMAGE),
    checks.check_context,
]


@pytest.mark.parametrize("check", CHECKS)
@given(value=st.dictionaries(st.text(), JSON))
def test_any_json_passes_or_ends_in_one_contract_error(check: Callable[[Any], Any], value: Any) -> None:
    outcome = judged(lambda: check(value))
    assert outcome is None or isinstance(outcome, ContractError)


def test_every_kind_of_runtime_has_types_and_a_default_among_them() -> None:
    assert set(checks.TYPES) == set(checks.DEFAULT_TYPE) == set(RuntimeType)
    assert all(checks.DEFAULT_TYPE[kind] in offered for kind, offered in checks.TYPES.items())
    assert frozenset.union(*checks.TYPES.values()) == set(JobType), "a type that no runtime does cannot be asked for"
