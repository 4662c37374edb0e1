"""A pod's runtime, which outlives the agent's process."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from agent.errors import RuntimeLostError
from agent.ports import Artifact, Work
from tests.agent.model.loop import Process

if TYPE_CHECKING:
    from tests.agent.model.world import World

PNG = b"\x89PNG\r\n\x1a\n" + bytes(24)


@dataclass
class Run:
    """A prompt at a runtime. by: the process that asked for it."""

    work: Work
    by: Process
    begun: "asyncio.Future[None]"
    ended: "asyncio.Future[None]"

    @property
    def job_id(self) -> str:
        return self.work.label[:36]

    @property
    def attempt(self) -> int:
        return int(self.work.label[37:].partition("-")[0])


class Runtime:
    """One after the other; it knows nothing of the agent, whose death it does not notice.

    depth: works that an agent may leave with it at once. runs: the first is the one that runs.
    """

    def __init__(self, world: "World", depth: int) -> None:
        self._world = world
        self.depth = depth
        self.is_up = True
        self.runs: list[Run] = []

    def begin(self, work: Work, by: Process) -> Run:
        if not self.is_up:
            raise RuntimeLostError("The runtime does not answer.")
        run = Run(work, by, self._world.loop.create_future(), self._world.loop.create_future())
        self.runs.append(run)
        self._next()
        return run

    def made(self, run: Run) -> Sequence[Artifact]:
        if not self.is_up:
            raise RuntimeLostError("The runtime does not answer.")
        return (Artifact("out_00001_.png", "image", "image/png", "9", PNG + run.work.label.encode()),)

    def stop(self, run_id: str) -> None:
        self.runs = [run for run in self.runs if run.work.run_id != run_id]
        self._next()

    def stop_all(self) -> None:
        self.runs = []

    def lose(self) -> None:
        self.is_up = False
        for run in self.runs:
            for told in (run.begun, run.ended):
                if not told.done():
                    told.set_exception(RuntimeLostError("The runtime does not answer."))
                    told.exception()
        self.runs = []

    def _next(self) -> None:
        if self.runs and not self.runs[0].begun.done():
            run = self.runs[0]
            run.begun.set_result(None)
            self._world.loop.later(self._world.run_s.get(run.job_id, 10.0), self._end, run)

    def _end(self, run: Run) -> None:
        if run in self.runs:
            self.runs.remove(run)
            if not run.ended.done():
                run.ended.set_result(None)
            self._next()
