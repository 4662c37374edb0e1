"""The end of a job's attempt, told once: to the log, and to whatever else listens."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from agent.telemetry.lines import LOGGER
from sd_async.contract.traces import Trace, parse_trace

Marks = Mapping[str, tuple[int, int]]


@dataclass(frozen=True, slots=True)
class ClosingLine:
    """The one line about a job's attempt; every ending has the same keys.

    outcome: succeeded, failed, canceled, released, dropped or unsettled. decision: finish, release or drop.
    error: a code, with our own sentence where it holds nothing of the client's. Times ending in _s are seconds:
    wait_s from creation to claim, total_s from claim to close. images: files stored. None where it never came to it.
    """

    job_id: str
    runtime: str
    attempt: int
    outcome: str
    decision: str
    error: str | None
    wait_s: float
    fetch_s: float | None
    generate_s: float | None
    store_s: float | None
    total_s: float
    images: int
    bytes_out: int


@dataclass(frozen=True, slots=True)
class Closing:
    """marks: phase -> when it began and ended, in ns since the epoch. trace: the caller's, which the spans join."""

    line: ClosingLine
    marks: Marks
    trace: Trace | None

    @property
    def error_code(self) -> str:
        """Without its sentence; empty where nothing went wrong."""
        return (self.line.error or "").partition(":")[0]

    @property
    def seconds(self) -> dict[str, float]:
        """Time per phase, as far as it came: by its marks, else as the line has it."""
        line = self.line
        told = {"fetch": line.fetch_s, "execution": line.generate_s, "store": line.store_s}
        known = {name: seconds for name, seconds in told.items() if seconds is not None}
        marked = {name: max(ended - began, 0) / 1e9 for name, (began, ended) in self.marks.items()}
        return known | marked | {"wait": line.wait_s, "total": line.total_s}


# Each gives what the line shall hold beside its own keys.
Listener = Callable[[Closing], Mapping[str, Any]]
LISTENERS: list[Listener] = []


def close(line: ClosingLine, marks: Marks | None = None, trace: str | None = None) -> None:
    """trace: as JobMessage has it."""
    closing = Closing(line, marks or {}, parse_trace(trace))
    fields: dict[str, Any] = asdict(line)
    for phase in ("receive", "claim", "settle"):
        seconds = closing.seconds.get(phase)
        fields[f"{phase}_s"] = None if seconds is None else round(seconds, 3)
    fields["trace_id"] = closing.trace and closing.trace.trace_id
    for listener in LISTENERS:
        fields |= listener(closing)
    LOGGER.info("job closed", extra={"fields": fields})
