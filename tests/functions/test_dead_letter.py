"""The dead-letter handler: what it ends, what it leaves, and what it says."""

import json
from typing import Any

import pytest

from functions.api.ports import UnavailableError
from sd_async.contract.jobs import JobError
from sd_async.contract.messages import JobMessage, encode_message
from sd_async.contract.records import Record, from_item
from sd_async.contract.states import FINAL, Status
from tests.functions.entry import dead_letter
from tests.functions.fakes import NOW_MS, WORKFLOW, MemoryStore, record_of

JOB_ID = "00000000-0000-4000-8000-00000000abcd"
DIRECT = {
    "task": {
        "metadata": {"id": "t", "runtime": "comfy", "tasktype": "pipeline", "prefix": "out"},
        "content": WORKFLOW,
    }
}


def body_of(record: Record) -> str:
    return encode_message(
        JobMessage(
            sd_async=1,
            id=record.id,
            owner=record.owner,
            runtime=record.runtime,
            type=record.type,
            created_at_ms=record.created_at_ms,
            timeout_seconds=record.timeout_seconds,
            output_key=record.output_key,
            input=WORKFLOW,
        )
    ).decode()


def handed(store: MemoryStore, *bodies: str, message_id: str = "message") -> list[str]:
    """Ids of the messages that stay on the queue."""
    records = [
        {
            "messageId": f"{message_id}-{number}" if len(bodies) > 1 else message_id,
            "body": body,
            "attributes": {"ApproximateReceiveCount": "1"},
            "eventSourceARN": "arn:aws:sqs:us-west-2:000000000000:comfy-dead",
        }
        for number, body in enumerate(bodies)
    ]
    answer = dead_letter.DeadLetters(store, now_ms=lambda: NOW_MS + 1000)({"Records": records})
    return [failure["itemIdentifier"] for failure in answer["batchItemFailures"]]


@pytest.mark.parametrize(
    "changes",
    [
        {"status": Status.QUEUED},
        {"status": Status.RUNNING, "lease_until_ms": NOW_MS},
        {"status": Status.CANCELING, "lease_until_ms": NOW_MS},
    ],
    ids=lambda changes: str(changes["status"]),
)
def test_a_job_that_nobody_ended_is_failed_and_told(changes: dict[str, Any]) -> None:
    store = MemoryStore()
    record = record_of(JOB_ID, attempt=5, waiting="The runtime did not answer.", **changes)
    store.hold([record])

    assert handed(store, body_of(record)) == []

    failed = from_item(store.items[JOB_ID])
    assert failed.status is Status.FAILED
    assert failed.error is not None
    assert failed.error.code == "too_many_attempts"
    assert "5 attempts" in failed.error.message
    assert "The runtime did not answer." in failed.error.message
    [result] = store.results
    assert (result["job_id"], result["result"], result["error"]["code"]) == (JOB_ID, False, "too_many_attempts")


def test_a_job_under_a_live_lease_is_left_to_its_agent_and_looked_at_again() -> None:
    store = MemoryStore()
    record = record_of(JOB_ID, status=Status.RUNNING, lease_until_ms=NOW_MS + 60_000)
    store.hold([record])

    assert handed(store, body_of(record)) == ["message"]

    assert from_item(store.items[JOB_ID]) == record
    assert store.results == []


@pytest.mark.parametrize("status", sorted(FINAL))
def test_a_job_that_has_ended_keeps_its_end_and_is_told_once_more(status: Status) -> None:
    store = MemoryStore()
    record = record_of(JOB_ID, status=status, completed_at_ms=NOW_MS)
    store.hold([record])

    assert handed(store, body_of(record)) == []

    assert from_item(store.items[JOB_ID]) == record
    assert [result["status"] for result in store.results] == [status]


def test_a_result_that_could_not_be_told_is_told_at_the_next_look() -> None:
    store = MemoryStore()
    record = record_of(JOB_ID)
    store.hold([record])
    store.failing["publish_result"] = UnavailableError("Publish: Throttling")
    assert handed(store, body_of(record)) == ["message"]

    del store.failing["publish_result"]
    assert handed(store, body_of(record)) == []

    assert len(store.results) == 1


def test_a_job_published_straight_to_the_topic_is_found_by_its_messages_id() -> None:
    store = MemoryStore()
    store.hold([record_of(JOB_ID, owner="topic")])

    assert handed(store, json.dumps(DIRECT), message_id=JOB_ID.upper()) == []

    assert from_item(store.items[JOB_ID]).status is Status.FAILED


@pytest.mark.parametrize("body", ["", "{", "[]", '{"prompt": "a red fox"}', '{"sd_async": 1}', "\ud800"])
def test_a_message_that_is_not_ours_is_logged_without_its_body_and_settled(
    body: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert handed(MemoryStore(), body) == []

    [line] = [json.loads(text) for text in capsys.readouterr().out.splitlines()]
    assert line == {
        "level": "WARNING",
        "event": "dead_letter",
        "message_id": "message",
        "queue": "comfy-dead",
        "outcome": "foreign",
    }


def test_a_job_without_a_record_is_logged_and_settled(capsys: pytest.CaptureFixture[str]) -> None:
    assert handed(MemoryStore(), body_of(record_of(JOB_ID))) == []

    assert json.loads(capsys.readouterr().out)["outcome"] == "unknown"


def test_one_messages_fault_is_not_its_batchs() -> None:
    store = MemoryStore()
    good, bad = record_of(JOB_ID), record_of("00000000-0000-4000-8000-00000000dead")
    store.hold([good, bad])
    store.items[bad.id]["status"] = "of a newer version"

    assert handed(store, body_of(bad), "{", body_of(good)) == ["message-0"]

    assert from_item(store.items[JOB_ID]).error == JobError(
        code="too_many_attempts", message="Given up after 0 attempts, none of which ended."
    )
