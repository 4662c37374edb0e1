"""How far ahead of the runtime an agent may be: how many messages it takes, and how many jobs it claims.

Whatever waits here waits behind one runtime, while another agent may be idle. So nothing is taken ahead unless the
job that runs is expected to end within HORIZON_S, and nothing is claimed unless it starts within CLAIM_LEAD_S.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

HORIZON_S = 1.0  # a receive, a claim and a small input file take a tenth of it; a person does not notice all of it
CLAIM_LEAD_S = 0.4  # a claim takes 15 to 50 ms, ten times as long with botocore's retries
MAX_CLAIMS_AHEAD = 6
HOLD_S = 5.0  # what was taken for the next second and has waited so long was taken by a wrong guess
MAX_BATCH = 10  # SQS, ReceiveMessage, MaxNumberOfMessages
# Handing back costs a receipt, and a queue gives a message up after a number of them.
MAX_GUESSES = 2
_LOOK_S = (0.05, 1.0)
_OVERDUE_LOOK_S = 0.25  # the end itself is told; this is for jobs that take longer than expected
_FIRM_STEPS = 2


@dataclass(frozen=True, slots=True)
class Steps:
    """Sampling steps of the running job: done since the first one that was seen, still to do, time of those done.

    since_s: from the last of them until now.
    """

    done: int
    left: int
    took_s: float
    since_s: float = 0.0


def remaining_s(elapsed_s: float, recent_s: Sequence[float], steps: Steps | None) -> float | None:
    """Seconds until the running job ends, None when nothing says so.

    Steps are counted by one node of several, so they tell when it does not end yet, not when it does; recent jobs
    tell of this one for as long as it is not much longer than they were.
    """
    by_steps = None
    if steps and steps.done >= _FIRM_STEPS:
        by_steps = max(steps.left * steps.took_s / steps.done - steps.since_s, 0.0)
    mean_s = mean(recent_s)
    if mean_s is None:
        return by_steps
    if by_steps is None:
        return max(mean_s - elapsed_s, 0.0) if elapsed_s <= 2 * mean_s + HORIZON_S else None
    return max(mean_s - elapsed_s, by_steps)


def mean(recent_s: Sequence[float]) -> float | None:
    return sum(recent_s) / len(recent_s) if recent_s else None


def wanted(left_s: float | None, mean_s: float | None, most: int) -> int:
    """Messages that would start within the horizon, at most `most`. left_s: of the running job, 0 when none runs."""
    if left_s is None or left_s > HORIZON_S:
        return 0
    return min(1 + _fit(HORIZON_S - left_s, mean_s), most)


def missing(want: int, waiting: int) -> int:
    """Messages to ask for now. They are asked for together, when half of them have been used up."""
    return min(want - waiting, MAX_BATCH) if 2 * waiting <= want and waiting < want else 0


def claims(left_s: float | None, mean_s: float | None) -> int:
    """Jobs to hold claimed behind the running one: the next, or as many as one claim's time sees run."""
    if left_s is None or left_s > CLAIM_LEAD_S:
        return 0
    return min(1 + _fit(CLAIM_LEAD_S / 4, mean_s), MAX_CLAIMS_AHEAD)


def is_guessed_wrong(left_s: float | None, waited_s: float, receive_count: int) -> bool:
    """Whether a message that waits should be another agent's. left_s: of the running job, 0 when none runs."""
    is_far = left_s is None or left_s > 2 * HORIZON_S or (left_s > 0 and waited_s > HOLD_S)
    return is_far and receive_count <= MAX_GUESSES


def look_again_s(left_s: float | None, elapsed_s: float) -> float:
    """Seconds after which the estimate is worth another look."""
    low, high = _LOOK_S
    if left_s is None:
        return min(max(elapsed_s / 4, low), high)
    for bound_s in (HORIZON_S, CLAIM_LEAD_S):
        if left_s > bound_s:
            return min(max(left_s - bound_s, low), high)
    return _OVERDUE_LOOK_S


def _fit(span_s: float, mean_s: float | None) -> int:
    return 0 if mean_s is None else math.floor(span_s / max(mean_s, 0.001))
