"""What a person hands to `submit`: a bare workflow or payload, or a whole `POST /v1/jobs` body."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec
from msgspec.structs import asdict

from sd_async.contract.codec import convert, decode
from sd_async.contract.jobs import JobRequest, JobType, OutputOptions
from sd_async.errors import UsageError


@dataclass(frozen=True, kw_only=True)
class Overrides:
    """Flags of `submit`; what is None or empty leaves the file's own value."""

    runtime: str | None = None
    type: JobType | None = None
    files: Mapping[str, str] = field(default_factory=dict)
    output_prefix: str | None = None
    timeout_s: int | None = None
    output: OutputOptions | None = None


def request_of(data: bytes, overrides: Overrides, default_runtime: str | None) -> JobRequest:
    """The request that a file asks for.

    default_runtime: for a bare workflow when no flag names one. The API judges the rest.
    Raises: ContractError naming the field; UsageError saying what to do.
    """
    document = decode(data, Any)
    if not isinstance(document, dict):
        raise UsageError("The file holds no JSON object; give a workflow in ComfyUI's API format or a job's body.")
    body = document if _is_whole_body(document) else {"input": document}
    if isinstance(body.get("input"), dict) and isinstance(body["input"].get("nodes"), list):
        raise UsageError(
            "This workflow is in the editor's format, which cannot be run; "
            "in ComfyUI choose `Workflow > Export (API)` and submit that file."
        )
    runtime = overrides.runtime or body.get("runtime") or default_runtime
    if not runtime:
        raise UsageError(
            "The file does not say where it runs; add `--runtime NAME`, or `runtime` in the configuration."
        )
    request = convert({**body, "runtime": runtime}, JobRequest)
    return msgspec.structs.replace(
        request,
        type=overrides.type or request.type,
        files={**request.files, **overrides.files},
        output_prefix=request.output_prefix if overrides.output_prefix is None else overrides.output_prefix,
        output=_output(request.output, overrides.output),
        timeout_seconds=request.timeout_seconds if overrides.timeout_s is None else overrides.timeout_s,
    )


def files_of(pairs: tuple[str, ...]) -> dict[str, str]:
    """`NAME=URL` pairs as a mapping. Raises: UsageError, naming the pair."""
    files: dict[str, str] = {}
    for pair in pairs:
        name, equals, url = pair.partition("=")
        if not (name and equals and url):
            raise UsageError(f"`--file {pair[:80]}` is not NAME=URL.")
        if name in files:
            raise UsageError(f"`--file {name}=...` is given twice.")
        files[name] = url
    return files


def _output(asked: OutputOptions | None, flags: OutputOptions | None) -> OutputOptions | None:
    """The file's options with the flags over them, None when neither says anything."""
    given = {} if flags is None else {name: value for name, value in asdict(flags).items() if value is not None}
    return msgspec.structs.replace(asked or OutputOptions(), **given) if given else asked


def _is_whole_body(document: dict[str, Any]) -> bool:
    """A workflow's values are nodes and its keys are their ids, so a text under `runtime` is none of it."""
    names_runtime = isinstance(document.get("runtime"), str)
    return names_runtime or ("input" in document and document.keys() <= set(JobRequest.__struct_fields__))
