"""The queue's policy, judged by an emulator that enforces it."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from components import policies
from local.emulator import Emulator, running


@pytest.fixture
def strict(tmp_path: Path) -> Iterator[Emulator]:
    with running(tmp_path, is_strict=True) as started:
        yield started


def put_policy(sqs: Any, queue: str, document: policies.Document) -> None:
    sqs.set_queue_attributes(QueueUrl=queue, Attributes={"Policy": json.dumps(document)})


def without_tls(document: policies.Document) -> policies.Document:
    """The policy but for what it demands of the connection."""
    kept = [one for one in document["Statement"] if "aws:SecureTransport" not in json.dumps(one)]
    assert len(kept) == len(document["Statement"]) - 1
    return {**document, "Statement": kept}


def test_the_queue_takes_what_the_jobs_topic_sends_and_nothing_of_another(strict: Emulator) -> None:
    sqs, sns = strict.client("sqs"), strict.client("sns")
    queue = sqs.create_queue(QueueName="jobs-comfy")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    jobs, foreign = (sns.create_topic(Name=name)["TopicArn"] for name in ("jobs", "foreign"))
    put_policy(sqs, queue, policies.queue(arn, jobs))
    with pytest.raises(ClientError, match="AccessDenied"):
        sqs.receive_message(QueueUrl=queue)  # the emulator speaks no TLS, and so nobody gets in
    put_policy(sqs, queue, without_tls(policies.queue(arn, jobs)))
    for topic in (foreign, jobs):
        sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn, Attributes={"RawMessageDelivery": "true"})
        sns.publish(TopicArn=topic, Message=topic)

    answer = sqs.receive_message(QueueUrl=queue, WaitTimeSeconds=2, MaxNumberOfMessages=10)
    again = sqs.receive_message(QueueUrl=queue, WaitTimeSeconds=1, MaxNumberOfMessages=10)

    assert [message["Body"] for message in answer.get("Messages", []) + again.get("Messages", [])] == [jobs]
    for client in (sqs, sns):
        client.close()
