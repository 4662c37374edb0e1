"""The closing line as CloudWatch's embedded metric format, from which CloudWatch Logs makes metrics by itself.

A custom metric costs about 0.30 USD a month for each value of its dimension (CloudWatch prices), so there is one
dimension, the runtime's queue, whose name is unique in an account and region.
"""

import time
from collections.abc import Callable, Mapping
from typing import Any

from agent.telemetry.closing import Closing

NAMESPACE = "sd-async/agent"
DIMENSION = "QueueName"  # as SQS's own metrics have it
UNITS = {
    "Jobs": "Count",
    "Failed": "Count",
    "Released": "Count",
    "LeasesLost": "Count",
    "Wait": "Seconds",
    "Execution": "Seconds",
    "Store": "Seconds",
    "Total": "Seconds",
    "OutputBytes": "Bytes",
}


class Emf:
    """A Listener. queue_url: its last part is the dimension's value."""

    def __init__(self, queue_url: str, now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000) -> None:
        self._queue = queue_url.rpartition("/")[2]
        self._now_ms = now_ms

    def __call__(self, closing: Closing) -> Mapping[str, Any]:
        values = {name: value for name, value in _values(closing).items() if value is not None}
        directive = {
            "Namespace": NAMESPACE,
            "Dimensions": [[DIMENSION]],
            "Metrics": [{"Name": name, "Unit": UNITS[name]} for name in values],
        }
        return {
            "_aws": {"Timestamp": self._now_ms(), "CloudWatchMetrics": [directive]},
            DIMENSION: self._queue,
        } | values


def _values(closing: Closing) -> dict[str, float | None]:
    """Failed and the like are 0 or 1, so that an alarm sees a 0 where all is well, and a mean is a share."""
    line, seconds = closing.line, closing.seconds
    return {
        "Jobs": 1,
        "Failed": int(line.outcome == "failed"),
        "Released": int(line.outcome == "released"),
        "LeasesLost": int(closing.error_code == "lease_lost"),
        "Wait": seconds.get("wait"),
        "Execution": seconds.get("execution"),
        "Store": seconds.get("store"),
        "Total": seconds.get("total"),
        "OutputBytes": line.bytes_out,
    }
