"""Keeps the runtime busy: jobs are taken, claimed, run and settled side by side, each by the one before it in time.

`run` is the process's life, `_serve` the time in which the runtime is there, `_handle` the way of one job.
"""

import asyncio
import contextlib
from typing import Never

from agent.attempt import Attempt
from agent.config import Config
from agent.core import limits, pace
from agent.core.limits import backoff_s
from agent.core.plan import Step, plan, worn_out
from agent.core.settle import settle
from agent.errors import (
    AgentError,
    FatalError,
    NotBegunError,
    RuntimeGoneError,
    RuntimeLostError,
    StoppedError,
)
from agent.line import Line, Taken, not_ours
from agent.ports import Claiming, Ports
from agent.race import first_of, undisturbed, within
from agent.settling import Settling, described
from agent.telemetry import LOGGER
from agent.turns import IN_DOUBT, Turn, Turns
from sd_async.contract.errors import ContractError
from sd_async.contract.records import Record
from sd_async.contract.states import Status

_READY_POLL_S = 1.0
_TICK_S = 1.0
_STOPPED_BEFORE = "The agent was stopped before the job began."


class _StopAsked(Exception):  # noqa: N818 - no error: it unwinds a wait
    pass


class _InDoubt(Exception):  # noqa: N818 - no error: the runtime should be asked whether it is there
    pass


