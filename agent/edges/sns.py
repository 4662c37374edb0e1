"""The results topic."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from agent.aws import call

if TYPE_CHECKING:  # stubs only; the image does not carry them
    from mypy_boto3_sns import SNSClient


class SnsTopic:
    def __init__(self, client: "SNSClient", arn: str) -> None:
        self._client = client
        self._arn = arn

    async def publish(self, body: bytes, attributes: Mapping[str, str]) -> None:
        await call(
            self._client.publish,
            TopicArn=self._arn,
            Message=body.decode(),
            MessageAttributes={
                name: {"DataType": "String", "StringValue": value} for name, value in attributes.items()
            },
        )
