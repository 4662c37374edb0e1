"""The dead-letter handler: what it ends, what it leaves, and what it says."""

import json
from typing import Any

import pytest

from functions.api.ports import UnavailableError
from sd_async.contract.jobs import JobError
from sd_async.contract.records import Record, from_item
from sd_async.contract.states import FINAL, Status
from tests.functions.entry import dead_letter
from tests.functions.fakes import ENV, NOW_MS, WORKFLOW, MemoryStore, message_of, record_of

JOB_ID = "00000000-0000-4000-8000-00000000abcd"
DIRECT = {
    "task": {
        "metadata": {"id": "t", "runtime": "comfy", "tasktype": "pipeline", "prefix": "out"},
        "content": WORKFLOW,
    }
}


def body_of(record: Record) -> str:
    return message_of(record).decode()


def handed(store: MemoryStore, *bodies: str, message_id: str = "message") -> list[str]:
    """Ids of the messages that stay on the queue."""
    records = [
        {
            "messageId": f"{message_id}-{number}" if len(bodies) > 1 else message_id,
            "body": body,
            "attributes": {"ApproximateReceiveCount": "1", "SentTimestamp": str(NOW_MS)},
            "eventSourceARN": "arn:aws:sqs:us-west-2:000000000000:comfy-dead",
        }
        for number, body in enumerate(bodies)
    ]
    answer = dead_letter.DeadLetters(store, ENV, now_ms=lambda: NOW_MS + 1000)({"Records": records})
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


def test_a_job_of_ours_without_a_record_gets_one_that_has_failed_and_is_told(
    capsys: pytest.CaptureFixture[str],
) -> None:
    store = MemoryStore()

    assert handed(store, body_of(record_of(JOB_ID))) == []

    failed = from_item(store.items[JOB_ID])
    assert (failed.status, failed.owner, failed.error and failed.error.code) == ("failed", "key-a", "too_many_attempts")
    assert failed.expires_at_s > NOW_MS // 1000
    assert [(result["job_id"], result["status"]) for result in store.results] == [(JOB_ID, "failed")]
    assert json.loads(capsys.readouterr().out)["outcome"] == "recorded"


def test_a_job_published_straight_to_the_topic_that_no_agent_recorded_is_recorded_and_told() -> None:
    store = MemoryStore()

    assert handed(store, json.dumps(DIRECT), message_id=JOB_ID.upper()) == []

    failed = from_item(store.items[JOB_ID])
    assert (failed.status, failed.owner, failed.client_id, failed.output_key) == ("failed", "topic", "t", "out/t")
    assert failed.created_at_ms == NOW_MS
    [result] = store.results
    assert (result["id"], result["result"], result["runtime"]) == ("t", False, "comfy")


def test_a_job_that_was_recorded_and_not_told_is_told_at_the_next_look() -> None:
    store = MemoryStore()
    store.failing["publish_result"] = UnavailableError("Publish: Throttling")
    assert handed(store, json.dumps(DIRECT), message_id=JOB_ID) == [JOB_ID]

    del store.failing["publish_result"]
    assert handed(store, json.dumps(DIRECT), message_id=JOB_ID) == []

    assert len(store.results) == 1


@pytest.mark.parametrize("job_id", ["", "x", "0" * 3000])
def test_a_message_whose_job_has_an_id_that_is_none_of_ours_is_settled_as_foreign(job_id: str) -> None:
    store = MemoryStore()
    assert handed(store, body_of(record_of(job_id))) == []
    assert (store.items, store.results) == ({}, [])


def test_a_message_of_another_version_ends_the_job_that_it_names() -> None:
    store = MemoryStore()
    store.hold([record_of(JOB_ID)])

    assert handed(store, json.dumps({"sd_async": 2, "id": JOB_ID})) == []

    assert from_item(store.items[JOB_ID]).status is Status.FAILED
    assert len(store.results) == 1


def test_a_message_beside_the_one_that_holds_the_job_ends_nothing() -> None:
    store = MemoryStore()
    record = record_of(JOB_ID, attempt=1, message_id="another")
    store.hold([record])

    assert handed(store, body_of(record), message_id="second") == []
    assert (from_item(store.items[JOB_ID]), store.results) == (record, [])

    assert handed(store, body_of(record), message_id="another") == []
    assert from_item(store.items[JOB_ID]).status is Status.FAILED


def test_one_messages_fault_is_not_its_batchs() -> None:
    store = MemoryStore()
    good, bad = record_of(JOB_ID), record_of("00000000-0000-4000-8000-00000000dead")
    store.hold([good, bad])
    store.items[bad.id]["status"] = "of a newer version"

    assert handed(store, body_of(bad), "{", body_of(good)) == ["message-0"]

    assert from_item(store.items[JOB_ID]).error == JobError(
        code="too_many_attempts", message="Given up after 0 attempts, none of which ended."
    )
