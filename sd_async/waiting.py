"""How a client waits: repeats of a request that failed on its way, and polling until a job has ended."""

from collections.abc import Callable
from typing import TypeVar

from sd_async.contract.jobs import Job
from sd_async.contract.states import FINAL
from sd_async.errors import ApiError, Unreachable, WaitTimeout
from sd_async.wire import is_transient

T = TypeVar("T")

# Tries of one request and the pause before the second, which doubles: 3.5 s in all, a restart or a lost packet.
ATTEMPTS = 4
FIRST_PAUSE_S = 0.5

# Longer than this nobody is kept waiting inside one call; the error then says what the server asked for.
MAX_RETRY_AFTER_S = 60.0

# A job that changes is looked at twice a second, one that waits for a GPU every five (an agent's heartbeat).
MIN_POLL_S = 0.5
MAX_POLL_S = 5.0
POLL_GROWTH = 1.3

# Outages that a wait outlives: short before the first answer, since the endpoint may be wrong, then long.
FIRST_PATIENCE_S = 5.0
PATIENCE_S = 120.0


def patiently(call: Callable[[], T], sleep: Callable[[float], None]) -> T:
    """What `call` returns, tried again after failures that may pass. `call` must be safe to repeat."""
    pause_s = FIRST_PAUSE_S
    for _ in range(ATTEMPTS - 1):
        try:
            return call()
        except (ApiError, Unreachable) as error:
            asked_s = _asked_s(error)
            if not is_transient(error) or asked_s > MAX_RETRY_AFTER_S:
                raise
            sleep(max(pause_s, asked_s))
        pause_s *= 2
    return call()


class Wait:
    """One wait for one job.

    look: one request, unrepeated, for the job and the seconds that the answer asks to wait.
    timeout_s: None waits for ever.
    """

    def __init__(
        self,
        look: Callable[[], tuple[Job, float]],
        *,
        clock: Callable[[], float],
        sleep: Callable[[float], None],
        timeout_s: float | None = None,
        on_change: Callable[[Job], None] | None = None,
    ) -> None:
        self._look = look
        self._clock = clock
        self._sleep = sleep
        self._timeout_s = timeout_s
        self._on_change = on_change or (lambda _: None)
        self._started_s = self._answered_s = clock()
        self._pause_s = MIN_POLL_S
        self._seen: Job | None = None

    def until_final(self) -> Job:
        """Raises: WaitTimeout, ApiError, Unreachable."""
        while True:
            asked_s = self._take_a_look()
            if self._seen is not None and self._seen.status in FINAL:
                return self._seen
            pause_s = max(self._pause_s, min(asked_s, MAX_RETRY_AFTER_S))
            self._sleep(min(pause_s, self._left_s()))
            self._pause_s = min(self._pause_s * POLL_GROWTH, MAX_POLL_S)

    def _take_a_look(self) -> float:
        """Seconds that the answer asks to wait, 0 when it does not say."""
        try:
            job, asked_s = self._look()
        except (ApiError, Unreachable) as error:
            patience_s = FIRST_PATIENCE_S if self._seen is None else PATIENCE_S
            if not is_transient(error) or self._clock() - self._answered_s >= patience_s:
                raise
            return _asked_s(error)
        self._answered_s = self._clock()
        if self._seen is None or _differ(job, self._seen):
            self._pause_s = MIN_POLL_S
            self._on_change(job)
        self._seen = job
        return asked_s

    def _left_s(self) -> float:
        if self._timeout_s is None:
            return MAX_RETRY_AFTER_S
        left_s = self._started_s + self._timeout_s - self._clock()
        if left_s > 0:
            return left_s
        if self._seen is None:
            raise Unreachable(f"The API gave no usable answer within {self._timeout_s:g} s; the job may go on.")
        raise WaitTimeout(
            f"Job {self._seen.id} is still {self._seen.status} after {self._timeout_s:g} s of waiting; "
            "it goes on, and can be waited for again.",
            self._seen,
        )


def _differ(one: Job, other: Job) -> bool:
    return (one.status, one.progress, one.attempts) != (other.status, other.progress, other.attempts)


def _asked_s(error: ApiError | Unreachable) -> float:
    return (error.retry_after_s or 0.0) if isinstance(error, ApiError) else 0.0
