"""When an agent tells what it is, when it does not, and that nothing hangs on it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from agent.errors import AwsRefusedError, AwsUnavailableError, AwsUnusableError
from agent.presence import BEAT_AWAY_S, BEAT_S, DEAD_AFTER_S, LASTS_BEATS, LOOK_S, MOST_DEAD, STEADY_S, Presence
from sd_async.contract.agents import AgentNote, AgentState, agents_in
from tests.agent.said import saying
from tests.agent.scenario import in_loop
from tests.support.clock import START_MS, FakeClock
from tests.support.fakes import FakeStore

READY, BUSY, STARTING = AgentState.READY, AgentState.BUSY, AgentState.STARTING
LOADING, GONE, STUCK = AgentState.RUNTIME_LOADING, AgentState.RUNTIME_GONE, AgentState.RUNTIME_STUCK


@dataclass
class Scene:
    """An agent that is what `state` says."""

    state: AgentState = STARTING
    clock: FakeClock = field(default_factory=FakeClock)
    store: FakeStore = field(default_factory=FakeStore)
    stop: asyncio.Event = field(default_factory=asyncio.Event)

    @asynccontextmanager
    async def presence(self, agent: str = "comfy-0") -> AsyncIterator["asyncio.Task[None]"]:
        telling = asyncio.create_task(
            Presence(self.store, self.clock, lambda: self.state, self.stop, runtime="comfy", agent=agent).run()
        )
        yield telling
        self.stop.set()
        await self.clock.settle()
        await telling

    async def be(self, state: AgentState, seconds: float) -> None:
        self.state = state
        await self.clock.advance(seconds)

    @property
    def told(self) -> list[AgentState]:
        return [note.state for _, note in self.store.told]

    @property
    def last(self) -> AgentNote:
        return self.store.told[-1][1]

    @property
    def present(self) -> dict[str, AgentNote]:
        return agents_in(self.store.agents["comfy"])


@in_loop
async def test_a_change_is_told_within_a_look_and_from_when_it_is() -> None:
    scene = Scene()
    async with scene.presence():
        for state in (STARTING, LOADING, READY, GONE, STUCK, READY):
            await scene.be(state, 10)
    assert scene.told == [STARTING, LOADING, READY, GONE, STUCK, READY]
    since_s = [(note.since_ms - START_MS) / 1000 for _, note in scene.store.told]
    assert since_s == [LOOK_S, 11, 21, 31, 41, 51]


@in_loop
async def test_what_stays_as_it_is_is_told_by_the_beat_and_keeps_its_beginning() -> None:
    scene = Scene()
    async with scene.presence():
        await scene.be(STARTING, LOOK_S + 2 * BEAT_AWAY_S)
        assert scene.told == [STARTING] * 3, "often while it is not able to work"
        await scene.be(READY, LOOK_S + 2 * BEAT_S)
        assert scene.told[3:] == [READY] * 3, "seldom once it is"
        assert scene.last.since_ms == START_MS + 1000 * round(2 * LOOK_S + 2 * BEAT_AWAY_S)


@pytest.mark.parametrize(("state", "lasts_s"), [(STARTING, 50), (GONE, 50), (READY, 150), (BUSY, 150)])
@in_loop
async def test_the_word_of_an_agent_that_dies_ends_with_its_bound(state: AgentState, lasts_s: int) -> None:
    scene = Scene(state)
    async with scene.presence():
        await scene.clock.advance(LOOK_S)
        assert scene.last.until_ms == scene.clock.now_ms() + 1000 * lasts_s
        beat_s = lasts_s / LASTS_BEATS
        await scene.clock.advance(beat_s)
        assert scene.last.until_ms == scene.clock.now_ms() + 1000 * lasts_s, "and is renewed before that"


@in_loop
async def test_jobs_that_come_and_go_fast_are_no_news() -> None:
    scene = Scene(READY)
    async with scene.presence():
        await scene.clock.advance(LOOK_S)
        for _ in range(8):
            await scene.be(BUSY, STEADY_S - 1)
            await scene.be(READY, STEADY_S - 1)
        assert scene.told == [READY] * (1 + 64 // round(BEAT_S)), "the beat alone"


@in_loop
async def test_an_agent_that_works_on_and_on_is_told_as_busy_once() -> None:
    scene = Scene(READY)
    async with scene.presence():
        await scene.be(READY, 3)
        await scene.be(BUSY, 30)
        await scene.be(READY, 2)  # between two jobs
        await scene.be(BUSY, 10)
        assert scene.told == [READY, BUSY]
        assert scene.last.since_ms == START_MS + 4_000
        await scene.be(READY, 10)
        assert scene.told == [READY, BUSY, READY]


@in_loop
async def test_a_runtime_that_is_lost_in_the_middle_of_a_job_is_told_at_once() -> None:
    scene = Scene(READY)
    async with scene.presence():
        await scene.be(BUSY, 10)
        await scene.be(GONE, LOOK_S)
        assert scene.told[-1] is GONE
        await scene.be(BUSY, LOOK_S)
        assert scene.told[-1] is BUSY


@in_loop
async def test_who_stops_is_told_of_no_more_and_his_neighbour_still_is() -> None:
    scene = Scene(READY)
    await scene.store.tell("comfy", "comfy-1", AgentNote(state=BUSY, since_ms=1, until_ms=START_MS + 10**6))
    async with scene.presence() as telling:
        await scene.clock.advance(LOOK_S)
        assert set(scene.present) == {"comfy-0", "comfy-1"}
        scene.stop.set()
        await scene.clock.settle()
        assert telling.done(), "no time has passed"
        assert set(scene.present) == {"comfy-1"}


@in_loop
async def test_who_stops_before_the_first_look_makes_no_call() -> None:
    scene = Scene()
    scene.store.faults.add("leave", AssertionError("there is nothing to take back"))
    async with scene.presence():
        await scene.clock.advance(LOOK_S / 2)
    assert scene.told == []


@pytest.mark.parametrize("kind", [AwsUnavailableError, AwsRefusedError, AwsUnusableError])
@in_loop
async def test_a_fault_is_said_once_and_tried_again_at_the_next_beat(kind: Callable[[str], Exception]) -> None:
    scene = Scene(READY)
    scene.store.faults.add("tell", *(kind("AWS does not answer.") for _ in range(3)))
    with saying() as stream:
        async with scene.presence():
            await scene.clock.advance(LOOK_S)
            await scene.clock.advance(BEAT_S - 1)
            assert (scene.told, scene.present) == ([], {}), "not before"
            await scene.clock.advance(2 * BEAT_S + 1)
            assert scene.told == [READY]
            scene.store.faults.add("tell", kind("AWS does not answer."))
            await scene.clock.advance(BEAT_S)
    assert stream.getvalue().count("presence not told") == 2, "once for each time in which it failed"


@in_loop
async def test_news_is_told_at_once_after_a_fault_too() -> None:
    scene = Scene(STARTING)
    scene.store.faults.add("tell", AwsUnavailableError("AWS does not answer."))
    async with scene.presence():
        await scene.be(STARTING, LOOK_S)
        await scene.be(READY, LOOK_S)
        assert scene.told == [READY]


@in_loop
async def test_a_fault_on_leaving_is_said_and_ends_it_all_the_same() -> None:
    scene = Scene(READY)
    scene.store.faults.add("leave", AwsUnavailableError("AWS does not answer."))
    with saying() as stream:
        async with scene.presence():
            await scene.clock.advance(LOOK_S)
    assert "presence not told" in stream.getvalue()


@in_loop
async def test_agents_that_died_long_ago_are_swept_a_few_at_a_time() -> None:
    scene = Scene(READY)
    over_ms = START_MS + round(1000 * (LOOK_S - DEAD_AFTER_S))
    dead = AgentNote(state=BUSY, since_ms=1, until_ms=over_ms - 1)
    await scene.store.tell("comfy", "late", AgentNote(state=BUSY, since_ms=1, until_ms=over_ms))
    for number in range(MOST_DEAD + 3):
        await scene.store.tell("comfy", f"dead-{number}", dead)
    scene.store.told.clear()
    async with scene.presence():
        await scene.clock.advance(LOOK_S)
        assert len(scene.present) == MOST_DEAD + 5
        await scene.clock.advance(BEAT_S)
        assert len(scene.present) == 5
        assert "late" in scene.present
        await scene.clock.advance(BEAT_S)
        assert set(scene.present) == {"comfy-0"}, "by now the late one is dead too"
        assert len(scene.told) == 3, "no call for it alone"
