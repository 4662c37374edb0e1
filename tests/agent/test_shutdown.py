"""SIGTERM, in every state an agent can be in."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest

from agent.errors import AwsUnusableError, RuntimeGoneError
from agent.ports import Delivery
from sd_async.contract.states import Status
from tests.agent.scenario import CONFIG, JOB_ID, Scenario, in_loop
from tests.support.fake_queue import FakeQueue
from tests.support.fakes import FakeBackend


@in_loop
async def test_an_idle_agent_ends_at_once() -> None:
    scene = Scenario()
    agent = scene.agent()
    await scene.clock.advance(3)
    scene.stop.set()
    await scene.clock.settle()
    assert agent.done()
    await agent


@in_loop
async def test_an_agent_that_waits_for_its_runtime_ends_at_once() -> None:
    scene = Scenario()
    scene.backend.is_up = False
    agent = scene.agent()
    await scene.clock.advance(3)
    scene.stop.set()
    await scene.clock.settle()
    await agent


@in_loop
async def test_a_job_that_fits_in_the_grace_period_is_finished_and_no_other_is_taken() -> None:
    scene = Scenario()
    await scene.submit()
    scene.backend.run_s = 100
    agent = scene.agent()
    await scene.clock.advance(3)
    scene.stop.set()
    scene.queue.send("{}")
    await scene.clock.advance(98)
    await agent
    assert scene.job().status is Status.SUCCEEDED
    assert scene.queue.visible_in_s() == [0]


@in_loop
async def test_a_job_that_does_not_fit_is_interrupted_and_given_back_at_once() -> None:
    scene = Scenario()
    await scene.submit()
    scene.backend.run_s = 500
    agent = scene.agent()
    await scene.clock.advance(3)
    scene.stop.set()
    await scene.clock.advance(106)
    await agent
    assert scene.backend.stopped == [JOB_ID]
    assert (scene.job().status, scene.job().agent) == (Status.QUEUED, None)
    assert scene.queue.visible_in_s() == [0]
    other = FakeBackend(scene.clock)
    scene.agent("comfy-1", other, stop=asyncio.Event())
    await scene.clock.advance(12)
    assert (scene.job().status, scene.job().attempt) == (Status.SUCCEEDED, 2)


@in_loop
async def test_heartbeats_go_on_while_a_job_is_finished_after_sigterm() -> None:
    scene = Scenario(replace(CONFIG, grace_period_s=600))
    await scene.submit()
    scene.backend.run_s = 200
    agent = scene.agent()
    await scene.clock.advance(3)
    scene.stop.set()
    await scene.clock.advance(100)
    assert (scene.job().lease_until_ms or 0) > scene.clock.now_ms() + 50_000
    await scene.clock.advance(100)
    await agent


class LastMoment(FakeQueue):
    """SIGTERM comes in the very turn in which a message does."""

    stop: asyncio.Event

    async def receive(self, wait_s: int, most: int) -> Sequence[Delivery]:
        found = await super().receive(wait_s, most)
        self.stop.set()
        return found


@in_loop
async def test_a_message_that_arrives_together_with_sigterm_is_handed_back() -> None:
    scene = Scenario()
    scene.queue = queue = LastMoment(scene.clock)
    queue.stop = scene.stop
    await scene.submit()
    agent = scene.agent()
    await scene.clock.advance(1)
    await agent
    assert scene.backend.started == []
    assert scene.job().status is Status.QUEUED
    assert scene.queue.visible_in_s() == [0]


@in_loop
async def test_a_runtime_that_never_comes_ends_the_process() -> None:
    scene = Scenario()
    scene.backend.is_up = False
    agent = scene.agent()
    await scene.clock.advance(CONFIG.runtime_wait_s + 2)
    with pytest.raises(RuntimeGoneError):
        await agent


@in_loop
async def test_credentials_that_are_gone_give_the_job_back_and_end_the_process() -> None:
    scene = Scenario()
    await scene.submit()
    scene.files.faults.add("put", AwsUnusableError("AWS refuses this agent: AccessDenied on PutObject."))
    agent = scene.agent()
    await scene.clock.advance(11)
    with pytest.raises(AwsUnusableError):
        await agent
    assert scene.job().status is Status.QUEUED


@in_loop
async def test_a_fatal_error_while_settling_ends_the_process_too() -> None:
    scene = Scenario()
    await scene.submit()
    scene.store.faults.add("finish", AwsUnusableError("AWS refuses this agent: AccessDenied on UpdateItem."))
    agent = scene.agent()
    await scene.clock.advance(11)
    with pytest.raises(AwsUnusableError):
        await agent
