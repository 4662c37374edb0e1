"""What `/readyz` tells of a runtime from its start to its return, by the two edges over real sockets."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any

import httpx
import pytest

from agent.edges.a1111 import A1111
from agent.edges.comfyui import ComfyUI
from agent.observing import observing
from agent.watch import Watched
from local.processes import free_port
from tests.agent.scenario import CONFIG, Scenario, in_loop

NOT_LISTENING, PAGE_ONLY, SERVING = None, 404, 200
Driver = Callable[[str], Any]


def comfyui(url: str) -> ComfyUI:
    return ComfyUI(url, "comfy-0")


def a1111(url: str) -> A1111:
    return A1111(url, "webui")


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
    scene, port, mine = Scenario(), free_port(), replace(CONFIG, health_port=free_port())
    told = [("", 0)]
    async with contextlib.aclosing(driver(f"http://127.0.0.1:{port}")) as backend:
        watched = Watched(backend, scene.clock, scene.stop, hung_after_s=60, least_free_mib=0)
        ports = replace(scene.ports(scene.backend), backend=watched)
        async with observing(mine, ports, scene.stop):
            for status in life:
                async with runtime(port, status):
                    told.append(await changed(mine.health_port, told[-1][0]))
    assert told[1:] == [(state, 200 if state == "ready" else 503) for state in expected]
