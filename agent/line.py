"""Messages that were taken and whose jobs have not begun: as many as the runtime will soon want, and no more."""

import asyncio
import contextlib
from dataclasses import dataclass
from typing import Never

from agent.config import Config
from agent.core import keys, limits, pace
from agent.core.limits import backoff_s
from agent.errors import AgentError, TransientError
from agent.inputs import Fetching
from agent.ports import Delivery, Ports
from agent.race import Pulse, undisturbed, within
from agent.telemetry import LOGGER, METRICS
from agent.turns import Turns
from sd_async.contract.adoption import adopted, first_record
from sd_async.contract.errors import ContractError
from sd_async.contract.messages import DirectJob, JobMessage, decode_message
from sd_async.contract.records import Record

_TICK_S = 1.0
_LATE_S = 0.25  # files that are not there by then are slow; small ones from the same region take a tenth of it
_POLL_AHEAD_S = 1  # a poll that is open while a job runs should not outlast a wrong guess by much


@dataclass(slots=True)
class Taken:
    """A message that is held, and its job's inputs on their way.

    first: the record to make for a job that has none. problem: what is wrong with it, to be recorded once it is ours.
    """

    delivery: Delivery
    message: JobMessage
    first: Record | None
    problem: ContractError | None
    inputs: Fetching
    taken_s: float
    hidden_s: float


class Line:
    """most: messages taken ahead; 0 for one only when nothing else is in hand."""

    def __init__(self, config: Config, ports: Ports, turns: Turns, *, most: int) -> None:
        self._config = config
        self._ports = ports
        self._turns = turns
        self._most = most
        self._waiting: list[Taken] = []
        self._changed = Pulse()

    async def arrived(self) -> None:
        """Until there is one to take."""
        while not any(taken.inputs.is_over for taken in self._waiting):
            await self._changed.next()

    def next(self) -> Taken | None:
        """The first whose inputs are there, or could not be had; it is the caller's from now on."""
        taken = next((taken for taken in self._waiting if taken.inputs.is_over), None)
        if taken is not None:
            self._waiting.remove(taken)
        return taken

    async def fill(self) -> Never:
        """Raises: FatalError."""
        while True:
            count = self._missing()
            if count == 0:
                pause_s = pace.look_again_s(self._turns.left_s, self._turns.elapsed_s)
                await within(pause_s, self._ports.clock, self._turns.changed.next())
                continue
            taken = [self._take(delivery) for delivery in await self._received(count)]
            self._changed.beat()
            await asyncio.gather(
                *(
                    not_ours(self._ports, *refused, self._config.max_attempts)
                    for refused in taken
                    if refused is not None
                )
            )

    async def watch(self) -> Never:
        """Hands back what was taken by a wrong guess, and keeps the rest hidden."""
        while True:
            await self._ports.clock.sleep(_TICK_S)
            now_s = self._ports.clock.monotonic_s()
            for taken in list(self._waiting):
                if pace.is_guessed_wrong(self._turns.left_s, now_s - taken.taken_s, taken.delivery.receive_count):
                    await self._handed_back(taken)
                elif now_s - taken.hidden_s > self._config.visibility_s / 3:
                    taken.hidden_s = now_s
                    with contextlib.suppress(TransientError):  # the claim is what counts
                        await self._ports.queue.extend(taken.delivery, self._config.visibility_s)

    async def hand_back(self) -> None:
        """Everything that waits, visible to other agents at once."""
        await asyncio.gather(*(self._handed_back(taken) for taken in list(self._waiting)))

    def _missing(self) -> int:
        left_s = self._turns.left_s
        if self._most == 0:
            return 1 if self._turns.in_hand + len(self._waiting) == 0 else 0
        want = pace.wanted(left_s, self._turns.mean_s, self._most)
        late_s = self._ports.clock.monotonic_s() - _LATE_S
        waiting = sum(taken.inputs.is_over or taken.taken_s > late_s for taken in self._waiting)
        # One whose files are slow keeps nobody else's job from its turn.
        slow = max(len(self._waiting) - waiting - 1, 0)
        return min(pace.missing(want, waiting + slow + self._turns.unbegun), self._most - len(self._waiting))

    async def _received(self, count: int) -> list[Delivery]:
        wait_s = limits.POLL_WAIT_S if self._turns.is_idle else _POLL_AHEAD_S
        try:
            received = list(await self._ports.queue.receive(wait_s, count))
        except TransientError as error:
            LOGGER.warning("receive failed", extra={"fields": {"error": error.message}})
            await self._ports.clock.sleep(backoff_s(1))
            return []
        for delivery in received:
            METRICS.received((self._ports.clock.now_ms() - delivery.sent_at_ms) / 1000)
        return received

    def _take(self, delivery: Delivery) -> tuple[Delivery, ContractError] | None:
        """What is wrong with a message that is not ours. No pause in between: a message in nobody's hands is lost."""
        try:
            message, first, problem = self._understood(delivery)
        except ContractError as error:
            return delivery, error
        now_s, ports = self._ports.clock.monotonic_s(), self._ports
        inputs = Fetching(self._config, ports.clock, ports.files, ports.sources, message)
        inputs.when_over(self._changed.beat)
        self._waiting.append(Taken(delivery, message, first, problem, inputs, now_s, now_s))
        return None

    def _understood(self, delivery: Delivery) -> tuple[JobMessage, Record | None, ContractError | None]:
        """Raises: ContractError."""
        message = decode_message(delivery.body)
        if not isinstance(message, DirectJob):
            return message, None, None
        job_id = keys.job_id_of(delivery.message_id)
        if job_id is None:
            raise ContractError("unknown_message", "The message's id is no UUID, so its job has no id.")
        ours, problem = adopted(
            message, job_id, timeout_s=self._config.job_timeout_s, created_at_ms=delivery.sent_at_ms
        )
        now_ms, days = self._ports.clock.now_ms(), self._config.retention_days
        return ours, first_record(ours, now_ms=now_ms, retention_days=days), problem

    async def _handed_back(self, taken: Taken) -> None:
        """Whoever is canceled meanwhile leaves no message that nobody knows of."""
        self._waiting.remove(taken)
        await undisturbed(self._given_up(taken))

    async def _given_up(self, taken: Taken) -> None:
        await taken.inputs.dropped()
        with contextlib.suppress(AgentError):  # it comes back by itself when its visibility ends
            await self._ports.queue.extend(taken.delivery, 0)


async def not_ours(ports: Ports, delivery: Delivery, error: ContractError, max_attempts: int) -> None:
    """Left to the dead-letter queue: a newer agent may understand it, and somebody should look at it."""
    fields = {"message_id": delivery.message_id, "code": error.code, "receive_count": delivery.receive_count}
    LOGGER.warning("message is not ours", extra={"fields": fields})
    # The spare receipts are for jobs; this one need not wait for its last.
    wait_s = backoff_s(delivery.receive_count) if delivery.receive_count < max_attempts else 0
    with contextlib.suppress(TransientError):
        await ports.queue.extend(delivery, wait_s)
