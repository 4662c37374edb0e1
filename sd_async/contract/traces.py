"""The trace that a request belongs to, as AWS X-Ray and the W3C write it."""

import re
from typing import NamedTuple

MAX_TRACE_CHARS = 512  # of X-Amzn-Trace-Id, which has about 100 and may carry a caller's own fields

_TRACEPARENT = re.compile(r"(?!ff)[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_ROOT = re.compile(r"1-([0-9a-f]{8})-([0-9a-f]{24})")
_PARENT = re.compile(r"[0-9a-f]{16}")
_SAMPLED = 0x01


class Trace(NamedTuple):
    """trace_id: 32 hexadecimal digits. parent_id: 16, of the caller's span, where it has one.

    is_sampled: None where the caller leaves it to others.
    """

    trace_id: str
    parent_id: str | None
    is_sampled: bool | None


def parse_trace(text: str | None) -> Trace | None:
    """The trace of a `traceparent` or of an `X-Amzn-Trace-Id`; None for anything else."""
    if not text or len(text) > MAX_TRACE_CHARS:
        return None
    if found := _TRACEPARENT.fullmatch(text):
        trace = Trace(found[1], found[2], bool(int(found[3], 16) & _SAMPLED))
        return trace if int(trace.trace_id, 16) and int(found[2], 16) else None
    fields = dict(part.strip().partition("=")[::2] for part in text.split(";"))
    root = _ROOT.fullmatch(fields.get("Root", ""))
    if root is None or not int(root[1] + root[2], 16):
        return None
    parent = fields.get("Parent", "")
    is_parent = bool(_PARENT.fullmatch(parent)) and int(parent, 16) != 0
    return Trace(
        root[1] + root[2], parent if is_parent else None, {"1": True, "0": False}.get(fields.get("Sampled", ""))
    )
