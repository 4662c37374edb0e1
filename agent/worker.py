"""Takes one message at a time from the queue, runs its job, settles it, and writes the closing line."""

import asyncio
import contextlib
from collections.abc import Coroutine
from typing import Any, Never, TypeVar

import msgspec

from agent import telemetry
from agent.attempt import Attempt, Ports
from agent.config import Config
from agent.core import keys, limits
from agent.core.limits import backoff_s
from agent.core.plan import Step, plan
from agent.core.settle import Decision, Fate, settle
from agent.errors import (
    AgentError,
    CanceledError,
    FatalError,
    JobError,
    LeaseLostError,
    RuntimeGoneError,
    TransientError,
)
from agent.ports import Delivery, Ending
from agent.race import first_of, undisturbed
from agent.telemetry import LOGGER, ClosingLine
from sd_async.contract.adoption import adopted, first_record
from sd_async.contract.errors import ContractError
from sd_async.contract.messages import DirectJob, JobMessage, decode_message
from sd_async.contract.records import Record
from sd_async.contract.results import encode_result, result_of
from sd_async.contract.states import Status

T = TypeVar("T")

_READY_POLL_S = 1.0


class _StopAsked(Exception):  # noqa: N818 - no error: it unwinds a wait
    pass


class Worker:
    """stop: set by SIGTERM; `run` ends soon after it, with the job at hand finished or given back."""

    def __init__(self, config: Config, ports: Ports, stop: asyncio.Event) -> None:
        self._config = config
        self._ports = ports
        self._stop = stop

    async def run(self) -> None:
        """Until `stop`. Raises: FatalError when this process should end."""
        with contextlib.suppress(_StopAsked):
            await self._or_stop(self._await_runtime())
            await self._ports.backend.reset()
            while not self._stop.is_set():
                # Also after a job that lost its runtime: no attempt is spent on one that is down.
                if not await self._ports.backend.ready():
                    await self._or_stop(self._await_runtime())
                delivery = await self._or_stop(self._received())
                if delivery is not None and self._stop.is_set():
                    await self._ports.queue.extend(delivery, 0)
                elif delivery is not None:
                    await self.handle(delivery)

    async def handle(self, delivery: Delivery) -> None:
        """One delivery from receipt to its end. Raises: FatalError only."""
        try:
            attempt = await self._taken(delivery)
        except Exception as error:
            await undisturbed(self._put_back(delivery, error))
            if isinstance(error, FatalError):
                raise
            return
        if attempt is None:
            return
        ended_by = await _error_of(attempt, self._stop)
        decision = settle(ended_by, delivery.receive_count, self._config.max_attempts)
        failure = await undisturbed(self._close(attempt, decision, ended_by))
        if failure is not None:
            raise failure

    # take

    async def _received(self) -> Delivery | None:
        try:
            return await self._ports.queue.receive(limits.POLL_WAIT_S)
        except TransientError as error:
            LOGGER.warning("receive failed", extra={"fields": {"error": error.message}})
            await self._ports.clock.sleep(backoff_s(1))
            return None

    async def _taken(self, delivery: Delivery) -> Attempt | None:
        """The claimed job, None when there is nothing to run; the message is then already dealt with."""
        try:
            message, record, problem = await self._found(delivery)
        except ContractError as error:
            await self._not_ours(delivery, error)
            return None
        now_ms = self._ports.clock.now_ms()
        planned = plan(record, delivery.message_id, now_ms)
        if planned.step is Step.ANNOUNCE:
            await self._announce(record)
            await self._ports.queue.delete(delivery)
            self._note("job had ended before", delivery, record)
            return None
        if planned.step is Step.DROP:
            await self._ports.queue.delete(delivery)
            self._note("job has another message", delivery, record)
            return None
        claimed = None
        if planned.step is Step.CLAIM:
            claimed = await self._ports.store.claim(
                record,
                agent=self._config.agent_id,
                message_id=delivery.message_id,
                now_ms=now_ms,
                lease_until_ms=now_ms + self._config.lease_s * 1000,
            )
        if claimed is None:
            await self._ports.queue.extend(delivery, planned.wait_s or backoff_s(delivery.receive_count))
            self._note("job is another agent's", delivery, record)
            return None
        return Attempt(self._config, self._ports, delivery, message, claimed, problem)

    async def _found(self, delivery: Delivery) -> tuple[JobMessage, Record, ContractError | None]:
        """The job a message speaks of, and what is wrong with it. Raises: ContractError for what is not ours."""
        message = decode_message(delivery.body)
        if isinstance(message, DirectJob):
            return await self._adopted(message, delivery)
        record = await self._ports.store.get(message.id)
        if record is None:
            raise ContractError("unknown_job", "There is no record of the job.")
        return message, record, None

    async def _adopted(self, direct: DirectJob, delivery: Delivery) -> tuple[JobMessage, Record, ContractError | None]:
        job_id = keys.job_id_of(delivery.message_id)
        if job_id is None:
            raise ContractError("unknown_message", "The message's id is no UUID, so its job has no id.")
        message, problem = adopted(
            direct, job_id, timeout_s=self._config.job_timeout_s, created_at_ms=delivery.sent_at_ms
        )
        first = first_record(message, now_ms=self._ports.clock.now_ms(), retention_days=self._config.retention_days)
        if await self._ports.store.create(first):
            return message, first, problem
        return message, await self._ports.store.get(job_id) or first, problem

    async def _not_ours(self, delivery: Delivery, error: ContractError) -> None:
        """Left to the dead-letter queue: a newer agent may understand it, and somebody should look at it."""
        fields = {"message_id": delivery.message_id, "code": error.code, "receive_count": delivery.receive_count}
        LOGGER.warning("message is not ours", extra={"fields": fields})
        await self._ports.queue.extend(delivery, backoff_s(delivery.receive_count))

    async def _put_back(self, delivery: Delivery, error: Exception) -> None:
        """A message whose job could not even be claimed comes again later."""
        known = isinstance(error, AgentError)
        fields = {"message_id": delivery.message_id, "error": _described(error)}
        LOGGER.warning("message put back", extra={"fields": fields}, exc_info=None if known else error)
        with contextlib.suppress(AgentError):
            await self._ports.queue.extend(delivery, backoff_s(delivery.receive_count))

    # settle

    async def _close(self, attempt: Attempt, decision: Decision, error: Exception | None) -> FatalError | None:
        """What should end the process, after the job has been settled as well as it can be."""
        if error is not None and not isinstance(error, AgentError):
            LOGGER.error("unexpected error", extra={"fields": {"job_id": attempt.record.id}}, exc_info=error)
        try:
            outcome = await self._settled(attempt, decision)
        except LeaseLostError as lost:
            outcome, error = "dropped", lost
        except Exception as failure:  # noqa: BLE001 - the job boundary: lease and visibility end by themselves
            LOGGER.warning("job not settled", extra={"fields": {"job_id": attempt.record.id}}, exc_info=failure)
            outcome, error = "unsettled", failure
        telemetry.close(self._closing_line(attempt, decision, outcome, error))
        return error if isinstance(error, FatalError) else None

    async def _settled(self, attempt: Attempt, decision: Decision) -> str:
        match decision.fate:
            case Fate.FINISH:
                await self._finish(attempt, decision)
                return decision.status.value
            case Fate.RELEASE:
                return await self._release(attempt, decision)
            case Fate.DROP:
                return "dropped"

    async def _finish(self, attempt: Attempt, decision: Decision) -> None:
        """Recorded, then announced, then deleted: a crash in between repeats what follows, never the job."""
        is_success = decision.status is Status.SUCCEEDED
        done = msgspec.structs.replace(attempt.progress, value=1.0, message="done")
        ending = Ending(
            status=decision.status,
            completed_at_ms=self._ports.clock.now_ms(),
            phases=attempt.phases,
            progress=done if is_success else msgspec.structs.replace(attempt.progress, message=decision.status.value),
            outputs=attempt.outputs if is_success else (),
            error=decision.error,
        )
        await self._announce(await self._ports.store.finish(attempt.claim, ending))
        await self._ports.queue.delete(attempt.delivery)

    async def _release(self, attempt: Attempt, decision: Decision) -> str:
        now_ms = self._ports.clock.now_ms()
        if not await self._ports.store.release(attempt.claim, now_ms=now_ms, waiting=decision.waiting):
            await self._finish(attempt, Decision(Fate.FINISH, Status.CANCELED))
            return Status.CANCELED.value
        await self._ports.queue.extend(attempt.delivery, decision.delay_s)
        return "released"

    async def _announce(self, record: Record) -> None:
        # SNS takes no empty value; a form published straight to the topic may name no runtime.
        attributes = {"runtime": record.runtime or self._config.runtime_name, "status": record.status.value}
        await self._ports.topic.publish(encode_result(result_of(record, self._config.output_bucket)), attributes)

    # the rest

    async def _await_runtime(self) -> None:
        """Raises: RuntimeGoneError after the limit."""
        deadline_s = self._ports.clock.monotonic_s() + limits.RUNTIME_WAIT_S
        while not await self._ports.backend.ready():
            if self._ports.clock.monotonic_s() >= deadline_s:
                raise RuntimeGoneError(f"The runtime did not answer within {limits.RUNTIME_WAIT_S} s.")
            await self._ports.clock.sleep(_READY_POLL_S)

    async def _or_stop(self, work: Coroutine[Any, Any, T]) -> T:
        """Raises: _StopAsked as soon as `stop` is set, with the work canceled."""
        return await first_of(work, self._asked_to_stop())

    async def _asked_to_stop(self) -> Never:
        await self._stop.wait()
        raise _StopAsked

    def _closing_line(self, attempt: Attempt, decision: Decision, outcome: str, error: Exception | None) -> ClosingLine:
        record, phases = attempt.record, attempt.phases
        claimed_ms = record.started_at_ms or record.created_at_ms
        return ClosingLine(
            job_id=record.id,
            runtime=record.runtime,
            attempt=record.attempt,
            outcome=outcome,
            decision=decision.fate.value,
            error=_described(error),
            wait_s=max(claimed_ms - record.created_at_ms, 0) / 1000,
            fetch_s=_seconds(phases.fetch_ms),
            generate_s=_seconds(phases.execution_ms),
            store_s=_seconds(phases.store_ms),
            total_s=round(self._ports.clock.monotonic_s() - attempt.claimed_s, 3),
            images=len(attempt.outputs),
            bytes_out=sum(output.size_bytes for output in attempt.outputs),
        )

    def _note(self, what: str, delivery: Delivery, record: Record) -> None:
        fields = {"job_id": record.id, "status": record.status.value, "receive_count": delivery.receive_count}
        LOGGER.info(what, extra={"fields": fields})


async def _error_of(attempt: Attempt, stop: asyncio.Event) -> Exception | None:
    try:
        await attempt.run(stop)
    except Exception as error:  # noqa: BLE001 - the job boundary: settle decides what becomes of it
        return error
    return None


def _described(error: Exception | None) -> str | None:
    """A code, with the sentence when it is ours; a job's own failure may quote the client's prompt."""
    if error is None:
        return None
    if not isinstance(error, AgentError):
        return type(error).__name__
    detail = error.detail
    return detail.code if isinstance(error, JobError | CanceledError) else f"{detail.code}: {error.message}"


def _seconds(milliseconds: int | None) -> float | None:
    return None if milliseconds is None else milliseconds / 1000
