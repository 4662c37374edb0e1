"""The queue."""

import asyncio
import contextlib
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from agent.aws import call, entry_error, translated
from agent.batching import Batcher
from agent.boto import BotoCoreError, ClientError
from agent.ports import Delivery

if TYPE_CHECKING:  # stubs only; the image does not carry them
    from mypy_boto3_sqs import SQSClient

_EXTEND_LINGER_S = 0.005  # what is handed back, comes at once and together
# Nobody waits for it but the end of the process, which has a second. A job counts as in hand until then (`Turns`), so
# few may linger.
_DELETE_LINGER_S = 0.7
_DELETES_AT_ONCE = 4
# What SQS answers about a message that is visible again, deleted, or moved to the dead-letter queue.
_NOT_IN_FLIGHT = frozenset(
    {
        "AWS.SimpleQueueService.MessageNotInflight",
        "InvalidParameterValue",
        "MessageNotInflight",
        "ReceiptHandleIsInvalid",
    }
)


class SqsQueue:
    """shares_calls: whether one message waits a little for others; pointless where there is one job at a time."""

    def __init__(self, client: "SQSClient", url: str, *, shares_calls: bool = True) -> None:
        self._client = client
        self._url = url
        self._extending: Batcher[tuple[Delivery, int], bool] = Batcher(
            self._extended, linger_s=_EXTEND_LINGER_S if shares_calls else 0
        )
        self._deleting: Batcher[Delivery, bool] = Batcher(
            self._deleted, linger_s=_DELETE_LINGER_S if shares_calls else 0, most=_DELETES_AT_ONCE
        )

    async def receive(self, wait_s: int, most: int) -> Sequence[Delivery]:
        poll = _Poll(self._client, self._url, wait_s, most)
        try:
            return await poll.result
        except (BotoCoreError, ClientError) as error:
            raise translated(error) from error
        except asyncio.CancelledError:
            poll.abandon()
            raise

    async def extend(self, delivery: Delivery, visibility_s: int) -> bool:
        return await self._extending.done((delivery, visibility_s))

    async def delete(self, delivery: Delivery) -> None:
        await self._deleting.done(delivery)

    async def _extended(self, changes: Sequence[tuple[Delivery, int]]) -> Sequence[bool | Exception]:
        answer = await call(
            self._client.change_message_visibility_batch,
            QueueUrl=self._url,
            Entries=[
                {"Id": str(index), "ReceiptHandle": delivery.receipt, "VisibilityTimeout": visibility_s}
                for index, (delivery, visibility_s) in enumerate(changes)
            ],
        )
        return _each_of(answer, len(changes), "ChangeMessageVisibilityBatch")

    async def _deleted(self, deliveries: Sequence[Delivery]) -> Sequence[bool | Exception]:
        answer = await call(
            self._client.delete_message_batch,
            QueueUrl=self._url,
            Entries=[
                {"Id": str(index), "ReceiptHandle": delivery.receipt} for index, delivery in enumerate(deliveries)
            ],
        )
        return _each_of(answer, len(deliveries), "DeleteMessageBatch")


def _each_of(answer: Any, count: int, operation: str) -> Sequence[bool | Exception]:
    """Of each entry: True when it was done, False when its message is no longer in flight, or its own error."""
    failed = {entry["Id"]: entry for entry in answer.get("Failed", [])}
    results: list[bool | Exception] = []
    for index in range(count):
        entry = failed.get(str(index))
        is_gone = entry is not None and entry.get("Code") in _NOT_IN_FLIGHT
        results.append(not is_gone if entry is None or is_gone else entry_error(entry, operation))
    return results


class _Poll:
    """One long poll in a thread that neither holds up a cancellation nor the end of the process.

    A message that arrives after it was abandoned is shown to others again at once; should the process end
    before that, it comes back by itself when its visibility ends.
    """

    def __init__(self, client: "SQSClient", url: str, wait_s: int, most: int) -> None:
        self._client = client
        self._url = url
        self._wait_s = wait_s
        self._most = most
        self._loop = asyncio.get_running_loop()
        self._lock = threading.Lock()  # whether a message is taken or given back is decided once
        self._is_abandoned = False
        self.result: asyncio.Future[Sequence[Delivery]] = self._loop.create_future()
        threading.Thread(target=self._receive, name="long-poll", daemon=True).start()

    def abandon(self) -> None:
        with self._lock:
            self._is_abandoned = True
        # It may have come already, and be lost between the future and whoever was canceled waiting for it.
        if self.result.done() and not self.result.cancelled() and self.result.exception() is None:
            self._give_back_later(self.result.result())

    def _receive(self) -> None:
        try:
            answer = self._client.receive_message(
                QueueUrl=self._url,
                MaxNumberOfMessages=self._most,
                WaitTimeSeconds=self._wait_s,
                MessageSystemAttributeNames=["ApproximateReceiveCount", "SentTimestamp"],
            )
        except Exception as error:  # noqa: BLE001 - a thread's boundary: whoever awaits the poll gets it
            self._hand_over([], error)
            return
        found = [_delivery(message) for message in answer.get("Messages", [])]
        if not self._hand_over(found, None):
            self._give_back(found)

    def _give_back_later(self, found: Sequence[Delivery]) -> None:
        threading.Thread(target=self._give_back, args=(found,), daemon=True).start()

    def _give_back(self, found: Sequence[Delivery]) -> None:
        if not found:
            return
        with contextlib.suppress(BotoCoreError, ClientError):
            self._client.change_message_visibility_batch(
                QueueUrl=self._url,
                Entries=[
                    {"Id": str(index), "ReceiptHandle": delivery.receipt, "VisibilityTimeout": 0}
                    for index, delivery in enumerate(found)
                ],
            )

    def _hand_over(self, found: Sequence[Delivery], error: Exception | None) -> bool:
        with self._lock:
            if self._is_abandoned:
                return False
            with contextlib.suppress(RuntimeError):  # the loop has ended, and nobody waits any more
                self._loop.call_soon_threadsafe(self._resolve, found, error)
                return True
            return False

    def _resolve(self, found: Sequence[Delivery], error: Exception | None) -> None:
        if self.result.cancelled():
            # Canceled between the thread's word and this turn of the loop.
            self._give_back_later(found)
        elif error is not None:
            self.result.set_exception(error)
        else:
            self.result.set_result(found)


def _delivery(message: Any) -> Delivery:
    attributes = message.get("Attributes", {})
    return Delivery(
        message_id=message["MessageId"],
        receipt=message["ReceiptHandle"],
        body=message["Body"],
        receive_count=int(attributes.get("ApproximateReceiveCount", 1)),
        sent_at_ms=int(attributes.get("SentTimestamp", 0)),
    )
