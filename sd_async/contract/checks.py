"""What a decoded job must satisfy beside its types; the API and the agent ask the same questions."""

from collections.abc import Collection, Mapping
from typing import Any
from urllib.parse import urlsplit

import msgspec

from sd_async.contract import limits
from sd_async.contract.codec import encode
from sd_async.contract.errors import ContractError
from sd_async.contract.jobs import (
    IMAGE_FORMATS,
    LOSSY_FORMATS,
    METADATA_CHOICES,
    JobRequest,
    JobType,
    OutputOptions,
    Runtime,
    RuntimeType,
)

TYPES: dict[RuntimeType, frozenset[JobType]] = {
    RuntimeType.COMFYUI: frozenset({JobType.WORKFLOW}),
    RuntimeType.A1111: frozenset(JobType) - {JobType.WORKFLOW},
}
DEFAULT_TYPE = {RuntimeType.COMFYUI: JobType.WORKFLOW, RuntimeType.A1111: JobType.TEXT_TO_IMAGE}


def check_request(request: JobRequest, runtimes: Mapping[str, Runtime], buckets: Collection[str]) -> JobRequest:
    """The request with its defaults filled in (`type`, `timeout_seconds`, a clean `output_prefix`).

    runtimes: what this deployment serves, by name. buckets: names that `s3://` files may come from.
    Raises: ContractError naming the field.
    """
    runtime = known_runtime(request.runtime, runtimes)
    kind = request.type or DEFAULT_TYPE[runtime.type]
    if kind not in TYPES[runtime.type]:
        offered = ", ".join(sorted(TYPES[runtime.type]))
        raise ContractError("invalid_value", f"A {runtime.type} runtime does {offered}, not `{kind}`.", "type")
    check_input(request.input, kind)
    check_files(request.files, buckets)
    check_output(request.output)
    check_context(request.context)
    if request.webhook_url is not None:
        raise ContractError(
            "not_available", "Webhooks are not served yet; subscribe to the results topic instead.", "webhook_url"
        )
    return msgspec.structs.replace(
        request,
        type=kind,
        output_prefix=clean_prefix(request.output_prefix, "output_prefix"),
        timeout_seconds=checked_timeout(request.timeout_seconds, runtime),
    )


def known_runtime(name: str, runtimes: Mapping[str, Runtime], field: str = "runtime") -> Runtime:
    if runtime := runtimes.get(name):
        return runtime
    raise ContractError("unknown_runtime", f"`{name}` is none of {', '.join(sorted(runtimes))}.", field)


def check_input(body: Mapping[str, Any], kind: JobType, field: str = "input") -> None:
    """Of bounded depth; a workflow must be in ComfyUI's API format: node id -> {class_type, inputs}."""
    if _is_deeper_than(limits.MAX_INPUT_DEPTH, body):
        raise ContractError("invalid_json", f"It is nested over {limits.MAX_INPUT_DEPTH} levels deep.", field)
    if kind is not JobType.WORKFLOW:
        return
    if not body:
        raise ContractError("empty_workflow", "The workflow has no nodes.", field)
    if isinstance(body.get("nodes"), list):
        raise ContractError(
            "workflow_format_ui", "This is the editor's format; export the workflow with `Export (API)`.", field
        )
    for node_id, node in body.items():
        if not isinstance(node, dict) or not isinstance(node.get("class_type"), str):
            raise ContractError("invalid_workflow", "A node is an object with `class_type`.", f"{field}.{node_id}")
        if not isinstance(node.get("inputs", {}), dict):
            raise ContractError("invalid_workflow", "`inputs` is an object.", f"{field}.{node_id}.inputs")


def check_files(files: Mapping[str, str], buckets: Collection[str]) -> None:
    if len(files) > limits.MAX_FILES:
        raise ContractError("invalid_value", f"{len(files)} files are over the limit of {limits.MAX_FILES}.", "files")
    for name, url in files.items():
        field = f"files.{name}"
        if (
            not name
            or name in {".", ".."}
            or "/" in name
            or "\\" in name
            or not name.isprintable()
            or len(name.encode()) > 255
        ):
            raise ContractError("invalid_value", "A file's name is 1 to 255 bytes without slashes.", field)
        check_file_url(url, buckets, field)


def check_not_others_input(files: Mapping[str, str], input_bucket: str) -> None:
    """The input bucket may be read, but what other callers asked for lies there too, under `jobs/`."""
    for name, url in files.items():
        scheme, _, place = url.partition("://")
        if scheme.lower() == "s3" and place.startswith(f"{input_bucket}/jobs/"):
            raise ContractError("file_bucket", "The input of a job is no file for another.", f"files.{name}")


