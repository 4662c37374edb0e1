"""What travels on the jobs topic and on the results topic."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sd_async.contract.codec import decode, encode
from sd_async.contract.errors import ContractError
from sd_async.contract.jobs import Form, JobError, JobType
from sd_async.contract.limits import MAX_MESSAGE_BYTES
from sd_async.contract.messages import DirectJob, JobMessage, decode_message, encode_for_topic, encode_message
from sd_async.contract.records import Record, StoredOutput, context_text
from sd_async.contract.results import ResultMessage, decode_result, encode_result, result_of
from sd_async.contract.states import FINAL, Status
from tests.contract.test_records import RECORD
from tests.contract.values import JSON, MESSAGES, RECORDS, RESULTS, judged, nearly, plain

MESSAGE = JobMessage(
    sd_async=1,
    id="j",
    owner="o",
    runtime="r",
    type=JobType.WORKFLOW,
    created_at_ms=1,
    timeout_seconds=2,
    output_key="k",
    input={"1": {"class_type": "A"}},
)
REF = "s3://inputs/jobs/j/job.json"


def with_input(size: int) -> JobMessage:
    return msgspec.structs.replace(MESSAGE, input={"a": "x" * size})


@given(MESSAGES)
def test_a_job_survives_its_message(message: JobMessage) -> None:
    assert decode_message(encode_message(message)) == message
    assert decode_message(encode_message(message).decode()) == message


@given(st.binary() | st.text() | JSON.map(json.dumps) | nearly(plain(MESSAGE)).map(json.dumps))
@example(body='{"sd_async": true}')
@example(body='{"sd_async": 1.0}')
@example(body='{"sd_async": 2, "id": "j"}')
@example(body=json.dumps(plain(MESSAGE) | {"created_at_ms": 10**40}))
@example(body='{"task": 1}')
@example(body='{"alwayson_scripts": []}')
@example(body='{"task": {}, "alwayson_scripts": {}}')
@example(body='{"task": {"metadata": {"runtime": "\ud800"}}}')
def test_anything_on_the_queue_is_a_job_or_one_contract_error(body: bytes | str) -> None:
    outcome = judged(lambda: decode_message(body))
    assert isinstance(outcome, JobMessage | DirectJob | ContractError)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"sd_async": 2}, "sd_async"),
        ({"sd_async": True}, "sd_async"),
        ({"created_at_ms": 10**40}, "created_at_ms"),
        ({"timeout_seconds": -1}, "timeout_seconds"),
        ({"files": {"a": 1}}, "files.a"),
        ({"input": []}, "input"),
    ],
)
def test_a_job_message_that_is_wrong_is_refused_by_its_field(change: dict[str, Any], field: str) -> None:
    with pytest.raises(ContractError) as refusal:
        decode_message(json.dumps(plain(MESSAGE) | change))
    assert refusal.value.field == field


def test_a_message_of_somebody_else_is_told_from_a_broken_one() -> None:
    with pytest.raises(ContractError) as refusal:
        decode_message('{"Records": []}')
    assert refusal.value.code == "unknown_message"


def test_a_message_from_a_newer_version_may_hold_more_fields() -> None:
    assert decode_message(json.dumps(plain(MESSAGE) | {"priority": 3})) == MESSAGE


def test_a_job_that_just_fits_travels_whole_and_one_byte_more_makes_a_pointer() -> None:
    room = MAX_MESSAGE_BYTES - len(encode_message(with_input(0)))
    whole = encode_for_topic(with_input(room), REF)
    assert len(whole) == MAX_MESSAGE_BYTES
    assert decode_message(whole) == with_input(room)
    pointer = decode_message(encode_for_topic(with_input(room + 1), REF))
    assert pointer == msgspec.structs.replace(MESSAGE, input=None, input_ref=REF)


def test_a_job_whose_other_fields_do_not_fit_is_refused() -> None:
    with pytest.raises(ContractError) as refusal:
        encode_for_topic(msgspec.structs.replace(MESSAGE, context="x" * MAX_MESSAGE_BYTES), REF)
    assert refusal.value.code == "too_large"


def test_no_message_holds_a_character_that_sqs_refuses() -> None:
    odd = "\ufffe\uffff\x00"
    message = msgspec.structs.replace(MESSAGE, input={odd: odd}, context=odd)
    record = msgspec.structs.replace(RECORD, context_json=context_text(odd))
    large = msgspec.structs.replace(message, input={odd: "x" * MAX_MESSAGE_BYTES})
    sent = [encode_message(message), encode_for_topic(message, REF), encode_for_topic(large, REF)]
    for body in [*sent, encode_result(result_of(record, "b"))]:
        assert not {"\ufffe", "\uffff", "\x00"} & set(body.decode())
    assert decode_message(sent[0]) == message


@given(RESULTS)
def test_a_result_survives_its_message(result: ResultMessage) -> None:
    assert decode_result(encode_result(result)) == result


@given(st.binary() | st.text() | JSON.map(json.dumps))
def test_anything_on_the_results_topic_is_a_result_or_one_contract_error(body: bytes | str) -> None:
    assert isinstance(judged(lambda: decode_result(body)), ResultMessage | ContractError)


@given(RECORDS.filter(lambda record: record.status in FINAL))
def test_a_result_is_a_superset_of_the_public_samples(record: Record) -> None:
    document = decode(encode_result(result_of(record, "outputs")), dict[str, Any])
    assert {"runtime", "id", "result", "status", "image_url", "output_url", "context"} <= set(document)
    assert document["result"] is (record.status is Status.SUCCEEDED)
    assert document["context"] == record.context
    assert all(url.startswith("s3://outputs/") for url in [*document["image_url"], document["output_url"]])


@pytest.mark.parametrize(
    ("form", "client_id", "named"),
    [
        (Form.V1, None, "j"),
        (Form.V1, "mine", "j"),
        (Form.V1ALPHA2, "mine", "mine"),
        (Form.V1ALPHA1, "mine", "mine"),
        (Form.V1ALPHA2, None, "j"),
    ],
)
def test_a_client_finds_its_result_by_the_id_that_it_gave(form: Form, client_id: str | None, named: str) -> None:
    result = result_of(msgspec.structs.replace(RECORD, form=form, client_id=client_id), "b")
    assert (result.id, result.job_id) == (named, "j")


def test_a_result_that_does_not_fit_leaves_out_its_list_and_keeps_the_folder() -> None:
    output = StoredOutput(key="k" * 900, name="n", type="image", content_type="image/png", size_bytes=1)
    error = JobError(code="c", message="m" * 300_000, node_errors={"a": "x" * 300_000})
    record = msgspec.structs.replace(RECORD, outputs=[output] * 300, error=error)
    body = encode_result(result_of(record, "b"))
    result = decode_result(body)
    assert len(body) <= MAX_MESSAGE_BYTES
    assert (result.image_url, result.output_url) == ([], "s3://b/k")
    assert result.error is not None
    assert result.error.message == "m" * 4096


def test_a_request_body_never_looks_like_a_message_of_ours() -> None:
    """`sd_async` is not a field of `JobRequest`, so a client cannot slip a message past the API."""
    outcome = judged(lambda: decode_message(encode({"runtime": "r", "input": {}})))
    assert isinstance(outcome, ContractError)
