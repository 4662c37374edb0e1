"""Milliseconds since the epoch inside, RFC 3339 in UTC outside."""

from datetime import UTC, datetime


def rfc3339(at_ms: int) -> str:
    """`2026-11-24T18:31:54.123Z`; sorts as text."""
    moment = datetime.fromtimestamp(at_ms // 1000, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{at_ms % 1000:03d}Z"
