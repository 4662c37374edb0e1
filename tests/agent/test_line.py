"""Several jobs at once: what is taken, claimed and run beside another one."""

import uuid
from dataclasses import replace

from agent.errors import OutOfMemoryError
from sd_async.contract.states import Status
from tests.agent.crowd import CountingQueue, SlowFiles, statuses, submitted
from tests.agent.scenario import CONFIG, Scenario, ended, in_loop, message_of


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
    scene.files.at = {"s3://team/b.png": b"\x89PNG\r\n\x1a\n"}
    ids = await submitted(scene, 2, files={"b.png": "s3://team/b.png"})
    agent = scene.agent()
    await scene.clock.advance(5.8)
    scene.files.at.clear()
    await scene.clock.advance(4)
    assert statuses(scene, ids) == [Status.SUCCEEDED, Status.SUCCEEDED]
    await ended([agent])


@in_loop
async def test_a_job_whose_files_are_slow_lets_others_pass() -> None:
    scene = Scenario()
    scene.files = SlowFiles(scene, put_s=0, fetch_s=20)
    scene.files.at = {"s3://team/b.png": b"\x89PNG\r\n\x1a\n"}
    await scene.submit(message_of(str(uuid.UUID(int=1)), files={"b.png": "s3://team/b.png"}))
    await scene.submit(message_of(str(uuid.UUID(int=2))))
    agent = scene.agent()
    await scene.clock.advance(12)
    assert scene.job(str(uuid.UUID(int=2))).status is Status.SUCCEEDED
    assert scene.job(str(uuid.UUID(int=1))).status is Status.QUEUED, "it is not claimed before it can run"
    await scene.clock.advance(40)
    assert scene.job(str(uuid.UUID(int=1))).status is Status.SUCCEEDED
    assert scene.job(str(uuid.UUID(int=1))).phases.fetch_ms == 20_000
    await ended([agent])


@in_loop
async def test_one_message_is_taken_ahead_of_a_long_job_also_while_its_files_come() -> None:
    scene = Scenario()
    scene.files = SlowFiles(scene, put_s=0, fetch_s=0.125)
    scene.files.at = {"s3://team/b.png": b"\x89PNG\r\n\x1a\n"}
    scene.backend.depth, scene.backend.run_s = 2, 30
    ids = await submitted(scene, 4, files={"b.png": "s3://team/b.png"})
    agent = scene.agent()
    await scene.clock.advance(30.5)
    assert statuses(scene, ids[:2]) == [Status.SUCCEEDED, Status.RUNNING]
    await scene.clock.advance(29)
    assert len(scene.queue.visible_in_s()) == 3
    assert sum(seconds == 0 for seconds in scene.queue.visible_in_s()) == 1, "one runs, and one will be next"
    await scene.clock.advance(65)
    assert statuses(scene, ids) == [Status.SUCCEEDED] * 4
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
