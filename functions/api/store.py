"""DynamoDB, S3 and SNS behind `ports.Store`; boto3 and its errors stop here."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import boto3
from boto3.dynamodb.types import TypeDeserializer, TypeSerializer
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError, ParamValidationError
from botocore.exceptions import ConnectionError as NoConnectionError

from functions.api.env import Env
from functions.api.ports import StoreError, UnavailableError
from sd_async.contract.agents import AgentNote, agents_in, agents_key
from sd_async.contract.jobs import JobError
from sd_async.contract.records import BY_OUTBOX, OUTBOX_PENDING, Record, from_item, to_attribute, to_item
from sd_async.contract.results import encode_result, result_of
from sd_async.contract.states import Status

if TYPE_CHECKING:  # the stubs are no part of the bundle
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sns import SNSClient

# API Gateway gives up after 29 s (its quotas, integration timeout); a submit makes four calls in a row, so one
# that hangs through all its attempts must still leave time to say 503.
_CALL = Config(
    connect_timeout=1,
    read_timeout=3,
    retries={"mode": "standard", "total_max_attempts": 3},
)
_BUSY = frozenset(
    {
        "ConditionalRequestConflict",  # S3: another conditional write to the same key is under way
        "KMSThrottlingException",
        "LimitExceededException",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "RequestTimeout",
        "SlowDown",
        "Throttled",
        "ThrottledException",
        "Throttling",
        "ThrottlingException",
        "TransactionConflictException",
    }
)
_HASH = "body-hash"

_RESERVED = {"#status": "status", "#error": "error", "#agent": "agent"}  # words of DynamoDB's own
_FAIL = (
    "SET #status = :failed, #error = :error, completed_at_ms = :now, updated_at_ms = :now "
    "REMOVE outbox, #agent, lease_until_ms"
)
# An agent under a live lease will end the job itself; failing it would throw its work away.
_MAY_FAIL = (
    "#status = :queued OR (#status IN (:running, :canceling) "
    "AND (attribute_not_exists(lease_until_ms) OR lease_until_ms < :now))"
)


@dataclass(frozen=True, slots=True)
class AwsStore:
    """The real store; thread-safe, as boto3's clients are."""

    dynamodb: "DynamoDBClient"
    s3: "S3Client"
    sns: "SNSClient"
    env: Env

    @classmethod
    def connect(cls, env: Env) -> Self:
        """Makes no call; credentials are the platform's."""
        # SigV4 by name, because the default for URLs is older in old regions; an emulator knows no bucket host names.
        s3 = _CALL.merge(
            Config(signature_version="s3v4", s3={"addressing_style": "path"} if env.endpoint_url else None)
        )
        session = boto3.Session(region_name=env.region)
        return cls(
            session.client("dynamodb", config=_CALL, endpoint_url=env.endpoint_url),
            session.client("s3", config=s3, endpoint_url=env.endpoint_url),
            session.client("sns", config=_CALL, endpoint_url=env.endpoint_url),
            env,
        )

    def get(self, job_id: str) -> Record | None:
        with _translated("GetItem"):
            answer = self.dynamodb.get_item(TableName=self.env.jobs_table, Key=_key(job_id), ConsistentRead=True)
        return _record(answer["Item"]) if "Item" in answer else None

    def agents(self, runtime: str) -> Mapping[str, AgentNote]:
        with _translated("GetItem"):
            answer = self.dynamodb.get_item(TableName=self.env.jobs_table, Key=_key(agents_key(runtime)))
        return agents_in(_plain(answer.get("Item", {})))

    def add(self, record: Record) -> bool:
        with _translated("PutItem"):
            try:
                self.dynamodb.put_item(
                    TableName=self.env.jobs_table,
                    Item=_attributes(to_item(record)),
                    ConditionExpression="attribute_not_exists(id)",
                )
            except self.dynamodb.exceptions.ConditionalCheckFailedException:
                return False
        return True

    def put_input(self, input_ref: str, body: bytes, body_hash: str) -> str:
        place = _place(input_ref)
        with _translated("PutObject"):
            try:
                self.s3.put_object(
                    Bucket=place[0],
                    Key=place[1],
                    Body=body,
                    ContentType="application/json",
                    Metadata={_HASH: body_hash},
                    IfNoneMatch="*",
                )
            except ClientError as error:
                if _code(error) != "PreconditionFailed":
                    raise
                return self.s3.head_object(Bucket=place[0], Key=place[1])["Metadata"].get(_HASH, "")
        return body_hash

    def get_input(self, input_ref: str) -> bytes | None:
        bucket, key = _place(input_ref)
        with _translated("GetObject"):
            try:
                return self.s3.get_object(Bucket=bucket, Key=key)["Body"].read()
            except self.s3.exceptions.NoSuchKey:
                return None

    def publish(self, runtime: str, body: bytes) -> None:
        self._send(self.env.jobs_topic_arn, body, runtime=runtime)

    def mark_published(self, job_id: str) -> None:
        with _translated("UpdateItem"):
            try:
                self.dynamodb.update_item(
                    TableName=self.env.jobs_table,
                    Key=_key(job_id),
                    UpdateExpression="REMOVE outbox",
                    ConditionExpression="attribute_exists(id)",
                )
            except self.dynamodb.exceptions.ConditionalCheckFailedException:
                return

    def pending(self, before_ms: int, limit: int) -> list[Record]:
        with _translated("Query"):
            pages = self.dynamodb.get_paginator("query").paginate(
                TableName=self.env.jobs_table,
                IndexName=BY_OUTBOX,
                KeyConditionExpression="outbox = :pending AND created_at_ms < :before",
                ExpressionAttributeValues=_attributes({":pending": OUTBOX_PENDING, ":before": before_ms}),
                PaginationConfig={"MaxItems": limit},
            )
            return [_record(item) for page in pages for item in page["Items"]]

    def fail(self, job_id: str, error: JobError, now_ms: int) -> Record | None:
        values = {
            ":failed": Status.FAILED,
            ":queued": Status.QUEUED,
            ":running": Status.RUNNING,
            ":canceling": Status.CANCELING,
            ":error": to_attribute(error),
            ":now": now_ms,
        }
        with _translated("UpdateItem"):
            try:
                answer = self.dynamodb.update_item(
                    TableName=self.env.jobs_table,
                    Key=_key(job_id),
                    UpdateExpression=_FAIL,
                    ConditionExpression=_MAY_FAIL,
                    ExpressionAttributeNames=_RESERVED,
                    ExpressionAttributeValues=_attributes(values),
                    ReturnValues="ALL_NEW",
                )
            except self.dynamodb.exceptions.ConditionalCheckFailedException:
                return None
        return _record(answer["Attributes"])

    def publish_result(self, record: Record) -> None:
        body = encode_result(result_of(record, self.env.output_bucket))
        self._send(self.env.results_topic_arn, body, runtime=record.runtime, status=record.status)

    def url_for(self, key: str) -> str:
        with _translated("presigned GetObject"):
            return self.s3.generate_presigned_url(
                "get_object", Params={"Bucket": self.env.output_bucket, "Key": key}, ExpiresIn=self.env.url_s
            )

    def _send(self, topic_arn: str, body: bytes, **attributes: str) -> None:
        named = {name: value for name, value in attributes.items() if value}  # SNS takes no empty one
        with _translated("Publish"):
            self.sns.publish(
                TopicArn=topic_arn,
                Message=body.decode(),
                MessageAttributes={name: {"DataType": "String", "StringValue": value} for name, value in named.items()},
            )


