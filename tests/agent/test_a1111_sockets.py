"""What only a real connection shows: answers that break off, connections that have to last, jobs that begin late."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from aiohttp import web

from agent.edges.a1111 import A1111
from agent.edges.a1111.answer import LONG_BYTES
from agent.errors import RuntimeLostError
from local.painter.embedded import serving
from local.painter.settings import PainterSettings
from sd_async.contract.jobs import RuntimeType
from tests.agent.a1111_server import LISTS, PNG, ignore, made, state, text_of, work_of
from tests.agent.scenario import in_loop

Sleep = Callable[[float], Awaitable[None]]
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


async def at_once(_: float) -> None:
    await asyncio.sleep(0)


@contextlib.asynccontextmanager
async def backend_of(
    job: Handler, progress: Handler, interrupt: Handler | None = None, sleep: Sleep = at_once
) -> AsyncIterator[A1111]:
    async def listed(request: web.Request) -> web.Response:
        return web.json_response(LISTS[request.match_info["name"]])

    app = web.Application()
    root = "/sdapi/v1"
    app.add_routes([web.post(f"{root}/txt2img", job), web.get(f"{root}/progress", progress)])
    app.add_routes([web.post(f"{root}/interrupt", interrupt or progress), web.get(f"{root}/{{name}}", listed)])
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        async with contextlib.aclosing(A1111(url, "webui", sleep=sleep)) as backend:
            yield backend
    finally:
        await runner.cleanup()


def files_in(folder: Path) -> list[Path]:
    return list(folder.iterdir())


async def idle(_: web.Request) -> web.Response:
    return web.json_response(state())


@in_loop
async def test_looks_go_on_after_a_job_that_ended_in_the_middle_of_one() -> None:
    looked, looks = asyncio.Event(), 0

    async def job(request: web.Request) -> web.Response:
        await request.read()
        await looked.wait()
        looked.clear()
        return web.json_response(made(PNG))

    async def progress(_: web.Request) -> web.Response:
        nonlocal looks
        looks += 1
        looked.set()
        await asyncio.Event().wait()
        return web.json_response(state())

    async with backend_of(job, progress) as backend:
        for _ in range(4):
            await backend.run(work_of(), ignore)
    assert looks == 4, "each job ended only once it had been looked at"


@in_loop
async def test_an_answer_that_breaks_off_is_a_lost_runtime_and_leaves_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    async def job(request: web.Request) -> web.StreamResponse:
        await request.read()
        answer = web.StreamResponse(headers={"Content-Type": "application/json", "Content-Length": "1000000"})
        await answer.prepare(request)
        await answer.write(b'{"images": ["' + text_of(PNG + bytes(4 * LONG_BYTES)).encode())
        assert request.transport is not None
        request.transport.close()
        return answer

    async with backend_of(job, idle) as backend:
        with pytest.raises(RuntimeLostError):
            await backend.run(work_of(), ignore)
    assert files_in(tmp_path) == []


@in_loop
async def test_a_closed_backend_leaves_a_job_that_does_not_end() -> None:
    began = asyncio.Event()

    async def job(request: web.Request) -> web.Response:
        await request.read()
        began.set()
        await asyncio.Event().wait()
        return web.Response()

    async with backend_of(job, idle) as backend:
        running = asyncio.create_task(backend.run(work_of(), ignore))
        await began.wait()
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running


@in_loop
async def test_a_look_that_is_not_answered_holds_up_no_stop() -> None:
    looked, stopped = asyncio.Event(), asyncio.Event()

    async def job(request: web.Request) -> web.Response:
        await request.read()
        await stopped.wait()
        return web.json_response(made(PNG))

    async def progress(_: web.Request) -> web.Response:
        looked.set()
        await asyncio.Event().wait()
        return web.json_response(state())

    async def interrupt(_: web.Request) -> web.Response:
        stopped.set()
        return web.json_response({})

    async with backend_of(job, progress, interrupt, asyncio.sleep) as backend:
        running = asyncio.create_task(backend.run(work_of(), ignore))
        await looked.wait()
        running.cancel()
        await asyncio.wait_for(stopped.wait(), 2)
        with pytest.raises(asyncio.CancelledError):
            await running


async def until_ready_for_more(backend: A1111) -> None:
    async with asyncio.timeout(10):
        while await backend.has_work():  # noqa: ASYNC110 - the runtime tells it to whoever asks
            await asyncio.sleep(0.05)


@in_loop
async def test_a_job_that_was_stopped_before_it_began_runs_for_nobody(tmp_path: Path) -> None:
    """It waits for the checkpoint: `progress` knows nothing of it, and its beginning forgets the interrupts so far."""

    async def hurried(seconds: float) -> None:
        await asyncio.sleep(seconds / 20)

    painter = PainterSettings(
        data=tmp_path, type=RuntimeType.A1111, seconds_per_step=0, first_load_s=1.5, has_faults=True
    )
    with serving(painter) as url:
        async with contextlib.aclosing(A1111(url, "webui", sleep=hurried)) as backend:
            running = asyncio.create_task(backend.run(work_of(prompt="a fox <painter:sleep:600>"), ignore))
            await asyncio.sleep(0.3)
            running.cancel()
            with pytest.raises(asyncio.CancelledError):
                await running
            assert await backend.has_work()
            await until_ready_for_more(backend)
            async with asyncio.timeout(10):
                assert await backend.run(work_of(width=64, height=64, steps=1), ignore), "it waits no ten minutes"
