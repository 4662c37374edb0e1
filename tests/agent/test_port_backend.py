"""One suite over the fake runtime and the two real edges, each beside a painter that speaks its protocol."""

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from agent.edges.a1111 import A1111
from agent.edges.clock import SystemClock
from agent.edges.comfyui import ComfyUI
from agent.errors import JobError, NodeFailedError
from agent.ports import Work
from local.painter.embedded import serving
from local.painter.settings import PainterSettings
from sd_async.contract.jobs import JobType, Progress, RuntimeType
from tests.agent.ports import BackendUnderTest
from tests.agent.scenario import in_loop
from tests.journeys import graphs
from tests.support.fakes import FakeBackend

KINDS = ("fake", *RuntimeType)
NAME = "given.png"


def comfyui_work(seconds: float = 0.0, *, picture: Path | None = None) -> Work:
    graph = graphs.slow(seconds) if seconds else graphs.colour(uuid.uuid4().int % 0xFFFFFF)
    if picture:
        graph["1"] = {"class_type": "LoadImage", "inputs": {"image": NAME}}
    return _work(graph, picture, JobType.WORKFLOW)


def a1111_work(seconds: float = 0.0, *, picture: Path | None = None) -> Work:
    payload: dict[str, Any] = {"prompt": "a fox", "width": 64, "height": 64, "steps": 2}
    if seconds:
        payload["prompt"] += f" <painter:sleep:{seconds}>"
    if picture:
        payload = {"image": NAME}
    return _work(payload, picture, JobType.EXTRA_SINGLE_IMAGE if picture else JobType.TEXT_TO_IMAGE)


def _work(body: dict[str, Any], picture: Path | None, kind: JobType) -> Work:
    name = str(uuid.uuid4())
    return Work(name, f"{name}-1", body, {NAME: picture} if picture else {}, kind)


BROKEN_GRAPH = {"1": {"class_type": "NoSuchNode", "inputs": {}}}
BROKEN_PAYLOAD = {"prompt": "a fox", "sampler_name": "no such sampler"}


@contextlib.asynccontextmanager
async def backend_of(kind: str, folder: Path) -> AsyncIterator[BackendUnderTest]:
    if kind == "fake":
        fake = FakeBackend(SystemClock(), run_s=0)

        def work(seconds: float = 0.0, *, picture: Path | None = None) -> Work:
            fake.run_s = seconds
            return comfyui_work(picture=picture)

        broken = comfyui_work()
        fake.broken = {broken.run_id: NodeFailedError("no luck")}
        yield BackendUnderTest(fake, work, broken)
        return
    with serving(PainterSettings(data=folder, type=RuntimeType(kind), seconds_per_step=0, has_faults=True)) as url:
        if kind == RuntimeType.COMFYUI:
            async with contextlib.aclosing(ComfyUI(url, "agent-0", poll_s=0.05)) as comfyui:
                yield BackendUnderTest(comfyui, comfyui_work, _work(BROKEN_GRAPH, None, JobType.WORKFLOW))
        else:
            async with contextlib.aclosing(A1111(url, "webui")) as a1111:
                yield BackendUnderTest(a1111, a1111_work, _work(BROKEN_PAYLOAD, None, JobType.TEXT_TO_IMAGE))


@pytest.mark.parametrize("kind", KINDS)
@in_loop
async def test_a_work_gives_artifacts_that_can_be_read_and_tells_of_its_progress(kind: str, tmp_path: Path) -> None:
    seen: list[Progress] = []
    async with backend_of(kind, tmp_path) as under_test:
        backend = under_test.port
        assert await backend.ready()
        made = await backend.run(under_test.work(), seen.append)
        content = [b"".join([chunk async for chunk in backend.read(artifact)]) for artifact in made]
    assert made
    assert all(content)
    assert len({artifact.name for artifact in made}) == len(made)
    assert not any("/" in artifact.name for artifact in made)
    assert seen, "whoever waits hears that it began"
    assert all(0 <= progress.value <= 1 for progress in seen)


@pytest.mark.parametrize("kind", KINDS)
@in_loop
async def test_a_file_goes_in_where_its_name_stands(kind: str, tmp_path: Path) -> None:
    picture = tmp_path / "p.png"
    Image.new("RGB", (48, 32), (10, 200, 30)).save(picture)
    async with backend_of(kind, tmp_path / "painter") as under_test:
        artifact, *_ = await under_test.port.run(under_test.work(picture=picture), lambda _: None)
        body = b"".join([chunk async for chunk in under_test.port.read(artifact)])
    if kind == "fake":
        return
    (tmp_path / "made.png").write_bytes(body)
    with Image.open(tmp_path / "made.png") as made:
        assert (made.size, made.convert("RGB").getpixel((5, 5))) == ((48, 32), (10, 200, 30))


@pytest.mark.parametrize("kind", KINDS)
@in_loop
async def test_a_work_that_is_canceled_is_stopped_and_the_next_one_is_done(kind: str, tmp_path: Path) -> None:
    begun = asyncio.Event()
    async with backend_of(kind, tmp_path) as under_test:
        running = asyncio.create_task(under_test.port.run(under_test.work(600), lambda _: begun.set()))
        await begun.wait()
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert await under_test.port.run(under_test.work(), lambda _: None), "it does not wait for ten minutes"


@pytest.mark.parametrize("kind", KINDS)
@in_loop
async def test_a_work_that_fails_leaves_the_runtime_to_the_next_one(kind: str, tmp_path: Path) -> None:
    async with backend_of(kind, tmp_path) as under_test:
        with pytest.raises(JobError):
            await under_test.port.run(under_test.broken, lambda _: None)
        assert await under_test.port.run(under_test.work(), lambda _: None)


@pytest.mark.parametrize("kind", KINDS)
@in_loop
async def test_a_runtime_that_was_reset_or_gave_its_memory_back_works_on(kind: str, tmp_path: Path) -> None:
    async with backend_of(kind, tmp_path) as under_test:
        await under_test.port.reset()
        await under_test.port.run(under_test.work(), lambda _: None)
        await under_test.port.free()
        assert await under_test.port.run(under_test.work(), lambda _: None)
        assert await under_test.port.ready()