@contextmanager
def _translated(call: str) -> Iterator[None]:
    try:
        yield
    except ClientError as error:
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        kind = UnavailableError if status >= 500 or status == 429 or _code(error) in _BUSY else StoreError
        raise kind(f"{call}: {_code(error)}") from error
    except ParamValidationError:
        raise StoreError(f"{call}: ParamValidationError") from None  # its words quote what the caller sent
    except (HTTPClientError, NoConnectionError) as error:
        raise UnavailableError(f"{call}: {type(error).__name__}") from error
    except BotoCoreError as error:
        raise StoreError(f"{call}: {type(error).__name__}") from error


def _code(error: ClientError) -> str:
    return error.response.get("Error", {}).get("Code", "")


def _place(input_ref: str) -> tuple[str, str]:
    bucket, _, key = input_ref.removeprefix("s3://").partition("/")
    return bucket, key


def _key(item_id: str) -> dict[str, Any]:
    return {"id": {"S": item_id}}


def _attributes(item: dict[str, Any]) -> dict[str, Any]:
    serialize = TypeSerializer().serialize
    return {name: serialize(value) for name, value in item.items()}


def _record(item: dict[str, Any]) -> Record:
    return from_item(_plain(item))


def _plain(item: dict[str, Any]) -> dict[str, Any]:
    deserialize = TypeDeserializer().deserialize
    return {name: deserialize(value) for name, value in item.items()}
