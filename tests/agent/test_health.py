"""The kubelet's questions."""

import asyncio
import contextlib

import httpx
import pytest

from agent import health
from agent.errors import ConfigError
from tests.agent.scenario import in_loop


async def yes() -> bool:
    return True


async def no() -> bool:
    return False


@in_loop
async def test_it_is_alive_whatever_the_runtime_does_and_ready_only_when_that_answers() -> None:
    async with health.serving("127.0.0.1", 0, no) as port, httpx.AsyncClient() as client:
        assert (await client.get(f"http://127.0.0.1:{port}/livez")).status_code == 200
        assert (await client.get(f"http://127.0.0.1:{port}/readyz")).status_code == 503
    async with health.serving("127.0.0.1", 0, yes) as port, httpx.AsyncClient() as client:
        assert (await client.get(f"http://127.0.0.1:{port}/readyz?verbose")).status_code == 200


@in_loop
async def test_anything_else_is_told_no() -> None:
    async with health.serving("127.0.0.1", 0, yes) as port, httpx.AsyncClient() as client:
        assert (await client.get(f"http://127.0.0.1:{port}/metrics")).status_code == 404
        assert (await client.post(f"http://127.0.0.1:{port}/livez")).status_code == 405


@pytest.mark.parametrize("words", [b"", b"\r\n\r\n", b"GET", b"x" * 100_000, b"GET /livez\r\n\r\n"])
@in_loop
async def test_no_words_of_a_client_end_it(words: bytes) -> None:
    async with health.serving("127.0.0.1", 0, yes) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(words)
        writer.write_eof()
        with contextlib.suppress(ConnectionError):  # it may hang up before all is read
            await reader.read()
        writer.close()
        async with httpx.AsyncClient() as client:
            assert (await client.get(f"http://127.0.0.1:{port}/livez")).status_code == 200


@in_loop
async def test_a_port_that_is_taken_is_told_by_the_variables_name() -> None:
    async with health.serving("127.0.0.1", 0, yes) as port:
        with pytest.raises(ConfigError, match=f"SD_HEALTH_PORT is {port} and SD_POD_IP is"):
            async with health.serving("127.0.0.1", port, yes):
                raise AssertionError("it listens twice")
