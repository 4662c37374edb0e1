"""Pods, their runtimes and AWS; what an agent's process meets in one schedule."""

import asyncio
import random
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any, cast

from agent.errors import FatalError
from agent.ports import Ports
from agent.worker import Worker
from sd_async.contract.adoption import first_record
from sd_async.contract.limits import SPARE_RECEIPTS
from sd_async.contract.messages import encode_message
from sd_async.contract.records import Record
from sd_async.contract.states import FINAL, Status
from tests.agent.model.dead_letters import bury_letters
from tests.agent.model.ledger import GRACE_S, HEARTBEAT_S, LEASE_S, VISIBILITY_S, Ledger, LedgerQueue, LedgerTopic
from tests.agent.model.loop import Process, VirtualLoop
from tests.agent.model.runtime import PNG, Runtime
from tests.agent.model.wire import (
    AT_RUNTIME,
    Fault,
    ProcessClock,
    Remote,
    RemoteFiles,
    RemoteQueue,
    RuntimeClient,
    Wire,
)
from tests.agent.scenario import CONFIG, message_of
from tests.support.clock import START_MS
from tests.support.fakes import FakeFiles

CONFIG_HERE = replace(
    CONFIG, lease_s=LEASE_S, heartbeat_s=HEARTBEAT_S, visibility_s=VISIBILITY_S, grace_period_s=GRACE_S
)

RESTART_S = 10.0
RECEIVES = CONFIG.max_attempts + SPARE_RECEIPTS
Planned = tuple[str, int, Fault]  # name of a call, how many such calls pass before, what happens then


class WorldClock:
    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop

    def now_ms(self) -> int:
        return START_MS + round(self._loop.time() * 1000)

    def now_ns(self) -> int:
        return self.now_ms() * 1_000_000

    def monotonic_s(self) -> float:
        return self._loop.time()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


@dataclass
class Pod:
    """faults: of its own calls; the world has some for whoever is the next."""

    name: str
    runtime: Runtime
    skew_s: float = 0.0
    process: Process | None = None
    wire: Wire | None = None
    stop: "asyncio.Event | None" = None
    task: "asyncio.Task[None] | None" = None
    faults: list[Planned] = field(default_factory=list)
    refuses_until_s: float = 0.0
    ended_s: float | None = None

    @property
    def is_alive(self) -> bool:
        return self.process is not None and not self.process.is_dead and self.task is not None and not self.task.done()

    @property
    def is_idle(self) -> bool:
        """Whether nothing keeps it from the next job."""
        is_able = self.is_alive and self.process is not None and self.process.runs and self.runtime.is_up
        is_asked_to_stop = self.stop is not None and self.stop.is_set()
        return is_able and not (is_asked_to_stop or self.runtime.runs or self.faults or self.is_cut_off)

    @property
    def is_cut_off(self) -> bool:
        return self.wire is not None and self.wire.world.loop.time() < self.refuses_until_s

    def fault_of(self, name: str) -> Fault | None:
        """What happens to its next call of that name."""
        assert self.wire is not None
        if fault := _next(self.faults, name) or _next(self.wire.world.faults, name):
            return fault
        return Fault.REFUSED if self.is_cut_off and name not in AT_RUNTIME else None


def _next(faults: list[Planned], name: str) -> Fault | None:
    for index, (wanted, passes, fault) in enumerate(faults):
        if wanted != name:
            continue
        if not passes:
            del faults[index]
            return fault
        faults[index] = (wanted, passes - 1, fault)
    return None


