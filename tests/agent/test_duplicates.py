"""Two messages of one job, as after a publish that was made twice."""

import asyncio
from dataclasses import replace

from agent.ports import Delivery
from sd_async.contract.messages import encode_message
from sd_async.contract.states import Status
from tests.agent.scenario import CONFIG, Scenario, ended, in_loop, message_of
from tests.support.fake_queue import FakeQueue

OTHER_ID = "8f14e45f-ceea-467f-a830-5d1fd1a4d6c9"


@in_loop
async def test_a_second_message_of_a_job_that_runs_for_long_is_dropped_and_the_first_ends_it() -> None:
    scene = Scenario(replace(CONFIG, job_timeout_s=3600))
    scene.backend.run_s = 500
    message = message_of(timeout_seconds=3600)
    await scene.submit(message)
    scene.queue.send(encode_message(message).decode(), "00000000-0000-4000-8000-000000000002")
    agents = [scene.agent("comfy-0"), scene.agent("comfy-1")]

    await scene.clock.advance(2)
    assert len(scene.queue.visible_in_s()) == 1
    await scene.clock.advance(510)

    assert scene.job().status is Status.SUCCEEDED
    assert scene.queue.dead == []
    assert len(scene.backend.started) == 1
    assert [result.status for result in scene.results()] == [Status.SUCCEEDED]
    await ended(agents)


class SlowToDelete(FakeQueue):
    """Deletions wait for others until `are_due`, as those of several jobs do to go as one call."""

    def __init__(self, scene: Scenario) -> None:
        super().__init__(scene.clock, visibility_s=60, max_receives=10)
        self.are_due = asyncio.Event()

    async def delete(self, delivery: Delivery) -> None:
        await self.are_due.wait()
        await super().delete(delivery)


@in_loop
async def test_no_job_waits_until_the_message_of_one_that_had_ended_is_deleted() -> None:
    scene = Scenario()
    scene.backend.run_s = 1
    queue = scene.queue = SlowToDelete(scene)
    queue.are_due.set()
    await scene.submit()
    agent = scene.agent()
    await scene.clock.advance(5)
    assert scene.job().status is Status.SUCCEEDED

    queue.are_due.clear()
    queue.send(encode_message(message_of()).decode())
    await scene.submit(message_of(OTHER_ID))
    await scene.clock.advance(5)
    assert len(scene.results()) == 3, "the first job's is told again"
    assert scene.job(OTHER_ID).status is Status.SUCCEEDED
    queue.are_due.set()
    await ended([agent])
