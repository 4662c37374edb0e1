"""The table, the queue and the topic, with somebody who looks over the agents' shoulders at every write."""

import functools
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from agent.ports import Claim, Delivery, Ending
from sd_async.contract.messages import JobMessage, decode_message
from sd_async.contract.records import Record
from sd_async.contract.results import ResultMessage, decode_result, result_of
from sd_async.contract.states import FINAL, Status
from tests.agent.model.loop import Process
from tests.support.fake_queue import FakeQueue
from tests.support.fakes import FakeStore, FakeTopic

if TYPE_CHECKING:
    from tests.agent.model.runtime import Run
    from tests.agent.model.wire import Poll
    from tests.agent.model.world import World

LEASE_S, HEARTBEAT_S, VISIBILITY_S, GRACE_S = 30, 5, 40, 60
SKEW_S = 20  # between a clock of a schedule and the right time, at most
_LONGEST_BACKOFF_S = 300
# From the end of a lease to the next claim, while somebody is idle: the message may be hidden until then, by a
# visibility or by the wait after a late receipt; clocks differ; a call may take its time.
_OWNERLESS_S = max(VISIBILITY_S, _LONGEST_BACKOFF_S) + 2 * SKEW_S + 10


class Ledger(FakeStore):
    """bodies: of the jobs' messages. holders: (job, attempt) -> the process that claimed it."""

    def __init__(self, world: "World") -> None:
        super().__init__()
        self._world = world
        self.bodies: dict[str, str] = {}
        self.holders: dict[tuple[str, int], Process | None] = {}
        self._stale_since_s: dict[int, float] = {}
        self._idle_since_s: float | None = None

    def _write(self, record: Record, **changes: object) -> Record:
        before = self.records.get(record.id)
        after = super()._write(record, **changes)
        if before is not None:
            self._compare(before, after)
        return after

    async def finish(self, claim: Claim, ending: Ending) -> Record:
        before = self.records[claim.job_id]
        after = await super().finish(claim, ending)
        self._say(before.attempt != claim.attempt, f"attempt {claim.attempt} ended the job of {before.attempt}", after)
        return after

    def look(self) -> None:
        """What must hold whenever somebody looks."""
        now_s = self._world.loop.time()
        self._idle_since_s = (self._idle_since_s or now_s) if self._world.has_idle_pod() else None
        for job_id in self.bodies:
            self._not_lost(self.records[job_id])
            self._not_ownerless(self.records[job_id])
        for pod in self._world.pods:
            for run in pod.runtime.runs:
                self._not_stale(run)

    def _compare(self, before: Record, after: Record) -> None:
        self._say(before.status in FINAL, f"{before.status} was written over by {after.status}", after)
        self._say(after.attempt < before.attempt, "the attempt went back", after)
        if after.attempt > before.attempt:
            self._claimed(before, after)
        now_ms = self._world.clock.now_ms()
        until_ms = after.lease_until_ms or 0
        self._say(
            until_ms > now_ms + (SKEW_S + self._world.config.lease_s) * 1000, "the lease is longer than a lease", after
        )
        if after.status is Status.SUCCEEDED:
            self._outputs(after)

    def _claimed(self, before: Record, after: Record) -> None:
        process = self._world.acting
        self.holders[after.id, after.attempt] = process
        [pod] = [pod for pod in self._world.pods if process is not None and pod.name == process.name]
        now_ms = self._world.clock.now_ms() + pod.skew_s * 1000
        is_live = before.status is not Status.QUEUED and (before.lease_until_ms or 0) > now_ms
        self._say(is_live, "it was taken from an agent whose lease had not ended", after)
        self._say(self._is_well(before, pod.skew_s), "it was taken from an agent that was well", after)

    def _is_well(self, record: Record, skew_s: float) -> bool:
        """Whether its owner has done nothing but work on it, by a clock like the other's, for longer than a lease."""
        owner = self.holders.get((record.id, record.attempt))
        if record.status is Status.QUEUED or owner is None or not owner.runs:
            return False
        [pod] = [pod for pod in self._world.pods if pod.name == owner.name]
        if pod.process is not owner or skew_s - pod.skew_s > LEASE_S - 3 * HEARTBEAT_S:
            return False
        is_at_work = any(run.job_id == record.id and run.by is owner for run in pod.runtime.runs)
        return is_at_work and self._world.loop.time() - owner.troubled_s > LEASE_S

    def _outputs(self, record: Record) -> None:
        holder = self.holders.get((record.id, record.attempt))
        self._say(not record.outputs, "it succeeded without outputs", record)
        for output in record.outputs:
            body, _ = self._world.files.stored.get(output.key, (b"", ""))
            self._say(not body, f"{output.key} is not there", record)
            own = f"{record.id}-{record.attempt}".encode()
            self._say(bool(body) and own not in body, f"{output.key} holds another attempt's picture", record)
            self._say(self._world.written_by.get(output.key) is not holder, f"{output.key} is another's", record)

    def _not_lost(self, record: Record) -> None:
        has_message = self._world.queue.holds(record.id)
        if record.status in FINAL:
            is_told = bool(self._world.topic.told.get(record.id))
            self._say(not (is_told or has_message), "it ended, and nobody will be told", record)
        else:
            self._say(not has_message, "it has not ended, and no message speaks of it", record)

    def _not_ownerless(self, record: Record) -> None:
        if record.lease_until_ms is None or self._idle_since_s is None:
            return
        over_s = (self._world.clock.now_ms() - record.lease_until_ms) / 1000
        idle_s = self._world.loop.time() - self._idle_since_s
        self._say(min(over_s, idle_s) > _OWNERLESS_S, f"nobody has owned it for {over_s:.0f} s", record)

    def _not_stale(self, run: "Run") -> None:
        """A process that is neither dead nor paused lets go of a job that it lost before another lease is over."""
        record = self.records[run.job_id]
        is_stale = run.by.runs and (record.attempt != run.attempt or record.status in FINAL)
        now_s = self._world.loop.time()
        since_s = self._stale_since_s.setdefault(id(run), now_s) if is_stale else now_s
        if not is_stale:
            self._stale_since_s.pop(id(run), None)
        self._say(now_s - since_s > LEASE_S, f"{run.by.name} still works on lost attempt {run.attempt}", record)

    def _say(self, is_wrong: object, what: str, record: Record) -> None:
        if is_wrong:
            job = f"job {record.id[:8]} ({record.status}, attempt {record.attempt})"
            self._world.violations.append(f"{self._world.loop.time():.3f} s: {job}: {what}")


