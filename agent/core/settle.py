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
    NotBegunError,
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


def settle(error: Exception | None, tries: int, max_attempts: int) -> Decision:
    """error: None for success; what is no AgentError is a bug of ours and may succeed next time.

    tries: attempts so far, from 1. At `max_attempts` the job fails with the error at hand, unless it never began.
    """
    if error is None:
        return Decision(Fate.FINISH, Status.SUCCEEDED)
    branch = branch_of(type(error))
    decide = _BRANCHES[branch] if branch else _transient
    decision = decide(error, tries)
    is_kept = decision.ends_process or isinstance(error, NotBegunError)
    if decision.fate is Fate.RELEASE and tries >= max_attempts and not is_kept:
        return Decision(Fate.FINISH, error=_exhausted(error, tries))
    return decision


def branch_of(kind: type[Exception]) -> type[AgentError] | None:
    """The branch of the error tree that decides `kind`'s fate, None for what is not in the tree."""
    return next((branch for branch in _BRANCHES if issubclass(kind, branch)), None)


def _failed(error: Exception, _: int) -> Decision:
    assert isinstance(error, JobError)
    return Decision(Fate.FINISH, error=error.detail)


def _canceled(_error: Exception, _: int) -> Decision:
    return Decision(Fate.FINISH, Status.CANCELED)


def _transient(error: Exception, tries: int) -> Decision:
    return Decision(Fate.RELEASE, delay_s=backoff_s(tries), waiting=_reason(error))


def _handed_back(error: Exception, _: int) -> Decision:
    return Decision(Fate.RELEASE, waiting=_reason(error))


def _dropped(_error: Exception, _: int) -> Decision:
    return Decision(Fate.DROP)


def _fatal(error: Exception, tries: int) -> Decision:
    return Decision(Fate.RELEASE, delay_s=backoff_s(tries), waiting=_reason(error), ends_process=True)


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


def _exhausted(error: Exception, tries: int) -> jobs.JobError:
    return jobs.JobError(
        code="too_many_attempts", message=f"Given up after {tries} attempts. The last one: {_reason(error)}"
    )
