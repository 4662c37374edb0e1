"""Milliseconds since the epoch inside, RFC 3339 in UTC outside."""

from datetime import UTC, datetime
from typing import Annotated

from msgspec import Meta

# The end of the year 9999, the last that `datetime` and RFC 3339 can say.
MAX_S = 253_402_300_799

Seconds = Annotated[int, Meta(ge=0, le=MAX_S)]
Milliseconds = Annotated[int, Meta(ge=0, le=MAX_S * 1000 + 999)]


def rfc3339(at_ms: int) -> str:
    """`2026-11-24T18:31:54.123Z`; sorts as text. at_ms: not negative, up to the year 9999."""
    moment = datetime.fromtimestamp(at_ms // 1000, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{at_ms % 1000:03d}Z"
