"""One suite over the fake store and DynamoDB."""

import asyncio

import pytest

from agent.errors import LeaseLostError
from agent.ports import Claim, Claiming, Ending, Store
from sd_async.contract.adoption import first_record
from sd_async.contract.agents import AgentNote, AgentState
from sd_async.contract.jobs import JobError, Progress
from sd_async.contract.records import Phases, Record, StoredOutput
from sd_async.contract.states import Status
from tests.agent.ports import StoreUnderTest
from tests.agent.scenario import JOB_ID, in_loop, message_of
from tests.support.clock import START_MS

NOW = START_MS + 1000
LEASE = NOW + 60_000
DONE = Ending(
    status=Status.SUCCEEDED,
    completed_at_ms=NOW + 9,
    phases=Phases(fetch_ms=1, load_ms=4, execution_ms=2, store_ms=3),
    progress=Progress(value=1.0, message="done"),
    outputs=[
        StoredOutput(key="k/a.png", name="a.png", type="image", content_type="image/png", size_bytes=7, node_id="9")
    ],
)


async def claimed(store: StoreUnderTest) -> Record:
    first = first_record(message_of(context={"a": [1.5]}), now_ms=START_MS, retention_days=30)
    assert await store.port.create(first)
    return await granted(store, Status.QUEUED, "comfy-0", NOW)


async def asked(store: StoreUnderTest, seen: Status, agent: str, now_ms: int) -> Claiming:
    return await store.port.claim(
        JOB_ID, seen, agent=agent, message_id="m-0", now_ms=now_ms, lease_until_ms=now_ms + 60_000
    )


async def granted(store: StoreUnderTest, seen: Status, agent: str, now_ms: int) -> Record:
    answer = await asked(store, seen, agent, now_ms)
    assert answer.is_granted
    assert answer.record is not None
    return answer.record


def held(record: Record) -> Claim:
    return Claim(record.id, record.attempt)


@in_loop
async def test_an_unknown_job_is_none(store: StoreUnderTest) -> None:
    assert await store.port.get(JOB_ID) is None


@in_loop
async def test_an_unknown_job_is_not_made_by_a_claim(store: StoreUnderTest) -> None:
    assert await asked(store, Status.QUEUED, "comfy-0", NOW) == Claiming(is_granted=False, record=None)
    assert await store.port.get(JOB_ID) is None


@in_loop
async def test_a_record_is_created_once_and_read_back_whole(store: StoreUnderTest) -> None:
    first = first_record(message_of(context={"a": [1.5]}), now_ms=START_MS, retention_days=30)
    assert await store.port.create(first)
    assert not await store.port.create(first)
    assert await store.port.get(JOB_ID) == first


@in_loop
async def test_a_claim_counts_the_attempt_and_names_the_holder(store: StoreUnderTest) -> None:
    record = await claimed(store)
    assert (record.status, record.attempt, record.agent, record.message_id) == (Status.RUNNING, 1, "comfy-0", "m-0")
    assert (record.lease_until_ms, record.started_at_ms) == (LEASE, NOW)
    assert record.context == {"a": [1.5]}


@in_loop
async def test_a_job_under_a_live_lease_is_not_claimed(store: StoreUnderTest) -> None:
    record = await claimed(store)
    for seen in (Status.QUEUED, Status.RUNNING):
        refused = await asked(store, seen, "comfy-1", LEASE)
        assert refused == Claiming(is_granted=False, record=record), "what it is now is told without another question"


@in_loop
async def test_a_job_whose_lease_ended_is_claimed_by_another(store: StoreUnderTest) -> None:
    await claimed(store)
    taken = await granted(store, Status.RUNNING, "comfy-1", LEASE + 1)
    assert (taken.status, taken.attempt, taken.agent) == (Status.RUNNING, 2, "comfy-1")


@in_loop
async def test_a_job_that_changed_since_it_was_seen_is_not_claimed(store: StoreUnderTest) -> None:
    await claimed(store)
    store.change(JOB_ID, status=Status.CANCELING)
    refused = await asked(store, Status.RUNNING, "comfy-1", LEASE + 1)
    assert (refused.is_granted, refused.record and refused.record.status) == (False, Status.CANCELING)
    taken = await granted(store, Status.CANCELING, "comfy-1", LEASE + 1)
    assert taken.status is Status.CANCELING, "a cancellation must not be forgotten"


@in_loop
async def test_a_beat_renews_the_lease_and_tells_the_status(store: StoreUnderTest) -> None:
    claim = held(await claimed(store))
    progress = Progress(value=0.5, nodes_done=1, nodes_total=2, message="running")
    status = await store.port.beat(claim, now_ms=NOW + 5, lease_until_ms=LEASE + 5, progress=progress)
    assert status is Status.RUNNING
    record = await store.port.get(JOB_ID)
    assert record is not None
    assert (record.lease_until_ms, record.progress) == (LEASE + 5, progress)
    store.change(JOB_ID, status=Status.CANCELING)
    assert await store.port.beat(claim, now_ms=NOW, lease_until_ms=LEASE, progress=progress) is Status.CANCELING


