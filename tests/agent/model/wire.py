"""A process's calls to the world: each may be slow, refused, repeated, or the last thing that the process does."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from agent.errors import AgentError, AwsUnavailableError, AwsUnusableError, RuntimeLostError
from agent.ports import NOTHING, Artifact, Delivery, Report, Work
from agent.race import within
from sd_async.contract.jobs import Progress
from tests.agent.model.loop import Process
from tests.support.clock import START_MS
from tests.support.fakes import FakeFiles

if TYPE_CHECKING:
    from tests.agent.model.ledger import LedgerQueue
    from tests.agent.model.world import Pod, World

T = TypeVar("T")


class Fault(StrEnum):
    REFUSED = "refused"  # nothing happened, and the caller is told so
    LOST = "lost"  # it happened, and the caller is told that it did not
    TWICE = "twice"  # the answer was lost and the SDK asked again: the second one's is heard
    SLOW = "slow"  # it happens long after it was asked for
    SLOW_ANSWER = "slow_answer"  # it happened at once, and the caller learns of it long after
    FATAL = "fatal"
    DIES_BEFORE = "dies_before"
    DIES_AFTER = "dies_after"
    PAUSED_BEFORE = "paused_before"
    PAUSED_AFTER = "paused_after"


# Calls of the runtime, a neighbour: it does not answer, or is slow for seconds; some of them never raise.
MAY_LOSE_RUNTIME = frozenset({"run", "history", "read"})
AT_RUNTIME = MAY_LOSE_RUNTIME | {"ready", "reset", "free", "stop"}
_LATE_RUNTIME_S = 4.0
PAUSE_S = 55.0  # longer than lease and visibility, and not so long that the next owner has always ended
PATIENCE_S = 5.0  # with what a runtime was asked for, before it is told to stop
SLOW_S = 60.0  # two tries of botocore with their timeouts


def at_once(work: Coroutine[Any, Any, T]) -> T:
    """Result of a fake's method, none of which waits."""
    try:
        work.send(None)
    except StopIteration as stop:
        result: T = stop.value
        return result
    raise AssertionError("a fake waits")


class Wire:
    """What one process says to the world. calls: names of its calls, in order."""

    def __init__(self, world: "World", pod: "Pod", process: Process) -> None:
        self.world = world
        self.pod = pod
        self.process = process
        self.is_closed = False
        self.calls: list[str] = []

    async def call(self, name: str, effect: Callable[[], T]) -> T:
        """Answer to one call. Raises: what `effect` raises, or what its fault is."""
        if self.is_closed:
            raise RuntimeLostError("closed") if name in AT_RUNTIME else AwsUnavailableError("closed")
        fault = self.pod.fault_of(name)
        self.calls.append(name)
        if name in AT_RUNTIME:
            fault = _at_runtime(name, fault)
        if fault is not None:
            self.world.trouble(self.process, SLOW_S)
        answer: asyncio.Future[T] = self.world.loop.create_future()
        delay_s = self.world.latency_s()
        if fault is Fault.DIES_BEFORE:
            self.world.kill(self.pod, self.process)
        elif fault is Fault.PAUSED_BEFORE:
            self.world.pause(self.process, PAUSE_S)
        elif fault is Fault.SLOW:
            delay_s += _LATE_RUNTIME_S if name in AT_RUNTIME else SLOW_S
        if fault is not Fault.DIES_BEFORE:
            self.world.loop.when_it_runs(self.process, delay_s, self._arrived, name, effect, answer, fault)
        return await answer

    def _arrived(self, name: str, effect: Callable[[], T], answer: "asyncio.Future[T]", fault: Fault | None) -> None:
        if self.is_closed or (self.process.is_dead and self.world.is_dropped()):
            return
        result, error = self._happened(effect, fault)
        if fault in {Fault.REFUSED, Fault.LOST}:
            error = RuntimeLostError("gone") if name in AT_RUNTIME else AwsUnavailableError("AWS is busy.")
        elif fault is Fault.DIES_AFTER:
            self.world.kill(self.pod, self.process)
        elif fault is Fault.PAUSED_AFTER:
            self.world.pause(self.process, PAUSE_S)
        delay_s = SLOW_S if fault is Fault.SLOW_ANSWER else self.world.latency_s()
        self.world.loop.later(delay_s, _deliver, answer, result, error)

    def _happened(self, effect: Callable[[], T], fault: Fault | None) -> tuple[T | None, AgentError | None]:
        if fault is Fault.FATAL:
            return None, AwsUnusableError("AWS refuses this agent.")
        if fault is Fault.REFUSED:
            return None, None
        self.world.acting = self.process
        try:
            result = effect()
            return (effect() if fault is Fault.TWICE else result), None
        except AgentError as error:
            return None, error
        finally:
            self.world.acting = None


def _at_runtime(name: str, fault: Fault | None) -> Fault | None:
    if fault in {Fault.TWICE, Fault.SLOW_ANSWER, Fault.FATAL}:
        return None  # nobody asks a runtime twice
    return fault if name in MAY_LOSE_RUNTIME or fault not in {Fault.REFUSED, Fault.LOST} else None


def _deliver(answer: "asyncio.Future[Any]", result: Any, error: Exception | None) -> None:
    if answer.done():
        return
    if error is None:
        answer.set_result(result)
    else:
        answer.set_exception(error)


