"""What a client sends, and what it reads back: requests, the job as the API shows it, errors.

Names are those of the Comfy API v2 wherever it has the same thing.
"""

from enum import StrEnum
from typing import Annotated, Any

import msgspec

from sd_async.contract.states import Status


class RuntimeType(StrEnum):
    COMFYUI = "comfyui"
    A1111 = "a1111"


class JobType(StrEnum):
    TEXT_TO_IMAGE = "text-to-image"
    IMAGE_TO_IMAGE = "image-to-image"
    INPAINTING = "inpainting"
    EXTRA_SINGLE_IMAGE = "extra-single-image"
    EXTRA_BATCH_IMAGES = "extra-batch-images"
    WORKFLOW = "workflow"


class Form(StrEnum):
    """Which form the job came in; its result message speaks the same one."""

    V1 = "v1"
    V1ALPHA2 = "v1alpha2"
    V1ALPHA1 = "v1alpha1"


class Runtime(msgspec.Struct, frozen=True, kw_only=True):
    """A runtime that this deployment serves, as far as a job's validation needs it."""

    type: RuntimeType
    timeout_seconds: int


IMAGE_FORMATS = ("png", "jpeg", "webp")
LOSSY_FORMATS = ("jpeg", "webp")
METADATA_CHOICES = ("keep", "strip")


class OutputOptions(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """How a job's images are delivered; what is left out stays as the runtime gives it.

    Texts and numbers, not enums: `checks.check_output` says in a sentence what is offered. quality: of a lossy format.
    metadata: `strip` takes prompt, workflow and all else that describes the picture out of its file.
    """

    format: Annotated[str, msgspec.Meta(extra_json_schema={"enum": list(IMAGE_FORMATS)})] | None = None
    quality: Annotated[int, msgspec.Meta(extra_json_schema={"minimum": 1, "maximum": 100})] | None = None
    metadata: Annotated[str, msgspec.Meta(extra_json_schema={"enum": list(METADATA_CHOICES)})] | None = None


class JobRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Body of `POST /v1/jobs`.

    input: the runtime's own body, a ComfyUI API-format workflow or an A1111 payload.
    files: name -> `https://...` or `s3://bucket/key`; the name stands in `input` where the file goes.
    timeout_seconds: of one attempt at the runtime, from its turn on; waiting, fetching and storing do not count.
    """

    runtime: str
    input: dict[str, Any]
    type: JobType | None = None
    files: dict[str, str] = {}
    output_prefix: str = ""
    output: OutputOptions | None = None
    context: Any = None
    webhook_url: str | None = None
    timeout_seconds: int | None = None


class JobError(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Why a job failed. `node_errors` is the runtime's own answer to a graph it refused, word for word."""

    code: str
    message: str
    node_id: str | None = None
    class_type: str | None = None
    node_errors: dict[str, Any] | None = None


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """How far a job is. value: 0 to 1 over the whole job. message: the phase in words."""

    value: float = 0.0
    nodes_done: int = 0
    nodes_total: int = 0
    current_node: str | None = None
    current_node_class: str | None = None
    step: int = 0
    steps: int = 0
    message: str = ""


class Metrics(msgspec.Struct, frozen=True, kw_only=True):
    """Time per phase in ms; None until known. total_ms is from creation to completion, load_ms part of execution_ms."""

    queue_ms: int | None = None
    fetch_ms: int | None = None
    load_ms: int | None = None
    execution_ms: int | None = None
    store_ms: int | None = None
    total_ms: int | None = None


class Output(msgspec.Struct, frozen=True, kw_only=True):
    """One saved file. type: image, video, audio, text, latent, 3d or file."""

    name: str
    type: str
    content_type: str
    size_bytes: int
    node_id: str | None
    s3_uri: str
    url: str
    url_expires_at: str


class JobUrls(msgspec.Struct, frozen=True, kw_only=True):
    """Links, relative to the API's endpoint."""

    self: str


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """A job as `GET /v1/jobs/{id}` shows it. Times are RFC 3339 in UTC with milliseconds.

    waiting: why it waits, in words for people, while it is queued: on its way, given back, or what the agents do.
    """

    id: str
    runtime: str
    type: JobType
    status: Status
    created_at: str
    started_at: str | None
    completed_at: str | None
    expires_at: str
    attempts: int
    progress: Progress
    metrics: Metrics
    outputs: list[Output]
    output_location: str
    error: JobError | None
    context: Any
    urls: JobUrls
    waiting: str | None = None


class ErrorDetail(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    code: str
    message: str
    request_id: str
    field: str | None = None


class ErrorBody(msgspec.Struct, frozen=True, kw_only=True):
    """The one shape in which the API says no."""

    error: ErrorDetail
