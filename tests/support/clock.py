"""Time that passes only when a test says so."""

import asyncio
import heapq
import itertools
from collections.abc import Callable

START_MS = 1_800_000_000_000
_TURNS = 50  # turns of the loop in which everything that is ready has run


class WaitedClock:
    """A `components.asking.Clock` whose time passes only while somebody waits.

    steps: what happens at each wait, in their order.
    """

    def __init__(self, *steps: Callable[[], object]) -> None:
        self.seconds, self._steps = 0.0, list(steps)

    def now(self) -> float:
        return self.seconds

    def sleep(self, seconds: float) -> None:
        self.seconds += seconds
        if self._steps:
            self._steps.pop(0)()


class FakeClock:
    """An `agent.ports.Clock`; it starts at START_MS."""

    def __init__(self) -> None:
        self._now_s = 0.0
        self._order = itertools.count()
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []

    def now_ms(self) -> int:
        return START_MS + round(self._now_s * 1000)

    def now_ns(self) -> int:
        return self.now_ms() * 1_000_000

    def monotonic_s(self) -> float:
        return self._now_s

    async def sleep(self, seconds: float) -> None:
        waking: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._now_s + seconds, next(self._order), waking))
        await waking

    async def advance(self, seconds: float) -> None:
        """Let time pass; whoever wakes meanwhile does what it has to do at its own moment."""
        until_s = self._now_s + seconds
        await self.settle()
        while self._sleepers and self._sleepers[0][0] <= until_s:
            at_s, _, waking = heapq.heappop(self._sleepers)
            self._now_s = max(self._now_s, at_s)
            if not waking.done():
                waking.set_result(None)
                await self.settle()
        self._now_s = until_s
        await self.settle()

    async def settle(self) -> None:
        for _ in range(_TURNS):
            await asyncio.sleep(0)
