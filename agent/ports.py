"""What the worker needs of the world, as Protocols; `agent/edges` and `tests/support/fake*.py` implement them."""

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol, runtime_checkable

from sd_async.contract.agents import AgentNote
from sd_async.contract.jobs import JobError, JobType, Progress
from sd_async.contract.records import Phases, Record, StoredOutput
from sd_async.contract.states import Status

NOTHING: Mapping[str, str] = MappingProxyType({})
Report = Callable[[Progress], None]

LOADING = "loading model"  # message of a Progress while a runtime reads weights and makes nothing yet


@dataclass(frozen=True, slots=True)
class Delivery:
    """One receipt of a message. receive_count: receipts so far, this one included. sent_at_ms: epoch."""

    message_id: str
    receipt: str
    body: str
    receive_count: int
    sent_at_ms: int


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to write about a job until its lease ends; `attempt` is the fence."""

    job_id: str
    attempt: int


@dataclass(frozen=True, slots=True)
class Claiming:
    """record: as it is now, whether the claim was granted or not; None when there is none."""

    is_granted: bool
    record: Record | None


@dataclass(frozen=True, slots=True)
class Ending:
    """How a job ends. status: a final one."""

    status: Status
    completed_at_ms: int
    phases: Phases
    progress: Progress
    outputs: Sequence[StoredOutput] = ()
    error: JobError | None = None


@dataclass(frozen=True, slots=True)
class Work:
    """One attempt for a runtime.

    run_id: a lower-case UUID, new with every attempt. label: `<job id>-<attempt>`, for names at the runtime.
    files: name -> local file; the name stands in `input` where the file goes.
    notes: for the runtime to write down what it tells about itself and the run, any JSON, for `result.json`.
    """

    run_id: str
    label: str
    input: Mapping[str, Any]
    files: Mapping[str, Path]
    type: JobType = JobType.WORKFLOW
    notes: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Artifact:
    """One thing a runtime made. name: unique in its job, without slashes. source: the backend's own address of it."""

    name: str
    type: str
    content_type: str
    node_id: str | None
    source: Any


def unique_name(name: str, taken: set[str]) -> str:
    """`a.png`, then `a-2.png`, as two nodes may save under one name in different folders. The name is `taken` then."""
    stem, dot, suffix = name.rpartition(".")
    candidate, count = name, 1
    while candidate in taken:
        count += 1
        candidate = f"{stem}-{count}{dot}{suffix}" if dot else f"{name}-{count}"
    taken.add(candidate)
    return candidate


@dataclass(frozen=True, slots=True)
class GpuMemory:
    """Of one device, as the runtime names it."""

    name: str
    total_bytes: int
    used_bytes: int


class Clock(Protocol):
    """monotonic_s only ever grows; now_ms and now_ns are the time of day since the epoch."""

    def now_ms(self) -> int: ...
    def now_ns(self) -> int: ...
    def monotonic_s(self) -> float: ...
    async def sleep(self, seconds: float) -> None: ...


class Queue(Protocol):
    """Raises: TransientError, FatalError."""

    async def receive(self, wait_s: int, most: int) -> Sequence[Delivery]:
        """One to `most` messages, none after `wait_s`. Canceled at once; what arrives after that is given back.

        most: at most 10 (SQS, ReceiveMessage).
        """

    async def extend(self, delivery: Delivery, visibility_s: int) -> bool:
        """Hide it for so long from now on; 0 shows it at once. False when it is no longer in flight."""

    async def delete(self, delivery: Delivery) -> None: ...


