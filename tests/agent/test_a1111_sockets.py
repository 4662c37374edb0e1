"""What only a real connection shows: answers that break off, and connections that have to last."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from aiohttp import web

from agent.edges.a1111 import A1111
from agent.edges.a1111.answer import LONG_BYTES
from agent.errors import RuntimeLostError
from tests.agent.a1111_server import LISTS, PNG, ignore, made, state, text_of, work_of
from tests.agent.scenario import in_loop

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


async def at_once(_: float) -> None:
    await asyncio.sleep(0)


@contextlib.asynccontextmanager
async def backend_of(job: Handler, progress: Handler) -> AsyncIterator[A1111]:
    async def listed(request: web.Request) -> web.Response:
        return web.json_response(LISTS[request.match_info["name"]])

    app = web.Application()
    root = "/sdapi/v1"
    app.add_routes([web.post(f"{root}/txt2img", job), web.get(f"{root}/progress", progress)])
    app.add_routes([web.post(f"{root}/interrupt", progress), web.get(f"{root}/{{name}}", listed)])
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        async with contextlib.aclosing(A1111(url, "webui", sleep=at_once)) as backend:
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
