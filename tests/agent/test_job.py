"""The way of one job, and every way it may leave it."""

from agent.errors import (
    AwsUnavailableError,
    RuntimeLostError,
)
from sd_async.contract.messages import encode_message
from sd_async.contract.states import Status
from tests.agent.scenario import JOB_ID, Scenario, ended, in_loop, message_of
from tests.support.fakes import FakeBackend


@in_loop
async def test_a_job_is_run_stored_recorded_announced_and_deleted() -> None:
    scene = Scenario()
    await scene.submit()
    agent = scene.agent()
    await scene.clock.advance(11)
    job = scene.job()
    assert job.status is Status.SUCCEEDED
    assert [output.key for output in job.outputs] == [f"renders/{JOB_ID}/1/ComfyUI_00001_.png"]
    assert scene.files.stored[job.outputs[0].key] == (b"a picture", "image/png")
    assert (job.attempt, job.agent, job.lease_until_ms, job.progress.value) == (1, None, None, 1.0)
    assert job.phases.execution_ms == 10_000
    [result] = scene.results()
    assert (result.result, result.image_url) == (True, [f"s3://outputs/{job.outputs[0].key}"])
    assert scene.topic.published[0][1] == {"runtime": "comfy", "status": "succeeded"}
    assert len(scene.queue.deleted) == 1
    await ended([agent])


@in_loop
async def test_a_message_delivered_twice_is_executed_once_and_announced_once() -> None:
    scene = Scenario()
    await scene.submit()
    scene.queue.send(encode_message(message_of()).decode())
    other = FakeBackend(scene.clock)
    agents = [scene.agent("comfy-0"), scene.agent("comfy-1", other)]
    await scene.clock.advance(12)
    assert len(scene.backend.started) + len(other.started) == 1
    assert [result.status for result in scene.results()] == [Status.SUCCEEDED]
    await ended(agents)


@in_loop
async def test_a_message_redelivered_after_the_end_is_announced_again_and_not_run() -> None:
    scene = Scenario()
    await scene.submit()
    scene.topic.faults.add("publish", AwsUnavailableError("AWS is busy."))
    agent = scene.agent()
    await scene.clock.advance(11)
    assert scene.job().status is Status.SUCCEEDED
    assert scene.results() == [], "the first announcement failed"
    await scene.clock.advance(61)
    assert [result.status for result in scene.results()] == [Status.SUCCEEDED]
    assert len(scene.backend.started) == 1
    assert len(scene.queue.deleted) == 1
    await ended([agent])


@in_loop
async def test_a_killed_agents_job_is_finished_by_another_once() -> None:
    scene = Scenario()
    await scene.submit()
    killed = scene.agent("comfy-0")
    await scene.clock.advance(3)
    await ended([killed])  # as by SIGKILL, nothing is written on the way out
    assert scene.job().status is Status.RUNNING
    other = FakeBackend(scene.clock)
    agent = scene.agent("comfy-1", other)
    await scene.clock.advance(60)
    assert scene.job().attempt == 2, "the lease has ended"
    await scene.clock.advance(15)
    assert scene.job().status is Status.SUCCEEDED
    assert [result.attempts for result in scene.results()] == [2]
    assert other.started[0].run_id != JOB_ID, "a runtime may mix up two prompts of one id"
    await ended([agent])


@in_loop
async def test_an_agent_that_lost_its_lease_stops_and_writes_nothing() -> None:
    scene = Scenario()
    await scene.submit()
    agent = scene.agent()
    await scene.clock.advance(3)
    scene.store.change(JOB_ID, attempt=2, agent="comfy-1")
    await scene.clock.advance(3)
    assert scene.backend.stopped == [JOB_ID]
    assert (scene.job().status, scene.job().agent) == (Status.RUNNING, "comfy-1")
    assert scene.results() == []
    assert scene.queue.deleted == []
    await ended([agent])


@in_loop
async def test_the_result_of_an_agent_whose_lease_was_lost_at_the_end_is_refused() -> None:
    scene = Scenario()
    await scene.submit()
    scene.backend.run_s = 4  # before the first heartbeat could tell
    agent = scene.agent()
    await scene.clock.advance(3)
    scene.store.change(JOB_ID, attempt=2, agent="comfy-1")
    await scene.clock.advance(1.5)
    assert scene.job().agent == "comfy-1"
    assert scene.results() == []
    await ended([agent])


@in_loop
async def test_heartbeats_that_fail_stop_the_job_before_its_lease_ends() -> None:
    scene = Scenario()
    await scene.submit()
    scene.backend.run_s = 500
    scene.store.faults.add("beat", *[AwsUnavailableError("AWS is busy.") for _ in range(20)])
    agent = scene.agent()
    lease_until_ms = scene.clock.now_ms() + 60_000
    await scene.clock.advance(54)
    assert scene.backend.stopped == []
    await scene.clock.advance(3)
    assert scene.backend.stopped == [JOB_ID]
    assert scene.clock.now_ms() < lease_until_ms
    await ended([agent])


@in_loop
async def test_one_failed_heartbeat_does_not_stop_the_job() -> None:
    scene = Scenario()
    await scene.submit()
    scene.backend.run_s = 100
    scene.store.faults.add("beat", AwsUnavailableError("AWS is busy."))
    agent = scene.agent()
    await scene.clock.advance(101)
    assert scene.job().status is Status.SUCCEEDED
    await ended([agent])


@in_loop
async def test_heartbeats_extend_lease_and_visibility_and_carry_progress() -> None:
    scene = Scenario()
    await scene.submit()
    scene.backend.run_s = 500
    agent = scene.agent()
    await scene.clock.advance(62)
    assert scene.job().lease_until_ms == scene.clock.now_ms() - 2000 + 60_000
    assert scene.queue.visible_in_s() == [58]
    assert (scene.job().progress.value, scene.job().progress.message) == (0.25, "running")
    await ended([agent])


@in_loop
async def test_a_canceled_job_is_interrupted_recorded_and_announced() -> None:
    scene = Scenario()
    await scene.submit()
    agent = scene.agent()
    await scene.clock.advance(3)
    scene.store.change(JOB_ID, status=Status.CANCELING)
    await scene.clock.advance(3)
    assert scene.backend.stopped == [JOB_ID]
    assert scene.job().status is Status.CANCELED
    assert [result.status for result in scene.results()] == [Status.CANCELED]
    assert len(scene.queue.deleted) == 1
    await ended([agent])


@in_loop
async def test_a_cancellation_outlives_the_agent_that_should_have_seen_it() -> None:
    scene = Scenario()
    await scene.submit()
    scene.store.change(JOB_ID, status=Status.CANCELING, attempt=1, agent="dead", lease_until_ms=1)
    agent = scene.agent()
    await scene.clock.advance(1)
    assert scene.backend.started == []
    assert scene.job().status is Status.CANCELED
    await ended([agent])


@in_loop
async def test_a_job_canceled_while_it_is_given_back_ends_canceled() -> None:
    scene = Scenario()
    await scene.submit()
    scene.backend.run_s = 4
    scene.backend.faults.add("run", RuntimeLostError("gone"))
    agent = scene.agent()
    await scene.clock.advance(3)
    scene.store.change(JOB_ID, status=Status.CANCELING)
    await scene.clock.advance(1.5)
    assert scene.job().status is Status.CANCELED
    await ended([agent])
