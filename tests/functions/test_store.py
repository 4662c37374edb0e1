"""One suite for `ports.Store`: the fake and the real store, on the emulator, answer alike."""

import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import httpx
import msgspec
import pytest
from boto3.dynamodb.types import TypeSerializer

from functions.api.ports import Store
from functions.api.store import AwsStore
from local.emulator import Emulator
from sd_async.contract.agents import AgentNote, AgentState, agents_key, told_by
from sd_async.contract.errors import ContractError
from sd_async.contract.jobs import JobError, Progress
from sd_async.contract.records import BY_OUTBOX, OUTBOX_PENDING, Record, StoredOutput
from sd_async.contract.results import decode_result
from sd_async.contract.states import Status
from tests.functions.fakes import ENV, NOW_MS, MemoryStore, record_of

Received = Callable[[], list[tuple[dict[str, str], str]]]
LOST = JobError(code="too_many_attempts", message="Given up.")


@dataclass
class Bench:
    """A store, and what reached each topic: attributes and body."""

    store: Store
    jobs: Received
    results: Received


@dataclass
class Cloud:
    """The table, buckets and topics of this suite, made once; ids of its own keep tests apart."""

    emulator: Emulator
    prefix: str

    def __post_init__(self) -> None:
        sns = self.emulator.client("sns")
        self.env = replace(
            ENV,
            region=self.emulator.region,
            endpoint_url=self.emulator.endpoint,
            jobs_table=f"{self.prefix}-jobs",
            input_bucket=f"{self.prefix}-input",
            output_bucket=f"{self.prefix}-output",
            jobs_topic_arn=sns.create_topic(Name=f"{self.prefix}-jobs")["TopicArn"],
            results_topic_arn=sns.create_topic(Name=f"{self.prefix}-results")["TopicArn"],
        )
        self.jobs_url = self._subscribed(self.env.jobs_topic_arn, "jobs")
        self.results_url = self._subscribed(self.env.results_topic_arn, "results")
        for bucket in (self.env.input_bucket, self.env.output_bucket):
            location = {"LocationConstraint": self.emulator.region}
            self.emulator.client("s3").create_bucket(Bucket=bucket, CreateBucketConfiguration=location)
        self.emulator.client("dynamodb").create_table(
            TableName=self.env.jobs_table,
            BillingMode="PAY_PER_REQUEST",
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            AttributeDefinitions=[
                {"AttributeName": "id", "AttributeType": "S"},
                {"AttributeName": "outbox", "AttributeType": "S"},
                {"AttributeName": "created_at_ms", "AttributeType": "N"},
            ],
            GlobalSecondaryIndexes=[
                {
                    "IndexName": BY_OUTBOX,
                    "KeySchema": [
                        {"AttributeName": "outbox", "KeyType": "HASH"},
                        {"AttributeName": "created_at_ms", "KeyType": "RANGE"},
                    ],
                    "Projection": {"ProjectionType": "ALL"},
                }
            ],
        )

    def store(self) -> AwsStore:
        client = self.emulator.client
        return AwsStore(client("dynamodb"), client("s3"), client("sns"), self.env)

    def _subscribed(self, topic_arn: str, name: str) -> str:
        sqs = self.emulator.client("sqs")
        url = str(sqs.create_queue(QueueName=f"{self.prefix}-{name}")["QueueUrl"])
        arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        self.emulator.client("sns").subscribe(
            TopicArn=topic_arn, Protocol="sqs", Endpoint=arn, Attributes={"RawMessageDelivery": "true"}
        )
        return url

    def received(self, queue_url: str) -> list[tuple[dict[str, str], str]]:
        sqs = self.emulator.client("sqs")
        found = []
        answer = sqs.receive_message(QueueUrl=queue_url, MaxNumberOfMessages=10, MessageAttributeNames=["All"])
        for message in answer.get("Messages", []):
            sqs.delete_message(QueueUrl=queue_url, ReceiptHandle=message["ReceiptHandle"])
            attributes = message.get("MessageAttributes", {})
            found.append(({name: value["StringValue"] for name, value in attributes.items()}, message["Body"]))
        return found

    def bench(self) -> Bench:
        self.received(self.jobs_url)
        self.received(self.results_url)
        return Bench(self.store(), lambda: self.received(self.jobs_url), lambda: self.received(self.results_url))


