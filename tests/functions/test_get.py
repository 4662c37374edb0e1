"""`GET /v1/jobs/{id}`: what a job looks like, and who may see it."""

from typing import Any

import pytest

from sd_async.contract.jobs import JobError, Progress
from sd_async.contract.records import Phases, StoredOutput
from sd_async.contract.states import Status
from tests.functions.conftest import Caller
from tests.functions.fakes import NOW_MS, REFUSED, record_of

JOB_ID = "00000000-0000-4000-8000-00000000abcd"
OUTPUT = StoredOutput(
    key=f"{JOB_ID}/2/fox.png", name="fox.png", type="image", content_type="image/png", size_bytes=70, node_id="9"
)
ENDED: dict[str, Any] = {
    "status": Status.SUCCEEDED,
    "attempt": 2,
    "started_at_ms": NOW_MS + 1500,
    "completed_at_ms": NOW_MS + 9000,
    "phases": Phases(fetch_ms=20, load_ms=4000, execution_ms=7000, store_ms=300),
    "progress": Progress(value=0.9, nodes_done=7, nodes_total=7),
    "outputs": [OUTPUT],
}


def test_an_ended_job_shows_its_outputs_by_presigned_urls_that_say_when_they_end(caller: Caller) -> None:
    caller.store.hold([record_of(JOB_ID, **ENDED)])

    answer = caller.get(JOB_ID)

    assert answer.status == 200
    assert answer.body["outputs"] == [
        {
            "name": "fox.png",
            "type": "image",
            "content_type": "image/png",
            "size_bytes": 70,
            "node_id": "9",
            "s3_uri": f"s3://output/{JOB_ID}/2/fox.png",
            "url": f"https://output.example/{JOB_ID}/2/fox.png?signed",
            "url_expires_at": "2027-01-15T09:00:00.000Z",
        }
    ]
    assert answer.headers["Cache-Control"] == "no-store", "a presigned URL is a secret with an end"


def test_an_ended_job_shows_its_attempts_and_the_time_of_each_phase(caller: Caller) -> None:
    caller.store.hold([record_of(JOB_ID, **ENDED)])

    body = caller.get(JOB_ID).body

    assert body["metrics"] == {
        "queue_ms": 1500,
        "fetch_ms": 20,
        "load_ms": 4000,
        "execution_ms": 7000,
        "store_ms": 300,
        "total_ms": 9000,
    }
    assert body["attempts"] == 2
    assert body["created_at"] == "2027-01-15T08:00:00.000Z"
    assert body["started_at"] == "2027-01-15T08:00:01.500Z"
    assert body["completed_at"] == "2027-01-15T08:00:09.000Z"
    assert body["progress"]["value"] == 1.0, "the last heartbeat came before the end"


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"outbox": "pending"}, "It is recorded and on its way to the queue."),
        ({"waiting": "The runtime does not answer."}, "The runtime does not answer."),
        ({"status": Status.RUNNING, "waiting": ""}, None),
        (ENDED, None),
    ],
)
def test_a_job_says_why_it_waits_for_as_long_as_it_does(caller: Caller, changes: Any, why: str | None) -> None:
    caller.store.hold([record_of(JOB_ID, **({"outbox": None} | changes))])
    assert caller.get(JOB_ID).body["waiting"] == why


def test_a_waiting_job_has_no_times_yet(caller: Caller) -> None:
    caller.store.hold([record_of(JOB_ID)])

    body = caller.get(JOB_ID).body

    assert set(body["metrics"].values()) == {None}
    assert (body["started_at"], body["completed_at"], body["error"]) == (None, None, None)
    assert body["outputs"] == []


def test_a_running_job_shows_how_far_it_is(caller: Caller) -> None:
    caller.store.hold([record_of(JOB_ID, status=Status.RUNNING, progress=Progress(value=0.4, message="KSampler"))])

    shown = caller.get(JOB_ID).body["progress"]

    assert (shown["value"], shown["message"]) == (0.4, "KSampler")
    assert set(shown) == set(Progress.__struct_fields__), "what is not known yet is shown as such"


def test_a_failed_job_shows_the_runtimes_own_words(caller: Caller) -> None:
    error = JobError(code="node_errors", message="Invalid", node_id="3", node_errors={"3": {"errors": ["x"]}})
    caller.store.hold([record_of(JOB_ID, status=Status.FAILED, error=error)])

    body = caller.get(JOB_ID).body

    assert body["error"]["node_errors"] == {"3": {"errors": ["x"]}}
    assert body["error"]["node_id"] == "3"


def test_clocks_that_disagree_give_no_negative_times(caller: Caller) -> None:
    caller.store.hold([record_of(JOB_ID, **ENDED | {"started_at_ms": NOW_MS - 40})])

    assert caller.get(JOB_ID).body["metrics"]["queue_ms"] == 0


def test_somebody_elses_job_is_not_told_from_one_that_is_not(caller: Caller) -> None:
    caller.store.hold([record_of(JOB_ID)])

    theirs = caller.get(JOB_ID, key_id="key-b")
    nobodys = caller.get("00000000-0000-4000-8000-00000000ffff", key_id="key-b")

    assert theirs.status == nobodys.status == 404
    assert theirs.body == nobodys.body


@pytest.mark.parametrize("content_type", ["text/html", "application/json"])
def test_a_get_has_no_body_whose_type_could_be_wrong(caller: Caller, content_type: str) -> None:
    caller.store.hold([record_of(JOB_ID)])

    assert caller.get(JOB_ID, headers={"Content-Type": content_type}).status == 200


def test_a_job_is_not_shown_without_a_key(caller: Caller) -> None:
    caller.store.hold([record_of(JOB_ID)])

    assert caller.get(JOB_ID, key_id=None).status == 403


def test_a_store_that_refuses_is_our_fault(caller: Caller) -> None:
    caller.store.failing["get"] = REFUSED

    assert caller.get(JOB_ID).status == 500
