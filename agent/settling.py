"""What becomes of a job when its attempt has ended: recorded, announced, its message deleted or shown again."""

import msgspec

from agent import telemetry
from agent.attempt import Attempt
from agent.config import Config
from agent.core.settle import Decision, Fate
from agent.errors import AgentError, CanceledError, FatalError, JobError, LeaseLostError
from agent.ports import Delivery, Ending, Ports
from agent.telemetry import LOGGER, ClosingLine
from sd_async.contract.records import Record
from sd_async.contract.results import encode_result, result_of
from sd_async.contract.states import Status


class Settling:
    def __init__(self, config: Config, ports: Ports) -> None:
        self._config = config
        self._ports = ports

    async def close(self, attempt: Attempt, decision: Decision, error: Exception | None) -> FatalError | None:
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

    async def announced(self, record: Record, delivery: Delivery) -> None:
        """The rest of a settling that was cut short, or of a job that ended without us."""
        await self._announce(record)
        await self._ports.queue.delete(delivery)

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
        await self.announced(await self._ports.store.finish(attempt.claim, ending), attempt.delivery)

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