class Worker:
    """stop: set by SIGTERM; `run` ends soon after it, with every job in hand finished or given back."""

    def __init__(self, config: Config, ports: Ports, stop: asyncio.Event) -> None:
        self._config = config
        self._ports = ports
        self._stop = stop
        self._turns = Turns(ports.clock, ports.backend.depth)
        self._line = Line(config, ports, self._turns, most=config.jobs_ahead)
        self._settling = Settling(config, ports)
        self._jobs: set[asyncio.Task[None]] = set()
        self._attempts: set[Attempt] = set()
        self._failed = asyncio.Event()
        self._failure: FatalError | None = None

    async def run(self) -> None:
        """Until `stop`. Raises: FatalError when this process should end."""
        try:
            with contextlib.suppress(_StopAsked):
                await first_of(self._serve(), self._asked_to_stop(), self._fails())
        except FatalError as error:
            self._failure = error
        except BaseException:
            await self._abandon()
            raise
        await self._leave()
        if self._failure is not None:
            raise self._failure

    async def _serve(self) -> Never:
        """Raises: FatalError."""
        await self._await_runtime()
        await self._ports.backend.reset()
        while True:
            self._turns.in_doubt.clear()
            with contextlib.suppress(_InDoubt):
                await first_of(
                    self._start_jobs(), self._line.fill(), self._line.watch(), self._watch(), self._doubted()
                )
            await self._line.hand_back()
            # No attempt is spent on a runtime that is down.
            await self._await_runtime()

    async def _start_jobs(self) -> Never:
        while True:
            await self._turns.room()
            await self._line.arrived()
            if self._turns.in_hand == 0 and not await self._ports.backend.ready():
                raise _InDoubt
            taken = self._line.next()
            if taken is None:
                continue
            job = asyncio.create_task(self._handle(taken))
            self._jobs.add(job)
            job.add_done_callback(self._jobs.discard)
            await asyncio.sleep(0)  # it is counted before there is room for another

    async def _handle(self, taken: Taken) -> None:
        """One job from its claim to its end."""
        try:
            with self._turns.expected() as turn:
                attempt = await self._claimed(taken, turn)
                if attempt is not None:
                    await self._carry_out(attempt)
        finally:
            await taken.inputs.dropped()

    async def _carry_out(self, attempt: Attempt) -> None:
        self._attempts.add(attempt)
        try:
            ended_by = await _error_of(attempt, self._turns)
            attempt.turn.leave()
            if isinstance(ended_by, IN_DOUBT):
                self._turns.in_doubt.set()
            if isinstance(ended_by, RuntimeLostError) and attempt.turn.began_s is None:
                ended_by = NotBegunError(ended_by.message)
            tries = limits.tries(attempt.record.attempt, attempt.delivery.receive_count)
            decision = settle(ended_by, tries, self._config.max_attempts)
            failure = await undisturbed(self._settling.close(attempt, decision, ended_by))
        finally:
            self._attempts.remove(attempt)
        if failure is not None:
            self._fail(failure)

    # claim

    async def _claimed(self, taken: Taken, turn: Turn) -> Attempt | None:
        """None when there is nothing to run; the message is then already dealt with."""
        held_s, began_ns = self._ports.clock.monotonic_s() - taken.taken_s, self._ports.clock.now_ns()
        try:
            record = await self._record_of(taken, turn)
        except Exception as error:  # noqa: BLE001 - the job boundary: its message comes again later
            await undisturbed(self._put_back(taken, error))
            if isinstance(error, FatalError):
                self._fail(error)
            return None
        if record is None:
            return None
        attempt = Attempt(self._config, self._ports, taken, record, turn)
        attempt.marks |= {
            "receive": (began_ns - round(held_s * 1e9), began_ns),
            "claim": (began_ns, self._ports.clock.now_ns()),
        }
        if self._stop.is_set():
            attempt.call_off(NotBegunError(_STOPPED_BEFORE))
        return attempt

    async def _record_of(self, taken: Taken, turn: Turn) -> Record | None:
        """The job's, claimed. Asked for without a look at it, as nearly every job is queued."""
        if self._stop.is_set():
            await self._ports.queue.extend(taken.delivery, 0)
            return None
        if taken.first is not None:
            await self._ports.store.create(taken.first)
        answer = await self._claim(taken, Status.QUEUED)
        if answer.record is None:
            unknown = ContractError("unknown_job", "There is no record of the job.")
            await not_ours(self._ports, taken.delivery, unknown, self._config.max_attempts)
            return None
        return answer.record if answer.is_granted else await self._refused(taken, answer.record, turn)

    async def _refused(self, taken: Taken, record: Record, turn: Turn) -> Record | None:
        planned = plan(record, taken.delivery.message_id, self._ports.clock.now_ms())
        if planned.step is not Step.CLAIM:
            turn.leave()  # the next job need not wait for what becomes of this message
        match planned.step:
            case Step.ANNOUNCE:
                await self._settling.announced(record, taken.delivery)
                _note("job had ended before", taken, record)
                return None
            case Step.DROP:
                await self._ports.queue.delete(taken.delivery)
                _note("job has another message", taken, record)
                return None
            case Step.CLAIM:
                answer = await self._claim(taken, record.status)
                if answer.is_granted:
                    taken.problem = taken.problem or worn_out(record, self._config.max_attempts)
                    return answer.record
        wait_s = planned.wait_s or backoff_s(taken.delivery.receive_count)
        await self._ports.queue.extend(taken.delivery, wait_s)
        _note("job is another agent's", taken, record)
        return None

    async def _claim(self, taken: Taken, seen: Status) -> Claiming:
        now_ms = self._ports.clock.now_ms()
        return await self._ports.store.claim(
            taken.message.id,
            seen,
            agent=self._config.agent_id,
            message_id=taken.delivery.message_id,
            now_ms=now_ms,
            lease_until_ms=now_ms + self._config.lease_s * 1000,
        )

    async def _put_back(self, taken: Taken, error: Exception) -> None:
        known = isinstance(error, AgentError)
        fields = {"message_id": taken.delivery.message_id, "error": described(error)}
        LOGGER.warning("message put back", extra={"fields": fields}, exc_info=None if known else error)
        with contextlib.suppress(AgentError):
            await self._ports.queue.extend(taken.delivery, backoff_s(taken.delivery.receive_count))

    # the end

    async def _leave(self) -> None:
        """What waits is handed back at once; what runs may end in the time that is left."""
        await self._line.hand_back()
        for attempt in self._unbegun():
            attempt.call_off(NotBegunError(_STOPPED_BEFORE))
        if self._jobs and self._failure is None:
            drain_s = limits.drain_s(self._config.grace_period_s)
            await within(drain_s, self._ports.clock, asyncio.create_task(self._jobs_over()))
        for attempt in self._attempts:
            attempt.call_off(StoppedError("The agent was stopped; the job goes on elsewhere."))
        if self._jobs:
            await asyncio.wait(self._jobs)

    async def _jobs_over(self) -> None:
        """All of them, or one in a way that leaves no hope for the others."""
        failed = asyncio.create_task(self._failed.wait())
        try:
            while self._jobs and not failed.done():
                await asyncio.wait({failed, *self._jobs}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            failed.cancel()

    async def _abandon(self) -> None:
        """As by SIGKILL: what runs is dropped where it is; a settling that was begun is brought to its end."""
        for job in self._jobs:
            job.cancel()
        await asyncio.gather(*self._jobs, return_exceptions=True)

    def _fail(self, error: FatalError) -> None:
        self._failure = self._failure or error
        self._failed.set()

    # the guards

    async def _watch(self) -> Never:
        """Nothing claimed waits behind a job that turns out long."""
        while True:
            await self._ports.clock.sleep(_TICK_S)
            now_s = self._ports.clock.monotonic_s()
            for attempt in self._unbegun():
                waited_s, receipts = now_s - attempt.claimed_s, attempt.delivery.receive_count
                if pace.is_guessed_wrong(self._turns.left_s, waited_s, receipts):
                    attempt.call_off(NotBegunError("The job ahead takes longer than expected."))

    async def _await_runtime(self) -> None:
        """Raises: RuntimeGoneError after the limit."""
        wait_s = self._config.runtime_wait_s
        deadline_s = self._ports.clock.monotonic_s() + wait_s
        while not await self._ports.backend.ready():
            if self._ports.clock.monotonic_s() >= deadline_s:
                raise RuntimeGoneError(f"The runtime was not ready within {wait_s} s.")
            await self._ports.clock.sleep(_READY_POLL_S)

    async def _asked_to_stop(self) -> Never:
        await self._stop.wait()
        raise _StopAsked

    async def _doubted(self) -> Never:
        await self._turns.in_doubt.wait()
        raise _InDoubt

    async def _fails(self) -> Never:
        await self._failed.wait()
        raise self._failure or RuntimeError("failed without a reason")

    def _unbegun(self) -> list[Attempt]:
        return [attempt for attempt in self._attempts if attempt.turn.is_ahead]


async def _error_of(attempt: Attempt, turns: Turns) -> Exception | None:
    try:
        await attempt.run(turns)
    except Exception as error:  # noqa: BLE001 - the job boundary: settle decides what becomes of it
        return error
    return None


def _note(what: str, taken: Taken, record: Record) -> None:
    fields = {"job_id": record.id, "status": record.status.value, "receive_count": taken.delivery.receive_count}
    LOGGER.info(what, extra={"fields": fields})