def check_file_url(url: str, buckets: Collection[str], field: str) -> None:
    """Scheme and form only; addresses are checked by the agent, on the connection it makes."""
    if len(url) > limits.MAX_URL_CHARS:
        raise ContractError("invalid_value", f"A URL has at most {limits.MAX_URL_CHARS} characters.", field)
    if url.startswith(" "):  # left out in silence here, and no part of a scheme to who fetches it
        raise ContractError("invalid_value", "A URL does not begin with a space.", field)
    if not url.isprintable():  # line breaks would be left out in silence here and refused by who fetches it
        raise ContractError("invalid_value", "A URL has no control characters.", field)
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError as error:
        raise ContractError("invalid_value", f"This is no URL: {error}.", field) from error
    if parts.scheme not in {"https", "s3"}:
        raise ContractError("file_scheme", f"`{parts.scheme or url[:20]}` is none of https, s3.", field)
    if not host or (parts.scheme == "s3" and len(parts.path) < 2):
        raise ContractError("invalid_value", "The URL names no host, bucket or key.", field)
    if parts.scheme == "s3" and parts.netloc not in buckets:
        raise ContractError("file_bucket", f"Bucket `{parts.netloc}` is not one that jobs may read.", field)


def check_output(options: OutputOptions | None, field: str = "output") -> None:
    """Raises: ContractError naming the option."""
    if options is None:
        return
    if options.format not in {None, *IMAGE_FORMATS}:
        offered = ", ".join(IMAGE_FORMATS)
        raise ContractError("invalid_value", f"`{options.format}` is none of {offered}.", f"{field}.format")
    if options.metadata not in {None, *METADATA_CHOICES}:
        offered = " nor ".join(METADATA_CHOICES)
        raise ContractError("invalid_value", f"`{options.metadata}` is neither {offered}.", f"{field}.metadata")
    if options.quality is None:
        return
    if not 1 <= options.quality <= 100:
        raise ContractError("invalid_value", f"{options.quality} is not between 1 and 100.", f"{field}.quality")
    if options.format not in LOSSY_FORMATS:
        lossy = " or ".join(LOSSY_FORMATS)
        raise ContractError(
            "invalid_value", f"A quality needs a `format` that has one: {lossy}; or leave it out.", f"{field}.quality"
        )


def check_context(context: Any, field: str = "context") -> None:
    if _is_deeper_than(limits.MAX_CONTEXT_DEPTH, context):
        raise ContractError("invalid_value", f"It is nested over {limits.MAX_CONTEXT_DEPTH} levels deep.", field)
    size = len(encode(context))
    if size > limits.MAX_CONTEXT_BYTES:
        raise ContractError("too_large", f"{size} bytes are over the limit of {limits.MAX_CONTEXT_BYTES}.", field)


def _is_deeper_than(limit: int, value: Any) -> bool:
    level = [value]
    for _ in range(limit + 1):
        if not level:
            return False
        level = [inner for item in level for inner in _inside(item)]
    return bool(level)


def _inside(value: Any) -> Collection[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list | tuple) else ()


def clean_prefix(prefix: str, field: str) -> str:
    """Folder in the output bucket, without slashes at its ends. Raises: ContractError."""
    clean = prefix.strip("/")
    if len(clean.encode(errors="surrogatepass")) > limits.MAX_PREFIX_BYTES:
        raise ContractError("invalid_value", f"A prefix has at most {limits.MAX_PREFIX_BYTES} bytes.", field)
    if clean and (not clean.isprintable() or {"", ".", ".."} & set(clean.split("/"))):
        raise ContractError(
            "invalid_value", "A prefix has no empty, `.` or `..` parts and no control characters.", field
        )
    return clean


def check_client_id(client_id: str, field: str) -> None:
    size = len(client_id.encode(errors="surrogatepass"))
    if not 0 < size <= limits.MAX_CLIENT_ID_CHARS or "/" in client_id:
        raise ContractError(
            "invalid_value", f"An id is 1 to {limits.MAX_CLIENT_ID_CHARS} bytes without slashes.", field
        )
    clean_prefix(client_id, field)


def checked_timeout(seconds: int | None, runtime: Runtime) -> int:
    """Seconds a job may run; the runtime's own bound is the default."""
    if seconds is None:
        return runtime.timeout_seconds
    if not 1 <= seconds <= runtime.timeout_seconds:
        raise ContractError(
            "invalid_value", f"{seconds} is not between 1 and {runtime.timeout_seconds} seconds.", "timeout_seconds"
        )
    return seconds


def output_key(prefix: str, name: str) -> str:
    """Folder of a job's outputs: the client's prefix, then the job (or the client's own id in alpha forms)."""
    return f"{prefix}/{name}" if prefix else name