@pytest.fixture(scope="session")
def cloud(emulator: Emulator) -> Cloud:
    return Cloud(emulator, f"functions-{uuid.uuid4().hex[:8]}")


@pytest.fixture(params=["memory", "aws"])
def bench(request: pytest.FixtureRequest) -> Bench:
    if request.param == "aws":
        made: Cloud = request.getfixturevalue("cloud")
        return made.bench()
    memory = MemoryStore()
    return Bench(
        memory,
        lambda: [({"runtime": runtime}, body.decode()) for runtime, body in memory.published],
        lambda: [
            ({"runtime": result["runtime"], "status": result["status"]}, msgspec.json.encode(result).decode())
            for result in memory.results
        ],
    )


def hear(bench: Bench, runtime: str, agent: str, note: AgentNote) -> None:
    """As an agent tells it."""
    if isinstance(bench.store, MemoryStore):
        bench.store.hear(runtime, **{agent: note})
        return
    assert isinstance(bench.store, AwsStore)
    serialize, told = TypeSerializer().serialize, told_by(agent, note)
    bench.store.dynamodb.update_item(
        TableName=bench.store.env.jobs_table,
        Key={"id": {"S": agents_key(runtime)}},
        UpdateExpression="SET " + ", ".join(f"#{index} = :{index}" for index in range(len(told))),
        ExpressionAttributeNames={f"#{index}": name for index, name in enumerate(told)},
        ExpressionAttributeValues={f":{index}": serialize(value) for index, value in enumerate(told.values())},
    )


def test_agents_are_read_by_runtime_and_by_name(bench: Bench) -> None:
    runtime, other = new_id(), new_id()
    ready, starting = (
        AgentNote(state=state, since_ms=NOW_MS, until_ms=NOW_MS + 1)
        for state in (AgentState.READY, AgentState.STARTING)
    )
    hear(bench, runtime, "a", ready)
    hear(bench, runtime, "b", starting)
    hear(bench, other, "c", ready)

    assert bench.store.agents(runtime) == {"a": ready, "b": starting}
    assert bench.store.agents(new_id()) == {}


def test_what_agents_tell_is_in_no_list_of_jobs_and_read_as_none(bench: Bench) -> None:
    runtime = new_id()
    note = AgentNote(state=AgentState.READY, since_ms=NOW_MS, until_ms=NOW_MS + 1)
    hear(bench, runtime, "a", note)

    assert bench.store.pending(NOW_MS + 10**9, 500) == []
    with pytest.raises(ContractError):
        bench.store.get(agents_key(runtime))
    bench.store.mark_published(agents_key(runtime))
    assert bench.store.agents(runtime) == {"a": note}


def new_id() -> str:
    return str(uuid.uuid4())


def full_record() -> Record:
    return record_of(
        new_id(),
        status=Status.RUNNING,
        attempt=2,
        agent="pod-1",
        lease_until_ms=NOW_MS + 60_000,
        started_at_ms=NOW_MS + 5,
        context_json='{"a":[1,2.5,null]}',
        progress=Progress(value=0.1 + 0.2, nodes_done=3, current_node="9"),
        outputs=[StoredOutput(key="k/1.png", name="1.png", type="image", content_type="image/png", size_bytes=2**40)],
        error=JobError(code="x", message="é\u0000", node_errors={"9": {"errors": [1.5, "", {}, []]}}),
    )


def test_a_record_is_read_as_it_was_written(bench: Bench) -> None:
    record = full_record()

    assert bench.store.add(record)
    assert bench.store.get(record.id) == record


def test_an_absent_record_is_none(bench: Bench) -> None:
    assert bench.store.get(new_id()) is None


def test_a_taken_id_is_not_written_over(bench: Bench) -> None:
    first = record_of(new_id())
    bench.store.add(first)

    assert not bench.store.add(msgspec.structs.replace(first, owner="key-b"))
    assert bench.store.get(first.id) == first


def test_one_of_many_writers_at_once_gets_the_id(bench: Bench) -> None:
    record = record_of(new_id())
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(bench.store.add, [record] * 8))

    assert sorted(made) == [False] * 7 + [True]


def test_the_first_input_stays_and_its_hash_is_told(bench: Bench) -> None:
    ref = address(bench, new_id())

    assert bench.store.put_input(ref, b"first", "hash-1") == "hash-1"
    assert bench.store.put_input(ref, b"second", "hash-2") == "hash-1"
    assert bench.store.get_input(ref) == b"first"


