"""The first checkpoint of an A1111: what the agent makes of the one route that waits for it."""

import asyncio
import contextlib
import gc
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agent.edges.a1111 import A1111
from agent.edges.a1111.loading import LOOK_S
from agent.errors import RuntimeLostError
from agent.neighbour import Answer
from agent.worker import Worker
from local.painter.embedded import serving
from local.painter.settings import PainterSettings
from sd_async.contract.jobs import JobType, RuntimeType
from sd_async.contract.states import Status
from tests.agent.a1111_server import WebUi, backend_of, begun, ignore, state, work_of
from tests.agent.scenario import CONFIG, Scenario, ended, in_loop, message_of
from tests.support.clock import FakeClock

RELOAD = "reload-checkpoint"
WORDS = "'NoneType' object has no attribute 'lowvram'"
FAILED = {"error": "AttributeError", "detail": "", "body": "", "errors": WORDS}


@contextlib.asynccontextmanager
async def beside_a_painter(folder: Path, first_load_s: float, **settings: Any) -> AsyncIterator[A1111]:
    painter = PainterSettings(
        data=folder, type=RuntimeType.A1111, seconds_per_step=0, first_load_s=first_load_s, has_faults=True
    )
    with serving(painter) as url:
        async with contextlib.aclosing(A1111(url, "webui", **settings)) as backend:
            yield backend


async def until_ready(backend: A1111) -> float:
    """Seconds that it took."""
    began_s = time.monotonic()
    async with asyncio.timeout(10):
        while not await backend.ready():
            assert backend.is_loading
            await asyncio.sleep(0.01)
    assert not backend.is_loading
    return time.monotonic() - began_s


@in_loop
async def test_a_runtime_is_ready_when_its_first_checkpoint_is_read(tmp_path: Path) -> None:
    said: list[str] = []
    async with beside_a_painter(tmp_path, 1, warn=said.append) as backend:
        assert await until_ready(backend) > 0.7
        assert await backend.run(work_of(width=64, height=64, steps=1, sampler_name="Euler a"), ignore)
    assert said == []


@in_loop
async def test_one_that_takes_too_long_is_ready_before_it_would_be_taken_for_gone(tmp_path: Path) -> None:
    said: list[str] = []
    async with beside_a_painter(tmp_path, 60, wait_s=1.5, warn=said.append) as backend:
        assert 1.1 < await until_ready(backend) < 1.5, "whoever waits for it gives up after the latter"
        assert await backend.ready()
    assert said == ["It is not read after 1 s of waiting; jobs are taken, and wait for it."]


@in_loop
async def test_the_time_counts_from_when_the_runtime_was_missed(tmp_path: Path) -> None:
    said: list[str] = []
    webui = WebUi(is_gone=True, has_loaded=asyncio.Event())
    async with contextlib.aclosing(A1111("http://x", "webui", channel=webui, wait_s=1.5, warn=said.append)) as backend:
        assert not await backend.ready()
        await asyncio.sleep(0.9)
        webui.is_gone = False
        assert await until_ready(backend) < 0.5
    assert len(said) == 1


@in_loop
async def test_each_time_that_it_was_gone_has_a_time_of_its_own() -> None:
    webui = WebUi(is_gone=True)
    async with contextlib.aclosing(A1111("http://x", "webui", channel=webui, wait_s=0.75)) as backend:
        assert not await backend.ready()
        webui.is_gone = False
        assert await backend.ready()
        await asyncio.sleep(0.7)
        webui.is_gone, webui.has_loaded = True, asyncio.Event()
        assert await backend.ready(), "it answered a moment ago"
        with pytest.raises(RuntimeLostError):
            await backend.has_work()
        webui.is_gone = False
        assert not await backend.ready()
        assert backend.is_loading


@pytest.mark.parametrize(
    ("reload", "told"),
    [
        ((200, {}), []),
        ((404, {"detail": "Not Found"}), []),
        ((405, {"detail": "Method Not Allowed"}), []),
        ((422, {"detail": "no"}), ["The runtime refuses the payload: no"]),
        ((500, FAILED), [f"AttributeError: {WORDS} (as when the checkpoint could not be loaded)"]),
        ((502, None), ["The runtime answers 502 to a job."]),
    ],
)
@in_loop
async def test_whatever_the_answer_it_is_over_and_a_failure_is_told(reload: tuple[int, Any], told: list[str]) -> None:
    said: list[str] = []
    webui = WebUi(reload=reload)
    async with contextlib.aclosing(A1111("http://x", "webui", channel=webui, warn=said.append)) as backend:
        assert await backend.ready(), "at the first look, as it costs a second otherwise"
        assert await backend.ready()
    assert webui.asked(RELOAD) == [RELOAD]
    assert said == told


@in_loop
async def test_one_that_would_read_a_second_copy_is_not_asked() -> None:
    webui = WebUi()
    del webui.lists["schedulers"]
    async with backend_of(webui) as backend:
        assert await backend.ready()
    assert webui.asked(RELOAD) == []


@pytest.mark.parametrize(("flags", "is_asked"), [({"skip_load_model_at_start": True}, False), ({}, True), ([], True)])
@in_loop
async def test_one_that_was_told_to_read_none_at_its_start_is_not_asked(flags: Any, *, is_asked: bool) -> None:
    webui = WebUi()
    webui.lists["cmd-flags"] = flags
    async with backend_of(webui) as backend:
        assert await backend.ready()
    assert bool(webui.asked(RELOAD)) is is_asked


