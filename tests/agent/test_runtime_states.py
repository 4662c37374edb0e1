"""What `/readyz` tells of a runtime from its start to its return, by the two edges over real sockets."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from agent.edges.a1111 import A1111
from agent.edges.comfyui import ComfyUI
from agent.observing import observing
from agent.watch import Watched
from local.painter.embedded import started
from local.painter.settings import PainterSettings
from local.processes import free_port
from sd_async.contract.jobs import RuntimeType
from tests.agent.scenario import CONFIG, Scenario, in_loop

NOT_LISTENING, PAGE_ONLY, SERVING = None, 404, 200
Driver = Callable[[str], Any]


def comfyui(url: str) -> ComfyUI:
    return ComfyUI(url, "comfy-0")


def a1111(url: str) -> A1111:
    return A1111(url, "webui")


@contextlib.asynccontextmanager
async def told_by(backend: Any) -> AsyncIterator[Callable[[], Awaitable[str]]]:
    """The next state that an agent with this runtime tells."""
    scene, mine = Scenario(), replace(CONFIG, health_port=free_port())
    seen = [("", 0)]

    async def following() -> str:
        seen.append(await changed(mine.health_port, seen[-1][0]))
        assert seen[-1][1] == (200 if seen[-1][0] == "ready" else 503)
        return seen[-1][0]

    async with contextlib.aclosing(backend):
        watched = Watched(backend, scene.clock, scene.stop, hung_after_s=60, least_free_mib=0)
        async with observing(mine, replace(scene.ports(scene.backend), backend=watched), scene.stop):
            yield following


@contextlib.asynccontextmanager
async def runtime(port: int, status: int | None) -> AsyncIterator[None]:
    """It answers everything with `status`, or does not listen."""
    if status is None:
        yield
        return

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        head = (
            f"HTTP/1.1 {status} So\r\nContent-Type: application/json\r\nContent-Length: 2\r\nConnection: close\r\n\r\n"
        )
        writer.write(head.encode() + b"{}")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", port):
        yield


# The chart starts A1111 with `--nowebui`: like ComfyUI it listens only when its API is there.
LIVES = [
    (comfyui, [NOT_LISTENING, SERVING, NOT_LISTENING, SERVING], ["starting", "ready", "runtime_gone", "ready"]),
    (a1111, [NOT_LISTENING, SERVING, NOT_LISTENING, SERVING], ["starting", "ready", "runtime_gone", "ready"]),
    (
        a1111,
        [NOT_LISTENING, PAGE_ONLY, SERVING, NOT_LISTENING, PAGE_ONLY, SERVING],
        ["starting", "runtime_loading", "ready", "runtime_gone", "runtime_loading", "ready"],
    ),
]


async def changed(health_port: int, before: str) -> tuple[str, int]:
    """Its next state and how it is answered; who answered a moment ago is not asked at once whether it is there."""
    async with httpx.AsyncClient() as client:
        while True:
            answer = await client.get(f"http://127.0.0.1:{health_port}/readyz")
            if (state := answer.json()["state"]) != before:
                return state, answer.status_code
            await asyncio.sleep(0.05)


@pytest.mark.parametrize(("driver", "life", "expected"), LIVES, ids=["comfyui", "a1111", "a1111-with-its-page"])
@in_loop
async def test_each_part_of_a_runtimes_life_has_its_name(
    driver: Driver, life: list[int | None], expected: list[str]
) -> None:
    port = free_port()
    async with told_by(driver(f"http://127.0.0.1:{port}")) as following:
        told = []
        for status in life:
            async with runtime(port, status):
                told.append(await following())
    assert told == expected


@in_loop
async def test_an_a1111_loads_until_its_first_checkpoint_is_read_and_again_when_it_is_back(tmp_path: Path) -> None:
    port = free_port()
    settings = PainterSettings(data=tmp_path, type=RuntimeType.A1111, seconds_per_step=0, first_load_s=1)
    async with told_by(a1111(f"http://127.0.0.1:{port}")) as following:
        told = [await following()]
        for _ in range(2):
            runner, _ = await started(settings, "127.0.0.1", port)
            began_s = time.monotonic()
            told += [await following(), await following()]
            assert time.monotonic() - began_s > 0.9
            await runner.cleanup()
            told.append(await following())
    assert told == ["starting", "runtime_loading", "ready", "runtime_gone", "runtime_loading", "ready", "runtime_gone"]
