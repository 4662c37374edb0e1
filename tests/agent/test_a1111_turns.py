"""Two A1111 jobs at once: one samples, while the answer to the one before it is still on its way."""

import asyncio

import pytest

from agent.ports import Backend
from sd_async.contract.jobs import Progress
from tests.agent.a1111_server import WebUi, backend_of, begun, ignore, state, work_of
from tests.agent.scenario import in_loop
from tests.support.clock import FakeClock


async def first_is_arriving(
    backend: Backend, webui: WebUi, clock: FakeClock, seen: list[Progress]
) -> asyncio.Task[object]:
    """A job that the runtime is done with, and whose pictures are still to come."""
    webui.arrives = asyncio.Event()
    first = asyncio.create_task(backend.run(work_of(seed=1), seen.append))
    await webui.began.wait()
    await clock.settle()
    webui.began.clear()
    return first


@in_loop
async def test_the_next_job_is_sent_as_soon_as_the_answer_to_the_last_one_begins() -> None:
    webui, clock, seen = WebUi(goes_on=asyncio.Event()), FakeClock(), list[Progress]()
    assert webui.goes_on is not None
    async with backend_of(webui, clock) as backend:
        first = asyncio.create_task(backend.run(work_of(seed=1), ignore))
        second = asyncio.create_task(backend.run(work_of(seed=2), seen.append))
        await webui.began.wait()
        await clock.settle()
        assert [payload["seed"] for payload in webui.payloads] == [1], "the runtime's own queue holds nothing"
        assert seen == [], "a job that waits has not begun"
        webui.arrives = asyncio.Event()
        webui.goes_on.set()
        await clock.settle()
        assert [payload["seed"] for payload in webui.payloads] == [1, 2]
        assert not first.done(), "its pictures are still to come"
        webui.arrives.set()
        assert await first
        assert await second


@in_loop
async def test_what_the_runtime_tells_of_its_progress_is_the_next_jobs_by_then() -> None:
    webui, clock, of_first = WebUi(), FakeClock(), list[Progress]()
    async with backend_of(webui, clock) as backend:
        first = await first_is_arriving(backend, webui, clock, of_first)
        webui.goes_on, told = asyncio.Event(), len(of_first)
        second = asyncio.create_task(backend.run(work_of(seed=2), ignore))
        await webui.began.wait()
        webui.progress = state(progress=0.5, job_count=1, sampling_step=5, sampling_steps=10, interrupted=True)
        await clock.advance(5)
        assert len(of_first) == told
        assert webui.arrives is not None
        webui.arrives.set()
        assert await first, "nobody interrupted this one"
        second.cancel()
        with pytest.raises(asyncio.CancelledError):
            await second


@in_loop
async def test_a_job_that_is_canceled_while_its_answer_arrives_leaves_the_next_one_alone() -> None:
    webui, clock = WebUi(), FakeClock()
    async with backend_of(webui, clock) as backend:
        first = await first_is_arriving(backend, webui, clock, [])
        webui.goes_on = asyncio.Event()
        second = asyncio.create_task(backend.run(work_of(seed=2), ignore))
        await webui.began.wait()
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        assert webui.asked("interrupt") == []
        assert webui.arrives is not None
        webui.arrives.set()
        webui.goes_on.set()
        assert await second


@in_loop
async def test_a_job_that_is_canceled_while_it_waits_was_never_sent() -> None:
    webui, clock = WebUi(goes_on=asyncio.Event()), FakeClock()
    assert webui.goes_on is not None
    async with backend_of(webui, clock) as backend:
        first = asyncio.create_task(backend.run(work_of(seed=1), ignore))
        await webui.began.wait()
        second = asyncio.create_task(backend.run(work_of(seed=2), ignore))
        await clock.settle()
        second.cancel()
        with pytest.raises(asyncio.CancelledError):
            await second
        webui.goes_on.set()
        assert await first
        assert [payload["seed"] for payload in webui.payloads] == [1]
        assert webui.asked("interrupt") == []


@in_loop
async def test_memory_is_given_back_between_jobs_only() -> None:
    webui = WebUi(goes_on=asyncio.Event())
    assert webui.goes_on is not None
    async with backend_of(webui) as backend:
        running = await begun(webui, backend)
        freeing = asyncio.create_task(backend.free())
        await FakeClock().settle()
        assert not webui.asked("unload-checkpoint")
        webui.goes_on.set()
        await asyncio.gather(running, freeing)
    assert webui.calls[-3:] == ["txt2img", "unload-checkpoint", "reload-checkpoint"]
