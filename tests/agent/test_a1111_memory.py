"""Memory as AUTOMATIC1111 tells it, of the GPU and of the host."""

import math
from typing import Any

import pytest

from agent.errors import RuntimeLostError
from agent.ports import GpuMemory, TellsGpuMemory, TellsHostMemory
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


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ({"ram": {"free": 8 * 1024**3, "used": 1, "total": 2}}, 8 * 1024**3),
        ({"ram": {"free": 8589934592.75, "used": 1, "total": 2}}, 8589934592),
        ({"ram": {"error": "no module named psutil"}, "cuda": {}}, None),
        ({"ram": {"free": "much"}}, None),
        ({"ram": {"free": True}}, None),
        ({"ram": {"free": math.nan}}, None),
        ({"ram": []}, None),
        ([], None),
    ],
    ids=str,
)
@in_loop
async def test_the_hosts_free_memory_is_what_it_says(answer: Any, expected: int | None) -> None:
    webui = WebUi()
    webui.lists["memory"] = answer
    async with backend_of(webui) as backend:
        assert isinstance(backend, TellsHostMemory)
        assert await backend.free_host_bytes() == expected


@in_loop
async def test_a_version_without_the_route_does_not_say() -> None:
    webui = WebUi()
    del webui.lists["memory"]
    async with backend_of(webui) as backend:
        assert await backend.free_host_bytes() is None


@in_loop
async def test_a_runtime_that_is_gone_is_told_as_such() -> None:
    async with backend_of(WebUi(is_gone=True)) as backend:
        with pytest.raises(RuntimeLostError):
            await backend.gpu_memory()
        with pytest.raises(RuntimeLostError):
            await backend.free_host_bytes()
