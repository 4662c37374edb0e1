"""One JSON line per event, on the standard output, which Lambda sends to CloudWatch Logs.

Never given to it: headers, bodies, API keys, presigned URLs.
"""

import sys
import traceback

import msgspec

from functions.api.ports import StoreError


def line(event: str, level: str = "INFO", **facts: object) -> None:
    """facts: whatever JSON holds; one that is None is left out."""
    present = {name: value for name, value in facts.items() if value is not None}
    sys.stdout.write(msgspec.json.encode({"level": level, "event": event, **present}).decode() + "\n")
    sys.stdout.flush()


def trace_of(error: BaseException | None) -> str:
    """Kinds and places of an exception and its causes, without words: those of a library may quote what was sent."""
    parts: list[str] = []
    while error is not None:
        words = f": {error}" if isinstance(error, StoreError) else ""
        parts.append("".join(traceback.format_tb(error.__traceback__)) + type(error).__name__ + words)
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return "\n".join(reversed(parts))
