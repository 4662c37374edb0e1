"""The message on the results topic: a superset of the public sample's."""

from typing import Any

import msgspec

from sd_async.contract.codec import decode, encode_for_queue
from sd_async.contract.jobs import Form, JobError
from sd_async.contract.limits import MAX_MESSAGE_BYTES
from sd_async.contract.records import Record
from sd_async.contract.states import Status
from sd_async.contract.times import Milliseconds


class ResultMessage(msgspec.Struct, frozen=True, kw_only=True):
    """One job's end. id: the client's own id where it gave one (alpha forms), else the job's.

    result: true when it succeeded. image_url: `s3://` addresses of all outputs. output_url: their folder.
    trace: the request's `traceparent` or `X-Amzn-Trace-Id`, for whoever goes on from here.
    """

    runtime: str
    id: str
    job_id: str
    result: bool
    status: Status
    image_url: list[str]
    output_url: str
    context: Any
    error: JobError | None
    attempts: int
    created_at_ms: Milliseconds
    completed_at_ms: Milliseconds
    trace: str | None = None


def result_of(record: Record, bucket: str) -> ResultMessage:
    """Result of a record in a final state; `bucket` is the output bucket's name."""
    folder = f"s3://{bucket}/{record.output_key}"
    return ResultMessage(
        runtime=record.runtime,
        id=record.client_id if record.form is not Form.V1 and record.client_id is not None else record.id,
        job_id=record.id,
        result=record.status is Status.SUCCEEDED,
        status=record.status,
        image_url=[f"s3://{bucket}/{output.key}" for output in record.outputs],
        output_url=folder,
        context=record.context,
        error=record.error,
        attempts=record.attempt,
        created_at_ms=record.created_at_ms,
        completed_at_ms=record.completed_at_ms or record.updated_at_ms,
        trace=record.trace,
    )


def encode_result(result: ResultMessage) -> bytes:
    """Bytes for SNS; the list is left out when it does not fit, and `output_url` still leads to the files."""
    whole = encode_for_queue(result)
    if len(whole) <= MAX_MESSAGE_BYTES:
        return whole
    return encode_for_queue(msgspec.structs.replace(result, image_url=[], error=_shortened(result.error)))


def decode_result(body: bytes | str) -> ResultMessage:
    """Raises: ContractError."""
    return decode(body, ResultMessage)


def _shortened(error: JobError | None) -> JobError | None:
    return error and msgspec.structs.replace(error, message=error.message[:4096], node_errors=None)
