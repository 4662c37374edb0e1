"""What is under way when an agent ends, or loses what it needs: nothing of it stays half done, or costs an attempt."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from agent.core.settle import Fate, settle
from agent.errors import AwsUnavailableError, AwsUnusableError, RuntimeLostError
from agent.ports import Artifact, Claim, Claiming, Report, Work
from agent.turns import MAX_IN_HAND
from sd_async.contract.limits import SPARE_RECEIPTS
from sd_async.contract.states import Status
from tests.agent.crowd import SlowFiles, statuses, submitted
from tests.agent.model.runtime import PNG
from tests.agent.scenario import CONFIG, Scenario, ended, in_loop, message_of
from tests.support.clock import START_MS, FakeClock
from tests.support.fakes import FakeBackend, FakeStore, FakeTopic


class _SlowTopic(FakeTopic):
    def __init__(self, clock: FakeClock) -> None:
        super().__init__()
        self._clock = clock

    async def publish(self, body: bytes, attributes: Mapping[str, str]) -> None:
        await self._clock.sleep(5)
        await super().publish(body, attributes)


class _SlowStore(FakeStore):
    """Claims at once, and says so 2 s later."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__()
        self._clock = clock

    async def claim(self, job_id: str, seen: Status, **named: Any) -> Claiming:
        claimed = await super().claim(job_id, seen, **named)
        await self._clock.sleep(2)
        return claimed


@in_loop
async def test_an_agent_that_is_dropped_in_mid_settling_still_announces_and_deletes() -> None:
    scene = Scenario()
    scene.topic = _SlowTopic(scene.clock)
    await scene.submit()
    agent = scene.agent()
    await scene.clock.advance(12)
    assert scene.job().status is Status.SUCCEEDED
    assert scene.results() == []
    agent.cancel()
    await scene.clock.advance(5)
    with pytest.raises(asyncio.CancelledError):
        await agent
    assert len(scene.results()) == 1
    assert scene.queue.visible_in_s() == []


@in_loop
async def test_a_job_that_is_claimed_while_sigterm_comes_is_given_back_unbegun() -> None:
    scene = Scenario()
    scene.store = _SlowStore(scene.clock)
    await scene.submit()
    agent = scene.agent()
    await scene.clock.advance(1)
    assert scene.job().status is Status.RUNNING
    scene.stop.set()
    await scene.clock.advance(2)
    await agent
    assert scene.backend.started == []
    assert (scene.job().status, scene.job().waiting) == (Status.QUEUED, "The agent was stopped before the job began.")
    assert scene.queue.visible_in_s() == [0]


@in_loop
async def test_an_agent_that_aws_refuses_at_a_claim_puts_the_message_back_and_ends() -> None:
    scene = Scenario()
    await scene.submit()
    scene.store.faults.add("claim", AwsUnusableError("AWS refuses this agent: AccessDenied on UpdateItem."))
    agent = scene.agent()
    await scene.clock.advance(1)
    with pytest.raises(AwsUnusableError):
        await agent
    assert (scene.job().status, scene.job().attempt) == (Status.QUEUED, 0)
    assert all(0 < seconds <= 5 for seconds in scene.queue.visible_in_s())


@dataclass
class _LosesAll(FakeBackend):
    """One that is gone for whatever it has, also for what waits in it. resets: works begun before each."""

    lost: asyncio.Event = field(default_factory=asyncio.Event)
    resets: list[int] = field(default_factory=list)

    async def reset(self) -> None:
        self.resets.append(len(self.started))

    async def run(self, work: Work, report: Report) -> Sequence[Artifact]:
        running = asyncio.create_task(super().run(work, report))
        lost = asyncio.create_task(self.lost.wait())
        try:
            await asyncio.wait({running, lost}, return_when=asyncio.FIRST_COMPLETED)
            if lost.done():
                raise RuntimeLostError("gone")
            return running.result()
        finally:
            for task in (running, lost):
                task.cancel()


@in_loop
async def test_a_runtime_that_is_lost_wears_out_the_job_it_ran_and_not_the_one_that_waited_in_it() -> None:
    scene = Scenario(replace(CONFIG, max_attempts=1))
    scene.backend = backend = _LosesAll(scene.clock, depth=2, run_s=0.4)
    ids = await submitted(scene, 3)
    agent = scene.agent()
    await scene.clock.advance(0.7)
    assert [work.run_id for work in backend.started] == ids, "one has ended, one runs and one waits there"
    backend.is_up = False
    backend.lost.set()
    await scene.clock.advance(0.1)
    assert statuses(scene, ids) == [Status.SUCCEEDED, Status.FAILED, Status.QUEUED]
    assert scene.job(ids[2]).waiting == "gone"
    await ended([agent])


@in_loop
async def test_what_the_agent_before_left_at_the_runtime_is_stopped_before_the_first_job() -> None:
    scene = Scenario()
    scene.backend = backend = _LosesAll(scene.clock)
    await scene.submit()
    agent = scene.agent()
    await scene.clock.advance(11)
    assert scene.job().status is Status.SUCCEEDED
    assert backend.resets == [0]
    await ended([agent])


class _Refusing(SlowFiles):
    """A bucket that says after a while that it is not the agent's."""

    async def put(self, *arguments: Any, **named: Any) -> int:
        await super().put(*arguments, **named)
        raise AwsUnusableError("AWS refuses this agent: AccessDenied on PutObject.")


@in_loop
async def test_an_agent_that_aws_refuses_after_sigterm_waits_for_none_of_its_jobs() -> None:
    scene = Scenario()
    scene.files = _Refusing(scene, put_s=3)
    ids = await submitted(scene, 2)
    agent = scene.agent()
    await scene.clock.advance(5)
    scene.backend.run_s = 100
    await scene.clock.advance(6.5)
    assert [work.run_id for work in scene.backend.started] == ids
    scene.stop.set()
    await scene.clock.advance(2.5)
    with pytest.raises(AwsUnusableError):
        await agent
    assert statuses(scene, ids) == [Status.QUEUED, Status.QUEUED]


