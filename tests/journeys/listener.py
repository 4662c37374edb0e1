"""A subscriber of the results topic, as a client's own queue would be."""

import time
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from local.system import System
from sd_async.contract.results import ResultMessage, decode_result


@dataclass
class Listener:
    """Keeps every result that it heard, in order, repeats included."""

    sqs: Any
    queue_url: str
    heard: list[ResultMessage] = field(default_factory=list)

    @classmethod
    def on(cls, system: System) -> "Listener":
        sqs, sns = system.emulator.client("sqs"), system.emulator.client("sns")
        url = sqs.create_queue(QueueName=f"results-{uuid4().hex[:8]}")["QueueUrl"]
        arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        sns.subscribe(
            TopicArn=system.deployed.outputs["results_topic_arn"],
            Protocol="sqs",
            Endpoint=arn,
            Attributes={"RawMessageDelivery": "true"},
        )
        return cls(sqs, url)

    def of(self, job_id: str, *, wait_s: float = 15.0) -> list[ResultMessage]:
        """Results of one job, by our id, once at least one was heard or the time is over."""
        deadline = time.monotonic() + wait_s
        while True:
            self._drain()
            found = [result for result in self.heard if result.job_id == job_id]
            if found or time.monotonic() > deadline:
                return found

    def _drain(self) -> None:
        while True:
            messages = self.sqs.receive_message(QueueUrl=self.queue_url, MaxNumberOfMessages=10, WaitTimeSeconds=1).get(
                "Messages", []
            )
            for message in messages:
                self.heard.append(decode_result(message["Body"]))
                self.sqs.delete_message(QueueUrl=self.queue_url, ReceiptHandle=message["ReceiptHandle"])
            if not messages:
                return
