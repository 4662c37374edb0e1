"""In-memory stand-ins for the agent's ports, with the same manners as the real edges; the queue's is in `fake_queue`.

Every fake has `faults`: what its next calls raise, by method name, one per call.
"""

import asyncio
from collections import defaultdict, deque
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from agent.errors import BadFileError, LeaseLostError
from agent.ports import LOADING, NOTHING, Artifact, Claim, Claiming, Clock, Ending, Report, Work
from sd_async.contract.agents import AgentNote, agent_attribute, agents_in, told_by
from sd_async.contract.jobs import Progress
from sd_async.contract.records import Record, from_item, to_item
from sd_async.contract.states import FINAL, Status


class Faults:
    """What the next calls raise."""

    def __init__(self) -> None:
        self._waiting: dict[str, deque[Exception]] = defaultdict(deque)

    def add(self, method: str, *errors: Exception) -> None:
        self._waiting[method].extend(errors)

    def happen(self, method: str) -> None:
        if self._waiting[method]:
            raise self._waiting[method].popleft()


class FakeStore:
    """The table, one record per id; every record passes through its item, as it does in DynamoDB.

    agents: by runtime, the item of its agents. told: their words, in order.
    """

    def __init__(self) -> None:
        self.faults = Faults()
        self.records: dict[str, Record] = {}
        self.agents: dict[str, dict[str, Any]] = defaultdict(dict)
        self.told: list[tuple[str, AgentNote]] = []
        self.history: list[Status] = []

    async def get(self, job_id: str) -> Record | None:
        self.faults.happen("get")
        return self.records.get(job_id)

    async def create(self, record: Record) -> bool:
        self.faults.happen("create")
        if record.id in self.records:
            return False
        self._write(record)
        return True

    async def claim(
        self, job_id: str, seen: Status, *, agent: str, message_id: str, now_ms: int, lease_until_ms: int
    ) -> Claiming:
        self.faults.happen("claim")
        record = self.records.get(job_id)
        if record is None:
            return Claiming(is_granted=False, record=None)
        has_ended = record.status is not Status.QUEUED and (record.lease_until_ms or 0) < now_ms
        if record.status is not seen or not (record.status is Status.QUEUED or has_ended):
            return Claiming(is_granted=False, record=record)
        claimed = self._write(
            record,
            status=Status.CANCELING if record.status is Status.CANCELING else Status.RUNNING,
            attempt=record.attempt + 1,
            agent=agent,
            message_id=message_id,
            lease_until_ms=lease_until_ms,
            started_at_ms=now_ms,
            updated_at_ms=now_ms,
            waiting="",
            progress=Progress(),
        )
        return Claiming(is_granted=True, record=claimed)

    async def beat(self, claim: Claim, *, now_ms: int, lease_until_ms: int, progress: Progress) -> Status:
        self.faults.happen("beat")
        record = self._held(claim)
        return self._write(record, lease_until_ms=lease_until_ms, updated_at_ms=now_ms, progress=progress).status

    async def finish(self, claim: Claim, ending: Ending) -> Record:
        self.faults.happen("finish")
        assert ending.status in FINAL
        return self._write(
            self._held(claim),
            status=ending.status,
            completed_at_ms=ending.completed_at_ms,
            updated_at_ms=ending.completed_at_ms,
            phases=ending.phases,
            progress=ending.progress,
            outputs=list(ending.outputs),
            error=ending.error,
            agent=None,
            lease_until_ms=None,
            waiting="",
        )

    async def release(self, claim: Claim, *, now_ms: int, waiting: str) -> bool:
        self.faults.happen("release")
        record = self._held(claim)
        if record.status is Status.CANCELING:
            return False
        self._write(
            record,
            status=Status.QUEUED,
            waiting=waiting,
            updated_at_ms=now_ms,
            agent=None,
            lease_until_ms=None,
            progress=Progress(),
        )
        return True

    async def tell(
        self, runtime: str, agent: str, note: AgentNote, *, forget: Sequence[str] = ()
    ) -> Mapping[str, AgentNote]:
        self.faults.happen("tell")
        self.told.append((agent, note))
        self.agents[runtime] |= told_by(agent, note)
        for name in forget:
            self.agents[runtime].pop(agent_attribute(name), None)
        return agents_in(self.agents[runtime])

    async def leave(self, runtime: str, agent: str) -> None:
        self.faults.happen("leave")
        self.agents[runtime].pop(agent_attribute(agent), None)

    def change(self, job_id: str, **changes: object) -> None:
        """What somebody else writes, as the API when it cancels."""
        self._write(self.records[job_id], **changes)

    def _held(self, claim: Claim) -> Record:
        record = self.records.get(claim.job_id)
        if record is None or record.attempt != claim.attempt or record.status not in {Status.RUNNING, Status.CANCELING}:
            raise LeaseLostError(f"Attempt {claim.attempt} of job {claim.job_id} no longer holds the job.")
        return record

    def _write(self, record: Record, **changes: object) -> Record:
        written = from_item(to_item(msgspec.structs.replace(record, **changes)))
        self.records[written.id] = written
        self.history.append(written.status)
        return written


