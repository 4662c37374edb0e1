"""AUTOMATIC1111 between its start and its API: over a real socket, as that is where the difference lies."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from agent.edges.a1111 import A1111, FRESH_S
from agent.edges.a1111.api import Api
from agent.edges.a1111.body import Body
from agent.ports import TellsLoading
from local.processes import free_port
from tests.agent.a1111_server import WebUi, backend_of
from tests.agent.scenario import in_loop


@contextlib.asynccontextmanager
async def answering(status: int) -> AsyncIterator[int]:
    """Port of a server that has this to say to anything."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(f"HTTP/1.1 {status} So\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{{}}".encode())
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1]


async def seen_at(port: int) -> tuple[bool, bool]:
    async with contextlib.aclosing(A1111(f"http://127.0.0.1:{port}", "webui")) as backend:
        assert isinstance(backend, TellsLoading)
        return await backend.ready(), backend.is_loading


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (404, (False, True)),
        (503, (False, True)),
        (401, (False, False)),
        (500, (False, False)),
        (200, (True, False)),
    ],
)
@in_loop
async def test_pages_without_an_api_are_a_runtime_that_loads(status: int, expected: tuple[bool, bool]) -> None:
    async with answering(status) as port:
        assert await seen_at(port) == expected


@in_loop
async def test_one_that_does_not_listen_does_not_load() -> None:
    assert await seen_at(free_port()) == (False, False)


@in_loop
async def test_what_it_told_last_is_what_counts() -> None:
    webui = WebUi(has_api=False)
    async with backend_of(webui) as backend:
        told = []
        for has_api, is_gone in [(False, False), (False, True), (False, False), (True, False)]:
            webui.has_api, webui.is_gone = has_api, is_gone
            told.append((await backend.ready(), backend.is_loading))
    assert told == [(False, True), (False, False), (False, True), (True, False)]


@pytest.mark.parametrize(("status", "is_there"), [(200, True), (404, False), (503, False)])
@in_loop
async def test_a_job_that_is_refused_is_no_sign_that_the_api_is_there(status: int, *, is_there: bool) -> None:
    api = Api(WebUi(answer=(status, {})))
    async with api.job("txt2img", Body({}, {})):
        pass
    assert api.answered_within(FRESH_S) is is_there