def test_an_absent_input_is_none(bench: Bench) -> None:
    assert bench.store.get_input(address(bench, new_id())) is None


def test_a_job_is_published_with_the_attribute_that_queues_filter_on(bench: Bench) -> None:
    bench.store.publish("comfy", '{"prompt": "é"}'.encode())

    assert bench.jobs() == [({"runtime": "comfy"}, '{"prompt": "é"}')]


def test_the_outbox_holds_the_pending_oldest_first_until_marked(bench: Bench) -> None:
    pending = [record_of(new_id(), outbox=OUTBOX_PENDING, created_at_ms=NOW_MS - age) for age in (10, 30, 20)]
    young = record_of(new_id(), outbox=OUTBOX_PENDING, created_at_ms=NOW_MS)
    for record in [*pending, young, record_of(new_id(), created_at_ms=NOW_MS - 50)]:
        bench.store.add(record)

    assert [record.created_at_ms for record in bench.store.pending(NOW_MS, 10)] == [
        NOW_MS - 30,
        NOW_MS - 20,
        NOW_MS - 10,
    ]
    assert [record.id for record in bench.store.pending(NOW_MS, 1)] == [pending[1].id]
    for record in [*pending, young]:
        bench.store.mark_published(record.id)
    assert bench.store.pending(NOW_MS + 1, 10) == []
    assert bench.store.get(young.id) == msgspec.structs.replace(young, outbox=None)


def test_marking_an_absent_record_makes_none(bench: Bench) -> None:
    job_id = new_id()
    bench.store.mark_published(job_id)

    assert bench.store.get(job_id) is None


@pytest.mark.parametrize(
    ("changes", "is_failed"),
    [
        ({"status": Status.QUEUED, "outbox": OUTBOX_PENDING}, True),
        ({"status": Status.RUNNING, "lease_until_ms": NOW_MS - 1, "agent": "pod-1"}, True),
        ({"status": Status.CANCELING, "lease_until_ms": NOW_MS - 1, "agent": "pod-1"}, True),
        ({"status": Status.RUNNING}, True),
        ({"status": Status.RUNNING, "lease_until_ms": NOW_MS, "agent": "pod-1"}, False),
        ({"status": Status.SUCCEEDED}, False),
        ({"status": Status.FAILED}, False),
        ({"status": Status.CANCELED}, False),
    ],
)
def test_only_a_job_that_nobody_holds_is_failed(bench: Bench, changes: dict[str, Any], is_failed: bool) -> None:  # noqa: FBT001
    record = record_of(new_id(), attempt=5, **changes)
    bench.store.add(record)

    failed = bench.store.fail(record.id, LOST, NOW_MS)

    assert bench.store.get(record.id) == (failed if is_failed else record)
    assert (failed is not None) == is_failed
    if failed is not None:
        assert failed == record_of(
            record.id,
            attempt=5,
            status=Status.FAILED,
            error=LOST,
            completed_at_ms=NOW_MS,
            updated_at_ms=NOW_MS,
        )


def test_an_absent_job_is_not_failed_into_being(bench: Bench) -> None:
    job_id = new_id()

    assert bench.store.fail(job_id, LOST, NOW_MS) is None
    assert bench.store.get(job_id) is None


def test_a_result_is_published_with_its_status(bench: Bench) -> None:
    bench.store.publish_result(record_of(new_id(), status=Status.FAILED, error=LOST, completed_at_ms=NOW_MS))

    [(attributes, body)] = bench.results()
    assert attributes == {"runtime": "comfy", "status": "failed"}
    assert decode_result(body).error == LOST


def test_a_presigned_url_reads_the_output(cloud: Cloud) -> None:
    store = cloud.store()
    store.s3.put_object(Bucket=cloud.env.output_bucket, Key="a b/é.png", Body=b"pixels")

    url = store.url_for("a b/é.png")

    assert httpx.get(url).content == b"pixels"
    assert "X-Amz-Algorithm=AWS4-HMAC-SHA256" in url
    assert "X-Amz-Expires=3600" in url


def address(bench: Bench, job_id: str) -> str:
    bucket = bench.store.env.input_bucket if isinstance(bench.store, AwsStore) else "input"
    return f"s3://{bucket}/jobs/{job_id}/job.json"