class Remote:
    """A port over a fake: every method, present or to come, is one call."""

    def __init__(self, wire: Wire, fake: object) -> None:
        self._wire = wire
        self._fake = fake

    def __getattr__(self, name: str) -> Callable[..., Coroutine[Any, Any, Any]]:
        method = getattr(self._fake, name)

        def asked(*arguments: Any, **named: Any) -> Coroutine[Any, Any, Any]:
            return self._wire.call(name, lambda: at_once(method(*arguments, **named)))

        return asked


class Poll:
    """A long poll goes on at SQS when nobody waits for it any more; what it still gets is given back."""

    def __init__(self, wire: Wire, queue: "LedgerQueue", until_s: float, most: int) -> None:
        self.received: asyncio.Future[Sequence[Delivery]] = wire.world.loop.create_future()
        self._wire = wire
        self._queue = queue
        self._until_s = until_s
        self._most = most
        self._looks = 0

    def look_soon(self, after_s: float = 0) -> None:
        """Instead of any later look."""
        self._looks += 1
        self._wire.world.loop.later(after_s + self._wire.world.latency_s(), self._look, self._looks)

    def give_back(self, found: Sequence[Delivery]) -> None:
        for delivery in found if not self._wire.is_closed else ():
            at_once(self._queue.extend(delivery, 0))

    def _look(self, number: int) -> None:
        world, is_dead = self._wire.world, self._wire.process.is_dead
        is_gone = self._wire.is_closed or self.received.done() or (is_dead and world.is_dropped())
        if number != self._looks or is_gone:
            return
        found = at_once(self._queue.receive(0, self._most))
        if found or world.loop.time() >= self._until_s:
            world.loop.later(world.latency_s(), self._heard, found)
        else:
            self._queue.polls.append(self)
            left_s = self._until_s - world.loop.time()
            self.look_soon(min([left_s, *self._queue.visible_in_s()]))

    def _heard(self, found: Sequence[Delivery]) -> None:
        if not self.received.done():
            self.received.set_result(found)
        elif not self._wire.process.is_dead:
            self.give_back(found)


class RemoteQueue(Remote):
    """Its polls hear of a message when it can be received, as SQS's do."""

    _fake: "LedgerQueue"

    async def receive(self, wait_s: int, most: int) -> Sequence[Delivery]:
        until_s = self._wire.world.loop.time() + wait_s
        await self._wire.call("receive", lambda: None)
        poll = Poll(self._wire, self._fake, until_s, most)
        poll.look_soon()
        try:
            return await poll.received
        except asyncio.CancelledError:
            if poll.received.done() and not poll.received.cancelled():
                poll.give_back(poll.received.result())
            raise


class RemoteFiles(Remote):
    """An object is there as a whole or not at all."""

    _fake: FakeFiles

    async def fetch(self, url: str, target: Path, max_bytes: int) -> int:
        body = await self._wire.call("fetch", lambda: self._fake.at[url])
        return target.write_bytes(body)  # noqa: ASYNC240 - a few bytes of a test

    async def put(
        self, key: str, chunks: AsyncIterator[bytes], content_type: str, metadata: Mapping[str, str] = NOTHING
    ) -> int:
        body = b"".join([chunk async for chunk in chunks])

        async def whole() -> AsyncIterator[bytes]:
            yield body

        def effect() -> int:
            self._wire.world.written_by[key] = self._wire.process
            return at_once(self._fake.put(key, whole(), content_type, metadata))

        return await self._wire.call("put", effect)


class RuntimeClient:
    """The Backend of one process, over its pod's runtime."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self.depth = wire.pod.runtime.depth

    async def ready(self) -> bool:
        return await self._wire.call("ready", lambda: self._wire.pod.runtime.is_up)

    async def reset(self) -> None:
        await self._wire.call("reset", self._wire.pod.runtime.stop_all)

    async def free(self) -> None:
        await self._wire.call("free", lambda: None)

    async def run(self, work: Work, report: Report) -> Sequence[Artifact]:
        runtime = self._wire.pod.runtime
        asking = asyncio.create_task(self._wire.call("run", lambda: runtime.begin(work, self._wire.process)))
        try:
            run = await asyncio.shield(asking)
            await run.begun
            report(Progress(value=0.25, nodes_done=1, nodes_total=4))
            await run.ended
            return await self._wire.call("history", lambda: runtime.made(run))
        except BaseException:
            await within(PATIENCE_S, ProcessClock(self._wire), asking)
            await self._wire.call("stop", lambda: runtime.stop(work.run_id))
            raise

    async def read(self, artifact: Artifact) -> AsyncGenerator[bytes, None]:
        yield await self._wire.call("read", lambda: artifact.source)


class ProcessClock:
    """A machine's own: monotonic time is everybody's, the time of day is as wrong as `pod.skew_s` says."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    def now_ms(self) -> int:
        return START_MS + round((self._wire.world.loop.time() + self._wire.pod.skew_s) * 1000)

    def now_ns(self) -> int:
        return self.now_ms() * 1_000_000

    def monotonic_s(self) -> float:
        return self._wire.world.loop.time()

    def sleep(self, seconds: float) -> Coroutine[Any, Any, None]:
        return self._wire.world.loop.sleep(seconds)
