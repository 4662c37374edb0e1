"""Several jobs at once: what is taken, claimed and handed back while another one runs."""

import uuid
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace

from agent.core.limits import RUNTIME_WAIT_S
from agent.errors import OutOfMemoryError, RuntimeLostError
from agent.ports import NOTHING, Delivery
from sd_async.contract.states import Status
from tests.agent.scenario import CONFIG, Scenario, ended, in_loop, message_of
from tests.support.fakes import FakeFiles, FakeQueue


async def submitted(scene: Scenario, count: int, **changes: object) -> list[str]:
    ids = [str(uuid.UUID(int=number + 1)) for number in range(count)]
    for job_id in ids:
        await scene.submit(message_of(job_id, **changes))
    return ids


def statuses(scene: Scenario, ids: list[str]) -> list[Status]:
    return [scene.job(job_id).status for job_id in ids]


class SlowFiles(FakeFiles):
    """A bucket that takes its time."""

    def __init__(self, scene: Scenario, put_s: float, fetch_s: float = 0) -> None:
        super().__init__()
        self._clock = scene.clock
        self._put_s = put_s
        self._fetch_s = fetch_s

    async def put(
        self, key: str, chunks: AsyncIterator[bytes], content_type: str, metadata: Mapping[str, str] = NOTHING
    ) -> int:
        size = await super().put(key, chunks, content_type, metadata)
        await self._clock.sleep(self._put_s)
        return size


class CountingQueue(FakeQueue):
    """asked: how many messages each receive asked for. shown: messages made visible at once, by their id."""

    def __init__(self, scene: Scenario) -> None:
        super().__init__(scene.clock, max_receives=10)
        self.asked: list[int] = []
        self.shown: list[str] = []

    async def receive(self, wait_s: int, most: int) -> list[Delivery]:
        self.asked.append(most)
        return list(await super().receive(wait_s, most))

    async def extend(self, delivery: Delivery, visibility_s: int) -> bool:
        if visibility_s == 0:
            self.shown.append(delivery.message_id)
        return await super().extend(delivery, visibility_s)


@in_loop
async def test_jobs_follow_each_other_without_a_gap_once_their_length_is_known() -> None:
    scene = Scenario()
    scene.backend.run_s = 3
    await submitted(scene, 5)
    agent = scene.agent()
    await scene.clock.advance(18)
    gaps = [begin - end for (_, end), (begin, _) in zip(scene.backend.spans, scene.backend.spans[1:], strict=False)]
    assert len(gaps) == 4
    assert gaps[1:] == [0, 0, 0]
    await ended([agent])


@in_loop
async def test_the_runtime_works_while_results_are_stored() -> None:
    scene = Scenario()
    scene.files = SlowFiles(scene, put_s=1)  # the picture, then the account
    scene.backend.run_s = 3
    ids = await submitted(scene, 3)
    agent = scene.agent()
    await scene.clock.advance(9.5)
    assert len(scene.backend.spans) == 3
    assert statuses(scene, ids) == [Status.SUCCEEDED, Status.SUCCEEDED, Status.RUNNING]
    await ended([agent])


@in_loop
async def test_nothing_is_taken_while_a_job_may_still_be_long() -> None:
    scene = Scenario()
    scene.backend.run_s = 100
    ids = await submitted(scene, 2)
    agent = scene.agent()
    await scene.clock.advance(99)
    assert statuses(scene, ids) == [Status.RUNNING, Status.QUEUED]
    assert sum(seconds == 0 for seconds in scene.queue.visible_in_s()) == 1, "another agent may have it"
    await ended([agent])


@in_loop
async def test_the_next_job_is_claimed_and_given_to_the_runtime_shortly_before_its_turn_and_no_other() -> None:
    scene = Scenario()
    scene.backend.depth, scene.backend.run_s = 2, 3
    ids = await submitted(scene, 4)
    agent = scene.agent()
    await scene.clock.advance(5.5)
    assert len(scene.backend.started) == 2
    assert statuses(scene, ids)[2:] == [Status.QUEUED, Status.QUEUED]
    await scene.clock.advance(0.4)
    assert len(scene.backend.started) == 3
    assert statuses(scene, ids)[2:] == [Status.RUNNING, Status.QUEUED]
    await ended([agent])


