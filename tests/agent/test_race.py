"""Work and its guards."""

import asyncio
from typing import Never

import pytest

from agent.race import first_of, undisturbed
from tests.agent.scenario import in_loop


async def forever() -> Never:
    await asyncio.Event().wait()
    raise AssertionError("nobody sets it")


async def alarm() -> Never:
    raise KeyError("alarm")


@in_loop
async def test_the_result_counts_and_the_guards_are_over() -> None:
    ended: list[str] = []

    async def guard() -> Never:
        try:
            await forever()
        finally:
            ended.append("guard")
        raise AssertionError

    assert await first_of(asyncio.sleep(0, "done"), guard()) == "done"
    assert ended == ["guard"]


@in_loop
async def test_a_guard_that_raises_ends_the_work_which_may_still_tidy_up() -> None:
    tidied: list[str] = []

    async def work() -> None:
        try:
            await forever()
        finally:
            await asyncio.sleep(0)
            tidied.append("work")

    with pytest.raises(KeyError, match="alarm"):
        await first_of(work(), forever(), alarm())
    assert tidied == ["work"], "it was waited for"


@in_loop
async def test_a_guard_that_ends_without_a_word_is_an_alarm_too() -> None:
    async def quiet() -> None:
        return

    with pytest.raises(RuntimeError, match="guard ended"):
        await first_of(forever(), quiet())  # type: ignore[arg-type] # the very mistake


@in_loop
async def test_a_result_in_the_same_turn_as_an_alarm_is_still_a_result() -> None:
    async def work() -> str:
        return "done"

    assert await first_of(work(), alarm()) == "done"


@in_loop
async def test_what_must_not_be_disturbed_ends_before_the_cancellation_passes() -> None:
    steps: list[str] = []
    begun = asyncio.Event()

    async def settle() -> None:
        begun.set()
        for step in ("recorded", "announced", "deleted"):
            await asyncio.sleep(0)
            steps.append(step)

    task = asyncio.create_task(undisturbed(settle()))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert steps == ["recorded", "announced", "deleted"]
