"""Watches over the runtime: a work that gets on with nothing is given up, and a runtime that eats memory is left.

Who is stopped may not let go, as a worker thread that died behind a server which still answers. So after each stop
the runtime counts as ready only when it works on nothing more; the worker waits for that as for a runtime that is gone,
and ends the process when it waits in vain. What ends with it, the pod's other containers, is the chart's business.
"""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from typing import Never

from agent.errors import AgentError, RuntimeFullError, RuntimeStuckError
from agent.ports import Artifact, Backend, Clock, Report, TellsHostMemory, TellsWork, Work
from agent.race import first_of
from agent.telemetry import LOGGER
from sd_async.contract.jobs import Progress

_MIB = 1024 * 1024


class _Place:
    """One work at the runtime. since_s: its last sign of life; None while another runs before it."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._last: Progress | None = None
        self.since_s: float | None = None

    def begin(self) -> None:
        if self.since_s is None:
            self.since_s = self._clock.monotonic_s()

    def hear(self, progress: Progress) -> None:
        if progress != self._last:  # a poll may tell the same again and again
            self._last, self.since_s = progress, self._clock.monotonic_s()


class Watched:
    """A Backend around another one.

    hung_after_s: silence of a work after which it is given up; 0 for never. least_free_mib: host memory that must be
    left after a work; 0 for any. stop: set when too little is, so that the process ends between two jobs, as after
    SIGTERM; `reason` then says why. inside: that other one, which may tell more. is_stuck: as of the last
    `ready`: it answers and holds on to stopped work.
    """

    def __init__(
        self, backend: Backend, clock: Clock, stop: asyncio.Event, *, hung_after_s: int, least_free_mib: int
    ) -> None:
        self.depth = backend.depth
        self.reason: RuntimeFullError | None = None
        self.is_stuck = False
        self.inside = backend
        self._clock = clock
        self._stop = stop
        self._hung_after_s = hung_after_s
        self._least_free_mib = least_free_mib
        self._present: list[_Place] = []
        self._is_suspect = False
        self._has_freed = False
        self._look: asyncio.Task[None] | None = None

    async def ready(self) -> bool:
        answers = await self.inside.ready()
        self.is_stuck = answers and await self._holds_on()
        return answers and not self.is_stuck

    async def reset(self) -> None:
        await self.inside.reset()
        self._is_suspect = True

    async def free(self) -> None:
        await self.inside.free()

    async def run(self, work: Work, report: Report) -> Sequence[Artifact]:
        """Raises: RuntimeStuckError too."""
        place = _Place(self._clock)

        def heard(progress: Progress) -> None:
            place.hear(progress)
            report(progress)

        self._present.append(place)
        self._present[0].begin()
        try:
            made = await first_of(self.inside.run(work, heard), self._silence(place))
        except (asyncio.CancelledError, RuntimeStuckError):
            self._is_suspect = True
            raise
        finally:
            self._present.remove(place)
            if self._present:
                self._present[0].begin()
        self._look_at_memory()
        return made

    def read(self, artifact: Artifact) -> AsyncGenerator[bytes, None]:
        return self.inside.read(artifact)

    async def _silence(self, place: _Place) -> Never:
        while True:
            left_s = self._hung_after_s if place.since_s is None else self._left_s(place.since_s)
            if self._hung_after_s and left_s <= 0:
                raise RuntimeStuckError(
                    f"The runtime got on with nothing for {self._hung_after_s} s; the job goes on elsewhere."
                )
            await self._clock.sleep(max(left_s, 1))

    def _left_s(self, since_s: float) -> float:
        return since_s + self._hung_after_s - self._clock.monotonic_s()

    async def _holds_on(self) -> bool:
        """Whether it works on something that nobody waits for any more. One that runs a job is not asked."""
        if self._is_suspect and not self._present and isinstance(self.inside, TellsWork):
            try:
                self._is_suspect = await self.inside.has_work()
            except AgentError:
                return True
            return self._is_suspect
        return False

    def _look_at_memory(self) -> None:
        if self._least_free_mib and (self._look is None or self._look.done()):
            self._look = asyncio.create_task(self._recycle_if_full())  # the result need not wait for it

    async def _recycle_if_full(self) -> None:
        if not isinstance(self.inside, TellsHostMemory):
            return
        try:
            free_bytes = await self.inside.free_host_bytes()
            if free_bytes is None or free_bytes >= self._least_free_mib * _MIB:
                self._has_freed = False
            elif not self._has_freed:
                await self.inside.free()
                self._has_freed = True  # what that was worth shows after the next work
            else:
                self._recycle(free_bytes)
        except AgentError as error:
            LOGGER.warning("memory unknown", extra={"fields": {"error": error.message}})

    def _recycle(self, free_bytes: int) -> None:
        left = f"{free_bytes // _MIB} MiB of memory are left, and {self._least_free_mib} are wanted"
        self.reason = RuntimeFullError(f"The runtime needs a restart: {left}.")
        LOGGER.warning("runtime is recycled", extra={"fields": {"reason": self.reason.message}})
        self._stop.set()
