"""One attempt at a job: its turn at the runtime, then what came out into the bucket."""

import asyncio
import contextlib
import dataclasses
from collections.abc import Iterator, Sequence
from typing import Never

import msgspec

from agent.config import Config
from agent.core import keys, limits
from agent.core.loading import LoadTime
from agent.errors import (
    AgentError,
    CanceledError,
    InvalidJobError,
    JobTimeoutError,
    OutOfMemoryError,
)
from agent.heartbeat import Heartbeat
from agent.line import Taken
from agent.outputs.account import Run
from agent.ports import LOADING, Artifact, Claim, Ports, Work
from agent.race import first_of
from agent.storing import stored
from agent.turns import Turn, Turns
from sd_async.contract.jobs import Progress
from sd_async.contract.records import Phases, Record, StoredOutput
from sd_async.contract.states import Status


class Attempt:
    """A claimed job. Its public attributes are what there is to tell about it, however it ends.

    marks: when each phase began and ended, in nanoseconds since the epoch.
    """

    def __init__(self, config: Config, ports: Ports, taken: Taken, record: Record, turn: Turn) -> None:
        self.delivery = taken.delivery
        self.record = record
        self.claim = Claim(record.id, record.attempt)
        self.claimed_s = ports.clock.monotonic_s()
        self.turn = turn
        self.progress = Progress()
        self.outputs: list[StoredOutput] = []
        self.marks: dict[str, tuple[int, int]] = {}
        self._config = config
        self._ports = ports
        self._taken = taken
        self._is_made = False
        self._phases_s: dict[str, float] = {}
        self._loading = LoadTime()
        self._called_off: asyncio.Future[AgentError] = asyncio.get_running_loop().create_future()

    @property
    def phases(self) -> Phases:
        load = {} if self._loading.seconds is None else {"load": self._loading.seconds}
        phases_s = {**self._phases_s, **load}
        return Phases(**{f"{name}_ms": round(seconds * 1000) for name, seconds in phases_s.items()})

    def call_off(self, reason: AgentError) -> None:
        """End it, with what it has begun."""
        if not self._called_off.done():
            self._called_off.set_result(reason)

    async def run(self, turns: Turns) -> None:
        """Raises: whatever ends the attempt without a result; nothing of it is at work any more then."""
        if self._called_off.done():
            raise self._called_off.result()
        if self.record.status is Status.CANCELING:
            raise CanceledError("The client canceled the job.")
        if self._taken.problem is not None:
            raise InvalidJobError(self._taken.problem)
        heartbeat = Heartbeat(
            self._ports.queue,
            self._ports.store,
            self._ports.clock,
            heartbeat_s=self._config.heartbeat_s,
            lease_s=self._config.lease_s,
            visibility_s=self._config.visibility_s,
            received_s=self._taken.taken_s,
        )
        await first_of(
            self._work(turns),
            heartbeat.run(self.claim, self.delivery, self.claimed_s, lambda: self.progress),
            self._deadline(),
            self._off(),
            self._message_held(),
        )

    async def _work(self, turns: Turns) -> None:
        work = await self._prepared()
        async with turns.taken(self.turn):
            made = await self._make(work)
        self._is_made = True
        with self._phase("store", "uploading"):
            folder = keys.output_folder(self.record.output_key, self.record.id, self.record.attempt)
            run = await self._run(work)
            self.outputs = await stored(
                made, folder, self._ports.backend, self._ports.files, run=run, clock=self._ports.clock
            )

    async def _prepared(self) -> Work:
        fetching = self._taken.inputs
        self.progress = msgspec.structs.replace(self.progress, message="fetching")
        try:
            inputs = await fetching.result()
        finally:
            self._phases_s["fetch"] = fetching.took_s
            if fetching.span_ns is not None:
                self.marks["fetch"] = fetching.span_ns
        return Work(
            run_id=keys.run_id(self.record.id, self.record.attempt),
            label=f"{self.record.id}-{self.record.attempt}",
            input=inputs.message.input or {},
            files=inputs.files,
            type=inputs.message.type,
        )

    async def _make(self, work: Work) -> Sequence[Artifact]:
        with self._phase("execution", "running"):
            try:
                return await self._ports.backend.run(work, self._report)
            except OutOfMemoryError:
                await self._ports.backend.free()
            again = f"{work.label}-again"
            work = dataclasses.replace(work, run_id=keys.run_id(again, 1), label=again)
            return await self._ports.backend.run(work, self._report)

    async def _run(self, work: Work) -> Run:
        inputs = await self._taken.inputs.result()
        return Run(
            message=inputs.message,
            record=self.record,
            agent_id=self._config.agent_id,
            phases=self.phases,
            inputs=inputs.digests,
            notes=work.notes,
        )

    def _report(self, progress: Progress) -> None:
        self.turn.note(progress)
        clock, is_loading = self._ports.clock, progress.message == LOADING
        self._loading.saw(is_loading=is_loading, at_s=clock.monotonic_s(), at_ns=clock.now_ns())
        if self._loading.span_ns is not None:
            self.marks["load"] = self._loading.span_ns
        self.progress = msgspec.structs.replace(progress, message=progress.message or "running")

    async def _deadline(self) -> Never:
        await self.turn.begun.wait()
        timeout_s = self.record.timeout_seconds
        await self._ports.clock.sleep(timeout_s)
        while self._is_made:  # what the GPU has done by then is not thrown away
            await self._ports.clock.sleep(timeout_s)
        raise JobTimeoutError(f"The job did not finish within its {timeout_s} s; ask for more with `timeout_seconds`.")

    async def _message_held(self) -> Never:
        """Its end comes before SQS shows the message to others again."""
        await self._ports.clock.sleep(limits.hold_s(self.claimed_s - self._taken.taken_s))
        raise JobTimeoutError("The job did not end within the 12 h for which SQS holds its message.")

    async def _off(self) -> Never:
        raise await self._called_off

    @contextlib.contextmanager
    def _phase(self, name: str, message: str) -> Iterator[None]:
        """Of the runtime's phase only what comes after its turn began: before that it waits for the job ahead."""
        self.progress = msgspec.structs.replace(self.progress, message=message)
        began_s, began_ns = self._ports.clock.monotonic_s(), self._ports.clock.now_ns()
        try:
            yield
        finally:
            if name == "execution" and self.turn.began_s is not None:
                began_s, began_ns = self.turn.began_s, self.turn.began_ns
            self._phases_s[name] = self._ports.clock.monotonic_s() - began_s
            self.marks[name] = began_ns, self._ports.clock.now_ns()