class Wordless(WebUi):
    """It cannot express its own flags."""

    async def ask(self, method: str, path: str, **named: Any) -> Answer:
        answer = await super().ask(method, path, **named)
        return Answer(500, "text/plain", b"Internal Server Error") if path.endswith("cmd-flags") else answer


@in_loop
async def test_one_that_cannot_tell_its_flags_is_asked() -> None:
    webui = Wordless()
    async with backend_of(webui) as backend:
        assert await backend.ready()
    assert webui.asked(RELOAD) == [RELOAD]


@pytest.mark.parametrize("count", [-1, 1])
@in_loop
async def test_one_that_works_is_ready_and_asked_only_when_it_is_idle(count: int) -> None:
    webui = WebUi(progress=state(job_count=count))
    async with backend_of(webui) as backend:
        assert await backend.ready()
        assert webui.asked(RELOAD) == [], "never during a job"
        webui.progress = state()
        assert await backend.ready()
    assert webui.asked(RELOAD) == [RELOAD]


@in_loop
async def test_a_job_waits_until_the_question_is_answered() -> None:
    webui = WebUi(has_loaded=asyncio.Event())
    assert webui.has_loaded is not None
    async with backend_of(webui) as backend:
        assert not await backend.ready()
        running = asyncio.create_task(backend.run(work_of(), ignore))
        await asyncio.sleep(0.01)
        assert webui.asked("txt2img") == []
        webui.has_loaded.set()
        assert await running


@in_loop
async def test_several_who_ask_whether_it_is_ready_make_one_question() -> None:
    webui = WebUi(has_loaded=asyncio.Event())
    async with backend_of(webui) as backend:
        assert await asyncio.gather(*(backend.ready() for _ in range(3))) == [False] * 3
    assert webui.asked(RELOAD) == [RELOAD]


@in_loop
async def test_a_job_that_made_a_picture_leaves_nothing_to_ask() -> None:
    webui = WebUi()
    async with backend_of(webui) as backend:
        await backend.run(work_of(), ignore)
        assert await backend.ready()
    assert webui.asked(RELOAD) == []


@in_loop
async def test_while_a_job_of_ours_is_there_it_is_not_asked() -> None:
    webui = WebUi(goes_on=asyncio.Event())
    assert webui.goes_on is not None
    async with backend_of(webui) as backend:
        running = await begun(webui, backend)
        assert await backend.ready(), "it may wait for its checkpoint, of which `progress` tells nothing"
        webui.goes_on.set()
        await running
    assert webui.asked(RELOAD) == []


@in_loop
async def test_while_a_stopped_job_goes_on_it_is_not_asked() -> None:
    webui, clock = WebUi(goes_on=asyncio.Event(), ends_when_interrupted=False), FakeClock()
    async with backend_of(webui, clock) as backend:
        running = await begun(webui, backend)
        running.cancel()
        await clock.advance(10)
        assert await backend.ready()
    assert webui.asked(RELOAD) == []


class Dying(WebUi):
    """It ends while it reads its checkpoint, and comes back."""

    async def ask(self, method: str, path: str, **named: Any) -> Any:
        if path.endswith(RELOAD) and not self.is_lost:
            self.is_lost = self.is_gone = True
        return await super().ask(method, path, **named)


@in_loop
async def test_one_that_ends_while_it_loads_is_gone_and_asked_again_when_it_is_back(
    caplog: pytest.LogCaptureFixture,
) -> None:
    webui = Dying()
    async with backend_of(webui) as backend:
        assert not await backend.ready()
        assert (await backend.ready(), backend.is_loading) == (False, False)
        webui.is_gone = False
        assert await backend.ready()
    assert webui.asked(RELOAD) == [RELOAD, RELOAD]
    del backend
    gc.collect()
    assert caplog.records == [], "asyncio tells of failures that nobody looked at"


@in_loop
async def test_a_closed_backend_asks_no_more(tmp_path: Path) -> None:
    before = asyncio.all_tasks()
    async with beside_a_painter(tmp_path, 60) as backend:
        assert not await backend.ready()
        assert asyncio.all_tasks() > before
    assert asyncio.all_tasks() == before


@in_loop
async def test_an_agent_takes_no_job_while_its_runtime_loads() -> None:
    scene = Scenario(config=replace(CONFIG, runtime_name="webui", runtime_type=RuntimeType.A1111))
    await scene.submit(message_of(runtime="webui", type=JobType.TEXT_TO_IMAGE, input={"prompt": "a fox"}))
    webui = WebUi(has_loaded=asyncio.Event())
    assert webui.has_loaded is not None
    async with backend_of(webui, scene.clock) as backend:
        ports = replace(scene.ports(scene.backend), backend=backend)
        agent = asyncio.create_task(Worker(scene.config, ports, scene.stop).run())
        for is_read, status in [(False, Status.QUEUED), (True, Status.SUCCEEDED)]:
            if is_read:
                webui.has_loaded.set()
            for _ in range(3):
                await asyncio.sleep(LOOK_S + 0.05)
                await scene.clock.advance(2)
            assert scene.job().status is status
            assert scene.queue.visible_in_s() == ([] if is_read else [0])
        await ended([agent])
