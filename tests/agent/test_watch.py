"""A runtime that hangs is interrupted, waited for and left; one that eats memory is left between two jobs."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import pytest

from agent.errors import RuntimeFaultError, RuntimeFullError, RuntimeGoneError
from agent.ports import Artifact, Ports, Report, Work
from agent.watch import Watched
from agent.worker import Worker
from sd_async.contract.jobs import Progress
from sd_async.contract.states import Status
from tests.agent.scenario import CONFIG, JOB_ID, Scenario, ended, in_loop, message_of
from tests.support.fakes import FakeBackend

MIB = 1024 * 1024
OTHER_ID = "11111111-1111-4111-8111-111111111111"


@dataclass
class Moody(FakeBackend):
    """steps_s: when it tells of progress. holds_on: a stopped work stays in its queue. free_mib: after each work."""

    steps_s: Sequence[float] = ()
    holds_on: bool = False
    held: int = 0
    asked: int = 0
    free_mib: list[int] = field(default_factory=list)

    async def run(self, work: Work, report: Report) -> Sequence[Artifact]:
        telling = asyncio.create_task(self._tell(report))
        try:
            return await super().run(work, report)
        except asyncio.CancelledError:
            self.held += self.holds_on
            raise
        finally:
            telling.cancel()

    async def _tell(self, report: Report) -> None:
        for number, seconds in enumerate(self.steps_s):
            await self.clock.sleep(seconds)
            report(Progress(value=0.25, step=number + 1, steps=len(self.steps_s)))

    async def has_work(self) -> bool:
        self.asked += 1
        return self.held > 0

    async def free_host_bytes(self) -> int | None:
        return self.free_mib.pop(0) * MIB if self.free_mib else None


class Watching(Scenario):
    """One agent whose runtime is watched."""

    hung_after_s = 60
    least_free_mib = 0

    def watched(self, backend: FakeBackend) -> tuple["asyncio.Task[None]", Watched]:
        self.backend = backend
        watched = Watched(
            backend, self.clock, self.stop, hung_after_s=self.hung_after_s, least_free_mib=self.least_free_mib
        )
        ports: Ports = replace(self.ports(backend), backend=watched)
        return asyncio.create_task(Worker(self.config, ports, self.stop).run()), watched


@in_loop
async def test_a_job_that_gets_on_with_nothing_is_interrupted_and_given_back_with_the_reason() -> None:
    scene = Watching()
    await scene.submit()
    agent, _ = scene.watched(Moody(scene.clock, run_s=500))
    await scene.clock.advance(59)
    assert scene.backend.stopped == []
    await scene.clock.advance(2)
    assert scene.backend.stopped == [JOB_ID]
    assert (scene.job().status, scene.job().attempt) == (Status.QUEUED, 1)
    assert "got on with nothing for 60 s" in scene.job().waiting
    await ended([agent])


@in_loop
async def test_a_job_that_gets_on_however_slowly_is_left_alone() -> None:
    scene = Watching()
    await scene.submit()
    agent, _ = scene.watched(Moody(scene.clock, run_s=290, steps_s=[55] * 5))
    await scene.clock.advance(292)
    assert scene.job().status is Status.SUCCEEDED
    await ended([agent])


@in_loop
async def test_progress_that_is_the_same_again_is_none() -> None:
    scene = Watching()
    await scene.submit()

    class Repeating(Moody):
        async def _tell(self, report: Report) -> None:
            while True:
                await self.clock.sleep(1)
                report(Progress(value=0.25, step=3, steps=20))

    agent, _ = scene.watched(Repeating(scene.clock, run_s=500))
    await scene.clock.advance(63)
    assert scene.backend.stopped == [JOB_ID]
    await ended([agent])


@in_loop
async def test_a_job_that_waits_behind_another_is_not_called_hung() -> None:
    scene = Watching(replace(CONFIG, lease_s=600))
    backend = Moody(scene.clock, run_s=50)
    watched = Watched(backend, scene.clock, scene.stop, hung_after_s=60, least_free_mib=0)

    def unheard(_progress: Progress) -> None:
        pass

    works = [Work(run_id=str(number), label=f"{JOB_ID}-{number}", input={}, files={}) for number in (1, 2, 3)]
    runs = [asyncio.create_task(watched.run(work, unheard)) for work in works]
    await scene.clock.advance(155)
    assert all(run.done() and run.exception() is None for run in runs)


@in_loop
async def test_zero_seconds_are_for_ever() -> None:
    scene = Watching()
    scene.hung_after_s = 0
    await scene.submit()
    agent, _ = scene.watched(Moody(scene.clock, run_s=550))
    await scene.clock.advance(552)
    assert scene.job().status is Status.SUCCEEDED
    await ended([agent])


@in_loop
async def test_a_runtime_that_let_go_gets_the_next_job() -> None:
    scene = Watching()
    await scene.submit()
    backend = Moody(scene.clock, run_s=500)
    agent, watched = scene.watched(backend)
    await scene.clock.advance(62)
    backend.run_s = 5
    await scene.submit(message_of(OTHER_ID))
    await scene.clock.advance(20)
    assert scene.job(OTHER_ID).status is Status.SUCCEEDED
    assert await watched.ready()
    await ended([agent])


@pytest.mark.parametrize("stopped_by", ["silence", "timeout", "cancellation"])
@in_loop
async def test_a_runtime_that_does_not_let_go_gets_no_job_and_ends_the_process(stopped_by: str) -> None:
    scene = Watching()
    await scene.submit(message_of(timeout_seconds=30 if stopped_by == "timeout" else 600))
    agent, watched = scene.watched(Moody(scene.clock, run_s=500, holds_on=True))
    await scene.clock.advance(5)
    if stopped_by == "cancellation":
        scene.store.change(JOB_ID, status=Status.CANCELING)
    await scene.clock.advance(60)
    assert not await watched.ready()
    await scene.submit(message_of(OTHER_ID))
    await scene.clock.advance(CONFIG.runtime_wait_s + 10)
    assert scene.job(OTHER_ID).attempt == 0, "no attempt is spent on a runtime that is stuck"
    with pytest.raises(RuntimeGoneError):
        await agent


@in_loop
async def test_work_that_an_earlier_process_left_is_waited_for() -> None:
    scene = Watching()
    backend = Moody(scene.clock, holds_on=True, held=1)
    agent, watched = scene.watched(backend)
    await scene.submit()
    await scene.clock.advance(5)
    assert (await watched.ready(), scene.job().attempt) == (False, 0)
    backend.held = 0
    await scene.clock.advance(15)
    assert scene.job().status is Status.SUCCEEDED
    await ended([agent])


@in_loop
async def test_a_runtime_that_is_at_work_is_ready_and_not_asked_for_its_queue() -> None:
    scene = Watching()
    backend = Moody(scene.clock, run_s=30)
    agent, watched = scene.watched(backend)
    await scene.submit()
    await scene.clock.advance(3)
    await watched.reset()  # as after a stop: what it works on now is somebody's all the same
    asked = backend.asked
    assert await watched.ready()
    assert backend.asked == asked
    await ended([agent])


@in_loop
async def test_too_little_memory_is_freed_once_and_then_ends_the_process_between_two_jobs() -> None:
    scene = Watching()
    scene.least_free_mib = 4000
    backend = Moody(scene.clock, run_s=20, free_mib=[9000, 3000, 2000])
    agent, watched = scene.watched(backend)
    ids = [JOB_ID, OTHER_ID, "22222222-2222-4222-8222-222222222222"]
    for job_id in ids:
        await scene.submit(message_of(job_id))
    await scene.clock.advance(21)
    assert (backend.freed, scene.stop.is_set()) == (0, False)
    await scene.clock.advance(22)
    assert (backend.freed, scene.stop.is_set()) == (1, False)
    await scene.clock.advance(22)
    await agent
    assert [scene.job(job_id).status for job_id in ids] == [Status.SUCCEEDED] * 3, "no job pays for it"
    assert isinstance(watched.reason, RuntimeFullError)
    assert "2000 MiB of memory are left, and 4000 are wanted" in watched.reason.message


@in_loop
async def test_memory_that_was_freed_in_time_keeps_the_runtime() -> None:
    scene = Watching()
    scene.least_free_mib = 4000
    backend = Moody(scene.clock, run_s=20, free_mib=[3000, 9000, 3000])
    agent, watched = scene.watched(backend)
    for job_id in (JOB_ID, OTHER_ID, "22222222-2222-4222-8222-222222222222"):
        await scene.submit(message_of(job_id))
    await scene.clock.advance(66)
    assert (backend.freed, watched.reason, scene.stop.is_set()) == (2, None, False)
    await ended([agent])


@in_loop
async def test_a_runtime_that_does_not_say_how_much_is_left_is_kept() -> None:
    scene = Watching()
    scene.least_free_mib = 4000

    class Silent(Moody):
        async def free_host_bytes(self) -> int | None:
            raise RuntimeFaultError("The runtime answers 500.")

    agent, watched = scene.watched(Silent(scene.clock, run_s=5))
    await scene.submit()
    await scene.clock.advance(8)
    assert (scene.job().status, watched.reason) == (Status.SUCCEEDED, None)
    await ended([agent])