@in_loop
async def test_files_are_there_before_the_turn_comes() -> None:
    scene = Scenario()
    scene.backend.run_s = 3
    scene.files.at = {"s3://team/b.png": b"B"}
    ids = await submitted(scene, 2, files={"b.png": "s3://team/b.png"})
    agent = scene.agent()
    await scene.clock.advance(5.8)
    scene.files.at.clear()
    await scene.clock.advance(4)
    assert statuses(scene, ids) == [Status.SUCCEEDED, Status.SUCCEEDED]
    await ended([agent])


@in_loop
async def test_many_short_jobs_are_received_together() -> None:
    scene = Scenario()
    scene.queue = queue = CountingQueue(scene)
    scene.backend.depth, scene.backend.run_s = 2, 0.02
    ids = await submitted(scene, 60)
    agent = scene.agent()
    await scene.clock.advance(1.5)
    assert statuses(scene, ids) == [Status.SUCCEEDED] * 60
    assert scene.backend.spans[-1][1] - scene.backend.spans[0][0] < 60 * 0.02 / 0.9
    assert len([most for most in queue.asked if most > 4]) > 5
    assert len(queue.asked) < 30
    await ended([agent])


@in_loop
async def test_sigterm_shows_what_waits_at_once_and_gives_up_the_claim_of_what_had_not_begun() -> None:
    scene = Scenario()
    scene.backend.depth, scene.backend.run_s = 2, 0.4
    ids = await submitted(scene, 12)
    agent = scene.agent()
    await scene.clock.advance(1.3)
    held = scene.backend.started[-1].run_id
    assert statuses(scene, ids).count(Status.RUNNING) == 2
    assert sum(seconds > 0 for seconds in scene.queue.visible_in_s()) > 2, "some wait in the line"
    scene.stop.set()
    await scene.clock.settle()
    assert scene.backend.stopped == [held]
    assert statuses(scene, ids).count(Status.RUNNING) == 1
    assert sum(seconds > 0 for seconds in scene.queue.visible_in_s()) == 1, "all but the running one's"
    await scene.clock.advance(1)
    await agent
    assert set(statuses(scene, ids)) == {Status.SUCCEEDED, Status.QUEUED}


@in_loop
async def test_what_was_taken_by_a_wrong_guess_is_handed_back_and_another_agent_has_it() -> None:
    scene = Scenario()
    scene.backend.depth, scene.backend.run_s = 2, 3
    ids = await submitted(scene, 1)
    agent = scene.agent()
    await scene.clock.advance(4)
    scene.backend.run_s = 100  # of another kind than the one before
    more = [str(uuid.UUID(int=number)) for number in (8, 9, 10)]
    for job_id in more:
        await scene.submit(message_of(job_id))
    await scene.clock.advance(4)
    assert len(scene.backend.started) == 3, "the guess: it would end by now, as the first one did"
    await scene.clock.advance(8)
    assert statuses(scene, [*ids, *more]).count(Status.RUNNING) == 1
    assert statuses(scene, [*ids, *more]).count(Status.QUEUED) == 2
    assert sum(seconds == 0 for seconds in scene.queue.visible_in_s()) == 2
    await ended([agent])


@in_loop
async def test_a_message_that_was_handed_back_twice_is_kept_for_its_turn() -> None:
    scene = Scenario()
    scene.queue = queue = CountingQueue(scene)
    scene.backend.run_s = 3
    await submitted(scene, 1)
    agent = scene.agent()
    await scene.clock.advance(4)
    scene.backend.run_s = 30
    for job_id in (str(uuid.UUID(int=8)), str(uuid.UUID(int=9))):
        await scene.submit(message_of(job_id))
    await scene.clock.advance(200)
    assert len(queue.shown) <= 2
    assert len(scene.backend.spans) == 3
    assert queue.dead == []
    await ended([agent])


@in_loop
async def test_a_lost_runtime_hands_everything_back_and_wears_no_job_out() -> None:
    scene = Scenario(replace(CONFIG, max_attempts=1))
    scene.backend.depth, scene.backend.run_s = 2, 0.4
    ids = await submitted(scene, 8)
    agent = scene.agent()
    await scene.clock.advance(1.3)
    scene.backend.is_up = False
    scene.backend.faults.add("run", RuntimeLostError("gone"), RuntimeLostError("gone"))
    await scene.clock.advance(2)
    assert Status.RUNNING not in statuses(scene, ids)
    lost = [job_id for job_id in ids if scene.job(job_id).status is Status.FAILED]
    assert len(lost) <= 2, "those that had begun had their one attempt"
    assert all(seconds == 0 for seconds in scene.queue.visible_in_s())
    scene.backend.is_up = True
    await scene.clock.advance(20)
    assert statuses(scene, ids).count(Status.SUCCEEDED) == 8 - len(lost)
    await ended([agent])


