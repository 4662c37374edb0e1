"""The observers around a worker: what they add, what they leave alone, and that they are gone afterwards."""

import asyncio
import json
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Never

import httpx
import pytest

from agent import telemetry
from agent.config import Config
from agent.errors import RuntimeGoneError
from agent.health import State
from agent.observing import observing
from agent.telemetry.closing import LISTENERS
from agent.watch import Watched
from agent.worker import Worker
from local.processes import free_port
from sd_async.contract.agents import AgentState, agents_in
from sd_async.contract.states import Status
from tests.agent.closings import MARKS, line, value
from tests.agent.collector import collecting
from tests.agent.said import saying
from tests.agent.scenario import CONFIG, Scenario, in_loop
from tests.support.fakes import FakeBackend, FakeStore

ROOT = Path(__file__).parents[2]


def config(**changes: Any) -> Config:
    return replace(CONFIG, health_port=free_port(), **changes)


async def asked(config: Config, path: str) -> httpx.Response:
    async with httpx.AsyncClient() as client:
        return await client.get(f"http://127.0.0.1:{config.health_port}{path}")


@in_loop
async def test_an_agents_states_are_told_by_name() -> None:
    scene, mine = Scenario(), config()
    scene.backend.is_up = False
    told = []
    async with observing(mine, scene.ports(scene.backend), scene.stop):
        told.append((await asked(mine, "/readyz")).json()["state"])
        scene.backend.is_up = True
        told.append((await asked(mine, "/readyz")).json()["state"])
        scene.backend.is_up = False
        told.append((await asked(mine, "/readyz")).json()["state"])
        scene.stop.set()
        told.append((await asked(mine, "/readyz")).json()["state"])
    assert told == ["starting", "ready", "runtime_gone", "draining"]


@dataclass
class Moody(FakeBackend):
    """is_loading, holds_on: what it tells of itself besides."""

    is_loading: bool = False
    holds_on: bool = False

    async def ready(self) -> bool:
        return self.is_up and not self.is_loading

    async def has_work(self) -> bool:
        return self.holds_on


@in_loop
async def test_a_runtime_that_listens_or_will_not_let_go_is_not_called_gone() -> None:
    scene, mine = Scenario(), config()
    backend = Moody(scene.clock, is_up=False)
    watched = Watched(backend, scene.clock, scene.stop, hung_after_s=60, least_free_mib=0)
    told = []

    async def tell() -> None:
        answer = await asked(mine, "/readyz")
        told.append((answer.json()["state"], answer.status_code))

    async with observing(mine, replace(scene.ports(backend), backend=watched), scene.stop):
        await tell()
        backend.is_up = backend.is_loading = True
        await tell()
        backend.is_loading = False
        await tell()
        await watched.reset()
        backend.holds_on = True
        await tell()
        assert value((await asked(mine, "/metrics")).content, "sd_agent_state", {"state": "runtime_stuck"}) == 1
        backend.is_up = False
        await tell()
        backend.is_up, backend.holds_on = True, False
        await tell()
    words = ["starting", "runtime_loading", "ready", "runtime_stuck", "runtime_gone", "ready"]
    assert told == [(word, 200 if word == "ready" else 503) for word in words]


def test_every_state_of_an_agent_that_takes_jobs_can_be_told() -> None:
    assert {state.value for state in State if state is not State.DRAINING} | {"busy"} == set(AgentState)


@in_loop
async def test_what_an_agent_is_reaches_the_table_and_is_gone_with_it() -> None:
    scene, mine = Scenario(), config()
    backend = Moody(scene.clock, is_up=False)
    watched = Watched(backend, scene.clock, scene.stop, hung_after_s=60, least_free_mib=0)
    told = []

    async def tell(seconds: float = 2) -> None:
        await scene.clock.advance(seconds)
        told.append({agent: note.state.value for agent, note in agents_in(scene.store.agents["comfy"]).items()})

    async with observing(mine, replace(scene.ports(backend), backend=watched), scene.stop) as ports:
        working = asyncio.create_task(Worker(mine, ports, scene.stop).run())
        await tell()
        backend.is_up = backend.is_loading = True
        await tell()
        backend.is_loading = False
        await tell()
        backend.run_s = 20
        await scene.submit()
        await tell(10)
        await tell(20)
        backend.is_up = False
        await asked(mine, "/readyz")  # as the kubelet does
        await tell()
        scene.stop.set()
        await tell(0)
        await working
    states = ["starting", "runtime_loading", "ready", "busy", "ready", "runtime_gone"]
    assert told == [*({"comfy-0": state} for state in states), {}]


@in_loop
async def test_an_agent_that_fails_is_told_of_no_more() -> None:
    scene, mine = Scenario(), config()
    scene.backend.is_up = False

    async def run() -> None:
        async with observing(mine, scene.ports(scene.backend), scene.stop) as ports:
            await Worker(mine, ports, scene.stop).run()

    running = asyncio.create_task(run())
    await scene.clock.advance(10)
    assert set(agents_in(scene.store.agents["comfy"])) == {"comfy-0"}
    await scene.clock.advance(CONFIG.runtime_wait_s)
    with pytest.raises(RuntimeGoneError):
        await running
    assert agents_in(scene.store.agents["comfy"]) == {}


