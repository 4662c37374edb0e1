"""Whose turn it is, while one job's result is still on its way and the next one has begun."""

import asyncio

from agent.turns import Turn, Turns
from sd_async.contract.jobs import Progress
from tests.agent.scenario import in_loop
from tests.support.clock import FakeClock


async def at_the_runtime(turns: Turns, turn: Turn, leave: asyncio.Event) -> None:
    async with turns.taken(turn):
        await leave.wait()


@in_loop
async def test_the_job_that_runs_is_the_last_that_the_runtime_has_begun() -> None:
    clock = FakeClock()
    turns = Turns(clock, depth=2)
    with turns.expected() as first, turns.expected() as second:
        leave = asyncio.Event()
        works = [asyncio.create_task(at_the_runtime(turns, turn, leave)) for turn in (first, second)]
        await clock.advance(59.5)
        first.note(Progress(step=1, steps=3))
        await clock.advance(0.25)
        first.note(Progress(step=3, steps=3))
        second.note(Progress(step=1, steps=20))
        assert (turns.elapsed_s, turns.left_s) == (0, None), "of the second nothing is known, and the first is over"
        leave.set()
        await asyncio.gather(*works)
