"""What was taken or claimed ahead and is given up again."""

import uuid
from dataclasses import replace

from agent.errors import RuntimeLostError
from sd_async.contract.states import Status
from tests.agent.crowd import CountingQueue, SlowFiles, statuses, submitted
from tests.agent.scenario import CONFIG, Scenario, ended, in_loop, message_of
from tests.support.fakes import FakeBackend


@in_loop
async def test_nothing_is_begun_on_a_lost_runtime_though_an_earlier_job_is_still_being_stored() -> None:
    scene = Scenario()
    scene.files = SlowFiles(scene, put_s=8)
    scene.backend.run_s = 3
    ids = await submitted(scene, 3)
    agent = scene.agent()
    await scene.clock.advance(4)
    scene.backend.faults.add("run", RuntimeLostError("gone"))
    await scene.clock.advance(1.5)
    scene.backend.is_up = False
    await scene.clock.advance(3)
    assert len(scene.backend.started) == 2
    assert scene.job(ids[2]).waiting == "The runtime was lost before the job began."
    assert statuses(scene, ids) == [Status.RUNNING, Status.QUEUED, Status.QUEUED]
    assert sorted(seconds > 0 for seconds in scene.queue.visible_in_s()) == [False, False, True]
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


class Hesitant(FakeBackend):
    """Takes its time to say that it is there."""

    async def ready(self) -> bool:
        await self.clock.sleep(1)
        return await super().ready()


@in_loop
async def test_sigterm_while_the_runtime_is_asked_leaves_no_message_behind() -> None:
    scene = Scenario()
    scene.backend = Hesitant(scene.clock)
    agent = scene.agent()
    await scene.clock.advance(2)
    await submitted(scene, 1)
    await scene.clock.advance(0.5)
    while scene.queue.visible_in_s() == [0]:
        await scene.clock.advance(0.1)
    scene.stop.set()
    await scene.clock.settle()
    assert scene.queue.visible_in_s() == [0]
    await scene.clock.advance(1)
    await agent


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
async def test_a_runtime_that_is_down_when_a_message_comes_costs_no_attempt() -> None:
    scene = Scenario()
    agent = scene.agent()
    await scene.clock.advance(3)
    scene.backend.is_up = False
    [job_id] = await submitted(scene, 1)
    await scene.clock.advance(CONFIG.runtime_wait_s / 2)
    assert (scene.job(job_id).status, scene.job(job_id).attempt) == (Status.QUEUED, 0)
    assert scene.queue.visible_in_s() == [0]
    await ended([agent])