@in_loop
async def test_a_message_whose_files_take_longer_than_its_visibility_stays_hidden() -> None:
    scene = Scenario(replace(CONFIG, visibility_s=30))
    scene.files = SlowFiles(scene, put_s=0, fetch_s=100)
    scene.files.at["s3://team/a.png"] = PNG
    await scene.submit(message_of(files={"a.png": "s3://team/a.png"}))
    agent = scene.agent()
    for _ in range(4):
        await scene.clock.advance(24)
        assert all(seconds > 0 for seconds in scene.queue.visible_in_s())
    await scene.clock.advance(20)
    assert (scene.job().status, scene.job().attempt) == (Status.SUCCEEDED, 1)
    assert len(scene.backend.started) == 1
    await ended([agent])


@pytest.mark.parametrize(("jobs_ahead", "held"), [(10, 2), (1, 1)])
@in_loop
async def test_of_jobs_whose_files_are_slow_no_more_than_two_are_kept_from_other_agents(
    jobs_ahead: int, held: int
) -> None:
    scene = Scenario(replace(CONFIG, jobs_ahead=jobs_ahead))
    scene.files = SlowFiles(scene, put_s=0, fetch_s=100)
    scene.files.at["s3://team/a.png"] = PNG
    await submitted(scene, 5, files={"a.png": "s3://team/a.png"})
    agent = scene.agent()
    await scene.clock.advance(5)
    assert sum(seconds > 0 for seconds in scene.queue.visible_in_s()) == held
    scene.stop.set()
    await agent
    assert scene.queue.visible_in_s() == [0] * 5


@in_loop
async def test_a_message_that_cannot_be_shown_at_sigterm_keeps_no_agent_from_its_end() -> None:
    scene = Scenario()
    scene.files = SlowFiles(scene, put_s=0, fetch_s=100)
    scene.files.at["s3://team/a.png"] = PNG
    await scene.submit(message_of(files={"a.png": "s3://team/a.png"}))
    agent = scene.agent()
    await scene.clock.advance(3)
    scene.queue.faults.add("extend", AwsUnavailableError("AWS is busy."))
    scene.stop.set()
    await scene.clock.settle()
    await agent
    assert (scene.job().status, scene.job().attempt) == (Status.QUEUED, 0)
    assert all(seconds > 0 for seconds in scene.queue.visible_in_s()), "it comes back by itself"


@in_loop
async def test_results_that_are_slow_to_store_are_bounded_and_the_next_job_waits_in_the_queue() -> None:
    scene = Scenario()
    scene.files = SlowFiles(scene, put_s=50)
    scene.backend.run_s = 0.1
    ids = await submitted(scene, MAX_IN_HAND + 5)
    agent = scene.agent()
    await scene.clock.advance(15)
    assert statuses(scene, ids).count(Status.RUNNING) == MAX_IN_HAND
    await scene.clock.advance(200)
    assert set(statuses(scene, ids)) == {Status.SUCCEEDED}
    await ended([agent])


class _SlowBeats(FakeStore):
    """Its first answer takes 20 s, and there is no second."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__()
        self._clock = clock
        self.beats = 0

    async def beat(self, claim: Claim, **named: Any) -> Status:
        self.beats += 1
        if self.beats > 1:
            raise AwsUnavailableError("AWS is busy.")
        status = await super().beat(claim, **named)
        await self._clock.sleep(20)
        return status


@in_loop
async def test_a_lease_is_counted_from_when_its_renewal_was_asked_for_and_not_from_the_answer() -> None:
    scene = Scenario(replace(CONFIG, lease_s=60, heartbeat_s=5))
    scene.store = _SlowBeats(scene.clock)
    scene.backend.run_s = 500
    await scene.submit()
    agent = scene.agent()
    await scene.clock.advance(61)
    until_ms = scene.job().lease_until_ms
    assert until_ms is not None
    assert scene.clock.now_ms() < until_ms <= START_MS + 65_000
    assert len(scene.backend.stopped) == 1, "it stops before another agent may begin"
    await ended([agent])


@in_loop
async def test_a_job_whose_time_is_over_while_its_result_is_stored_keeps_its_result() -> None:
    scene = Scenario()
    scene.files = SlowFiles(scene, put_s=20)
    await scene.submit(message_of(timeout_seconds=12))
    agent = scene.agent()
    await scene.clock.advance(60)
    assert (scene.job().status, scene.job().attempt) == (Status.SUCCEEDED, 1)
    await ended([agent])


def test_an_agent_that_is_unfit_fails_no_job_though_it_was_the_jobs_last_attempt() -> None:
    assert settle(AwsUnavailableError("busy"), 5, max_attempts=5).fate is Fate.FINISH
    assert settle(AwsUnusableError("refused"), 5, max_attempts=5).fate is Fate.RELEASE


@in_loop
async def test_a_job_whose_message_is_about_to_be_given_up_fails_with_its_reason() -> None:
    scene = Scenario()
    scene.files.faults.add("put", AwsUnavailableError("AWS is busy."))
    await scene.submit()
    [message] = scene.queue._messages
    message.receive_count = CONFIG.max_attempts + SPARE_RECEIPTS - 1
    agent = scene.agent()
    await scene.clock.advance(11)
    assert (scene.job().status, scene.job().attempt) == (Status.FAILED, 1)
    assert [result.status for result in scene.results()] == [Status.FAILED]
    assert (scene.queue.visible_in_s(), scene.queue.dead) == ([], [])
    await ended([agent])
