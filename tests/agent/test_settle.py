"""Every error has exactly one fate."""

from collections.abc import Iterator

import pytest

from agent import errors
from agent.core.limits import backoff_s, drain_s, tries
from agent.core.settle import Fate, branch_of, settle
from agent.errors import AgentError, ConfigError, InvalidJobError
from sd_async.contract.errors import ContractError
from sd_async.contract.states import Status

FATES = {
    errors.JobError: Fate.FINISH,
    errors.CanceledError: Fate.FINISH,
    errors.TransientError: Fate.RELEASE,
    errors.HandBackError: Fate.RELEASE,
    errors.LeaseLostError: Fate.DROP,
    errors.FatalError: Fate.RELEASE,
}


def leaves(kind: type[AgentError] = AgentError) -> Iterator[type[AgentError]]:
    below = kind.__subclasses__()
    if not below:
        yield kind
    for child in below:
        yield from leaves(child)


LEAVES = list(leaves())


def made(kind: type[AgentError]) -> AgentError:
    if kind is InvalidJobError:
        return InvalidJobError(ContractError("invalid_value", "No.", "input"))
    return ConfigError(["SD_AGENT_ID is not set."]) if kind is ConfigError else kind("No.")


@pytest.mark.parametrize("kind", LEAVES)
def test_every_leaf_has_the_fate_of_one_branch(kind: type[AgentError]) -> None:
    branches = [branch for branch in FATES if issubclass(kind, branch)]
    assert len(branches) == 1, f"{kind.__name__} hangs under no branch, or under several"
    assert branch_of(kind) is branches[0]
    assert settle(made(kind), 1, 5).fate is FATES[branches[0]]


@pytest.mark.parametrize("kind", LEAVES)
def test_every_leaf_says_what_to_record(kind: type[AgentError]) -> None:
    detail = made(kind).detail
    assert detail.code not in {"internal", "failed", "transient", "handed_back", "fatal"}
    assert detail.message


@pytest.mark.parametrize("kind", LEAVES)
def test_the_tree_in_the_docstring_shows_every_leaf(kind: type[AgentError]) -> None:
    assert kind.__name__ in (errors.__doc__ or "")


@pytest.mark.parametrize("kind", LEAVES)
def test_at_the_last_attempt_only_an_unfit_process_gives_back_and_what_never_began(kind: type[AgentError]) -> None:
    decision = settle(made(kind), 5, 5)
    is_kept = decision.fate is not Fate.RELEASE
    assert is_kept or decision.ends_process or kind is errors.NotBegunError
    if kind is not errors.NotBegunError and branch_of(kind) in {errors.TransientError, errors.HandBackError}:
        assert decision.error is not None
        assert decision.error.code == "too_many_attempts"
        assert "No." in decision.error.message


def test_a_job_that_waited_in_vain_is_not_worn_out_by_it() -> None:
    assert settle(errors.NotBegunError("No."), 99, 5).fate is Fate.RELEASE


@pytest.mark.parametrize(("attempt", "receipts", "expected"), [(1, 1, 1), (1, 6, 1), (2, 6, 2), (1, 10, 5)])
def test_receipts_count_as_attempts_only_when_the_queue_is_about_to_give_up(
    attempt: int, receipts: int, expected: int
) -> None:
    assert tries(attempt, receipts) == expected


def test_success_is_recorded_as_such() -> None:
    assert (settle(None, 9, 5).fate, settle(None, 9, 5).status) == (Fate.FINISH, Status.SUCCEEDED)


def test_a_bug_may_succeed_next_time() -> None:
    assert settle(KeyError("x"), 2, 5).fate is Fate.RELEASE
    assert settle(KeyError("x"), 2, 5).delay_s == 10


def test_a_job_handed_back_is_visible_at_once() -> None:
    assert settle(errors.StoppedError("stopped"), 3, 5).delay_s == 0
    assert settle(errors.RuntimeLostError("gone"), 3, 5).delay_s == 0


def test_waiting_grows_to_five_minutes() -> None:
    assert [backoff_s(count) for count in (1, 2, 3, 7, 8, 10_000)] == [5, 10, 20, 300, 300, 300]


def test_a_job_may_use_the_grace_period_less_a_margin() -> None:
    assert [drain_s(grace_s) for grace_s in (3720, 30, 4)] == [3705, 15, 2]
