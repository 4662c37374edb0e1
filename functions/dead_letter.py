"""The dead-letter handler: a message that no agent could settle ends its job as failed, and says so.

SQS gives it the dead-letter queues' messages; what it reports as failed comes back after the queue's visibility
timeout, everything else is deleted.
"""

import os
import time
from collections.abc import Callable, Mapping
from typing import Any

from functions import log
from functions.api import env
from functions.api.ports import Store
from functions.api.store import AwsStore
from sd_async.contract.errors import ContractError
from sd_async.contract.jobs import JobError
from sd_async.contract.messages import JobMessage, decode_message
from sd_async.contract.records import Record
from sd_async.contract.states import FINAL

CODE = "too_many_attempts"


class DeadLetters:
    def __init__(self, store: Store, now_ms: Callable[[], int]) -> None:
        self._store = store
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
            outcome, job_id = self._ended(message_id, str(message.get("body") or ""))
        except Exception as error:  # noqa: BLE001 - the process boundary: one message's fault is not its batch's
            log.line("dead_letter", "ERROR", message_id=message_id, outcome="fault", trace=log.trace_of(error))
            return False
        queue = str(message.get("eventSourceARN") or "").rpartition(":")[2]
        level = "INFO" if outcome in {"final", "failed"} else "WARNING"
        log.line("dead_letter", level, message_id=message_id, queue=queue, outcome=outcome, job_id=job_id)
        return outcome != "leased"

    def _ended(self, message_id: str, body: str) -> tuple[str, str | None]:
        """Outcome (foreign, unknown, leased, final or failed) and the job's id."""
        try:
            message = decode_message(body)
        except ContractError:
            return "foreign", None
        # A job published straight to the topic has its message's id, which the way into a dead-letter queue keeps.
        job_id = message.id if isinstance(message, JobMessage) else message_id.lower()
        record = self._store.get(job_id)
        if record is None:
            return "unknown", job_id
        outcome = "final"
        if record.status not in FINAL and (failed := self._store.fail(job_id, _error_of(record), self._now_ms())):
            outcome, record = "failed", failed
        if record.status not in FINAL:  # an agent holds it still, or ended it just now: look again later
            return "leased", job_id
        # Whoever ended it may have been stopped before it told anybody; a result is told at least once.
        self._store.publish_result(record)
        return outcome, job_id


def _error_of(record: Record) -> JobError:
    sentence = f"Given up after {record.attempt} attempts, none of which ended."
    if record.waiting:
        sentence += f" The last one went back to its queue: {record.waiting}"
    return JobError(code=CODE, message=sentence)


handle = DeadLetters(AwsStore.connect(env.load(os.environ)), now_ms=lambda: time.time_ns() // 1_000_000)
