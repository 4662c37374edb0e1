"""Two messages of one job, as after a publish that was made twice."""

from dataclasses import replace

from sd_async.contract.messages import encode_message
from sd_async.contract.states import Status
from tests.agent.scenario import CONFIG, Scenario, ended, in_loop, message_of


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
