"""An in-memory stand-in for SQS, with the same manners as the real edge."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from agent.ports import Clock, Delivery
from tests.support.fakes import Faults


@dataclass
class _Message:
    message_id: str
    body: str
    sent_at_ms: int
    visible_at_ms: int
    receive_count: int = 0
    receipt: str = ""


class FakeQueue:
    """SQS: visibility, receive counts, a dead-letter queue."""

    def __init__(self, clock: Clock, *, visibility_s: int = 60, max_receives: int = 5) -> None:
        self.faults = Faults()
        self.dead: list[str] = []
        self.deleted: list[str] = []
        self._clock = clock
        self._visibility_s = visibility_s
        self._max_receives = max_receives
        self._messages: list[_Message] = []
        self._receipts = itertools.count()

    def send(self, body: str, message_id: str = "3f0e8a5c-6a0f-4f6e-9d56-0c3a8e6f1b7d") -> None:
        now_ms = self._clock.now_ms()
        self._messages.append(_Message(message_id, body, now_ms, now_ms))

    def visible_in_s(self) -> list[float]:
        """Seconds until each message is visible, 0 for those that are."""
        return [max(message.visible_at_ms - self._clock.now_ms(), 0) / 1000 for message in self._messages]

    async def receive(self, wait_s: int, most: int) -> Sequence[Delivery]:
        self.faults.happen("receive")
        until_s = self._clock.monotonic_s() + wait_s
        while (message := self._next_visible()) is None:
            if self._clock.monotonic_s() >= until_s:
                return []
            await self._clock.sleep(1)
        found = [self._delivered(message)]
        while len(found) < most and (message := self._next_visible()) is not None:
            found.append(self._delivered(message))
        return found

    async def extend(self, delivery: Delivery, visibility_s: int) -> bool:
        self.faults.happen("extend")
        message = self._in_flight(delivery)
        if message is None:
            return False
        message.visible_at_ms = self._clock.now_ms() + visibility_s * 1000
        return True

    async def delete(self, delivery: Delivery) -> None:
        self.faults.happen("delete")
        self._messages = [message for message in self._messages if message.receipt != delivery.receipt]
        self.deleted.append(delivery.message_id)

    def _next_visible(self) -> _Message | None:
        now_ms = self._clock.now_ms()
        for message in list(self._messages):
            if message.visible_at_ms > now_ms:
                continue
            if message.receive_count < self._max_receives:
                return message
            self._messages.remove(message)
            self.dead.append(message.body)
        return None

    def _delivered(self, message: _Message) -> Delivery:
        message.receive_count += 1
        message.receipt = f"receipt-{next(self._receipts)}"
        message.visible_at_ms = self._clock.now_ms() + self._visibility_s * 1000
        return Delivery(message.message_id, message.receipt, message.body, message.receive_count, message.sent_at_ms)

    def _in_flight(self, delivery: Delivery) -> _Message | None:
        now_ms = self._clock.now_ms()
        held = (item for item in self._messages if item.receipt == delivery.receipt and item.visible_at_ms > now_ms)
        return next(held, None)
