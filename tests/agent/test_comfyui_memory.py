"""GPU memory as ComfyUI tells it."""

import contextlib
from typing import Any

import pytest

from agent.errors import RuntimeLostError
from agent.ports import GpuMemory, TellsGpuMemory
from tests.agent.comfyui_client import backend_of, client
from tests.agent.comfyui_server import Script
from tests.agent.scenario import in_loop

STATS = {
    "system": {"os": "posix"},
    "devices": [
        {"name": "cuda:0 NVIDIA L4 : cudaMallocAsync", "type": "cuda", "index": 0, "vram_total": 24, "vram_free": 15},
        {"name": "cpu", "type": "cpu", "index": None, "vram_total": 64, "vram_free": 1},
    ],
}


async def memory(answer: Any) -> list[GpuMemory]:
    async with backend_of(Script(stats=answer)) as backend:
        assert isinstance(backend, TellsGpuMemory)
        return list(await backend.gpu_memory())


@in_loop
async def test_each_gpu_has_its_memory_and_a_cpu_is_none() -> None:
    assert await memory(STATS) == [GpuMemory("cuda:0", 24, 9)]


@pytest.mark.parametrize(
    "answer", [None, [], {}, {"devices": None}, {"devices": ["x", {}]}, {"devices": [{"vram_total": "1"}]}], ids=str
)
def test_what_is_no_answer_is_no_memory(answer: Any) -> None:
    @in_loop
    async def run() -> None:
        assert await memory(answer) == []

    run()


@in_loop
async def test_a_runtime_that_is_gone_is_told_as_such() -> None:
    async with contextlib.aclosing(client("http://127.0.0.1:9")) as backend:
        with pytest.raises(RuntimeLostError):
            await backend.gpu_memory()
