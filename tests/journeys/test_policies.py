"""The queue's policy, judged by an emulator that enforces it."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import httpx
import pytest
from botocore.exceptions import ClientError

from components import policies
from local.emulator import CREDENTIALS, REGION
from local.processes import Child, base_environment, free_port, python_module

_RETRIES = 6  # httpx waits 0.5, 1, 2 ... s between them


@pytest.fixture
def strict(tmp_path: Path) -> Iterator[str]:
    """URL of an emulator with AUTH, without which it answers whoever asks."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    environment = base_environment(tmp_path) | {
        "AUTH": "true",
        "BIND_HOST": "127.0.0.1",
        "GATEWAY_PORT": str(port),
        "MINISTACK_HOST": "127.0.0.1",
    }
    child = Child(
        "emulator", python_module("ministack"), environment=environment, log=tmp_path / "emulator.log", cwd=tmp_path
    )
    try:
        with httpx.Client(transport=httpx.HTTPTransport(retries=_RETRIES), trust_env=False) as client:
            client.get(f"{url}/_ministack/health").raise_for_status()
        yield url
    finally:
        child.stop()


def client_of(url: str, service: Any) -> Any:
    names: dict[str, Any] = {name.lower(): value for name, value in CREDENTIALS.items()}
    return boto3.session.Session(region_name=REGION).client(service, endpoint_url=url, **names)


def put_policy(sqs: Any, queue: str, document: policies.Document) -> None:
    sqs.set_queue_attributes(QueueUrl=queue, Attributes={"Policy": json.dumps(document)})


def without_tls(document: policies.Document) -> policies.Document:
    """The policy but for what it demands of the connection."""
    kept = [one for one in document["Statement"] if "aws:SecureTransport" not in json.dumps(one)]
    assert len(kept) == len(document["Statement"]) - 1
    return {**document, "Statement": kept}


def test_the_queue_takes_what_the_jobs_topic_sends_and_nothing_of_another(strict: str) -> None:
    sqs, sns = client_of(strict, "sqs"), client_of(strict, "sns")
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