@in_loop
async def test_a_table_that_hangs_holds_up_the_end_of_an_agent_for_half_a_second_at_most() -> None:
    scene, mine = Scenario(), config()
    scene.store = HangingStore()
    before_s = scene.clock.monotonic_s()

    async def run() -> None:
        async with observing(mine, scene.ports(scene.backend), scene.stop):
            await scene.stop.wait()

    running = asyncio.create_task(run())
    await scene.clock.advance(5)
    scene.stop.set()
    await scene.clock.advance(0.5)
    await running
    assert scene.clock.monotonic_s() - before_s == 5.5


class HangingStore(FakeStore):
    async def tell(self, *_: object, **__: object) -> Never:
        await asyncio.Event().wait()
        raise AssertionError("nobody sets it")


@in_loop
async def test_a_bug_in_telling_ends_no_worker_and_is_said() -> None:
    scene, mine = Scenario(), config()
    scene.store.faults.add("tell", KeyError("a bug"))
    await scene.submit()
    with saying() as stream:
        async with observing(mine, scene.ports(scene.backend), scene.stop) as ports:
            working = asyncio.create_task(Worker(mine, ports, scene.stop).run())
            await scene.clock.advance(20)
            scene.stop.set()
            await scene.clock.advance(1)
            await working
    assert scene.job().status is Status.SUCCEEDED
    assert "presence ended" in stream.getvalue()


@in_loop
async def test_a_worker_behind_them_does_its_job_and_the_scrape_shows_it() -> None:
    scene, mine = Scenario(), config()
    await scene.submit()
    outcome = {"outcome": "succeeded", "error": ""}
    async with observing(mine, scene.ports(scene.backend), scene.stop) as ports:
        before = (await asked(mine, "/metrics")).content
        working = asyncio.create_task(Worker(mine, ports, scene.stop).run())
        await scene.clock.advance(5)
        during = (await asked(mine, "/metrics")).content
        await scene.clock.advance(20)
        after = (await asked(mine, "/metrics")).content
        scene.stop.set()
        await scene.clock.advance(30)
        await working
    assert value(during, "sd_agent_running_jobs") == 1
    assert value(after, "sd_agent_running_jobs") == 0
    count = value(after, "sd_agent_jobs_total", outcome)
    assert count == (value(before, "sd_agent_jobs_total", outcome) or 0) + 1
    assert value(after, "sd_agent_build_info", {"version": "0.1.0", "runtime": "comfy", "runtime_type": "comfyui"}) == 1


@pytest.mark.parametrize(("metrics", "status"), [("prometheus", 200), ("both", 200), ("emf", 404), ("none", 404)])
def test_metrics_are_served_only_where_they_are_wanted(metrics: str, status: int) -> None:
    @in_loop
    async def run() -> None:
        scene, mine = Scenario(), config(metrics=metrics)
        async with observing(mine, scene.ports(scene.backend), scene.stop):
            assert (await asked(mine, "/metrics")).status_code == status

    run()


@pytest.mark.parametrize("metrics", ["prometheus", "both", "emf", "none"])
def test_the_closing_line_carries_metrics_only_where_they_are_wanted(metrics: str) -> None:
    @in_loop
    async def run() -> None:
        scene, mine = Scenario(), config(metrics=metrics)
        async with observing(mine, scene.ports(scene.backend), scene.stop):
            telemetry.close(line(), MARKS)

    with saying() as stream:
        run()
    [closed] = [json.loads(text) for text in stream.getvalue().splitlines()]
    assert ("_aws" in closed) == (metrics in {"both", "emf"})
    assert (closed["claim_s"], closed["settle_s"], closed["receive_s"]) == (0.02, 0.04, None)
    assert LISTENERS == [], "they are gone when the worker is"


def test_spans_reach_the_collector_that_is_named_by_the_end_of_the_agent() -> None:
    @in_loop
    async def run(url: str) -> None:
        scene, mine = Scenario(), config(otlp_endpoint=url)
        async with observing(mine, scene.ports(scene.backend), scene.stop):
            telemetry.close(line(), MARKS, f"00-{'5' * 32}-{'6' * 16}-01")

    with saying() as stream, collecting() as collector:
        run(collector.url)
        assert set(collector.spans()) == {"process queue", *MARKS}
        told = {
            each.key: each.value.string_value for each in collector.requests()[0].resource_spans[0].resource.attributes
        }
    assert (told["service.instance.id"], told["sd_async.runtime"]) == ("comfy-0", "comfy")
    assert json.loads(stream.getvalue())["trace_id"] == "5" * 32


def test_without_a_collector_nothing_of_tracing_is_loaded() -> None:
    code = "import sys, agent.__main__; print(*sorted(name for name in sys.modules if 'opentelemetry' in name))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True)
    assert done.stdout.split() == []
