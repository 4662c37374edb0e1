"""ComfyUI's answers as values, or as the agent's errors."""

import math
from collections.abc import Mapping
from typing import Any, NoReturn

import msgspec

from agent.errors import (
    InvalidWorkflowError,
    JobError,
    NodeFailedError,
    OutOfMemoryError,
    RuntimeFaultError,
    RuntimeGoneError,
)
from sd_async.contract.codec import convert, encode
from sd_async.contract.errors import ContractError

# A DynamoDB item ends at 400 KB, and the reasons of a large graph, each with a node's whole input lists, do not.
_MAX_NODE_ERRORS_BYTES = 128 * 1024
_MAX_MESSAGE_CHARS = 8 * 1024
# DynamoDB numbers end at 1e126; ComfyUI's bounds include the largest float and infinity.
_MAX_NUMBER = 1e125

_VERSIONS = ("comfyui_version", "pytorch_version", "python_version")
_MEMORY_MARKS = (
    "out of memory",  # CUDA, HIP and MPS, each with its own name before it
    "DefaultCPUAllocator: can't allocate memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_ALLOC_FAILED",
)


def check_accepted(status: int, document: Any) -> str | None:
    """The id that the runtime gave the prompt, None when it does not say.

    document: the answer to `POST /prompt`, None when it is no JSON object.
    A graph of which only a part is valid is accepted by ComfyUI, but it is not what the client asked for.
    Raises: InvalidWorkflowError, RuntimeFaultError.
    """
    answer: Mapping[str, Any] = document if isinstance(document, dict) else {}
    node_errors = _node_errors(answer.get("node_errors"))
    if status == 200:
        if node_errors:
            raise _invalid("Part of the workflow is invalid; nothing of it was run.", node_errors)
        given = answer.get("prompt_id")
        return given if isinstance(given, str) and given else None
    if status == 413:
        raise InvalidWorkflowError("The runtime refuses the workflow as too large.")
    if status != 400:
        raise RuntimeFaultError(f"The runtime answers {status} to a workflow.")
    error = answer.get("error")
    raise _invalid(_refusal(error), node_errors)


class _Stats(msgspec.Struct):
    system: dict[str, Any] = {}
    devices: list[dict[str, Any]] = []


def runtime_notes(document: Any) -> dict[str, Any]:
    """What `result.json` tells of the runtime. document: the answer to `GET /system_stats`, of any shape."""
    try:
        stats = convert(document, _Stats)
    except ContractError:
        return {}
    versions = {name: str(stats.system[name])[:100] for name in _VERSIONS if name in stats.system}
    return versions | {"devices": [str(device.get("name"))[:100] for device in stats.devices[:16]]}


def outputs_of(entry: Mapping[str, Any]) -> dict[str, Any]:
    """`{node id: {kind: [items]}}` of a history entry.

    Raises: NodeFailedError; OutOfMemoryError; RuntimeFaultError when somebody else interrupted it; RuntimeGoneError for
    a lost GPU.
    """
    status = entry.get("status")
    status = status if isinstance(status, dict) else {}
    if status.get("status_str") != "success":
        _raise_for(status.get("messages"))
    outputs = entry.get("outputs")
    return outputs if isinstance(outputs, dict) else {}


def _raise_for(messages: Any) -> NoReturn:
    # Interrupted looks like an error, and only the last message tells.
    last = messages[-1] if isinstance(messages, list) and messages else None
    kind, data = last if isinstance(last, list) and len(last) == 2 else ("", {})
    if kind != "execution_error" or not isinstance(data, dict):
        raise RuntimeFaultError("The runtime ended the workflow without a result, as by an interruption.")
    exception, words = str(data.get("exception_type", "")), str(data.get("exception_message", "")).strip()
    is_memory = _is_out_of_memory(exception, words)
    if not is_memory and (exception == "torch.AcceleratorError" or words.startswith("CUDA error")):
        raise RuntimeGoneError("The GPU is in a bad state and the runtime needs a restart.")
    failure: type[JobError] = OutOfMemoryError if is_memory else NodeFailedError
    raise failure(
        f"{exception}: {words}"[:_MAX_MESSAGE_CHARS] if exception else words[:_MAX_MESSAGE_CHARS],
        node_id=_text(data.get("node_id")),
        class_type=_text(data.get("node_type")),
    )


def _is_out_of_memory(exception: str, words: str) -> bool:
    """Of the GPU or of its host: either has more room once models are unloaded.

    By name: PyTorch's OutOfMemoryError, under torch or torch.cuda, Python's MemoryError and NumPy's. By words, as only
    a RuntimeError or an AcceleratorError comes: a CUDA call that found no memory leaves the device usable, unlike every
    other `CUDA error`.
    """
    if exception.rpartition(".")[2].endswith("MemoryError"):
        return True
    if exception not in {"RuntimeError", "torch.AcceleratorError"}:
        return False
    return any(mark in words for mark in _MEMORY_MARKS)


def _refusal(error: Any) -> str:
    if not isinstance(error, dict):
        return str(error or "The runtime refuses the workflow.")
    message, details = str(error.get("message", "")), str(error.get("details", ""))
    return f"{message}: {details}" if details else message


def _invalid(message: str, node_errors: dict[str, Any]) -> InvalidWorkflowError:
    node_id, node = next(iter(node_errors.items()), (None, {}))
    class_type = node.get("class_type") if isinstance(node, dict) else None
    return InvalidWorkflowError(
        message[:_MAX_MESSAGE_CHARS],
        node_id=node_id,
        class_type=_text(class_type),
        node_errors=_bounded(node_errors) or None,
    )


def _node_errors(value: Any) -> dict[str, Any]:
    plain = _storable(value)
    return plain if isinstance(plain, dict) else {}


def _bounded(node_errors: dict[str, Any]) -> dict[str, Any]:
    if len(encode(node_errors)) <= _MAX_NODE_ERRORS_BYTES:
        return node_errors
    # The lists of what would have been allowed are what is large; what was wrong is in the words beside them.
    short: dict[str, Any] = _without(node_errors, "input_config")
    while len(encode(short)) > _MAX_NODE_ERRORS_BYTES:
        short.popitem()
    return short


def _without(value: Any, key: str) -> Any:
    if isinstance(value, dict):
        return {name: _without(item, key) for name, item in value.items() if name != key}
    return [_without(item, key) for item in value] if isinstance(value, list) else value


def _storable(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _storable(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_storable(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    # An int may be beyond every float, which is all that `math` compares with.
    if isinstance(value, int | float) and abs(value) >= _MAX_NUMBER:
        return str(value)
    return value


def _text(value: Any) -> str | None:
    return None if value is None else str(value)
