"""An event loop whose time is computed, and on which a whole process can die or stand still at any await."""

import asyncio
import contextvars
import heapq
import itertools
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVarTuple, Unpack

PROCESS: contextvars.ContextVar["Process | None"] = contextvars.ContextVar("PROCESS", default=None)
Ts = TypeVarTuple("Ts")
Context = contextvars.Context
Call = tuple["Process | None", Callable[..., object], tuple[Any, ...], Context]
Due = asyncio.Future[None] | Callable[..., object]
RARELY = 100_000  # objects between two looks for garbage; at Python's 700 they take a sixth of a schedule's time
_MAX_TURNS = 200_000  # of one `run_until`; more than this without an end is a busy loop


class Process:
    """Whatever was started in its context stops with it, wherever that is: nothing is unwound, as by SIGKILL."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.is_dead = False
        self.is_paused = False
        self.troubled_s = 0.0  # when it last met anything that went wrong
        self.tasks: list[asyncio.Task[Any]] = []
        self.held: list[Call] = []
        self.context = contextvars.copy_context()
        self.context.run(PROCESS.set, self)

    @property
    def runs(self) -> bool:
        return not (self.is_dead or self.is_paused)


class VirtualLoop(asyncio.AbstractEventLoop):
    """problems: what asyncio would have logged, as a task whose error nobody looked at.

    A schedule is thousands of turns, nearly all of them of agents that sleep and wake. So a sleep is a future among the
    timers, what asyncio calls soon has no handle, for which nobody asks, and a turn is taken where it is chosen.
    """

    get_debug = bool  # is false, and asked for each future and each task

    def __init__(self) -> None:
        self.problems: list[str] = []
        self._now_s = 0.0
        self._order = itertools.count()
        self._ready: deque[Call] = deque()
        self._timers: list[tuple[float, int, Due, tuple[Any, ...]]] = []

    # what asyncio asks of a loop

    def time(self) -> float:
        return self._now_s

    def is_running(self) -> bool:
        return True

    def is_closed(self) -> bool:
        return False

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self)

    def create_task(self, coro: Any, *, name: str | None = None, context: Any = None, **_: Any) -> asyncio.Task[Any]:
        task: asyncio.Task[Any] = asyncio.Task(coro, loop=self, name=name, context=context)
        process = (contextvars.copy_context() if context is None else context).get(PROCESS)
        if process is not None:
            process.tasks.append(task)
        return task

    def call_soon(self, callback: Callable[[Unpack[Ts]], object], *args: *Ts, context: Context | None = None) -> Any:
        context = contextvars.copy_context() if context is None else context  # an empty one is false
        self._ready.append((context.get(PROCESS), callback, args, context))

    call_soon_threadsafe = call_soon

    def call_later(
        self, delay: float, callback: Callable[[Unpack[Ts]], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.TimerHandle:
        return self.call_at(self._now_s + delay, callback, *args, context=context)

    def call_at(
        self, when: float, callback: Callable[[Unpack[Ts]], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.TimerHandle:
        context = contextvars.copy_context() if context is None else context  # an empty one is false
        timer = asyncio.TimerHandle(when, callback, args, self, context)
        self._at(when, self._ready.append, (context.get(PROCESS), _ring, (timer,), contextvars.Context()))
        return timer

    def run_in_executor(self, _executor: Any, func: Callable[..., Any], *args: Any) -> asyncio.Future[Any]:  # type: ignore[override]
        """A thread that is as quick as the loop."""
        done = self.create_future()
        try:
            done.set_result(func(*args))
        except Exception as error:  # noqa: BLE001 - whoever awaits the thread gets it
            done.set_exception(error)
        return done

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        self.problems.append(f"{context.get('message')}: {context.get('exception')!r}")

    def _timer_handle_cancelled(self, _timer: asyncio.TimerHandle) -> None:
        """A canceled one is skipped when its time comes."""

    # what the world does with it

    def later(self, delay_s: float, callback: Callable[..., Any], *args: Any) -> None:
        """In the world's own time, whatever becomes of the process that asked."""
        self._at(self._now_s + delay_s, callback, *args)

    def when_it_runs(self, process: Process, delay_s: float, callback: Callable[..., Any], *args: Any) -> None:
        """The same, but what a process asks for while it stands still leaves it when it goes on."""
        if process.is_paused:
            process.held.append((process, self.later, (delay_s, callback, *args), contextvars.Context()))
        else:
            self.later(delay_s, callback, *args)

    async def sleep(self, seconds: float) -> None:
        over: asyncio.Future[None] = asyncio.Future(loop=self)
        heapq.heappush(self._timers, (self._now_s + seconds, next(self._order), over, ()))
        await over

    def spawn(self, process: Process, work: Any) -> asyncio.Task[Any]:
        with self._running():
            return process.context.run(lambda: self.create_task(work))

    def resume(self, process: Process) -> None:
        process.is_paused = False
        self._ready.extend(process.held)
        process.held = []

    def run_until(self, until_s: float) -> None:
        ready, timers = self._ready, self._timers
        with self._running():
            for _ in range(_MAX_TURNS):
                try:
                    if ready:
                        process, callback, args, context = turn = ready.popleft()
                        if process is not None and (process.is_dead or process.is_paused):
                            process.held.append(turn)
                        else:
                            context.run(callback, *args)
                    elif timers and timers[0][0] <= until_s:
                        self._pass_to(*heapq.heappop(timers))
                    else:
                        self._now_s = until_s
                        return
                except Exception as error:  # noqa: BLE001 - as asyncio's own loop, which goes on
                    self.call_exception_handler({"message": "in a callback", "exception": error})
        raise AssertionError(f"the agents turn without an end at {self._now_s} s")

    def bury(self, process: Process) -> None:
        """Unwind what a dead process left, once nothing that it still does can be seen."""
        process.is_dead = False
        self.resume(process)
        self.run_until(self._now_s)
        # First as the process itself would, from its root; then whatever that left behind.
        for tasks in (process.tasks[:1], process.tasks, process.tasks):
            for task in tasks:
                task.cancel()
            self.run_until(self._now_s)
        process.is_dead = True
        for task in process.tasks:
            if task.done() and not task.cancelled():
                task.exception()

    @contextmanager
    def _running(self) -> Iterator[None]:
        before = asyncio._get_running_loop()
        asyncio._set_running_loop(self)
        try:
            yield
        finally:
            asyncio._set_running_loop(before)

    def _at(self, when_s: float, due: Due, *args: Any) -> None:
        heapq.heappush(self._timers, (when_s, next(self._order), due, args))

    def _pass_to(self, when_s: float, _: int, due: Due, args: tuple[Any, ...]) -> None:
        self._now_s = max(self._now_s, when_s)
        if not isinstance(due, asyncio.Future):
            due(*args)
        elif not due.done():
            due.set_result(None)


def _ring(timer: asyncio.TimerHandle) -> None:
    if not timer.cancelled():
        timer._run()
