"""How much of its time a runtime works: seen from beside it, by a Backend around the Backend."""

from collections import deque
from collections.abc import AsyncGenerator, Callable, Sequence

from agent.errors import OutOfMemoryError
from agent.ports import Artifact, Backend, Report, Work
from sd_async.contract.jobs import Progress

WINDOW_S = 60.0  # two scrapes of the chart's 30 s


class Busy:
    """Time in which at least one work ran. now_s: a clock that only grows, in seconds. held: works at the runtime."""

    def __init__(self, now_s: Callable[[], float], window_s: float = WINDOW_S) -> None:
        self.window_s = window_s
        self.held = 0
        self._now_s = now_s
        self._started_s = now_s()
        self._running = 0
        self._since_s = 0.0
        self._over_s = 0.0
        self._recent: deque[tuple[float, float]] = deque()

    def began(self) -> None:
        if self._running == 0:
            self._since_s = self._now_s()
        self._running += 1

    def ended(self) -> None:
        self._running -= 1
        if self._running > 0:
            return
        now_s = self._now_s()
        self._over_s += now_s - self._since_s
        self._recent.append((self._since_s, now_s))
        self._forget(now_s)

    @property
    def total_s(self) -> float:
        return self._over_s + (self._now_s() - self._since_s if self._running else 0.0)

    @property
    def ratio(self) -> float:
        """Of the window, or of the time since the start while that is shorter."""
        now_s = self._now_s()
        self._forget(now_s)
        first_s = max(now_s - self.window_s, self._started_s)
        running = [(self._since_s, now_s)] if self._running else []
        busy_s = sum(ended_s - max(began_s, first_s) for began_s, ended_s in [*self._recent, *running])
        return busy_s / (now_s - first_s) if now_s > first_s else 0.0

    def _forget(self, now_s: float) -> None:
        while self._recent and self._recent[0][1] <= now_s - self.window_s:
            self._recent.popleft()


class WatchedBackend:
    """A Backend that notes when the one inside works.

    is_ready: as of the last `ready`, whoever asked. has_answered: whether it ever was.
    """

    def __init__(self, inner: Backend, busy: Busy, ran_out_of_memory: Callable[[], None]) -> None:
        self.depth = inner.depth
        self.is_ready = False
        self.has_answered = False
        self._inner = inner
        self._busy = busy
        self._ran_out_of_memory = ran_out_of_memory

    async def ready(self) -> bool:
        self.is_ready = await self._inner.ready()
        self.has_answered |= self.is_ready
        return self.is_ready

    async def reset(self) -> None:
        await self._inner.reset()

    async def free(self) -> None:
        await self._inner.free()

    async def run(self, work: Work, report: Report) -> Sequence[Artifact]:
        """Busy from the first report, with which the runtime begins; before that the work only waits in its queue."""
        has_begun = False

        def reported(progress: Progress) -> None:
            nonlocal has_begun
            if not has_begun:
                has_begun = True
                self._busy.began()
            report(progress)

        self._busy.held += 1
        try:
            return await self._inner.run(work, reported)
        except OutOfMemoryError:
            self._ran_out_of_memory()
            raise
        finally:
            self._busy.held -= 1
            if has_begun:
                self._busy.ended()

    def read(self, artifact: Artifact) -> AsyncGenerator[bytes, None]:
        return self._inner.read(artifact)
