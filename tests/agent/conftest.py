"""The emulator's resources for one test, and the ports over them and over the fakes."""

import gc
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent import aws
from agent.aws import Clients
from agent.edges.dynamodb import DynamoStore
from agent.edges.s3 import S3Files
from agent.edges.sns import SnsTopic
from agent.edges.sqs import SqsQueue
from local.emulator import CREDENTIALS, REGION, Emulator
from local.processes import base_environment, free_port
from tests.agent.model.loop import RARELY
from tests.agent.ports import FilesUnderTest, QueueUnderTest, StoreUnderTest, TopicUnderTest
from tests.agent.test_config import GOOD
from tests.support.clock import FakeClock
from tests.support.fake_queue import FakeQueue
from tests.support.fakes import FakeFiles, FakeStore, FakeTopic

EDGES = ("fake", "emulator")


@pytest.fixture
def clients(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> Iterator[Clients]:
    """As `python -m agent` makes them."""
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    made = aws.clients(REGION, emulator.endpoint)
    yield made
    for client in (made.sqs, made.s3, made.sns, made.dynamodb):
        client.close()


@pytest.fixture
def left_behind() -> Iterator[None]:
    """A process of the model that died cleaned nothing up: its folders go here, not in somebody else's test.

    Until then little is looked for: a schedule leaves its world behind as a whole.
    """
    before = gc.get_threshold()
    gc.set_threshold(RARELY)
    yield
    gc.set_threshold(*before)
    gc.collect()


@pytest.fixture
def queue_url(clients: Clients) -> str:
    return str(
        clients.sqs.create_queue(QueueName=f"q-{uuid.uuid4()}", Attributes={"VisibilityTimeout": "60"})["QueueUrl"]
    )


@pytest.fixture
def table(clients: Clients) -> str:
    name = f"jobs-{uuid.uuid4()}"
    clients.dynamodb.create_table(
        TableName=name,
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    return name


@pytest.fixture
def bucket(clients: Clients) -> str:
    name = f"b-{uuid.uuid4()}"
    clients.s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": "us-west-2"})
    return name


@pytest.fixture
def topic_arn(clients: Clients) -> str:
    return str(clients.sns.create_topic(Name=f"t-{uuid.uuid4()}")["TopicArn"])


@pytest.fixture(params=EDGES)
def queue(request: pytest.FixtureRequest) -> QueueUnderTest:
    if request.param == "fake":
        fake = FakeQueue(FakeClock())
        return QueueUnderTest(fake, fake.send, lambda: len(fake.visible_in_s()))
    clients: Clients = request.getfixturevalue("clients")
    url: str = request.getfixturevalue("queue_url")

    def send(body: str) -> None:
        clients.sqs.send_message(QueueUrl=url, MessageBody=body)

    def left() -> int:
        answer = clients.sqs.get_queue_attributes(
            QueueUrl=url, AttributeNames=["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        )
        return sum(int(count) for count in answer["Attributes"].values())

    return QueueUnderTest(SqsQueue(clients.sqs, url), send, left)


@pytest.fixture(params=EDGES)
def store(request: pytest.FixtureRequest) -> StoreUnderTest:
    if request.param == "fake":
        fake = FakeStore()

        def change(job_id: str, **values: object) -> None:
            fake.change(job_id, **values)

        return StoreUnderTest(fake, change)
    clients: Clients = request.getfixturevalue("clients")
    table: str = request.getfixturevalue("table")

    def overwrite(job_id: str, **values: object) -> None:
        clients.dynamodb.update_item(
            TableName=table,
            Key={"id": {"S": job_id}},
            UpdateExpression="SET " + ", ".join(f"#{name} = :{name}" for name in values),
            ExpressionAttributeNames={f"#{name}": name for name in values},
            ExpressionAttributeValues={
                f":{name}": {"N": str(value)} if isinstance(value, int) else {"S": str(value)}
                for name, value in values.items()
            },
        )

    return StoreUnderTest(DynamoStore(clients.dynamodb, table), overwrite)


@pytest.fixture(params=EDGES)
def topic(request: pytest.FixtureRequest) -> TopicUnderTest:
    if request.param == "fake":
        fake = FakeTopic()
        return TopicUnderTest(fake, lambda: [(body.decode(), names) for body, names in fake.published])
    clients: Clients = request.getfixturevalue("clients")
    arn: str = request.getfixturevalue("topic_arn")
    url: str = request.getfixturevalue("queue_url")
    queue_arn = clients.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    clients.sns.subscribe(TopicArn=arn, Protocol="sqs", Endpoint=queue_arn, Attributes={"RawMessageDelivery": "true"})

    def arrived() -> list[tuple[str, dict[str, str]]]:
        answer = clients.sqs.receive_message(QueueUrl=url, WaitTimeSeconds=5, MessageAttributeNames=["All"])
        return [
            (
                message["Body"],
                {name: value["StringValue"] for name, value in message.get("MessageAttributes", {}).items()},
            )
            for message in answer.get("Messages", [])
        ]

    return TopicUnderTest(SnsTopic(clients.sns, arn), arrived)


@pytest.fixture(params=EDGES)
def files(request: pytest.FixtureRequest) -> FilesUnderTest:
    if request.param == "fake":
        fake = FakeFiles()

        def place(key: str, body: bytes) -> str:
            fake.at[f"s3://b/{key}"] = body
            return f"s3://b/{key}"

        return FilesUnderTest(fake, place, lambda key: fake.stored[key], lambda key: fake.metadata[key])
    clients: Clients = request.getfixturevalue("clients")
    bucket: str = request.getfixturevalue("bucket")

    def upload(key: str, body: bytes) -> str:
        clients.s3.put_object(Bucket=bucket, Key=key, Body=body)
        return f"s3://{bucket}/{key}"

    def stored(key: str) -> tuple[bytes, str]:
        answer = clients.s3.get_object(Bucket=bucket, Key=key)
        with answer["Body"] as body:
            return body.read(), answer["ContentType"]

    def metadata(key: str) -> dict[str, str]:
        return dict(clients.s3.head_object(Bucket=bucket, Key=key)["Metadata"])

    return FilesUnderTest(S3Files(clients.s3, bucket), upload, stored, metadata)


@pytest.fixture
def environment(
    emulator: Emulator, queue_url: str, table: str, bucket: str, topic_arn: str, tmp_path: Path
) -> dict[str, str]:
    """Of an agent as a process, over the emulator."""
    return {
        **base_environment(tmp_path),
        **GOOD,
        **emulator.environment,
        "AWS_EC2_METADATA_DISABLED": "true",
        "SD_POD_IP": "127.0.0.1",
        "SD_HEALTH_PORT": str(free_port()),
        "SD_QUEUE_URL": queue_url,
        "SD_JOBS_TABLE": table,
        "SD_OUTPUT_BUCKET": bucket,
        "SD_INPUT_BUCKET": bucket,
        "SD_RESULTS_TOPIC_ARN": topic_arn,
    }
