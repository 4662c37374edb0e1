"""The dead-letter handler: a message that no agent could settle ends its job as failed, and says so.

SQS gives it the dead-letter queues' messages; what it reports as failed comes back after the queue's visibility
timeout, everything else is deleted.
"""

import os
import time
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from functions import log
from functions.api import env
from functions.api.ports import Store
from functions.api.store import AwsStore
from sd_async.contract.adoption import adopted, first_record, is_job_id
from sd_async.contract.codec import decode
from sd_async.contract.errors import ContractError
from sd_async.contract.jobs import JobError
from sd_async.contract.limits import MAX_TIMEOUT_S
from sd_async.contract.messages import JobMessage, decode_message
from sd_async.contract.records import Record
from sd_async.contract.states import FINAL, Status

CODE = "too_many_attempts"
_DAY_S = 24 * 60 * 60


class DeadLetters:
    def __init__(self, store: Store, environment: env.Env, now_ms: Callable[[], int]) -> None:
        self._store = store
        self._env = environment
        self._now_ms = now_ms

    def __call__(self, event: Mapping[str, Any], _context: object = None) -> dict[str, list[dict[str, str]]]:
        failures = [
            {"itemIdentifier": str(message["messageId"])}
            for message in event.get("Records") or []
            if not self._settled(message)
        ]
        return {"batchItemFailures": failures}

    def _settled(self, message: Mapping[str, Any]) -> bool:
        message_id = str(message["messageId"])
        try:
            outcome, job_id = self._ended(message_id, message)
        except Exception as error:  # noqa: BLE001 - the process boundary: one message's fault is not its batch's
            log.line("dead_letter", "ERROR", message_id=message_id, outcome="fault", trace=log.trace_of(error))
            return False
        queue = str(message.get("eventSourceARN") or "").rpartition(":")[2]
        level = "WARNING" if outcome in {"foreign", "leased"} else "INFO"
        log.line("dead_letter", level, message_id=message_id, queue=queue, outcome=outcome, job_id=job_id)
        return outcome != "leased"

    def _ended(self, message_id: str, message: Mapping[str, Any]) -> tuple[str, str | None]:
        """Outcome (foreign, duplicate, leased, final, failed or recorded) and the job's id."""
        body = str(message.get("body") or "")
        job_id, job = self._job_of(message_id, body, _sent_at_ms(message))
        record = self._store.get(job_id) if job_id is not None else None
        if record is None:
            return ("foreign", None) if job is None else (self._recorded(job), job.id)
        if record.status not in FINAL and record.message_id not in {None, message_id}:
            return "duplicate", job_id  # the message that holds the job is still on its way to an end
        outcome = "final"
        if record.status not in FINAL and (failed := self._store.fail(record.id, _error_of(record), self._now_ms())):
            outcome, record = "failed", failed
        if record.status not in FINAL:  # an agent holds it still, or ended it just now: look again later
            return "leased", job_id
        # Whoever ended it may have been stopped before it told anybody; a result is told at least once.
        self._store.publish_result(record)
        return outcome, job_id

    def _job_of(self, message_id: str, body: str, sent_at_ms: int) -> tuple[str | None, JobMessage | None]:
        """Id of the job that a message speaks of, and the job, as far as either can be read."""
        try:
            message = decode_message(body)
        except ContractError:
            return _named_in(body), None
        # A job published straight to the topic has its message's id, which the way into a dead-letter queue keeps.
        job_id = message.id if isinstance(message, JobMessage) else message_id.lower()
        if not is_job_id(job_id):
            return None, None
        if isinstance(message, JobMessage):
            return job_id, message
        runtime = self._env.runtimes.get(message.request.runtime)
        timeout_s = runtime.timeout_seconds if runtime else MAX_TIMEOUT_S
        return job_id, adopted(message, job_id, timeout_s=timeout_s, created_at_ms=sent_at_ms)[0]

    def _recorded(self, job: JobMessage) -> str:
        """A job that no agent has recorded is recorded as failed: its message is the only trace of it."""
        now_ms = self._now_ms()
        first = first_record(job, now_ms=now_ms, retention_days=self._env.retention_s // _DAY_S)
        error = JobError(code=CODE, message="Given up: no agent could record the job.")
        failed = msgspec.structs.replace(first, status=Status.FAILED, completed_at_ms=now_ms, error=error)
        if not self._store.add(failed):
            return "leased"
        self._store.publish_result(failed)
        return "recorded"


class _Named(msgspec.Struct):
    sd_async: int
    id: str


def _named_in(body: str) -> str | None:
    """The job's id in a message of ours that this version cannot read otherwise."""
    try:
        named = decode(body, _Named).id
    except ContractError:
        return None
    return named if is_job_id(named) else None


def _sent_at_ms(message: Mapping[str, Any]) -> int:
    """When it was sent at first; the way into a dead-letter queue keeps that too."""
    return int((message.get("attributes") or {}).get("SentTimestamp") or 0)


def _error_of(record: Record) -> JobError:
    sentence = f"Given up after {record.attempt} attempts, none of which ended."
    if record.waiting:
        sentence += f" The last one went back to its queue: {record.waiting}"
    return JobError(code=CODE, message=sentence)


_ENV = env.load(os.environ)
handle = DeadLetters(AwsStore.connect(_ENV), _ENV, now_ms=lambda: time.time_ns() // 1_000_000)
