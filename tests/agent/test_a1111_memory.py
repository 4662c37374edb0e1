"""GPU memory as AUTOMATIC1111 tells it."""

from typing import Any

import pytest

from agent.errors import RuntimeLostError
from agent.ports import GpuMemory, TellsGpuMemory
from tests.agent.a1111_server import WebUi, backend_of
from tests.agent.scenario import in_loop


async def memory(answer: Any) -> list[GpuMemory]:
    webui = WebUi()
    webui.lists["memory"] = answer
    async with backend_of(webui) as backend:
        assert isinstance(backend, TellsGpuMemory)
        return list(await backend.gpu_memory())


@in_loop
async def test_the_gpu_has_what_the_driver_says_of_it() -> None:
    told = {"ram": {"used": 1}, "cuda": {"system": {"free": 15, "used": 9, "total": 24}, "events": {"oom": 0}}}
    assert await memory(told) == [GpuMemory("cuda:0", 24, 9)]


@pytest.mark.parametrize(
    "answer", [[], {"cuda": {"error": "no CUDA"}}, {"cuda": {"system": {"total": "24", "used": 9}}}], ids=str
)
def test_what_is_no_answer_is_no_memory(answer: Any) -> None:
    @in_loop
    async def run() -> None:
        assert await memory(answer) == []

    run()


@in_loop
async def test_a_runtime_that_is_gone_is_told_as_such() -> None:
    async with backend_of(WebUi(is_gone=True)) as backend:
        with pytest.raises(RuntimeLostError):
            await backend.gpu_memory()