class Store(Protocol):
    """The job table. Raises: LeaseLostError when the claim is no longer held, TransientError, FatalError."""

    async def get(self, job_id: str) -> Record | None: ...

    async def create(self, record: Record) -> bool:
        """False when there is one already."""

    async def claim(
        self, job_id: str, seen: Status, *, agent: str, message_id: str, now_ms: int, lease_until_ms: int
    ) -> Claiming:
        """Granted when the job is as `seen`, and queued or its lease over; `attempt` is then one higher.

        A queued job becomes running; one whose lease ended stays running or canceling.
        """

    async def beat(self, claim: Claim, *, now_ms: int, lease_until_ms: int, progress: Progress) -> Status: ...

    async def finish(self, claim: Claim, ending: Ending) -> Record: ...

    async def release(self, claim: Claim, *, now_ms: int, waiting: str) -> bool:
        """Back to queued. False when it is being canceled, which is then for the holder to finish."""

    async def tell(
        self, runtime: str, agent: str, note: AgentNote, *, forget: Sequence[str] = ()
    ) -> Mapping[str, AgentNote]:
        """Notes of all the runtime's agents, this one's among them and those in `forget` no more.

        Neither this nor `leave` holds up the end of the process when nobody waits for it any more.
        """

    async def leave(self, runtime: str, agent: str) -> None:
        """The agent is one of the runtime's no more."""


class Topic(Protocol):
    """Raises: TransientError, FatalError."""

    async def publish(self, body: bytes, attributes: Mapping[str, str]) -> None: ...


class Source(Protocol):
    """Where input files come from, one per URL scheme."""

    async def fetch(self, url: str, target: Path, max_bytes: int) -> int:
        """Bytes written to `target`. Raises: BadFileError, SourceUnavailableError, TransientError."""


class Files(Source, Protocol):
    """The buckets; as a Source it reads `s3://bucket/key`."""

    async def put(
        self, key: str, chunks: AsyncIterator[bytes], content_type: str, metadata: Mapping[str, str] = NOTHING
    ) -> int:
        """Bytes stored in the output bucket.

        metadata: of the object, in ASCII, `sha256` its digest in hexadecimal; looked at after `chunks` where the object
        is sent whole, so that these may still add to it. Raises: TransientError, FatalError, whatever `chunks` raises.
        """


class Backend(Protocol):
    """A runtime. Raises: JobError leaves, RuntimeLostError, RuntimeFaultError.

    depth: how many works it takes at once; above 1, its own queue holds those that do not run yet.
    """

    depth: int

    async def ready(self) -> bool:
        """Whether it answers; true while it is busy. Raises nothing."""

    async def reset(self) -> None:
        """Stop what an earlier process of this agent left behind."""

    async def run(self, work: Work, report: Report) -> Sequence[Artifact]:
        """At least one. Canceled, or failing, it tells the runtime to stop first.

        report: called for the first time when the runtime begins with this work. Raises: OutOfMemoryError too, after
        which `free` and another `run` may succeed.
        """

    async def free(self) -> None:
        """Have the runtime give its GPU memory back, models included."""

    def read(self, artifact: Artifact) -> AsyncGenerator[bytes, None]:
        """Its bytes, in pieces; whoever stops early closes it."""


@runtime_checkable
class TellsWork(Protocol):
    """What a Backend may be besides. Raises: TransientError, HandBackError."""

    async def has_work(self) -> bool:
        """Whether something of this agent waits or runs there, though it may have been told to stop."""


@runtime_checkable
class TellsLoading(Protocol):
    """What a Backend may be besides.

    is_loading: as of its last `ready`: it listens, and serves no API yet or reads its first model.
    """

    is_loading: bool


@runtime_checkable
class TellsHostMemory(Protocol):
    """What a Backend may be besides. Raises: TransientError, HandBackError."""

    async def free_host_bytes(self) -> int | None:
        """Memory of the host, not the GPU's, that the runtime says is left; None when it does not say."""


@runtime_checkable
class TellsGpuMemory(Protocol):
    """What a Backend may be besides. Raises: TransientError, HandBackError."""

    async def gpu_memory(self) -> Sequence[GpuMemory]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """The world, as `__main__` or a test wires it. sources: where input files come from, by URL scheme."""

    queue: Queue
    store: Store
    topic: Topic
    files: Files
    sources: Mapping[str, Source]
    backend: Backend
    clock: Clock
