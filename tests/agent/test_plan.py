"""What a message asks for, given its record; and names that must not change."""

import msgspec
import pytest

from agent.core.keys import job_id_of, output_folder, run_id
from agent.core.plan import Plan, Step, plan
from sd_async.contract.adoption import first_record
from sd_async.contract.records import Record
from sd_async.contract.states import Status
from tests.agent.scenario import JOB_ID, message_of
from tests.support.clock import START_MS


def record(status: Status, lease_until_ms: int | None = None) -> Record:
    first = first_record(message_of(), now_ms=START_MS, retention_days=30)
    return msgspec.structs.replace(first, status=status, lease_until_ms=lease_until_ms)


@pytest.mark.parametrize("status", [Status.SUCCEEDED, Status.FAILED, Status.CANCELED])
def test_a_job_that_ended_is_announced(status: Status) -> None:
    assert plan(record(status), "m-1", START_MS) == Plan(Step.ANNOUNCE)


def test_a_queued_job_is_claimed() -> None:
    assert plan(record(Status.QUEUED), "m-1", START_MS) == Plan(Step.CLAIM)


@pytest.mark.parametrize("status", [Status.RUNNING, Status.CANCELING])
def test_a_job_under_a_live_lease_is_left_until_the_lease_ends(status: Status) -> None:
    assert plan(record(status, START_MS + 41_500), "m-1", START_MS) == Plan(Step.LEAVE, 42)
    assert plan(record(status, START_MS), "m-1", START_MS) == Plan(Step.LEAVE, 1)


@pytest.mark.parametrize("lease_until_ms", [START_MS, START_MS - 1])
def test_a_second_message_is_dropped_only_while_the_first_one_holds_the_job(lease_until_ms: int) -> None:
    held = msgspec.structs.replace(record(Status.RUNNING, lease_until_ms), message_id="m-1")
    is_live = lease_until_ms >= START_MS
    assert plan(held, "m-2", START_MS) == Plan(Step.DROP if is_live else Step.CLAIM)
    assert plan(held, "m-1", START_MS) == (Plan(Step.LEAVE, 1) if is_live else Plan(Step.CLAIM))
    queued = msgspec.structs.replace(held, status=Status.QUEUED, lease_until_ms=None)
    assert plan(queued, "m-2", START_MS) == Plan(Step.CLAIM)


@pytest.mark.parametrize("status", [Status.RUNNING, Status.CANCELING])
def test_a_job_whose_lease_ended_is_claimed(status: Status) -> None:
    assert plan(record(status, START_MS - 1), "m-1", START_MS) == Plan(Step.CLAIM)


def test_a_record_expires_after_the_retention() -> None:
    assert record(Status.QUEUED).expires_at_s == START_MS // 1000 + 30 * 86_400


def test_the_first_attempt_runs_under_the_jobs_own_id_and_later_ones_under_new_ones() -> None:
    ids = [run_id(JOB_ID, attempt) for attempt in (1, 2, 3)]
    assert ids[0] == JOB_ID
    assert len(set(ids)) == 3
    assert run_id(JOB_ID, 2) == ids[1], "an agent's own log must lead to the runtime's"


@pytest.mark.parametrize("job_id", ["not-a-uuid", JOB_ID.upper()])
def test_whatever_the_job_is_called_the_runtime_gets_a_lower_case_uuid(job_id: str) -> None:
    assert job_id_of(run_id(job_id, 1)) == run_id(job_id, 1)


def test_a_message_id_that_is_no_uuid_makes_no_job_id() -> None:
    assert job_id_of("something") is None
    assert job_id_of(JOB_ID.upper()) == JOB_ID


def test_outputs_lie_in_a_folder_of_their_job_and_attempt() -> None:
    assert output_folder(f"renders/{JOB_ID}", JOB_ID, 2) == f"renders/{JOB_ID}/2"
    assert output_folder(JOB_ID, JOB_ID, 1) == f"{JOB_ID}/1"
    assert output_folder("renders/mine-7", JOB_ID, 1) == f"renders/mine-7/{JOB_ID}/1"
    assert output_folder(f"renders/x{JOB_ID}", JOB_ID, 1) == f"renders/x{JOB_ID}/{JOB_ID}/1"
