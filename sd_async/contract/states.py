"""States of a job and the steps between them; the names are those of the Comfy API v2."""

from enum import StrEnum


class Status(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    CANCELING = "canceling"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELED = "canceled"


FINAL = frozenset({Status.SUCCEEDED, Status.FAILED, Status.CANCELED})

# `running -> running` is a claim taken over after its lease ended; `running -> queued` is a claim handed back.
TRANSITIONS: dict[Status, frozenset[Status]] = {
    Status.QUEUED: frozenset({Status.RUNNING, Status.FAILED, Status.CANCELED}),
    Status.RUNNING: frozenset(
        {Status.RUNNING, Status.QUEUED, Status.CANCELING, Status.SUCCEEDED, Status.FAILED, Status.CANCELED}
    ),
    Status.CANCELING: frozenset({Status.CANCELING, Status.CANCELED, Status.SUCCEEDED, Status.FAILED}),
    Status.SUCCEEDED: frozenset(),
    Status.FAILED: frozenset(),
    Status.CANCELED: frozenset(),
}


def may_leave(status: Status, target: Status) -> bool:
    return target in TRANSITIONS[status]
