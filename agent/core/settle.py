"""What becomes of a job when its attempt ends: the error's class decides."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from agent.core.limits import backoff_s
from agent.errors import (
    AgentError,
    CanceledError,
    FatalError,
    HandBackError,
    JobError,
    LeaseLostError,
    TransientError,
)
from sd_async.contract import jobs
from sd_async.contract.states import Status


class Fate(StrEnum):
    FINISH = "finish"  # record the final state, announce it, delete the message
    RELEASE = "release"  # give the claim back; the message comes again
    DROP = "drop"  # write nothing: it is no longer ours


@dataclass(frozen=True, slots=True)
class Decision:
    """status, error: for FINISH. delay_s, waiting: for RELEASE, until it is delivered again and why, in words."""

    fate: Fate
    status: Status = Status.FAILED
    error: jobs.JobError | None = None
    delay_s: int = 0
    waiting: str = ""
    ends_process: bool = False


def settle(error: Exception | None, receive_count: int, max_attempts: int) -> Decision:
    """error: None for success; what is no AgentError is a bug of ours and may succeed next time.

    receive_count: deliveries so far, from 1. At `max_attempts`, the queue's own limit, the next receipt would
    end in the dead-letter queue: the job is failed here instead, with the error at hand.
    """
    if error is None:
        return Decision(Fate.FINISH, Status.SUCCEEDED)
    branch = branch_of(type(error))
    decide = _BRANCHES[branch] if branch else _transient
    decision = decide(error, receive_count)
    if decision.fate is Fate.RELEASE and receive_count >= max_attempts and not decision.ends_process:
        return Decision(Fate.FINISH, error=_exhausted(error, receive_count))
    return decision


def branch_of(kind: type[Exception]) -> type[AgentError] | None:
    """The branch of the error tree that decides `kind`'s fate, None for what is not in the tree."""
    return next((branch for branch in _BRANCHES if issubclass(kind, branch)), None)


def _failed(error: Exception, _: int) -> Decision:
    assert isinstance(error, JobError)
    return Decision(Fate.FINISH, error=error.detail)


def _canceled(_error: Exception, _: int) -> Decision:
    return Decision(Fate.FINISH, Status.CANCELED)


def _transient(error: Exception, receive_count: int) -> Decision:
    return Decision(Fate.RELEASE, delay_s=backoff_s(receive_count), waiting=_reason(error))


def _handed_back(error: Exception, _: int) -> Decision:
    return Decision(Fate.RELEASE, waiting=_reason(error))


def _dropped(_error: Exception, _: int) -> Decision:
    return Decision(Fate.DROP)


def _fatal(error: Exception, receive_count: int) -> Decision:
    return Decision(Fate.RELEASE, delay_s=backoff_s(receive_count), waiting=_reason(error), ends_process=True)


_BRANCHES: dict[type[AgentError], Callable[[Exception, int], Decision]] = {
    JobError: _failed,
    CanceledError: _canceled,
    TransientError: _transient,
    HandBackError: _handed_back,
    LeaseLostError: _dropped,
    FatalError: _fatal,
}


def _reason(error: Exception) -> str:
    """A sentence for the client; a bug's own words may hold anything, so they stay in the log."""
    return error.message if isinstance(error, AgentError) else "The agent met an unexpected error."


def _exhausted(error: Exception, receive_count: int) -> jobs.JobError:
    return jobs.JobError(
        code="too_many_attempts", message=f"Given up after {receive_count} attempts. The last one: {_reason(error)}"
    )
