"""What travels on the jobs topic and the queues: our own message, or a form a client published itself."""

from typing import Any, Literal

import msgspec

from sd_async.contract import forms
from sd_async.contract.codec import convert, decode, encode_for_queue
from sd_async.contract.errors import ContractError
from sd_async.contract.jobs import Form, JobType, OutputOptions
from sd_async.contract.limits import MAX_MESSAGE_BYTES
from sd_async.contract.times import Milliseconds, Seconds


class JobMessage(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One job on its way to an agent; the DynamoDB record stays the truth about its state.

    sd_async: version of this message, by which an agent tells it from a client's own form.
    input: the runtime's body; None when it is too large for a message and lies, inside the same
    JobMessage, at `input_ref` (`s3://bucket/key`). Times are milliseconds since the epoch.
    trace: the request's `traceparent` or `X-Amzn-Trace-Id`, as it came.
    """

    sd_async: Literal[1]
    id: str
    owner: str
    runtime: str
    type: JobType
    created_at_ms: Milliseconds
    timeout_seconds: Seconds
    output_key: str
    input: dict[str, Any] | None = None
    input_ref: str | None = None
    files: dict[str, str] = {}
    output: OutputOptions | None = None
    context: Any = None
    webhook_url: str | None = None
    form: Form = Form.V1
    client_id: str | None = None
    trace: str | None = None


class DirectJob(msgspec.Struct, frozen=True, kw_only=True):
    """A job published straight to the topic in a form of the public sample: it has no record yet."""

    form: Form
    request: forms.AlphaJob


def encode_message(message: JobMessage) -> bytes:
    return encode_for_queue(message)


def encode_for_topic(message: JobMessage, input_ref: str) -> bytes:
    """Bytes for SNS: whole when they fit, else without `input` and with the address of the whole.

    Raises: ContractError `too_large`, when it does not fit even so.
    """
    whole = encode_for_queue(message)
    if len(whole) <= MAX_MESSAGE_BYTES:
        return whole
    pointer = encode_for_queue(msgspec.structs.replace(message, input=None, input_ref=input_ref))
    if len(pointer) > MAX_MESSAGE_BYTES:
        raise ContractError("too_large", f"The job's fields beside `input` pass {MAX_MESSAGE_BYTES} bytes.")
    return pointer


def decode_message(body: bytes | str) -> JobMessage | DirectJob:
    """What an agent finds on its queue.

    Raises: ContractError, for whatever is neither our message nor a form of the public sample.
    """
    document = decode(body, dict[str, Any])
    if "sd_async" in document:
        return convert(document, JobMessage)
    if "task" in document:
        return DirectJob(form=Form.V1ALPHA2, request=forms.parse_v1alpha2(document))
    if "alwayson_scripts" in document:
        return DirectJob(form=Form.V1ALPHA1, request=forms.parse_v1alpha1(document))
    raise ContractError("unknown_message", "The message is neither a job of this system nor a known client's form.")
