"""What ComfyUI tells whoever watches over it."""

from typing import Any

import pytest

from agent.errors import RuntimeLostError
from agent.ports import TellsHostMemory, TellsWork
from local.processes import free_port
from tests.agent.comfyui_client import backend_of, client
from tests.agent.comfyui_server import Script
from tests.agent.scenario import JOB_ID, in_loop

OWN = [1, JOB_ID, {}, {"sd_async_agent": "comfy-0"}, []]
FOREIGN = [2, JOB_ID, {}, {"sd_async_agent": "another"}, []]


@pytest.mark.parametrize(
    ("running", "has_work"),
    [([], False), ([OWN], True), ([FOREIGN], False), ([FOREIGN, OWN], True), ([[1], []], False)],
)
@in_loop
async def test_work_of_this_agent_is_told_from_others(running: list[Any], *, has_work: bool) -> None:
    async with backend_of(Script(queue_running=running)) as backend:
        assert isinstance(backend, TellsWork)
        assert await backend.has_work() is has_work


@pytest.mark.parametrize(
    ("system", "expected"), [({"ram_free": 8 * 1024**3}, 8 * 1024**3), ({}, None), ({"ram_free": "much"}, None)]
)
@in_loop
async def test_the_hosts_free_memory_is_what_system_stats_says(system: dict[str, Any], expected: int | None) -> None:
    async with backend_of(Script(stats={"system": system, "devices": []})) as backend:
        assert isinstance(backend, TellsHostMemory)
        assert await backend.free_host_bytes() == expected


@in_loop
async def test_one_that_is_gone_tells_neither() -> None:
    backend = client(f"http://127.0.0.1:{free_port()}")
    with pytest.raises(RuntimeLostError):
        await backend.has_work()
    with pytest.raises(RuntimeLostError):
        await backend.free_host_bytes()
    await backend.aclose()