class LedgerQueue(FakeQueue):
    """polls: those that wait at it."""

    def __init__(self, world: "World", *, visibility_s: int, max_receives: int) -> None:
        super().__init__(world.clock, visibility_s=visibility_s, max_receives=max_receives)
        self._world = world
        self.dead_letters: list[Any] = []
        self.polls: list[Poll] = []

    def send(self, body: str, message_id: str = "") -> None:
        super().send(body, message_id)
        self._tell_polls()

    def holds(self, job_id: str) -> bool:
        """Whether a message of the job can still be received, here or in the dead-letter queue."""
        return any(job_of(message.body) == job_id for message in (*self._messages, *self.dead_letters))

    @property
    def is_empty(self) -> bool:
        return not self._messages and not self.dead_letters

    def _next_visible(self) -> Any:
        before = list(self._messages)
        found = super()._next_visible()
        self.dead_letters += [message for message in before if message not in self._messages]
        return found

    async def extend(self, delivery: Delivery, visibility_s: int) -> bool:
        bound_s = max(self._visibility_s, _LONGEST_BACKOFF_S, LEASE_S + 2 * SKEW_S)
        if visibility_s > bound_s:
            self._world.violations.append(f"a message was hidden for {visibility_s} s, over {bound_s}")
        is_held = await super().extend(delivery, visibility_s)
        self._tell_polls()
        return is_held

    def _tell_polls(self) -> None:
        polls, self.polls = self.polls, []
        for poll in polls:
            poll.look_soon()


class LedgerTopic(FakeTopic):
    """told: results by job, in order."""

    def __init__(self, world: "World") -> None:
        super().__init__()
        self._world = world
        self.told: dict[str, list[ResultMessage]] = {}

    async def publish(self, body: bytes, attributes: Mapping[str, str]) -> None:
        await super().publish(body, attributes)
        result = decode_result(body)
        record = self._world.store.records[result.job_id]
        told = self.told.setdefault(result.job_id, [])
        if record.status not in FINAL:
            self._world.violations.append(f"job {result.job_id[:8]} was announced while it was {record.status}")
        elif result != result_of(record, "outputs") or any(result != earlier for earlier in told):
            self._world.violations.append(f"job {result.job_id[:8]} was announced with two results")
        told.append(result)


@functools.cache
def job_of(body: str) -> str:
    message = decode_message(body)
    assert isinstance(message, JobMessage)
    return message.id
