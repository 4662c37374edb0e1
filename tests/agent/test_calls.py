"""Calls of AWS are counted where the SDK tells of them, whoever made them."""

import itertools

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from agent import aws
from agent.aws import Clients
from agent.telemetry.calls import watch_calls
from local.emulator import CREDENTIALS, REGION

Told = list[tuple[str, str, str, float]]


def watched(clients: Clients) -> Told:
    """What will be told; each call takes a second of a clock of its own."""
    told: Told = []
    ticks = itertools.count()
    watch_calls(
        (clients.sqs, clients.s3, clients.sns, clients.dynamodb),
        lambda *call: told.append(call),
        now_s=lambda: float(next(ticks)),
    )
    return told


def test_a_call_is_told_by_service_operation_and_time(clients: Clients, queue_url: str) -> None:
    told = watched(clients)
    clients.sqs.receive_message(QueueUrl=queue_url)
    assert told == [("sqs", "ReceiveMessage", "", 1.0)]


def test_what_aws_refuses_is_told_by_its_code(clients: Clients, bucket: str) -> None:
    told = watched(clients)
    with pytest.raises(ClientError):
        clients.s3.get_object(Bucket=bucket, Key="missing")
    assert told == [("s3", "GetObject", "NoSuchKey", 1.0)]


def test_what_never_reached_aws_is_told_once_with_all_its_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    clients = aws.clients(REGION, "http://127.0.0.1:9")
    told = watched(clients)
    with pytest.raises(EndpointConnectionError):
        clients.dynamodb.list_tables()
    assert told == [("dynamodb", "ListTables", "EndpointConnectionError", 1.0)]
    for client in (clients.sqs, clients.s3, clients.sns, clients.dynamodb):
        client.close()
