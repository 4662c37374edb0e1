"""The two request forms of the AWS Guidance's public sample, so that its clients work unchanged."""

import copy
from typing import Any

import msgspec

from sd_async.contract.codec import convert
from sd_async.contract.errors import ContractError
from sd_async.contract.jobs import JobType

# The sample calls a ComfyUI workflow `pipeline`; every other task type has the name we use.
_TASK_TYPES = {"pipeline": JobType.WORKFLOW} | {str(kind): kind for kind in JobType}


class AlphaJob(msgspec.Struct, frozen=True, kw_only=True):
    """Either form, as what it asks for. client_id: the client's own id, which may repeat; no key of ours."""

    runtime: str
    type: JobType
    input: dict[str, Any]
    output_prefix: str
    client_id: str | None = None
    context: Any = None


class _Metadata(msgspec.Struct, frozen=True, kw_only=True):
    runtime: str
    tasktype: str
    prefix: str
    id: str | None = None
    context: Any = None


class _Task(msgspec.Struct, frozen=True, kw_only=True):
    metadata: _Metadata
    content: dict[str, Any]


class _V1Alpha2(msgspec.Struct, frozen=True, kw_only=True):
    task: _Task


class _QueueScript(msgspec.Struct, frozen=True, kw_only=True):
    task: str
    sd_model_checkpoint: str
    save_dir: str
    id_task: str | None = None
    uid: str | None = None


class V1Alpha2Answer(msgspec.Struct, frozen=True, kw_only=True):
    """Answer of `POST /v1alpha2`; `job_id` is ours and works with `GET /v1/jobs/{id}`."""

    id: str
    runtime: str
    output_location: str
    job_id: str


class V1Alpha1Answer(msgspec.Struct, frozen=True, kw_only=True):
    """Answer of `POST /v1alpha1`."""

    id_task: str
    sd_model_checkpoint: str
    output_location: str
    job_id: str


def parse_v1alpha2(document: Any) -> AlphaJob:
    """Job of a `{"task": {"metadata", "content"}}` body. Raises: ContractError naming the field."""
    task = convert(document, _V1Alpha2).task
    return AlphaJob(
        runtime=task.metadata.runtime,
        type=_task_type(task.metadata.tasktype, "task.metadata.tasktype"),
        input=task.content,
        output_prefix=task.metadata.prefix,
        client_id=task.metadata.id,
        context=task.metadata.context,
    )


def parse_v1alpha1(document: Any) -> AlphaJob:
    """Job of an A1111 body whose `alwayson_scripts` carries the queue's own keys, which are taken out.

    The runtime is named by `sd_model_checkpoint`, which stays: only the agent can say whether there is a checkpoint of
    that name too. Raises: ContractError naming the field.
    """
    body = convert(document, dict[str, Any])
    if "alwayson_scripts" not in body:
        raise ContractError("missing_field", "Object missing required field `alwayson_scripts`.", "alwayson_scripts")
    scripts = convert(body["alwayson_scripts"], dict[str, Any], where="alwayson_scripts")
    script = convert(scripts, _QueueScript, where="alwayson_scripts")
    payload = copy.copy(body)
    taken = {*_QueueScript.__struct_fields__} - {"sd_model_checkpoint"}
    payload["alwayson_scripts"] = {name: value for name, value in scripts.items() if name not in taken}
    return AlphaJob(
        runtime=script.sd_model_checkpoint,
        type=_task_type(script.task, "alwayson_scripts.task"),
        input=payload,
        output_prefix=script.save_dir,
        client_id=script.id_task,
    )


def _task_type(name: str, field: str) -> JobType:
    if kind := _TASK_TYPES.get(name):
        return kind
    raise ContractError("invalid_value", f"`{name}` is none of {', '.join(sorted(_TASK_TYPES))}.", field)
