"""What the public sample loses (facts, docs/decisions/0113), each as a schedule that ends well here."""

import contextlib
from collections.abc import Iterator

import pytest

from agent.errors import NodeFailedError
from sd_async.contract.states import FINAL, Status
from tests.agent.model.ledger import HEARTBEAT_S
from tests.agent.model.world import World
from tests.agent.scenario import Scenario, ended, in_loop

pytestmark = [
    pytest.mark.usefixtures("left_behind"),
    pytest.mark.filterwarnings("ignore:Implicitly cleaning up:ResourceWarning"),
]


@contextlib.contextmanager
def one_pod(depth: int = 2) -> Iterator[World]:
    with contextlib.closing(World(pods=1)) as world:
        world.pods[0].runtime.depth = depth
        world.start(world.pods[0])
        yield world
        assert world.violations == []


@pytest.mark.parametrize("depth", [1, 2])
def test_a_runtime_that_dies_in_mid_job_and_comes_back_gets_the_job_again(depth: int) -> None:
    with one_pod(depth) as world:
        job_id = world.submit(run_s=20)
        world.run_for(10)
        world.pods[0].runtime.lose()
        world.run_for(2)
        assert world.record(job_id).status is Status.QUEUED
        assert world.record(job_id).waiting == "The runtime does not answer."
        world.pods[0].runtime.is_up = True
        world.run_for(30)
        assert (world.record(job_id).status, world.record(job_id).attempt) == (Status.SUCCEEDED, 2)


@pytest.mark.parametrize("depth", [1, 2])
def test_no_job_is_reported_as_done_without_its_image_though_the_runtime_dies_between_jobs(depth: int) -> None:
    with one_pod(depth) as world:
        jobs = [world.submit(run_s=1.5) for _ in range(40)]
        runtime = world.pods[0].runtime
        for _ in range(12):
            world.run_for(4.3)
            runtime.lose()
            world.run_for(1.1)
            runtime.is_up = True
        world.drain()
        done = [world.record(job_id) for job_id in jobs]
        assert all(record.status is Status.SUCCEEDED for record in done), [record.status for record in done]
        keys = [output.key for record in done for output in record.outputs]
        assert len(keys) == len(jobs)
        assert set(keys) <= world.files.stored.keys()


@pytest.mark.parametrize("depth", [1, 2])
@pytest.mark.parametrize("after_s", [0.01, 0.5, 10, 19.99, 20.05])
def test_agent_and_runtime_asked_to_end_together_fail_no_job_and_leave_within_seconds(
    depth: int, after_s: float
) -> None:
    with one_pod(depth) as world:
        jobs = [world.submit(run_s=20) for _ in range(3)]
        world.run_for(after_s)
        [pod] = world.pods
        world.sigterm(pod)
        pod.runtime.lose()
        world.loop.run_until(world.loop.time() + 3)
        assert pod.task is not None
        assert pod.task.done(), "the sample took 53 s"
        assert all(world.record(job_id).status in {Status.QUEUED, Status.SUCCEEDED} for job_id in jobs)
        pod.runtime.is_up = True
        world.drain()
        assert all(world.record(job_id).status is Status.SUCCEEDED for job_id in jobs)


@in_loop
async def test_an_execution_error_is_a_failure_and_its_message_says_result_false() -> None:
    scene = Scenario()
    record = await scene.submit()
    scene.backend.faults.add("run", NodeFailedError("RuntimeError: shapes", node_id="3", class_type="KSampler"))
    agent = scene.agent()
    await scene.clock.advance(12)
    assert scene.job(record.id).status is Status.FAILED
    assert [(result.result, result.image_url) for result in scene.results()] == [(False, [])]
    await ended([agent])


@pytest.mark.parametrize("depth", [1, 2])
def test_a_cancel_is_seen_within_a_heartbeat_and_the_next_job_starts(depth: int) -> None:
    with one_pod(depth) as world:
        job_id, next_id = world.submit(run_s=100), world.submit(run_s=10)
        world.run_for(30)
        world.cancel(job_id)
        world.loop.run_until(world.loop.time() + HEARTBEAT_S + 1)
        assert world.record(job_id).status is Status.CANCELED
        assert [run.job_id for run in world.pods[0].runtime.runs] == [next_id]
        world.run_for(12)
        assert world.record(next_id).status is Status.SUCCEEDED
        assert [result.status for result in world.topic.told[job_id]] == [Status.CANCELED]


@pytest.mark.parametrize(("run_s", "expected"), [(40, Status.SUCCEEDED), (300, Status.QUEUED)])
def test_a_job_that_fits_in_the_time_left_is_finished_and_one_that_does_not_is_handed_back(
    run_s: float, expected: Status
) -> None:
    """GRACE_S of 60, less what giving back takes."""
    with one_pod() as world:
        job_id = world.submit(run_s=run_s, timeout_s=400)
        world.run_for(3)
        [pod] = world.pods
        world.sigterm(pod)
        world.loop.run_until(world.loop.time() + 59)
        assert pod.task is not None
        assert pod.task.done(), "before SIGKILL"
        record = world.record(job_id)
        assert (record.status, record.agent) == (expected, None)
        assert (record.status in FINAL) is world.queue.is_empty
        assert [run.job_id for run in pod.runtime.runs] == [], "the runtime was told to stop"