class World:
    """violations: what was seen to be wrong, in words; a schedule passes with none."""

    def __init__(self, pods: int = 3, seed: int = 0) -> None:
        self.config = CONFIG_HERE
        self.loop = VirtualLoop()  # type: ignore[abstract] # agents ask a loop for no more
        self.random = random.Random(seed)
        self.clock = WorldClock(self.loop)
        self.violations: list[str] = []
        self.acting: Process | None = None
        self.run_s: dict[str, float] = {}
        self.written_by: dict[str, Process] = {}
        self.store = Ledger(self)
        self.topic = LedgerTopic(self)
        self.queue = LedgerQueue(self, visibility_s=VISIBILITY_S, max_receives=RECEIVES)
        self.files = FakeFiles()
        self.files.at["s3://team/a.png"] = PNG
        self.pods = [Pod(f"pod-{number}", Runtime(self, depth=1 + number % 3)) for number in range(pods)]
        self.faults: list[Planned] = []
        self._troubled_s = 0.0
        self.graves: list[tuple[Process, Wire, asyncio.Event | None]] = []

    # chance, from the schedule's seed

    def latency_s(self) -> float:
        return self.random.choice((0.004, 0.01, 0.015, 0.02, 0.03, 0.25))

    def is_dropped(self) -> bool:
        """Whether a dead process's last request never left its machine."""
        return self.random.random() < 0.5

    # what happens

    def submit(self, run_s: float = 10.0, timeout_s: int = 120, *, has_file: bool = False) -> str:
        job_id = str(uuid.UUID(int=self.random.getrandbits(128), version=4))
        files = {"a.png": "s3://team/a.png"} if has_file else {}
        message = message_of(job_id, timeout_seconds=timeout_s, created_at_ms=self.clock.now_ms(), files=files)
        self.run_s[job_id] = run_s
        record = first_record(message, now_ms=self.clock.now_ms(), retention_days=30)
        self.store.records[job_id] = record
        self.store.bodies[job_id] = encode_message(message).decode()
        self.send(job_id)
        return job_id

    def send(self, job_id: str) -> None:
        self.queue.send(self.store.bodies[job_id], str(uuid.UUID(int=self.random.getrandbits(128), version=4)))

    def cancel(self, job_id: str) -> None:
        """As the API would: a waiting job at once, a running one by its agent."""
        record = self.store.records[job_id]
        if record.status is Status.QUEUED:
            self.store.change(job_id, status=Status.CANCELED, completed_at_ms=self.clock.now_ms())
        elif record.status is Status.RUNNING:
            self.store.change(job_id, status=Status.CANCELING)

    def start(self, pod: Pod) -> None:
        if pod.is_alive:
            return
        self.stop_counting(pod)
        pod.ended_s = None
        process = Process(pod.name)
        wire = Wire(self, pod, process)
        pod.process, pod.wire, pod.stop = process, wire, asyncio.Event()
        worker = self.worker(replace(self.config, agent_id=pod.name), self.ports(wire), pod.stop)
        pod.task = self.loop.spawn(process, worker.run())

    def worker(self, config: Any, ports: Ports, stop: asyncio.Event) -> Worker:
        return Worker(config, ports, stop)

    def ports(self, wire: Wire) -> Ports:
        files = RemoteFiles(wire, self.files)
        return Ports(
            queue=cast("Any", RemoteQueue(wire, self.queue)),
            store=cast("Any", Remote(wire, self.store)),
            topic=cast("Any", Remote(wire, self.topic)),
            files=cast("Any", files),
            sources=cast("Any", {"s3": files, "https": files}),
            backend=RuntimeClient(wire),
            clock=ProcessClock(wire),
        )

    def kill(self, pod: Pod, process: Process | None = None) -> None:
        """SIGKILL; the runtime goes on with what it has."""
        if pod.process is not None and process in {None, pod.process}:
            pod.process.is_dead = True

    def pause(self, process: Process, seconds: float) -> None:
        process.is_paused = True
        self.trouble(process, seconds)
        self.loop.later(seconds, self._go_on, process)

    def trouble(self, process: Process, seconds: float) -> None:
        """Something has gone wrong, of which more may be seen for so long."""
        process.troubled_s = self.loop.time() + seconds
        self._troubled_s = max(self._troubled_s, process.troubled_s)

    def sigterm(self, pod: Pod) -> None:
        """And SIGKILL at the end of the grace period."""
        if pod.is_alive and pod.stop is not None and pod.process is not None:
            pod.stop.set()
            self.loop.later(GRACE_S, self.kill, pod, pod.process)

    def stop_counting(self, pod: Pod) -> None:
        if pod.process is not None and pod.wire is not None:
            self.graves.append((pod.process, pod.wire, pod.stop))
            pod.process.is_dead = True

    def has_idle_pod(self) -> bool:
        return not self.faults and any(pod.is_idle for pod in self.pods)

    def heal(self) -> None:
        """From here on nothing goes wrong any more."""
        self.faults.clear()
        for pod in self.pods:
            pod.faults.clear()
            pod.refuses_until_s = 0
            pod.runtime.is_up = True
            if pod.process is not None and pod.process.is_paused:
                self.loop.resume(pod.process)

    def drain(self, limit_s: float = 3600) -> None:
        """To the end of every job and of every call on its way, with whatever ends started again."""
        self.heal()
        until_s = self.loop.time() + limit_s
        while self.loop.time() < until_s and not (self.queue.is_empty and self.is_over):
            for pod in self.pods:
                self.start(pod)
            self.run_for(20)
        self.run_for(self._troubled_s - self.loop.time())
        if not (self.queue.is_empty and self.is_over):
            waiting = {job_id[:8]: record.status for job_id, record in self.store.records.items()}
            self.violations.append(f"after {limit_s:.0f} s without a fault there is still work: {waiting}")

    @property
    def is_over(self) -> bool:
        return all(record.status in FINAL and self.topic.told.get(job_id) for job_id, record in self.jobs())

    def jobs(self) -> Iterable[tuple[str, Record]]:
        return self.store.records.items()

    def run_for(self, seconds: float) -> None:
        until_s = self.loop.time() + seconds
        while self.loop.time() < until_s:
            self.loop.run_until(min(self.loop.time() + HEARTBEAT_S, until_s))
            bury_letters(self)
            self.look()
            for pod in self.pods:
                self._restart_if_ended(pod)

    def _restart_if_ended(self, pod: Pod) -> None:
        """As the kubelet does, after the first of its waits."""
        if pod.process is None or pod.is_alive:
            return
        if pod.ended_s is None:
            pod.ended_s = self.loop.time()
        elif self.loop.time() - pod.ended_s >= RESTART_S:
            self.start(pod)

    def look(self) -> None:
        for pod in self.pods:
            task = pod.task
            if task is None or not task.done() or task.cancelled():
                continue
            error = task.exception()
            if error is not None and not isinstance(error, FatalError):
                self.violations.append(f"{pod.name} ended with {error!r}")
        self.store.look()
        self.violations += self.loop.problems
        self.loop.problems.clear()

    def close(self) -> None:
        """Nothing of a schedule is left for the next one."""
        for pod in self.pods:
            self.stop_counting(pod)
        for process, wire, stop in self.graves:
            wire.is_closed = True
            if stop is not None:
                stop.set()
            self.loop.bury(process)

    def record(self, job_id: str) -> Record:
        return self.store.records[job_id]

    def _go_on(self, process: Process) -> None:
        if process.is_paused:
            self.loop.resume(process)