@in_loop
async def test_a_job_that_waits_in_the_runtimes_queue_does_not_use_up_its_time() -> None:
    scene = Scenario()
    scene.backend.depth, scene.backend.run_s = 2, 3
    ids = await submitted(scene, 4, timeout_seconds=3)
    scene.backend.run_s = 2.9
    agent = scene.agent()
    await scene.clock.advance(14)
    assert statuses(scene, ids) == [Status.SUCCEEDED] * 4
    assert [round(scene.job(job_id).phases.execution_ms or 0, -2) for job_id in ids] == [2900] * 4
    await ended([agent])


@in_loop
async def test_a_queued_prompt_of_a_canceled_job_is_taken_back_before_it_runs() -> None:
    scene = Scenario(replace(CONFIG, heartbeat_s=1, lease_s=3))
    scene.backend.depth, scene.backend.run_s = 2, 3
    await submitted(scene, 1)
    agent = scene.agent()
    await scene.clock.advance(4)
    scene.backend.run_s = 6
    second, third = [str(uuid.UUID(int=number)) for number in (8, 9)]
    await scene.submit(message_of(second))
    await scene.submit(message_of(third))
    await scene.clock.advance(4)
    assert scene.job(third).status is Status.RUNNING
    scene.store.change(third, status=Status.CANCELING)
    await scene.clock.advance(1.2)
    assert scene.job(third).status is Status.CANCELED
    assert scene.job(second).status is Status.RUNNING
    assert len(scene.backend.spans) == 1
    await ended([agent])


@in_loop
async def test_one_job_after_the_other_on_request() -> None:
    scene = Scenario(replace(CONFIG, jobs_ahead=0))
    scene.backend.depth, scene.backend.run_s = 2, 0.4
    scene.files = SlowFiles(scene, put_s=0.5)
    ids = await submitted(scene, 4)
    agent = scene.agent()
    for _ in range(60):
        await scene.clock.advance(0.1)
        hidden = sum(seconds > 0 for seconds in scene.queue.visible_in_s())
        assert statuses(scene, ids).count(Status.RUNNING) <= hidden <= 1
    assert statuses(scene, ids) == [Status.SUCCEEDED] * 4
    await ended([agent])


@in_loop
async def test_memory_is_freed_and_the_job_run_once_more_when_the_gpu_was_full() -> None:
    scene = Scenario()
    [job_id] = await submitted(scene, 1)
    scene.backend.faults.add("run", OutOfMemoryError("CUDA out of memory."))
    agent = scene.agent()
    await scene.clock.advance(21)
    assert scene.job(job_id).status is Status.SUCCEEDED
    assert (scene.job(job_id).attempt, scene.backend.freed) == (1, 1)
    assert len({work.run_id for work in scene.backend.started}) == 2
    await ended([agent])


@in_loop
async def test_a_job_that_is_too_large_for_the_gpu_even_so_fails_as_that() -> None:
    scene = Scenario()
    [job_id] = await submitted(scene, 1)
    scene.backend.faults.add("run", OutOfMemoryError("full"), OutOfMemoryError("CUDA out of memory."))
    agent = scene.agent()
    await scene.clock.advance(21)
    error = scene.job(job_id).error
    assert error is not None
    assert (error.code, error.message) == ("out_of_memory", "CUDA out of memory.")
    assert len(scene.backend.started) == 2
    await ended([agent])


@in_loop
async def test_a_runtime_that_is_down_when_a_message_comes_costs_no_attempt() -> None:
    scene = Scenario()
    agent = scene.agent()
    await scene.clock.advance(3)
    scene.backend.is_up = False
    [job_id] = await submitted(scene, 1)
    await scene.clock.advance(RUNTIME_WAIT_S / 2)
    assert (scene.job(job_id).status, scene.job(job_id).attempt) == (Status.QUEUED, 0)
    assert scene.queue.visible_in_s() == [0]
    await ended([agent])
