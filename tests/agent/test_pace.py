"""How far ahead an agent may be."""

import pytest

from agent.core.pace import Steps, claims, is_guessed_wrong, look_again_s, mean, missing, remaining_s, wanted


def test_of_the_first_job_nothing_is_known_until_it_counts_steps() -> None:
    assert remaining_s(5, [], None) is None
    assert remaining_s(5, [], Steps(1, 19, 0.1)) is None, "one step may hold the loading of a model"
    assert remaining_s(5, [], Steps(4, 16, 2.0)) == 8
    assert remaining_s(57, [], Steps(18, 1, 54.0, since_s=2.5)) == 0.5, "a long step passes like any other time"
    assert remaining_s(70, [], Steps(18, 1, 54.0, since_s=9)) == 0


def test_jobs_are_expected_to_take_as_long_as_the_last_ones() -> None:
    assert remaining_s(20, [60, 62, 58], None) == pytest.approx(40)
    assert remaining_s(61, [60], None) == 0
    assert remaining_s(122, [60], None) is None, "it is of another kind"


def test_steps_that_are_left_say_that_the_end_is_not_near_whatever_the_last_jobs_took() -> None:
    assert remaining_s(10, [10], Steps(10, 10, 9.0)) == 9
    assert remaining_s(1, [10], Steps(10, 10, 1.0)) == 9, "after the sampling a node may decode for long"


@pytest.mark.parametrize(
    ("left_s", "mean_s", "expected"),
    [
        (None, 60, 0),
        (30, 60, 0),
        (30, None, 0),
        (0.9, 60, 1),
        (0, None, 1),
        (0, 60, 1),
        (0.15, 0.3, 3),
        (0, 0.3, 4),
        (0.01, 0.02, 10),
    ],
)
def test_messages_are_taken_for_the_next_second_only(left_s: float | None, mean_s: float | None, expected: int) -> None:
    assert wanted(left_s, mean_s, 10) == expected


def test_messages_are_asked_for_together_when_half_of_them_are_used_up() -> None:
    assert [missing(10, waiting) for waiting in (0, 5, 6, 10)] == [10, 5, 0, 0]
    assert [missing(1, waiting) for waiting in (0, 1)] == [1, 0]
    assert missing(0, 0) == 0


@pytest.mark.parametrize(
    ("left_s", "mean_s", "expected"),
    [(None, 60, 0), (2, 60, 0), (0.3, 60, 1), (0.3, None, 1), (0.1, 0.3, 1), (0.01, 0.02, 6), (0.3, 0.05, 3)],
)
def test_only_what_starts_next_is_claimed_unless_a_claim_takes_longer_than_a_job(
    left_s: float | None, mean_s: float | None, expected: int
) -> None:
    assert claims(left_s, mean_s) == expected


def test_what_waits_behind_a_long_job_is_another_agents() -> None:
    assert is_guessed_wrong(None, 0.5, 1)
    assert is_guessed_wrong(30, 0.5, 1)
    assert is_guessed_wrong(0.5, 6, 1), "the end was near for too long"
    assert not is_guessed_wrong(0.5, 4, 1)
    assert not is_guessed_wrong(0, 600, 1), "nothing runs: it waits for its own files"


def test_a_message_is_handed_back_for_a_wrong_guess_only_so_often() -> None:
    assert [is_guessed_wrong(30, 9, receipts) for receipts in (1, 2, 3)] == [True, True, False]


def test_an_estimate_is_looked_at_again_when_it_may_matter() -> None:
    assert look_again_s(None, 0.1) == 0.05
    assert look_again_s(None, 100) == 1
    assert look_again_s(1.5, 9) == pytest.approx(0.5)
    assert look_again_s(0.7, 9) == pytest.approx(0.3)
    assert look_again_s(0, 9) == 0.25


def test_no_jobs_have_no_mean() -> None:
    assert mean([]) is None
