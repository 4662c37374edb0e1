"""Keeps a claim alive: extends lease and visibility, carries progress out and a cancellation in."""

from collections.abc import Callable
from typing import Never

from agent.core import limits
from agent.errors import CanceledError, LeaseLostError, TransientError
from agent.ports import Claim, Clock, Delivery, Queue, Store
from agent.race import first_of
from agent.telemetry import LOGGER, METRICS
from sd_async.contract.jobs import Progress
from sd_async.contract.states import Status


class Heartbeat:
    """lease_s: for how long each beat renews the lease. visibility_s: likewise, the message's, which has its limit.

    received_s: monotonic time of the message's receipt.
    """

    def __init__(
        self,
        queue: Queue,
        store: Store,
        clock: Clock,
        *,
        heartbeat_s: int,
        lease_s: int,
        visibility_s: int,
        received_s: float,
    ) -> None:
        self._queue = queue
        self._store = store
        self._clock = clock
        self._heartbeat_s = heartbeat_s
        self._lease_s = lease_s
        self._visibility_s = visibility_s
        self._received_s = received_s

    async def run(self, claim: Claim, delivery: Delivery, claimed_s: float, progress: Callable[[], Progress]) -> Never:
        """Beats until canceled. claimed_s: monotonic time from which the lease runs.

        Raises: CanceledError when the client cancels; LeaseLostError when the job is another's, or when beats have
        failed for so long that the lease would end before the next; FatalError.
        """
        renewed_s = claimed_s
        while True:
            await self._clock.sleep(self._heartbeat_s)
            began_s = self._clock.monotonic_s()
            # One heartbeat before its end, so that the job is stopped before another agent may start it.
            give_up_s = renewed_s + self._lease_s - self._heartbeat_s
            try:
                status = await first_of(
                    self._beat(claim, delivery, progress()), self._give_up_after(give_up_s - began_s)
                )
            except TransientError as error:
                METRICS.heartbeat_failed()
                LOGGER.warning("heartbeat failed", extra={"fields": {"job_id": claim.job_id, "error": error.message}})
                if self._clock.monotonic_s() + self._heartbeat_s > give_up_s:
                    raise _too_late() from error
                continue
            renewed_s = began_s
            if status is Status.CANCELING:
                raise CanceledError("The client canceled the job.")

    async def _beat(self, claim: Claim, delivery: Delivery, progress: Progress) -> Status:
        now_ms = self._clock.now_ms()
        status = await self._store.beat(
            claim, now_ms=now_ms, lease_until_ms=now_ms + self._lease_s * 1000, progress=progress
        )
        # A message that is visible again is no harm: whoever receives it sees the lease and leaves it.
        held_s = self._clock.monotonic_s() - self._received_s
        await self._queue.extend(delivery, limits.hidden_s(self._visibility_s, held_s))
        return status

    async def _give_up_after(self, seconds: float) -> Never:
        await self._clock.sleep(max(seconds, 0))
        raise _too_late()


def _too_late() -> LeaseLostError:
    return LeaseLostError("The lease could not be renewed in time.")
