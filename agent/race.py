"""Work that is watched: whichever of its guards raises first ends it."""

import asyncio
from collections.abc import Coroutine
from typing import Any, Never, TypeVar

from agent.ports import Clock

T = TypeVar("T")


async def first_of(work: Coroutine[Any, Any, T], *guards: Coroutine[Any, Any, Never]) -> T:
    """Result of `work`, unless a guard raises before it ends. All are over when this returns.

    Raises: whatever `work` or the first guard raises; RuntimeError when a guard ends without a word.
    """
    working = asyncio.create_task(work)
    watching = [asyncio.create_task(guard) for guard in guards]
    everything = {working, *watching}
    try:
        done, _ = await asyncio.wait(everything, return_when=asyncio.FIRST_COMPLETED)
        # A result that came in the same turn as an alarm is still a result; writing it is fenced anyway.
        if working in done:
            return working.result()
        raise done.pop().exception() or RuntimeError("a guard ended though its work went on")
    finally:
        for task in everything:
            task.cancel()
        await asyncio.gather(*everything, return_exceptions=True)


async def undisturbed(work: Coroutine[Any, Any, T]) -> T:
    """Result of `work`, which goes on to its end even when the caller is canceled meanwhile."""
    task = asyncio.create_task(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        raise


class Pulse:
    """Something that happens again and again; `wait` returns at the next time."""

    def __init__(self) -> None:
        self._waiting: list[asyncio.Future[None]] = []

    def beat(self) -> None:
        waiting, self._waiting = self._waiting, []
        for one in waiting:
            if not one.done():
                one.set_result(None)

    def next(self) -> "asyncio.Future[None]":
        one = asyncio.get_running_loop().create_future()
        self._waiting.append(one)
        return one


async def within(seconds: float, clock: Clock, event: "asyncio.Future[Any]") -> None:
    """Returns when `event` happens or the time is over, whichever comes first; the other is canceled."""
    time_over = asyncio.create_task(clock.sleep(seconds))
    try:
        await asyncio.wait((event, time_over), return_when=asyncio.FIRST_COMPLETED)
    finally:
        event.cancel()
        time_over.cancel()
