"""What the model must not let pass: each takes away one thing on which "never" rests."""

from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar, cast

import msgspec

from agent.ports import Claim, Claiming, Delivery, Ending, Ports, Report, Work
from sd_async.contract.jobs import Progress
from sd_async.contract.records import Record
from sd_async.contract.states import FINAL, Status
from tests.agent.model.ledger import Ledger
from tests.agent.model.wire import Remote, RuntimeClient, Wire
from tests.agent.model.world import World


class _Fenceless(Ledger):
    """Whoever ran the job once may write about it."""

    def _held(self, claim: Claim) -> Record:
        return super()._held(Claim(claim.job_id, self.records[claim.job_id].attempt))


class _Leaseless(Ledger):
    """Nobody's lease is looked at, neither when the job is read nor when it is claimed."""

    async def claim(self, job_id: str, seen: Status, **named: Any) -> Claiming:
        record = self.records[job_id]
        named["now_ms"] = max(named["now_ms"], (record.lease_until_ms or 0) + 1)
        return await super().claim(job_id, record.status if record.status not in FINAL else seen, **named)


class _Unnumbered(Ledger):
    """A second claim is the same attempt as the first."""

    def _write(self, record: Record, **changes: object) -> Record:
        return super()._write(
            record, **(changes | ({"attempt": max(record.attempt, 1)} if "attempt" in changes else {}))
        )


class _EndsTwice(Ledger):
    """What has ended may end again."""

    def _held(self, claim: Claim) -> Record:
        record = self.records[claim.job_id]
        if record.attempt == claim.attempt and record.status in FINAL:
            return record
        return super()._held(claim)


class _Beatless(Ledger):
    """A heartbeat renews nothing, and nobody is told."""

    async def beat(self, claim: Claim, *, now_ms: int, lease_until_ms: int, progress: Progress) -> Status:
        return self._held(claim).status


class _EndlessLease(Ledger):
    async def claim(self, job_id: str, seen: Status, **named: Any) -> Claiming:
        named["lease_until_ms"] += 12 * 3600_000
        return await super().claim(job_id, seen, **named)


class _WithStore(World):
    kind: ClassVar[type[Ledger]]

    def __init__(self, **named: Any) -> None:
        super().__init__(**named)
        self.store = self.kind(self)


class _Early(Remote):
    """Tells of a result when it asks for the record, before that is written."""

    def __getattr__(self, name: str) -> Callable[..., Coroutine[Any, Any, Any]]:
        asked = super().__getattr__(name)
        return self._finish if name == "finish" else asked

    async def _finish(self, claim: Claim, ending: Ending) -> Record:
        world = self._wire.world
        record = msgspec.structs.replace(
            world.record(claim.job_id), status=ending.status, completed_at_ms=ending.completed_at_ms,
            outputs=list(ending.outputs), error=ending.error,
        )  # fmt: skip
        self.written = (claim, ending)
        return record


class AnnouncesFirst(World):
    """Announced, then recorded."""

    def ports(self, wire: Wire) -> Ports:
        ports = super().ports(wire)
        store, topic = _Early(wire, self.store), ports.topic

        class Topic:
            async def publish(self, body: bytes, attributes: Mapping[str, str]) -> None:
                await topic.publish(body, attributes)
                if hasattr(store, "written"):
                    await wire.call("finish", lambda: None)
                    await Remote(wire, wire.world.store).finish(*store.written)
                    del store.written

        return replace(ports, store=cast("Any", store), topic=cast("Any", Topic()))


class DeletesFirst(World):
    """Deleted, then announced."""

    def ports(self, wire: Wire) -> Ports:
        ports = super().ports(wire)
        waiting: list[tuple[bytes, Mapping[str, str]]] = []

        class Topic:
            async def publish(self, body: bytes, attributes: Mapping[str, str]) -> None:
                waiting.append((body, attributes))

        class Queue(Remote):
            receive = cast("Any", ports.queue).receive

            async def delete(self, delivery: Delivery) -> None:
                await cast("Any", ports.queue).delete(delivery)
                while waiting:
                    await ports.topic.publish(*waiting.pop(0))

        return replace(ports, queue=cast("Any", Queue(wire, self.queue)), topic=cast("Any", Topic()))