@in_loop
async def test_an_ending_is_written_whole_and_frees_the_job(store: StoreUnderTest) -> None:
    record = await store.port.finish(held(await claimed(store)), DONE)
    assert await store.port.get(JOB_ID) == record
    assert (record.status, record.completed_at_ms, record.phases) == (Status.SUCCEEDED, NOW + 9, DONE.phases)
    assert record.outputs == list(DONE.outputs)
    assert (record.agent, record.lease_until_ms) == (None, None)


@in_loop
async def test_a_failure_keeps_the_runtimes_own_words(store: StoreUnderTest) -> None:
    error = JobError(
        code="invalid_workflow",
        message="No.",
        node_id="3",
        node_errors={
            "3": {"errors": [{"extra_info": {"received_value": 1.5, "input_config": [2**64 - 1, None, True]}}]}
        },
    )
    ending = Ending(Status.FAILED, NOW + 9, Phases(), Progress(), error=error)
    record = await store.port.finish(held(await claimed(store)), ending)
    assert record.error == error
    assert await store.port.get(JOB_ID) == record


async def write(store: Store, how: str, claim: Claim) -> None:
    match how:
        case "beat":
            await store.beat(claim, now_ms=NOW, lease_until_ms=LEASE, progress=Progress())
        case "finish":
            await store.finish(claim, DONE)
        case _:
            await store.release(claim, now_ms=NOW, waiting="x")


@pytest.mark.parametrize("writer", ["beat", "finish", "release"])
@pytest.mark.parametrize(
    "change",
    [{"attempt": 2}, {"attempt": 2, "status": "canceling"}, {"status": "succeeded"}, {"status": "queued"}],
    ids=str,
)
@in_loop
async def test_whoever_lost_the_job_can_write_nothing(
    store: StoreUnderTest, writer: str, change: dict[str, object]
) -> None:
    claim = held(await claimed(store))
    store.change(JOB_ID, **change)
    before = await store.port.get(JOB_ID)
    with pytest.raises(LeaseLostError):
        await write(store.port, writer, claim)
    assert await store.port.get(JOB_ID) == before


@in_loop
async def test_a_released_job_is_queued_says_why_and_can_be_claimed_again(store: StoreUnderTest) -> None:
    assert await store.port.release(held(await claimed(store)), now_ms=NOW, waiting="AWS is busy.")
    record = await store.port.get(JOB_ID)
    assert record is not None
    assert (record.status, record.waiting, record.agent) == (Status.QUEUED, "AWS is busy.", None)
    again = await granted(store, Status.QUEUED, "comfy-1", NOW)
    assert (again.attempt, again.waiting) == (2, "")


@in_loop
async def test_a_job_that_is_being_canceled_is_not_released(store: StoreUnderTest) -> None:
    claim = held(await claimed(store))
    store.change(JOB_ID, status=Status.CANCELING)
    assert not await store.port.release(claim, now_ms=NOW, waiting="x")
    record = await store.port.get(JOB_ID)
    assert record is not None
    assert record.status is Status.CANCELING


@in_loop
async def test_a_cancellation_can_still_end_in_any_final_state(store: StoreUnderTest) -> None:
    claim = held(await claimed(store))
    store.change(JOB_ID, status=Status.CANCELING)
    assert (await store.port.finish(claim, DONE)).status is Status.SUCCEEDED


READY = AgentNote(state=AgentState.READY, since_ms=NOW, until_ms=NOW + 150_000)
STARTING = AgentNote(state=AgentState.STARTING, since_ms=NOW + 1, until_ms=NOW + 50_000)


@in_loop
async def test_an_agents_word_stands_beside_those_of_the_runtimes_other_agents(store: StoreUnderTest) -> None:
    assert await store.port.tell("sd15", "sd15-a", READY) == {"sd15-a": READY}
    assert await store.port.tell("sdxl", "sdxl-a", READY) == {"sdxl-a": READY}
    assert await store.port.tell("sd15", "sd15-b.c", STARTING) == {"sd15-a": READY, "sd15-b.c": STARTING}
    assert await store.port.tell("sd15", "sd15-a", STARTING) == {"sd15-a": STARTING, "sd15-b.c": STARTING}


@in_loop
async def test_agents_that_tell_at_once_overwrite_no_other(store: StoreUnderTest) -> None:
    names = [f"sd15-{number}" for number in range(8)]
    told = await asyncio.gather(*(store.port.tell("sd15", name, READY) for name in names))
    assert max(told, key=len) == dict.fromkeys(names, READY)


@in_loop
async def test_who_leaves_is_gone_and_who_is_forgotten_too(store: StoreUnderTest) -> None:
    for name in ("a", "b", "c", "d"):
        await store.port.tell("sd15", name, READY)
    await store.port.leave("sd15", "a")
    await store.port.leave("sd15", "a")
    assert await store.port.tell("sd15", "d", STARTING, forget=["b", "never-there"]) == {"c": READY, "d": STARTING}


@in_loop
async def test_who_was_never_there_can_leave_all_the_same(store: StoreUnderTest) -> None:
    await store.port.leave("sd15", "a")
    assert await store.port.tell("sd15", "b", READY) == {"b": READY}
