"""What bounds a job beside its own fault: SQS's 12 hours, its timeout, its attempts, a heartbeat that fails."""

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from agent.core.limits import MAX_HIDDEN_S, hidden_s, hold_s
from agent.core.plan import worn_out
from agent.errors import AwsUnavailableError, OutOfMemoryError, RuntimeFaultError
from agent.ports import Delivery
from sd_async.contract.adoption import first_record
from sd_async.contract.states import Status
from tests.agent.model.ledger import LedgerQueue
from tests.agent.model.world import CONFIG_HERE, RECEIVES, World
from tests.agent.scenario import CONFIG, JOB_ID, Scenario, ended, in_loop, message_of
from tests.support.fake_queue import FakeQueue

pytestmark = [
    pytest.mark.usefixtures("left_behind"),
    pytest.mark.filterwarnings("ignore:Implicitly cleaning up:ResourceWarning"),
]


class TwelveHours(LedgerQueue):
    """As SQS: a visibility that would pass 12 h from the receipt is refused. refused: how many were."""

    def __init__(self, world: World, *, visibility_s: int, max_receives: int) -> None:
        super().__init__(world, visibility_s=visibility_s, max_receives=max_receives)
        self.received_ms: dict[str, int] = {}
        self.refused = 0
        self.longest_s = 0.0

    def _delivered(self, message: Any) -> Delivery:
        delivery = super()._delivered(message)
        self.received_ms[delivery.receipt] = self._clock.now_ms()
        return delivery

    async def extend(self, delivery: Delivery, visibility_s: int) -> bool:
        hidden_ms = self._clock.now_ms() + visibility_s * 1000 - self.received_ms[delivery.receipt]
        self.longest_s = max(self.longest_s, hidden_ms / 1000)
        if hidden_ms > MAX_HIDDEN_S * 1000:
            self.refused += 1
            return False
        return await FakeQueue.extend(self, delivery, visibility_s)


class Patient(World):
    """Heartbeats of five minutes, so that half a day is soon over."""

    def __init__(self) -> None:
        super().__init__(pods=1)
        self.config = replace(CONFIG_HERE, heartbeat_s=300, lease_s=1000, visibility_s=1000, job_timeout_s=90_000)
        self.queue: TwelveHours = TwelveHours(self, visibility_s=1000, max_receives=RECEIVES)


@contextlib.contextmanager
def patient() -> Iterator[Patient]:
    with contextlib.closing(Patient()) as world:
        world.start(world.pods[0])
        yield world


def test_a_job_ends_before_sqs_shows_its_message_again_and_no_visibility_passes_its_limit() -> None:
    with patient() as world:
        job_id = world.submit(run_s=13 * 3600, timeout_s=80_000)
        world.run_for(MAX_HIDDEN_S - 300)
        assert world.record(job_id).status is Status.RUNNING
        world.run_for(300)
        record = world.record(job_id)
        assert record.status is Status.FAILED
        assert record.error is not None
        assert (record.error.code, "12 h" in record.error.message) == ("timeout", True)
        assert world.queue.is_empty, "it was deleted while it could be"
        assert world.queue.refused == 0
        assert MAX_HIDDEN_S - 1000 < world.queue.longest_s <= MAX_HIDDEN_S
        assert world.violations == []


@pytest.mark.parametrize(
    ("held_s", "expected"), [(0, 60), (43_140, 60), (43_141, 59), (43_199.5, 0), (43_200, 0), (50_000, 0)]
)
def test_a_message_is_hidden_for_no_longer_than_sqs_allows(held_s: float, expected: int) -> None:
    assert hidden_s(60, held_s) == expected


def test_a_job_has_two_minutes_to_be_settled_before_its_message_shows() -> None:
    assert hold_s(0) == 12 * 3600 - 120
    assert hold_s(43_000) == 80


@in_loop
async def test_a_job_whose_agents_die_with_it_is_not_begun_for_ever() -> None:
    scene = Scenario(replace(CONFIG, max_attempts=2))
    await scene.submit()
    scene.backend.run_s = 500
    for _ in range(2):
        killed = scene.agent("comfy-0")
        await scene.clock.advance(20)
        await ended([killed])
        await scene.clock.advance(65)
    agent = scene.agent("comfy-1")
    await scene.clock.advance(10)
    job = scene.job()
    assert (job.status, len(scene.backend.started)) == (Status.FAILED, 2)
    assert job.error is not None
    assert (job.error.code, "2 attempts" in job.error.message) == ("too_many_attempts", True)
    assert [result.status for result in scene.results()] == [Status.FAILED]
    assert scene.queue.visible_in_s() == [], "it is told, not left to the dead-letter queue"
    await ended([agent])


