"""The DynamoDB record: the truth about a job. Plain values only; whoever stores it turns them into attributes."""

from decimal import Decimal
from typing import Any, TypeVar

import msgspec

from sd_async.contract.codec import convert, decode, encode
from sd_async.contract.jobs import Form, JobError, JobType, Progress
from sd_async.contract.states import Status
from sd_async.contract.times import Milliseconds, Seconds

T = TypeVar("T")

# Names of the table's indexes, used by whoever makes the table and whoever reads it.
BY_OWNER = "by_owner"  # owner, created_at_ms
BY_STATUS = "by_status"  # status, created_at_ms
BY_OUTBOX = "by_outbox"  # outbox, created_at_ms; sparse: only jobs recorded and not yet published
OUTBOX_PENDING = "pending"

_MAX_EXPONENT = 130  # DynamoDB's numbers are 1e-130 to 9.9e125 (DynamoDB guide, "Data types")


class StoredOutput(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One file in the output bucket. type: image, video, audio, text, latent, 3d or file."""

    key: str
    name: str
    type: str
    content_type: str
    size_bytes: int
    node_id: str | None = None


class Phases(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Milliseconds of the attempt that ended the job. load_ms: part of execution_ms, spent on reading a model."""

    fetch_ms: int | None = None
    load_ms: int | None = None
    execution_ms: int | None = None
    store_ms: int | None = None


class Record(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One job. Times ending in _ms are milliseconds since the epoch, `expires_at_s` is DynamoDB's TTL in seconds.

    attempt: claims so far, and the fence: whoever writes must hold the present one.
    agent, lease_until_ms: who runs it and until when nobody else may; absent unless running or canceling.
    message_id: of the message by which it was last claimed; another one of the same job has nothing to say about it.
    outbox: present from the record's creation until its message is on the topic.
    input_ref: `s3://bucket/key` of the whole JobMessage. output_key: folder of its outputs, without a closing slash.
    body_hash: what the client sent, so that a repeated idempotency key with another body is seen.
    context_json: the client's `context`, as JSON text. trace: as in the message.
    waiting: why the job went back to its queue, in words.
    """

    id: str
    owner: str
    runtime: str
    type: JobType
    status: Status
    created_at_ms: Milliseconds
    updated_at_ms: Milliseconds
    expires_at_s: Seconds
    timeout_seconds: Seconds
    output_key: str
    input_ref: str = ""
    body_hash: str = ""
    form: Form = Form.V1
    client_id: str | None = None
    context_json: str = ""
    webhook_url: str | None = None
    trace: str | None = None
    outbox: str | None = None
    attempt: int = 0
    agent: str | None = None
    message_id: str | None = None
    lease_until_ms: Milliseconds | None = None
    started_at_ms: Milliseconds | None = None
    completed_at_ms: Milliseconds | None = None
    progress: Progress = Progress()
    phases: Phases = Phases()
    outputs: list[StoredOutput] = []
    error: JobError | None = None
    waiting: str = ""

    @property
    def context(self) -> Any:
        return decode(self.context_json, object) if self.context_json else None


def to_item(record: Record) -> dict[str, Any]:
    """Plain values for DynamoDB: no floats, nothing absent. Enums become their text."""
    item = to_attribute(msgspec.structs.replace(record, error=None))
    if record.error is not None:
        item["error"] = to_attribute(record.error)
    return {name: value for name, value in item.items() if value is not None}


def from_item(item: dict[str, Any]) -> Record:
    """Record of an item; numbers may be Decimals, unknown attributes are left out. Raises: ContractError."""
    plain = _without_decimals(item)
    error = plain.get("error") if isinstance(plain, dict) else None
    if isinstance(error, dict) and isinstance(error.get("node_errors"), str):
        error["node_errors"] = decode(error["node_errors"], dict[str, Any], where="error.node_errors")
    return convert(plain, Record)


def to_attribute(value: Any) -> Any:
    """A struct or a plain value as what one attribute of an item holds.

    Given what it returned, it returns the same. `node_errors` is the runtime's own and becomes JSON text:
    DynamoDB refuses what is nested over 32 levels, empty names and numbers beyond 38 digits or 1e125.
    Raises: ContractError, when even JSON cannot hold it.
    """
    if isinstance(value, JobError) and value.node_errors is not None:
        text = encode(value.node_errors).decode()
        return {**to_attribute(msgspec.structs.replace(value, node_errors=None)), "node_errors": text}
    return _without_floats(msgspec.to_builtins(value, builtin_types=(Decimal,)))


def from_attribute(value: Any, type_: type[T]) -> T:
    """Value of `type_` from what one attribute holds; numbers may be Decimals. Raises: ContractError."""
    return convert(_without_decimals(value), type_)


def context_text(context: Any) -> str:
    return "" if context is None else encode(context).decode()


def _without_floats(value: Any) -> Any:
    if isinstance(value, float):
        return Decimal(repr(value))
    if isinstance(value, dict):
        return {name: _without_floats(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_floats(item) for item in value]
    return value


def _without_decimals(value: Any) -> Any:
    if isinstance(value, Decimal) and not (value.is_finite() and abs(value.adjusted()) <= _MAX_EXPONENT):
        return str(value)  # no number of DynamoDB's: left for the type check to refuse
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, dict):
        return {name: _without_decimals(item) for name, item in value.items()}
    if isinstance(value, list | tuple | set):
        return [_without_decimals(item) for item in value]
    return value
