"""The results topic."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from agent.aws import call, entry_error
from agent.batching import Batcher

if TYPE_CHECKING:  # stubs only; the image does not carry them
    from mypy_boto3_sns import SNSClient

_LINGER_S = 0.03  # a person does not see it, and jobs of 20 ms share their calls
_Notice = tuple[bytes, Mapping[str, str]]


class SnsTopic:
    """shares_calls: whether one announcement waits a little for others."""

    def __init__(self, client: "SNSClient", arn: str, *, shares_calls: bool = True) -> None:
        self._client = client
        self._arn = arn
        self._batcher: Batcher[_Notice, None] = Batcher(
            self._published, linger_s=_LINGER_S if shares_calls else 0, size=_size
        )

    async def publish(self, body: bytes, attributes: Mapping[str, str]) -> None:
        await self._batcher.done((body, attributes))

    async def _published(self, notices: Sequence[_Notice]) -> Sequence[Exception | None]:
        answer = await call(
            self._client.publish_batch,
            TopicArn=self._arn,
            PublishBatchRequestEntries=[
                {
                    "Id": str(index),
                    "Message": body.decode(),
                    "MessageAttributes": {
                        name: {"DataType": "String", "StringValue": value} for name, value in attributes.items()
                    },
                }
                for index, (body, attributes) in enumerate(notices)
            ],
        )
        failed = {entry["Id"]: entry_error(entry, "PublishBatch") for entry in answer.get("Failed", [])}
        return [failed.get(str(index)) for index in range(len(notices))]


def _size(notice: _Notice) -> int:
    body, attributes = notice
    return len(body) + sum(len(name) + len("String") + len(value) for name, value in attributes.items())