@in_loop
async def test_a_job_that_was_canceled_before_its_agents_died_is_canceled_not_failed() -> None:
    scene = Scenario(replace(CONFIG, max_attempts=1))
    await scene.submit()
    scene.store.change(JOB_ID, status=Status.CANCELING, attempt=3, agent="dead", lease_until_ms=1)
    agent = scene.agent()
    await scene.clock.advance(2)
    assert scene.job().status is Status.CANCELED
    await ended([agent])


@pytest.mark.parametrize(("attempt", "is_worn_out"), [(0, False), (4, False), (5, True), (9, True)])
def test_a_job_has_as_many_attempts_as_are_allowed(attempt: int, *, is_worn_out: bool) -> None:
    record = msgspec.structs.replace(first_record(message_of(), now_ms=0, retention_days=1), attempt=attempt)
    assert (worn_out(record, 5) is not None) is is_worn_out


@in_loop
async def test_a_job_waits_for_a_gpu_for_as_long_as_it_takes_and_its_timeout_counts_from_its_turn() -> None:
    scene = Scenario()
    await scene.submit(message_of(timeout_seconds=30))
    await scene.clock.advance(3600)
    scene.backend.run_s = 29
    agent = scene.agent()
    await scene.clock.advance(32)
    assert scene.job().status is Status.SUCCEEDED
    await ended([agent])


@in_loop
async def test_each_attempt_has_the_whole_timeout() -> None:
    scene = Scenario()
    await scene.submit(message_of(timeout_seconds=30))
    scene.backend.run_s = 20
    scene.files.faults.add("put", AwsUnavailableError("AWS is busy."))
    agent = scene.agent()
    await scene.clock.advance(60)
    assert (scene.job().status, scene.job().attempt) == (Status.SUCCEEDED, 2)
    await ended([agent])


@in_loop
async def test_the_timeout_of_any_attempt_is_the_jobs_end() -> None:
    scene = Scenario()
    await scene.submit(message_of(timeout_seconds=30))
    scene.backend.run_s = 20
    scene.files.faults.add("put", AwsUnavailableError("AWS is busy."))
    agent = scene.agent()
    await scene.clock.advance(22)
    scene.backend.run_s = 40
    await scene.clock.advance(60)
    job = scene.job()
    assert (job.status, job.attempt, len(scene.backend.started)) == (Status.FAILED, 2, 2)
    assert job.error is not None
    assert job.error.code == "timeout"
    await ended([agent])


@in_loop
async def test_all_attempts_together_take_at_most_their_number_times_the_timeout() -> None:
    scene = Scenario(replace(CONFIG, max_attempts=3))
    await scene.submit(message_of(timeout_seconds=30))
    scene.backend.run_s = 29
    for _ in range(5):
        scene.backend.faults.add("run", RuntimeFaultError("The runtime ended the workflow without a result."))
    agent = scene.agent()
    await scene.clock.advance(600)
    job, spent_s = scene.job(), sum(end - begin for begin, end in scene.backend.spans)
    assert (job.status, job.attempt) == (Status.FAILED, 3)
    assert job.error is not None
    assert job.error.code == "too_many_attempts"
    assert spent_s <= 3 * 30
    assert scene.queue.visible_in_s() == [], "nothing of it comes again"
    await ended([agent])


@in_loop
async def test_a_second_run_for_lack_of_memory_has_what_is_left_of_the_attempts_time() -> None:
    scene = Scenario()
    await scene.submit(message_of(timeout_seconds=30))
    scene.backend.run_s = 20
    scene.backend.faults.add("run", OutOfMemoryError("CUDA out of memory."))
    agent = scene.agent()
    await scene.clock.advance(35)
    job = scene.job()
    assert (job.status, job.attempt, len(scene.backend.started)) == (Status.FAILED, 1, 2)
    assert job.error is not None
    assert job.error.code == "timeout"
    await ended([agent])


@in_loop
async def test_a_heartbeat_that_is_never_answered_stops_the_job_before_its_lease_ends() -> None:
    scene = Scenario()
    await scene.submit()
    scene.backend.run_s = 500

    class Unanswered(type(scene.store)):  # type: ignore[misc] # the fake's class, whatever it is
        async def beat(self, *_: Any, **__: Any) -> Status:
            await scene.clock.sleep(1000)
            raise AssertionError("it was canceled")

    unanswered = Unanswered()
    unanswered.records = scene.store.records
    scene.store = unanswered
    agent = scene.agent()
    await scene.clock.advance(54)
    assert scene.backend.stopped == []
    await scene.clock.advance(5)
    assert scene.backend.stopped == [JOB_ID]
    await ended([agent])
