"""What a request asks for, checked, whichever form it came in."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from functions.api.env import Env
from sd_async.contract import checks, forms
from sd_async.contract.codec import convert
from sd_async.contract.errors import ContractError
from sd_async.contract.jobs import Form, JobRequest, JobType, OutputOptions


@dataclass(frozen=True, slots=True)
class Draft:
    """A job before it has an id. document: the request as it came. client_id: may repeat; no key of ours."""

    form: Form
    document: Mapping[str, Any]
    runtime: str
    type: JobType
    input: dict[str, Any]
    timeout_s: int
    prefix: str
    files: dict[str, str] = field(default_factory=dict)
    output: OutputOptions | None = None
    context: Any = None
    client_id: str | None = None


@dataclass(frozen=True, slots=True)
class _Fields:
    """Where a form of the public sample has what is checked."""

    runtime: str
    type: str
    input: str
    prefix: str
    client_id: str
    context: str


_V1ALPHA2 = _Fields(
    runtime="task.metadata.runtime",
    type="task.metadata.tasktype",
    input="task.content",
    prefix="task.metadata.prefix",
    client_id="task.metadata.id",
    context="task.metadata.context",
)
_V1ALPHA1 = _Fields(
    runtime="alwayson_scripts.sd_model_checkpoint",
    type="alwayson_scripts.task",
    input="",
    prefix="alwayson_scripts.save_dir",
    client_id="alwayson_scripts.id_task",
    context="",
)


def v1_draft(document: Mapping[str, Any], env: Env) -> Draft:
    """Raises: ContractError naming the field."""
    request = checks.check_request(convert(document, JobRequest), env.runtimes, env.file_buckets)
    checks.check_not_others_input(request.files, env.input_bucket)
    assert request.type is not None
    assert request.timeout_seconds is not None
    return Draft(
        form=Form.V1,
        document=document,
        runtime=request.runtime,
        type=request.type,
        input=request.input,
        timeout_s=request.timeout_seconds,
        prefix=request.output_prefix,
        files=request.files,
        output=request.output,
        context=request.context,
    )


def v1alpha2_draft(document: Mapping[str, Any], env: Env) -> Draft:
    """Raises: ContractError naming the field."""
    return _alpha_draft(Form.V1ALPHA2, document, forms.parse_v1alpha2(document), _V1ALPHA2, env)


def v1alpha1_draft(document: Mapping[str, Any], env: Env) -> Draft:
    """Raises: ContractError naming the field."""
    return _alpha_draft(Form.V1ALPHA1, document, forms.parse_v1alpha1(document), _V1ALPHA1, env)


def _alpha_draft(form: Form, document: Mapping[str, Any], request: forms.AlphaJob, fields: _Fields, env: Env) -> Draft:
    runtime = checks.known_runtime(request.runtime, env.runtimes, fields.runtime)
    if request.type not in checks.TYPES[runtime.type]:
        offered = ", ".join(sorted(checks.TYPES[runtime.type]))
        raise ContractError("invalid_value", f"A {runtime.type} runtime does {offered}, not this.", fields.type)
    checks.check_input(request.input, request.type, fields.input)
    checks.check_context(request.context, fields.context)
    if request.client_id is not None:
        checks.check_client_id(request.client_id, fields.client_id)
    return Draft(
        form=form,
        document=document,
        runtime=request.runtime,
        type=request.type,
        input=request.input,
        timeout_s=runtime.timeout_seconds,
        prefix=checks.clean_prefix(request.output_prefix, fields.prefix),
        context=request.context,
        client_id=request.client_id,
    )
