"""Whose turn it is at the runtime, and how long that will take."""

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace

from agent.core import pace
from agent.core.pace import Steps
from agent.errors import NotBegunError, RuntimeFaultError, RuntimeLostError, RuntimeStuckError
from agent.ports import Clock
from agent.race import Pulse, within
from sd_async.contract.jobs import Progress

MAX_IN_HAND = 16  # results that are still being stored are the bound on memory and connections
# After these the runtime should be asked whether it is there.
IN_DOUBT = (RuntimeLostError, RuntimeFaultError, RuntimeStuckError)
_RECENT = 5  # jobs whose times tell the next one's: few, as a model or a size may change at any of them


class Turn:
    """One work's time at the runtime. It begins when the runtime says so, or when the one before it has left."""

    def __init__(self, clock: Clock, changed: Pulse) -> None:
        self._clock = clock
        self._changed = changed
        self._first_step: tuple[str | None, int, float] | None = None
        self._is_over = False
        self.began_s: float | None = None
        self.began_ns = 0
        self.begun = asyncio.Event()
        self._steps: Steps | None = None
        self._stepped_s = 0.0

    def begin(self) -> None:
        if self.began_s is None:
            self.began_s, self.began_ns = self._clock.monotonic_s(), self._clock.now_ns()
            self.begun.set()
            self._changed.beat()

    def leave(self) -> None:
        """Its job needs the runtime no more, or never did."""
        self._is_over = True
        self._changed.beat()

    @property
    def is_ahead(self) -> bool:
        """Whether it waits for the runtime."""
        return self.began_s is None and not self._is_over

    def note(self, progress: Progress) -> None:
        """What the runtime tells of its steps."""
        self.begin()
        now_s = self._clock.monotonic_s()
        if progress.steps < 1 or progress.step < 1:
            return
        if self._first_step is None or self._first_step[0] != progress.current_node:
            self._first_step, self._steps = (progress.current_node, progress.step, now_s), None
        done = progress.step - self._first_step[1]
        if done > 0 and (self._steps is None or done > self._steps.done):
            self._stepped_s = now_s
            self._steps = Steps(done, progress.steps - progress.step, now_s - self._first_step[2])

    @property
    def steps(self) -> Steps | None:
        return self._steps and replace(self._steps, since_s=self._clock.monotonic_s() - self._stepped_s)


class Turns:
    """At most `depth` works are at the runtime, in the order in which they came; the oldest is the one that runs.

    in_doubt: set when a work lost the runtime, from when on no other begins; cleared by whoever has asked for it.
    """

    def __init__(self, clock: Clock, depth: int) -> None:
        self._clock = clock
        self._places = asyncio.Semaphore(depth)
        self._present: list[Turn] = []
        self._expected: set[Turn] = set()
        self._recent_s: deque[float] = deque(maxlen=_RECENT)
        self.changed = Pulse()
        self.in_doubt = asyncio.Event()

    @contextlib.asynccontextmanager
    async def taken(self, turn: Turn) -> AsyncIterator[None]:
        async with self._places:
            if self.in_doubt.is_set():
                raise NotBegunError("The runtime was lost before the job began.")
            self._present.append(turn)
            self._let_first_begin()
            try:
                yield
                if turn.began_s is not None:
                    self._recent_s.append(self._clock.monotonic_s() - turn.began_s)
            except IN_DOUBT:
                self.in_doubt.set()
                raise
            finally:
                self._present.remove(turn)
                self._let_first_begin()
                self.changed.beat()

    @contextlib.contextmanager
    def expected(self) -> Iterator[Turn]:
        """A job's turn, from before its claim until after its end."""
        turn = Turn(self._clock, self.changed)
        self._expected.add(turn)
        try:
            yield turn
        finally:
            self._expected.remove(turn)
            self.changed.beat()

    async def room(self) -> None:
        """Until one more job may be claimed."""
        while not self._has_room():
            await within(pace.look_again_s(self.left_s, self.elapsed_s), self._clock, self.changed.next())

    def _has_room(self) -> bool:
        if self.in_hand >= MAX_IN_HAND:
            return False
        if self.is_idle:
            return self.unbegun < 1 + pace.claims(self.mean_s, self.mean_s)
        return self.unbegun < pace.claims(self.left_s, self.mean_s)

    @property
    def in_hand(self) -> int:
        """Jobs that are claimed, running or being settled."""
        return len(self._expected)

    @property
    def unbegun(self) -> int:
        return sum(turn.is_ahead for turn in self._expected)

    @property
    def elapsed_s(self) -> float:
        """Of the running work, 0 when none runs."""
        began_s = self._running.began_s if self._running else None
        return 0.0 if began_s is None else self._clock.monotonic_s() - began_s

    @property
    def mean_s(self) -> float | None:
        return pace.mean(self._recent_s)

    @property
    def left_s(self) -> float | None:
        """Until the running work ends: 0 when none runs, None when nothing says so."""
        if self._running is None:
            return 0.0
        return pace.remaining_s(self.elapsed_s, self._recent_s, self._running.steps)

    @property
    def is_idle(self) -> bool:
        return not self._present

    @property
    def _running(self) -> Turn | None:
        """The last that has begun: a runtime turns to the next one before it has told the result of the last."""
        return next((turn for turn in reversed(self._present) if turn.began_s is not None), None) or next(
            iter(self._present), None
        )

    def _let_first_begin(self) -> None:
        if self._present and not self.in_doubt.is_set():
            self._present[0].begin()
