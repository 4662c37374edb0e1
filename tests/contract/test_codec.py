"""Any bytes, text or JSON decode to a value or to one ContractError that names the place."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sd_async.contract.codec import convert, decode, encode, encode_for_queue
from sd_async.contract.errors import MAX_FIELD_CHARS, MAX_MESSAGE_CHARS, ContractError
from sd_async.contract.jobs import ErrorBody, Job, JobRequest, Runtime
from sd_async.contract.messages import JobMessage
from sd_async.contract.results import ResultMessage
from tests.contract.values import JSON, TEXT, judged, nearly, nested

TYPES = [JobRequest, JobMessage, ResultMessage, Job, ErrorBody, Runtime, dict[str, Any], object]
CODES = {"invalid_json", "invalid_type", "missing_field", "unknown_field"}
REQUEST = {
    "runtime": "comfyui",
    "type": "workflow",
    "input": {"1": {"class_type": "A", "inputs": {}}},
    "files": {"pose": "https://h/p.png"},
    "output_prefix": "p",
    "context": {"a": 1},
    "webhook_url": None,
    "timeout_seconds": 60,
}


def refused(data: bytes | str, type_: Any = JobRequest, where: str = "") -> ContractError:
    with pytest.raises(ContractError) as refusal:
        decode(data, type_, where=where)
    return refusal.value


@pytest.mark.parametrize("type_", TYPES, ids=str)
@given(data=st.binary() | st.text() | JSON.map(json.dumps) | JSON.map(lambda value: json.dumps(value).encode()))
@example(data=b'{"a": "\\ud800"}')
@example(data='{"a": "\ud800"}')
@example(data=b'{"a": "\xed\xa0\x80"}')
@example(data=b'{"\xff": 1}')
@example(data=b'{"a": ' + b"9" * 5000 + b"}")
@example(data=b'{"a": 1e999}')
@example(data=b'{"a": NaN}')
@example(data=b"[" * 100_000)
@example(data=b'{"a":' * 5000 + b"1" + b"}" * 5000)
@example(data=b"\xef\xbb\xbf{}")
def test_anything_decodes_to_a_value_or_to_one_contract_error(type_: Any, data: bytes | str) -> None:
    outcome = judged(lambda: decode(data, type_))
    assert not isinstance(outcome, ContractError) or (outcome.code in CODES and outcome.message)


@given(nearly(REQUEST))
def test_a_request_that_is_nearly_right_is_decoded_or_refused_by_a_place_that_is_in_it(
    document: dict[str, Any],
) -> None:
    outcome = judged(lambda: decode(json.dumps(document), JobRequest))
    if isinstance(outcome, ContractError):
        field = outcome.field or ""
        is_there = any(field == name or field.startswith(f"{name}.") for name in document)
        assert is_there == (outcome.code != "missing_field")
    else:
        assert decode(encode(outcome), JobRequest) == outcome


@given(JSON | nearly(REQUEST))
@example(document=-(2**63) - 1)
@example(document=REQUEST | {"files": {"a": "https://h", "pose": -(2**63) - 1}})
def test_text_and_converted_json_are_judged_alike(document: Any) -> None:
    outcomes = judged(lambda: decode(json.dumps(document), JobRequest)), judged(lambda: convert(document, JobRequest))
    codes_and_fields = [(getattr(each, "code", None), getattr(each, "field", None)) for each in outcomes]
    assert codes_and_fields[0] == codes_and_fields[1]
    assert isinstance(outcomes[0], ContractError) or outcomes[0] == outcomes[1]


@given(JSON)
def test_any_json_survives_being_encoded_and_decoded(value: Any) -> None:
    assert decode(encode(value), object) == value
    assert decode(encode_for_queue(value), object) == value
    assert json.loads(encode_for_queue(value)) == value


@pytest.mark.parametrize("digits", [19, 20, 38, 39, 300])
def test_an_integer_beyond_64_bits_keeps_all_its_digits(digits: int) -> None:
    seed = int("9" * digits)
    assert decode(encode({"seed": seed}), dict[str, Any]) == {"seed": seed}


def test_what_sqs_does_not_take_is_escaped_and_means_the_same() -> None:
    text = "a\ufffe\uffff\x00\x1f\x7f\U0001ffff￼"
    sent = encode_for_queue({text: text})
    assert decode(sent, dict[str, Any]) == {text: text}
    assert not {"\ufffe", "\uffff", "\x00", "\x1f"} & set(sent.decode())


@pytest.mark.parametrize(
    ("data", "code", "field"),
    [
        ("{}", "missing_field", "runtime"),
        ('{"runtime": "r"}', "missing_field", "input"),
        ('{"runtime": "r", "input": {}, "inputs": 1}', "unknown_field", "inputs"),
        ('{"runtime": "r", "input": {}, "a`b": 1}', "unknown_field", "a`b"),
        (
            '{"runtime": "r", "input": {}, "missing required field `x`": 1}',
            "unknown_field",
            "missing required field `x`",
        ),
        ('{"runtime": 1, "input": {}}', "invalid_type", "runtime"),
        ('{"runtime": "r", "input": []}', "invalid_type", "input"),
        ('{"runtime": "r", "input": {}, "type": "video"}', "invalid_type", "type"),
        ('{"runtime": "r", "input": {}, "timeout_seconds": 1.5}', "invalid_type", "timeout_seconds"),
        ('{"runtime": "r", "input": {}, "timeout_seconds": true}', "invalid_type", "timeout_seconds"),
        ('{"runtime": "r", "input": {}, "files": {"a": "https://h", "pose": 7}}', "invalid_type", "files.pose"),
        ('{"runtime": "r", "input": {}, "files": {"a.b[0]": null}}', "invalid_type", "files.a.b[0]"),
        ('{"runtime": "r", "input": {"1": 1e999}}', "invalid_type", "input"),
        ("[]", "invalid_type", None),
        ("7", "invalid_type", None),
        ("", "invalid_json", None),
        ("{", "invalid_json", None),
    ],
)
def test_the_field_names_the_place(data: str, code: str, field: str | None) -> None:
    error = refused(data)
    assert (error.code, error.field) == (code, field)


def test_a_place_inside_another_document_is_named_from_the_outside() -> None:
    assert refused('{"runtime": 1, "input": {}}', where="body.job").field == "body.job.runtime"
    assert refused("[]", where="body").field == "body"
    assert refused("{", where="body").field == "body"
    assert str(refused("[]", where="body")) == "body: Expected `object`, got `array`."


def test_a_place_in_a_list_is_named_by_its_number() -> None:
    class Rows(msgspec.Struct):
        rows: list[dict[str, str]]

    assert refused('{"rows": [{}, {"a": "x", "b": 2}]}', Rows).field == "rows.1.b"


def test_an_error_quotes_no_more_than_an_answer_can_hold() -> None:
    long = "x" * 1_000_000
    error = refused(json.dumps({"runtime": "r", "input": {}, long: 1}))
    assert error.field is not None
    assert len(error.field) == MAX_FIELD_CHARS
    assert len(error.message) == MAX_MESSAGE_CHARS
    assert len(str(error)) < 2000


@given(st.sampled_from(sorted(CODES)), TEXT, TEXT)
def test_an_error_says_what_it_was_given(code: str, message: str, field: str) -> None:
    error = ContractError(code, message, field)
    assert (error.code, error.message, error.field) == (code, message, field)


def test_the_last_of_two_fields_with_one_name_counts() -> None:
    assert decode('{"runtime": "a", "runtime": "b", "input": {}}', JobRequest).runtime == "b"
    assert convert(decode('{"runtime": "a", "runtime": "b", "input": {}}', dict[str, Any]), JobRequest).runtime == "b"


@pytest.mark.parametrize("levels", [1000, 5000, 100_000])
def test_what_is_nested_too_deeply_is_refused_in_both_directions(levels: int) -> None:
    error = refused("[" * levels + "]" * levels, object)
    assert (error.code, error.message) == ("invalid_json", "The body is nested too deeply.")
    with pytest.raises(ContractError, match="nested too deeply"):
        encode(nested(levels))


def test_half_a_surrogate_pair_is_refused_when_it_is_sent() -> None:
    with pytest.raises(ContractError, match="no Unicode") as refusal:
        encode({"a": "\ud800"})
    assert refusal.value.code == "invalid_value"
