"""The outbox sweep, every minute: publishes what was recorded and never published.

A crash or a fault between the record and its message leaves the record in the outbox; nothing else is needed to
find it again.
"""

import os
import time
from collections.abc import Callable
from typing import Protocol

from functions import log
from functions.api import env
from functions.api.ports import Store, StoreError
from functions.api.publish import publish_pending
from functions.api.store import AwsStore
from sd_async.contract.errors import ContractError
from sd_async.contract.jobs import JobError
from sd_async.contract.records import Record

# A submit that is still under way publishes for itself; its function is ended after API Gateway's 29 s.
MIN_AGE_MS = 30_000
MAX_RECORDS = 500
SPARE_MS = 10_000  # one record's three calls and their retries


class LambdaContext(Protocol):
    def get_remaining_time_in_millis(self) -> int: ...


class SweepError(Exception):
    """Some messages could not be published; raised last, so that the function's error metric shows it."""


class Sweep:
    def __init__(self, store: Store, now_ms: Callable[[], int]) -> None:
        self._store = store
        self._now_ms = now_ms

    def __call__(self, _event: object, context: LambdaContext) -> None:
        """Raises: SweepError, after every record had its turn."""
        pending = self._store.pending(self._now_ms() - MIN_AGE_MS, MAX_RECORDS)
        failures = taken = 0
        for record in pending:
            if context.get_remaining_time_in_millis() < SPARE_MS:
                break
            taken += 1
            failures += not self._settled(record)
        log.line("outbox_sweep", pending=len(pending), taken=taken, failures=failures)
        if failures:
            raise SweepError(f"{failures} of {taken} messages could not be published.")

    def _settled(self, record: Record) -> bool:
        try:
            publish_pending(self._store, record)
        except ContractError as error:
            return self._failed(record, error)
        except StoreError as error:
            log.line("publish_failed", "ERROR", job_id=record.id, error=str(error))
            return False
        log.line("published_late", "WARNING", job_id=record.id)
        return True

    def _failed(self, record: Record, error: ContractError) -> bool:
        try:
            failed = self._store.fail(record.id, JobError(code=error.code, message=error.message), self._now_ms())
            if failed is not None:
                self._store.publish_result(failed)
        except StoreError as fault:
            log.line("publish_failed", "ERROR", job_id=record.id, error=str(fault))
            return False
        log.line("unpublishable", "ERROR", job_id=record.id, code=error.code)
        return True


handle = Sweep(AwsStore.connect(env.load(os.environ)), now_ms=lambda: time.time_ns() // 1_000_000)