class FakeTopic:
    def __init__(self) -> None:
        self.faults = Faults()
        self.published: list[tuple[bytes, dict[str, str]]] = []

    async def publish(self, body: bytes, attributes: Mapping[str, str]) -> None:
        self.faults.happen("publish")
        self.published.append((body, dict(attributes)))


class FakeFiles:
    """Buckets. at: what can be fetched, by URL. stored: what was put, by key; metadata: and its metadata."""

    def __init__(self) -> None:
        self.faults = Faults()
        self.at: dict[str, bytes] = {}
        self.stored: dict[str, tuple[bytes, str]] = {}
        self.metadata: dict[str, dict[str, str]] = {}

    async def fetch(self, url: str, target: Path, max_bytes: int) -> int:
        self.faults.happen("fetch")
        if url not in self.at:
            raise BadFileError(f"`{url}` is not there.")
        if len(self.at[url]) > max_bytes:
            raise BadFileError(f"The file has {len(self.at[url])} bytes; at most {max_bytes} are taken.")
        return target.write_bytes(self.at[url])  # noqa: ASYNC240 - a few bytes of a test

    async def put(
        self, key: str, chunks: AsyncIterator[bytes], content_type: str, metadata: Mapping[str, str] = NOTHING
    ) -> int:
        self.faults.happen("put")
        body = b"".join([chunk async for chunk in chunks])
        self.stored[key] = (body, content_type)
        self.metadata[key] = dict(metadata)
        return len(body)


PICTURE = Artifact("ComfyUI_00001_.png", "image", "image/png", "9", b"a picture")


@dataclass
class FakeBackend:
    """A runtime that reads its model for `load_s`, works for `run_s` and then gives `made`, one work at a time.

    They run in the order in which they came. started: works handed over. spans: from when to when each one ran, on the
    clock. broken: what the run of that id raises.
    """

    clock: Clock
    run_s: float = 10.0
    load_s: float = 0.0
    made: Sequence[Artifact] = (PICTURE,)
    is_up: bool = True
    depth: int = 1
    freed: int = 0
    faults: Faults = field(default_factory=Faults)
    broken: Mapping[str, Exception] = field(default_factory=dict)
    started: list[Work] = field(default_factory=list)
    stopped: list[str] = field(default_factory=list)
    received: dict[str, bytes] = field(default_factory=dict)
    spans: list[tuple[float, float]] = field(default_factory=list)
    gpu: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def ready(self) -> bool:
        return self.is_up

    async def reset(self) -> None:
        return

    async def free(self) -> None:
        self.freed += 1

    async def run(self, work: Work, report: Report) -> Sequence[Artifact]:
        self.started.append(work)
        self.received = {name: path.read_bytes() for name, path in work.files.items()}
        try:
            async with self.gpu:
                began_s = self.clock.monotonic_s()
                if self.load_s:
                    report(Progress(message=LOADING))
                    await self.clock.sleep(self.load_s)
                report(Progress(value=0.25, nodes_done=1, nodes_total=4))
                await self.clock.sleep(self.run_s)
                self.spans.append((began_s, self.clock.monotonic_s()))
                if error := self.broken.get(work.run_id):
                    self.faults.add("run", error)
                self.faults.happen("run")
        except BaseException:
            self.stopped.append(work.run_id)
            raise
        return self.made

    async def read(self, artifact: Artifact) -> AsyncGenerator[bytes, None]:
        self.faults.happen("read")
        yield artifact.source
