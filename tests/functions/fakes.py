"""A store in memory, and what a test needs to ask the API something."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from threading import Lock
from typing import Any

import msgspec

from functions.api import env
from functions.api.ports import Store, StoreError
from sd_async.contract.agents import AgentNote, agents_in, agents_key, told_by
from sd_async.contract.jobs import JobError
from sd_async.contract.messages import JobMessage, encode_message
from sd_async.contract.records import Record, from_item, to_item
from sd_async.contract.results import encode_result, result_of
from sd_async.contract.states import Status

RUNTIMES = {
    "comfy": {"type": "comfyui", "timeout_seconds": 600},
    "a1111": {"type": "a1111", "timeout_seconds": 300},
}
ENVIRONMENT = {
    "AWS_REGION": "us-west-2",
    "SD_JOBS_TABLE": "jobs",
    "SD_JOBS_TOPIC_ARN": "arn:aws:sns:us-west-2:000000000000:jobs",
    "SD_RESULTS_TOPIC_ARN": "arn:aws:sns:us-west-2:000000000000:results",
    "SD_OUTPUT_BUCKET": "output",
    "SD_INPUT_BUCKET": "input",
    "SD_FILE_BUCKETS": "pictures, masks",
    "SD_RUNTIMES": json.dumps(RUNTIMES),
    "SD_RETENTION_DAYS": "30",
    "SD_URL_SECONDS": "3600",
}
SPEND_ENVIRONMENT = {
    "AWS_REGION": "us-west-2",
    "SD_STACK": "sd-async-dev",
    "SD_STACK_TAGS": '{"project":"sd-async","stack":"dev"}',
    "SD_PRICES": '{"g5.xlarge":[1.006,1],"g5.12xlarge":[5.672,4],"t4g.medium":[0.0336,0]}',
}
ENV = env.load(ENVIRONMENT)
WORKFLOW = {"9": {"class_type": "SaveImage", "inputs": {"images": ["8", 0]}}}
NOW_MS = 1_800_000_000_000


@dataclass
class MemoryStore:
    """Implements `ports.Store`. failing: methods that raise, and what. calls: methods, in order."""

    bucket: str = "output"
    items: dict[str, dict[str, Any]] = field(default_factory=dict)
    inputs: dict[str, tuple[bytes, str]] = field(default_factory=dict)
    published: list[tuple[str, bytes]] = field(default_factory=list)
    results: list[dict[str, Any]] = field(default_factory=list)
    failing: dict[str, Exception] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    lock: Lock = field(default_factory=Lock)

    def get(self, job_id: str) -> Record | None:
        self._fault("get")
        item = self.items.get(job_id)
        return None if item is None else from_item(item)

    def agents(self, runtime: str) -> Mapping[str, AgentNote]:
        self._fault("agents")
        return agents_in(self.items.get(agents_key(runtime), {}))

    def add(self, record: Record) -> bool:
        self._fault("add")
        with self.lock:
            if record.id in self.items:
                return False
            self.items[record.id] = to_item(record)
            return True

    def put_input(self, input_ref: str, body: bytes, body_hash: str) -> str:
        self._fault("put_input")
        return self.inputs.setdefault(input_ref, (body, body_hash))[1]

    def get_input(self, input_ref: str) -> bytes | None:
        self._fault("get_input")
        return self.inputs[input_ref][0] if input_ref in self.inputs else None

    def publish(self, runtime: str, body: bytes) -> None:
        self._fault("publish")
        self.published.append((runtime, body))

    def mark_published(self, job_id: str) -> None:
        self._fault("mark_published")
        if job_id in self.items:
            self.items[job_id].pop("outbox", None)

    def pending(self, before_ms: int, limit: int) -> list[Record]:
        self._fault("pending")
        waiting = [from_item(item) for item in self.items.values() if "outbox" in item]
        old = [record for record in waiting if record.created_at_ms < before_ms]
        return sorted(old, key=lambda record: record.created_at_ms)[:limit]

    def fail(self, job_id: str, error: JobError, now_ms: int) -> Record | None:
        self._fault("fail")
        record = self.get(job_id)
        if record is None or not may_fail(record, now_ms):
            return None
        failed = msgspec.structs.replace(
            record,
            status=Status.FAILED,
            error=error,
            completed_at_ms=now_ms,
            updated_at_ms=now_ms,
            outbox=None,
            agent=None,
            lease_until_ms=None,
        )
        self.items[job_id] = to_item(failed)
        return failed

    def publish_result(self, record: Record) -> None:
        self._fault("publish_result")
        self.results.append(json.loads(encode_result(result_of(record, self.bucket))))

    def url_for(self, key: str) -> str:
        self._fault("url_for")
        return f"https://{self.bucket}.example/{key}?signed"

    def hold(self, records: Iterable[Record]) -> None:
        self.items.update({record.id: to_item(record) for record in records})

    def hear(self, runtime: str, **notes: AgentNote) -> None:
        """What agents tell; in their names `_` stands for `-`."""
        item = self.items.setdefault(agents_key(runtime), {"id": agents_key(runtime)})
        for agent, note in notes.items():
            item |= told_by(agent.replace("_", "-"), note)

    def _fault(self, method: str) -> None:
        self.calls.append(method)
        if error := self.failing.get(method):
            raise error


def may_fail(record: Record, now_ms: int) -> bool:
    if record.status in {Status.RUNNING, Status.CANCELING}:
        return record.lease_until_ms is None or record.lease_until_ms < now_ms
    return record.status is Status.QUEUED


_STORE: Store = MemoryStore()  # mypy compares the fake with the port

REFUSED = StoreError("Publish: AuthorizationError")


class PlentyOfTime:
    """A Lambda context."""

    def get_remaining_time_in_millis(self) -> int:
        return 60_000


def record_of(job_id: str, **changes: Any) -> Record:
    """A queued job of the owner `key-a`, as the API records it."""
    record = Record(
        id=job_id,
        owner="key-a",
        runtime="comfy",
        type="workflow",  # type: ignore[arg-type]
        status=Status.QUEUED,
        created_at_ms=NOW_MS,
        updated_at_ms=NOW_MS,
        expires_at_s=NOW_MS // 1000 + 86400,
        timeout_seconds=600,
        output_key=job_id,
        input_ref=f"s3://input/jobs/{job_id}/job.json",
    )
    return msgspec.structs.replace(record, **changes)


def message_of(record: Record) -> bytes:
    """The record's message, as the API publishes it."""
    return encode_message(
        JobMessage(
            sd_async=1,
            id=record.id,
            owner=record.owner,
            runtime=record.runtime,
            type=record.type,
            created_at_ms=record.created_at_ms,
            timeout_seconds=record.timeout_seconds,
            output_key=record.output_key,
            input=WORKFLOW,
        )
    )


def event_of(
    method: str = "POST",
    resource: str = "/v1/jobs",
    body: Any = None,
    *,
    headers: dict[str, str] | None = None,
    params: dict[str, str] | None = None,
    key_id: str | None = "key-a",
) -> dict[str, Any]:
    """An event of API Gateway's REST proxy, version 1.0. body: text as it is, anything else as JSON."""
    text = body if isinstance(body, str) or body is None else json.dumps(body)
    return {
        "resource": resource,
        "path": resource,
        "httpMethod": method,
        "headers": {"Content-Type": "application/json"} | (headers or {}),
        "queryStringParameters": None,
        "pathParameters": params,
        "requestContext": {
            "requestId": "request-1",
            "identity": {"apiKeyId": key_id, "apiKey": "the-secret-key", "sourceIp": "192.0.2.1"},
        },
        "body": text,
        "isBase64Encoded": False,
    }
