"""The steps between states."""

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sd_async.contract.states import FINAL, TRANSITIONS, Status, may_leave
from sd_async.contract.times import MAX_S, rfc3339


def reachable(status: Status) -> Iterator[Status]:
    seen = {status}
    todo = [status]
    while todo:
        yield (state := todo.pop())
        new = TRANSITIONS[state] - seen
        seen |= new
        todo += new


def test_every_state_says_where_it_leads_and_leads_to_known_states() -> None:
    assert set(TRANSITIONS) == set(Status)
    assert frozenset.union(*TRANSITIONS.values()) <= set(Status)


def test_nothing_leaves_a_final_state_and_everything_leaves_the_others() -> None:
    assert {status for status, targets in TRANSITIONS.items() if not targets} == FINAL


def test_every_state_is_reached_from_the_queue() -> None:
    assert set(reachable(Status.QUEUED)) == set(Status)


@pytest.mark.parametrize("status", sorted(set(Status) - FINAL))
def test_every_job_can_end_from_wherever_it_is(status: Status) -> None:
    assert FINAL & set(reachable(status))


def test_success_comes_only_from_an_agent_that_holds_the_job() -> None:
    assert {status for status in Status if may_leave(status, Status.SUCCEEDED)} == {Status.RUNNING, Status.CANCELING}


def test_what_is_being_canceled_is_never_taken_up_again() -> None:
    assert not may_leave(Status.CANCELING, Status.QUEUED)
    assert not may_leave(Status.CANCELING, Status.RUNNING)


def test_times_are_those_of_rfc_3339_with_milliseconds() -> None:
    assert rfc3339(1_795_545_114_123) == "2026-11-24T18:31:54.123Z"
    assert rfc3339(0) == "1970-01-01T00:00:00.000Z"


@given(st.integers(0, MAX_S * 1000 + 999), st.integers(0, MAX_S * 1000 + 999))
def test_times_sort_as_text(one_ms: int, other_ms: int) -> None:
    assert (one_ms < other_ms) == (rfc3339(one_ms) < rfc3339(other_ms))
