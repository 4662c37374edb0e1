"""The queue."""

import asyncio
import contextlib
import threading
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from agent.aws import call, error_code, translated
from agent.errors import AwsRefusedError
from agent.ports import Delivery

if TYPE_CHECKING:  # stubs only; the image does not carry them
    from mypy_boto3_sqs import SQSClient

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
    def __init__(self, client: "SQSClient", url: str) -> None:
        self._client = client
        self._url = url

    async def receive(self, wait_s: int) -> Delivery | None:
        poll = _Poll(self._client, self._url, wait_s)
        try:
            return await poll.result
        except (BotoCoreError, ClientError) as error:
            raise translated(error) from error
        except asyncio.CancelledError:
            poll.abandon()
            raise

    async def extend(self, delivery: Delivery, visibility_s: int) -> bool:
        return await self._in_flight(self._client.change_message_visibility, delivery, VisibilityTimeout=visibility_s)

    async def delete(self, delivery: Delivery) -> None:
        await self._in_flight(self._client.delete_message, delivery)

    async def _in_flight(self, method: Any, delivery: Delivery, **named: Any) -> bool:
        try:
            await call(method, QueueUrl=self._url, ReceiptHandle=delivery.receipt, **named)
        except AwsRefusedError as error:
            if error_code(error) in _NOT_IN_FLIGHT:
                return False
            raise
        return True


class _Poll:
    """One long poll in a thread that neither holds up a cancellation nor the end of the process.

    A message that arrives after it was abandoned is shown to others again at once; should the process end
    before that, it comes back by itself when its visibility ends.
    """

    def __init__(self, client: "SQSClient", url: str, wait_s: int) -> None:
        self._client = client
        self._url = url
        self._wait_s = wait_s
        self._loop = asyncio.get_running_loop()
        self._lock = threading.Lock()  # whether a message is taken or given back is decided once
        self._is_abandoned = False
        self.result: asyncio.Future[Delivery | None] = self._loop.create_future()
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
                MaxNumberOfMessages=1,
                WaitTimeSeconds=self._wait_s,
                MessageSystemAttributeNames=["ApproximateReceiveCount", "SentTimestamp"],
            )
        except Exception as error:  # noqa: BLE001 - a thread's boundary: whoever awaits the poll gets it
            self._hand_over(None, error)
            return
        messages = answer.get("Messages", [])
        delivery = _delivery(messages[0]) if messages else None
        if not self._hand_over(delivery, None) and delivery is not None:
            self._give_back(delivery)

    def _give_back_later(self, delivery: Delivery | None) -> None:
        if delivery is not None:
            threading.Thread(target=self._give_back, args=(delivery,), daemon=True).start()

    def _give_back(self, delivery: Delivery) -> None:
        with contextlib.suppress(BotoCoreError, ClientError):
            self._client.change_message_visibility(
                QueueUrl=self._url, ReceiptHandle=delivery.receipt, VisibilityTimeout=0
            )

    def _hand_over(self, delivery: Delivery | None, error: Exception | None) -> bool:
        with self._lock:
            if self._is_abandoned:
                return False
            with contextlib.suppress(RuntimeError):  # the loop has ended, and nobody waits any more
                self._loop.call_soon_threadsafe(self._resolve, delivery, error)
                return True
            return False

    def _resolve(self, delivery: Delivery | None, error: Exception | None) -> None:
        if self.result.cancelled():
            # Canceled between the thread's word and this turn of the loop.
            self._give_back_later(delivery)
        elif error is not None:
            self.result.set_exception(error)
        else:
            self.result.set_result(delivery)


def _delivery(message: Any) -> Delivery:
    attributes = message.get("Attributes", {})
    return Delivery(
        message_id=message["MessageId"],
        receipt=message["ReceiptHandle"],
        body=message["Body"],
        receive_count=int(attributes.get("ApproximateReceiveCount", 1)),
        sent_at_ms=int(attributes.get("SentTimestamp", 0)),
    )
