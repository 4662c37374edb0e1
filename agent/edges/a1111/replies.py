"""The runtime's refusals and failures as the agent's errors, in the shapes of AUTOMATIC1111 and of Forge."""

from typing import Any

from agent.errors import (
    AgentError,
    BadFileError,
    InvalidWorkflowError,
    NodeFailedError,
    OutOfMemoryError,
    RuntimeFaultError,
    RuntimeGoneError,
)

_MAX_MESSAGE_CHARS = 8 * 1024
# The caller's fault in spite of their 500 (the runtime's `decode_base64_to_image`).
_BAD_PICTURE = (
    "Invalid encoded image", "Invalid image url", "Requests not allowed", "Request to local resource not allowed",
)  # fmt: skip
_UNROUTED = (None, "Not Found", "Method Not Allowed")
_REFUSED = frozenset({400, 404, 422})


def error_of(status: int, document: Any) -> AgentError:
    """status: any but 200. document: the answer, None when it is no JSON."""
    answer = document if isinstance(document, dict) else {}
    detail = answer.get("detail")
    if detail in _BAD_PICTURE:
        return BadFileError(f"The runtime takes an input for no picture: {detail}.")
    if status in {404, 405} and detail in _UNROUTED:
        return RuntimeFaultError("The runtime has no such route; it needs the flag `--api`.")
    if status in _REFUSED:
        return InvalidWorkflowError(f"The runtime refuses the payload: {_words(detail)}"[:_MAX_MESSAGE_CHARS])
    if status == 500 and (kind := answer.get("error")):
        # The message lies under `errors` in AUTOMATIC1111 and under `message` in Forge.
        words = next((answer[key] for key in ("errors", "message", "detail") if answer.get(key)), "")
        return _raised(str(kind), str(words))
    return RuntimeFaultError(f"The runtime answers {status} to a job.")


def is_without_words(document: Any) -> bool:
    """Whether the failure came through anyio 4, which wraps what was raised and loses kind and message."""
    return isinstance(document, dict) and document.get("error") == "ExceptionGroup"


def _raised(kind: str, words: str) -> AgentError:
    told = f"{kind}: {words}" if words else kind
    told = told[:_MAX_MESSAGE_CHARS]
    if kind == "OutOfMemoryError" or "CUDA out of memory" in words:
        return OutOfMemoryError(told)
    if kind == "MemoryError" or "DefaultCPUAllocator" in words:
        return OutOfMemoryError(told)
    if kind == "AcceleratorError" or words.startswith("CUDA error"):
        return RuntimeGoneError("The GPU is in a bad state and the runtime needs a restart.")
    if kind == "AttributeError" and "NoneType" in words:
        return NodeFailedError(f"{told} (as when the checkpoint could not be loaded)")
    return NodeFailedError(told)


def _words(detail: Any) -> str:
    """`steps: value is not a valid integer` of the frameworks' lists, whatever their age."""
    if not isinstance(detail, list):
        return str(detail)
    return "; ".join(_problem(item) for item in detail if isinstance(item, dict))


def _problem(item: dict[str, Any]) -> str:
    place = item.get("loc")
    path = ".".join(str(step) for step in place if step != "body") if isinstance(place, list) else ""
    return f"{path}: {item.get('msg', '')}" if path else str(item.get("msg", ""))