class DeletesAtReceipt(World):
    """At most once, as the public sample."""

    def ports(self, wire: Wire) -> Ports:
        ports = super().ports(wire)

        class Queue(Remote):
            async def receive(self, wait_s: int, most: int) -> Sequence[Delivery]:
                found = await ports.queue.receive(wait_s, most)
                for delivery in found:
                    await ports.queue.delete(delivery)
                return found

        return replace(ports, queue=cast("Any", Queue(wire, self.queue)))


class NeverAnnounces(World):
    def ports(self, wire: Wire) -> Ports:
        class Topic:
            async def publish(self, body: bytes, attributes: Mapping[str, str]) -> None:
                pass

        return replace(super().ports(wire), topic=cast("Any", Topic()))


class HidesForHours(World):
    """A message that is given back stays hidden."""

    def ports(self, wire: Wire) -> Ports:
        ports = super().ports(wire)

        class Queue(Remote):
            receive = cast("Any", ports.queue).receive

            async def extend(self, delivery: Delivery, visibility_s: int) -> bool:
                return await ports.queue.extend(delivery, visibility_s or 12 * 3600)

        return replace(ports, queue=cast("Any", Queue(wire, self.queue)))


class StoresBeforeItIsMade(World):
    """A record that names files which are written later, if ever."""

    def ports(self, wire: Wire) -> Ports:
        ports = super().ports(wire)
        files = cast("Any", ports.files)

        class Later(type(files)):  # type: ignore[misc] # the class of the port is the world's business
            async def put(self, key: str, chunks: Any, content_type: str, metadata: Any = None) -> int:
                async for _ in chunks:
                    pass
                return 1

        return replace(ports, files=Later(wire, self.files))


class GoesOnRegardless(World):
    """Who has lost the job, or was canceled, lets the runtime work on."""

    def ports(self, wire: Wire) -> Ports:
        class Client(RuntimeClient):
            async def run(self, work: Work, report: Report) -> Any:
                run = await wire.call("run", lambda: wire.pod.runtime.begin(work, wire.process))
                await run.begun
                report(Progress(value=0.25))
                await run.ended
                return await wire.call("history", lambda: wire.pod.runtime.made(run))

        return replace(super().ports(wire), backend=Client(wire))


def with_store(kind: type[Ledger]) -> type[World]:
    return cast("type[World]", type(kind.__name__, (_WithStore,), {"kind": kind}))


# name -> the world, and what must be seen to be wrong in it
SABOTAGES: dict[str, tuple[type[World], str]] = {
    "the store does not look at the attempt": (
        with_store(_Fenceless),
        "still works on lost attempt|is another's|ended the job of",
    ),
    "nobody looks at the lease": (with_store(_Leaseless), "taken from an agent"),
    "a claim does not raise the attempt": (with_store(_Unnumbered), "is another's|written over"),
    "a job that has ended can end again": (with_store(_EndsTwice), "was written over"),
    "a heartbeat renews nothing": (with_store(_Beatless), "taken from an agent that was well"),
    "a lease lasts for half a day": (with_store(_EndlessLease), "longer than a lease"),
    "announced before it is recorded": (AnnouncesFirst, "announced while it was (?:running|canceling)"),
    "deleted before it is announced": (DeletesFirst, "nobody will be told"),
    "deleted when it is received": (DeletesAtReceipt, "no message speaks of it"),
    "never announced": (NeverAnnounces, "nobody will be told"),
    "a message that is given back stays hidden": (HidesForHours, "was hidden for 43200 s"),
    "recorded without being stored": (StoresBeforeItIsMade, "is not there"),
    "the runtime is never stopped": (GoesOnRegardless, "still works on lost attempt"),
}
