"""`POST /v1/jobs`: what is written, in which order, and what the caller reads."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest

from functions.api.ports import UnavailableError
from sd_async.contract.jobs import OutputOptions
from sd_async.contract.limits import MAX_MESSAGE_BYTES
from sd_async.contract.messages import JobMessage, decode_message
from tests.functions.conftest import Caller, only_message, only_record
from tests.functions.entry import outbox
from tests.functions.fakes import NOW_MS, REFUSED, WORKFLOW, MemoryStore, PlentyOfTime

JOB: dict[str, Any] = {
    "runtime": "comfy",
    "input": WORKFLOW,
    "context": {"order": [1, 2.5, None]},
    "output_prefix": "/shop/1/",
}
FIRST = "00000000-0000-4000-8000-000000000001"
KEY = {"Idempotency-Key": "order-17"}
BUSY = UnavailableError("Publish: Throttling")


def test_a_good_job_is_recorded_then_published_then_accepted(caller: Caller) -> None:
    answer = caller.post(JOB)

    assert answer.status == 202
    assert answer.body["id"] == FIRST
    assert answer.body["status"] == "queued"
    assert answer.body["output_location"] == f"s3://output/shop/1/{FIRST}"
    assert answer.body["urls"] == {"self": f"/v1/jobs/{FIRST}"}
    assert caller.store.calls == ["put_input", "add", "publish", "mark_published"]
    assert caller.store.published[0][0] == "comfy"
    assert only_message(caller) == decode_message(caller.store.inputs[f"s3://input/jobs/{FIRST}/job.json"][0])
    assert only_record(caller).owner == "key-a"
    assert only_record(caller).outbox is None


def test_output_options_travel_with_the_job(caller: Caller) -> None:
    options = {"format": "webp", "quality": 80, "metadata": "strip"}
    assert caller.post(JOB | {"output": options}).status == 202
    assert only_message(caller).output == OutputOptions(format="webp", quality=80, metadata="strip")


@pytest.mark.parametrize(
    ("options", "status", "field"),
    [
        ({"format": "tiff"}, 422, "output.format"),
        ({"quality": 80}, 422, "output.quality"),
        ({"format": 1}, 400, "output.format"),
        ({"size": 1}, 400, "output.size"),
        ([], 400, "output"),
    ],
)
def test_output_options_that_are_not_offered_are_refused_by_place(
    caller: Caller, options: Any, status: int, field: str
) -> None:
    answer = caller.post(JOB | {"output": options})
    assert (answer.status, answer.body["error"]["field"]) == (status, field)
    assert caller.store.calls == []


def test_the_context_comes_back_as_it_was_sent(caller: Caller) -> None:
    caller.post(JOB)

    assert caller.get(FIRST).body["context"] == JOB["context"]


def test_a_job_too_large_for_a_message_travels_by_its_address(caller: Caller) -> None:
    graph = WORKFLOW | {"1": {"class_type": "CLIPTextEncode", "inputs": {"text": "x" * MAX_MESSAGE_BYTES}}}

    answer = caller.post(JOB | {"input": graph})

    assert answer.status == 202
    message = only_message(caller)
    assert message.input is None
    assert message.input_ref == f"s3://input/jobs/{FIRST}/job.json"
    whole = decode_message(caller.store.inputs[message.input_ref][0])
    assert isinstance(whole, JobMessage)
    assert whole.input == graph


def test_the_same_key_with_the_same_body_is_the_same_job(caller: Caller) -> None:
    first = caller.post(JOB, headers=KEY)
    reordered = dict(reversed(JOB.items()))
    second = caller.post(json.dumps(reordered, indent=2), headers={"idempotency-key": KEY["Idempotency-Key"]})

    assert (first.status, second.status) == (202, 200)
    assert first.body["id"] == second.body["id"]
    assert len(caller.store.published) == 1


def test_the_same_key_with_another_body_is_a_conflict_and_changes_nothing(caller: Caller) -> None:
    caller.post(JOB, headers=KEY)
    inputs = dict(caller.store.inputs)

    answer = caller.post(JOB | {"context": 2}, headers=KEY)

    assert (answer.status, answer.code) == (409, "idempotency_conflict")
    assert answer.body["error"]["field"] == "Idempotency-Key"
    assert caller.store.inputs == inputs
    assert len(caller.store.published) == 1


def test_another_callers_same_key_is_another_job(caller: Caller) -> None:
    mine = caller.post(JOB, headers=KEY)
    theirs = caller.post(JOB, headers=KEY, key_id="key-b")

    assert theirs.status == 202
    assert mine.body["id"] != theirs.body["id"]


def at_once(asks: list[Callable[[], Any]]) -> list[Any]:
    barrier = Barrier(len(asks))

    def ask(one: Callable[[], Any]) -> Any:
        barrier.wait(10)
        return one()

    with ThreadPoolExecutor(len(asks)) as pool:
        return list(pool.map(ask, asks))


def test_the_same_key_eight_times_at_once_is_one_job(caller: Caller) -> None:
    answers = at_once([lambda: caller.post(JOB, headers=KEY)] * 8)

    assert sorted(answer.status for answer in answers) == [200] * 7 + [202]
    assert len({answer.body["id"] for answer in answers}) == 1
    assert len(caller.store.items) == 1


def test_two_bodies_with_one_key_at_once_are_one_job_with_its_own_input(caller: Caller) -> None:
    bodies = [JOB | {"context": number} for number in range(8)]

    answers = at_once([lambda body=body: caller.post(body, headers=KEY) for body in bodies])  # type: ignore[misc]

    assert sorted(answer.status for answer in answers) == [202] + [409] * 7
    record = only_record(caller)
    stored = decode_message(caller.store.inputs[record.input_ref][0])
    assert isinstance(stored, JobMessage)
    assert stored.context == record.context == only_message(caller).context


class Overtaken(MemoryStore):
    """Another request with the same key stores its input between our look at the record and our own input."""

    def put_input(self, input_ref: str, body: bytes, body_hash: str) -> str:
        super().put_input(input_ref, b"theirs", "their hash")
        return super().put_input(input_ref, body, body_hash)


def test_a_record_never_leads_to_the_input_of_another_request() -> None:
    caller = Caller(store=Overtaken())

    answer = caller.post(JOB, headers=KEY)

    assert (answer.status, answer.code) == (409, "idempotency_conflict")
    assert (caller.store.items, caller.store.published) == ({}, [])


@pytest.mark.parametrize("fault", [BUSY, REFUSED], ids=["busy", "refused"])
def test_a_job_whose_publish_fails_is_accepted_and_the_sweep_publishes_it(caller: Caller, fault: Exception) -> None:
    caller.store.failing["publish"] = fault
    answer = caller.post(JOB)
    assert answer.status == 202
    assert caller.store.published == []
    assert only_record(caller).outbox == "pending"

    del caller.store.failing["publish"]
    outbox.Sweep(caller.store, now_ms=lambda: NOW_MS + outbox.MIN_AGE_MS + 1)({}, PlentyOfTime())

    assert only_message(caller).id == answer.body["id"]
    assert only_record(caller).outbox is None


def test_a_repeat_publishes_what_is_still_in_the_outbox(caller: Caller) -> None:
    caller.store.failing["publish"] = BUSY
    first = caller.post(JOB, headers=KEY)
    del caller.store.failing["publish"]

    second = caller.post(JOB, headers=KEY)

    assert (first.status, second.status) == (202, 200)
    assert only_message(caller).id == first.body["id"]
    assert only_record(caller).outbox is None


def test_a_repeat_that_cannot_publish_either_is_answered_all_the_same(caller: Caller) -> None:
    caller.store.failing["publish"] = BUSY
    caller.post(JOB, headers=KEY)

    assert caller.post(JOB, headers=KEY).status == 200
    assert only_record(caller).outbox == "pending"


@pytest.mark.parametrize("method", ["put_input", "add"])
def test_a_job_that_cannot_be_recorded_is_refused_and_not_queued(caller: Caller, method: str) -> None:
    caller.store.failing[method] = UnavailableError(f"{method}: Throttling")

    answer = caller.post(JOB)

    assert (answer.status, answer.code) == (503, "unavailable")
    assert answer.headers["Retry-After"] == "5"
    assert (caller.store.items, caller.store.published) == ({}, [])


def test_a_refused_record_leaves_an_input_that_the_repeat_takes_over(caller: Caller) -> None:
    caller.store.failing["add"] = BUSY
    caller.post(JOB, headers=KEY)
    del caller.store.failing["add"]

    assert caller.post(JOB, headers=KEY).status == 202
    assert only_message(caller).id == only_record(caller).id


def test_our_own_write_answered_too_late_is_still_a_new_job(caller: Caller) -> None:
    """Botocore repeats a write whose answer it missed, and then meets its own record."""
    other = Caller(store=caller.store)
    caller.store.failing["publish"] = BUSY
    other.post(JOB)
    del caller.store.failing["publish"]

    assert caller.post(JOB).status == 202, "both callers draw the same first id"
    assert only_message(caller).id == only_record(caller).id
