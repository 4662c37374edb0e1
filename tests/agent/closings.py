"""Closings of attempts, as a worker would make them, and what a scrape says of them."""

from collections.abc import Mapping
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from agent.telemetry import Closing, ClosingLine, Marks
from agent.telemetry.metrics import Metrics
from sd_async.contract.traces import parse_trace

BEGAN_NS = 1_800_000_000_000_000_000
MARKS: Marks = {
    "claim": (BEGAN_NS, BEGAN_NS + 20_000_000),
    "fetch": (BEGAN_NS + 20_000_000, BEGAN_NS + 520_000_000),
    "execution": (BEGAN_NS + 520_000_000, BEGAN_NS + 10_520_000_000),
    "store": (BEGAN_NS + 10_520_000_000, BEGAN_NS + 10_720_000_000),
    "settle": (BEGAN_NS + 10_720_000_000, BEGAN_NS + 10_760_000_000),
}


def line(**changes: Any) -> ClosingLine:
    fields: dict[str, Any] = {
        "job_id": "8f14e45f-ceea-467f-a830-5d1fd1a4d6c8",
        "runtime": "comfy",
        "attempt": 1,
        "outcome": "succeeded",
        "decision": "finish",
        "error": None,
        "wait_s": 2.5,
        "fetch_s": 0.5,
        "generate_s": 10.0,
        "store_s": 0.2,
        "total_s": 10.76,
        "images": 2,
        "bytes_out": 3_000_000,
    }
    return ClosingLine(**fields | changes)


def closing(marks: Marks | None = None, trace: str | None = None, **changes: Any) -> Closing:
    return Closing(line(**changes), MARKS if marks is None else marks, parse_trace(trace))


Series = dict[tuple[str, frozenset[tuple[str, str]]], float]


def series(page: bytes) -> Series:
    """Every sample of a page, as Prometheus's own parser reads it."""
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(page.decode())
        for sample in family.samples
    }


def value(metrics: Metrics | bytes, name: str, labels: Mapping[str, str] | None = None) -> float | None:
    page = metrics if isinstance(metrics, bytes) else metrics.page("ready", ())
    return series(page).get((name, frozenset((labels or {}).items())))
