"""A job's way as lines for a person: one that moves on a terminal, one per phase everywhere else."""

from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic
from types import TracebackType
from typing import Self

import msgspec
from rich.console import Console
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from sd_async.contract.jobs import Job, JobError
from sd_async.contract.states import FINAL, Status

# Off a terminal a running job gets a new line at each of these steps, so that a log stays short.
_LOGGED_STEP = 0.25

_MARKS = {Status.SUCCEEDED: ("✓", "green"), Status.FAILED: ("✗", "red"), Status.CANCELED: ("-", "yellow")}


@dataclass(frozen=True, kw_only=True)
class Phase:
    """name: what the job is doing, in a word. fraction: 0 to 1 of the work on the GPU, where it is known."""

    name: str
    detail: str = ""
    fraction: float | None = None

    def __str__(self) -> str:
        share = "" if self.fraction is None else f" {self.fraction:.0%}"
        return f"{self.name}{share}{f' · {self.detail}' if self.detail else ''}"


def phase_of(job: Job) -> Phase:
    """The phase a job is in, in the words of its progress message where the agent gave one."""
    progress = job.progress
    if job.status is Status.FAILED:
        return Phase(name="failed", detail=reason_of(job.error) if job.error else "")
    if job.status is Status.RUNNING and progress.message.startswith(("fetch", "load", "upload")):
        return Phase(name=printable(progress.message))
    if job.status is Status.RUNNING:
        node = progress.current_node_class or progress.current_node or ""
        return Phase(name="running", detail=printable(node), fraction=min(max(progress.value, 0.0), 1.0))
    if job.status is Status.SUCCEEDED:
        return Phase(name="done")
    return Phase(name=str(job.status), detail=printable(progress.message))


class _Fault(msgspec.Struct):
    message: str = ""
    details: str = ""


class _Node(msgspec.Struct):
    errors: list[_Fault] = []


def reason_of(error: JobError) -> str:
    """The error on one line, with the input at fault where the runtime named one."""
    node = ", ".join(part for part in (error.node_id and f"node {error.node_id}", error.class_type) if part)
    fault = _first_fault(error)
    return printable(f"{error.code}: {error.message}{f' ({node})' if node else ''}{f': {fault}' if fault else ''}")


def _first_fault(error: JobError) -> str:
    try:
        nodes = msgspec.convert(error.node_errors or {}, dict[str, _Node])
    except msgspec.ValidationError:  # the runtime's own words, in whatever shape it gave them
        return ""
    named = nodes.get(error.node_id or "", _Node())
    return next((fault.details or fault.message for fault in named.errors), "")


def printable(text: str) -> str:
    """The text on one line and without what could steer a terminal."""
    return "".join(char if char.isprintable() else " " for char in text).strip()


class ProgressLine:
    """Shows jobs as they are handed to `show`, and other steps by `say`; use it as a context manager.

    clock: seconds, for how long each phase took.
    """

    def __init__(self, console: Console, *, clock: Callable[[], float] = monotonic) -> None:
        self._console = console
        self._clock = clock
        self._phase: Phase | None = None
        self._since_s = clock()
        self._logged = 0.0
        self._live: Live | None = None

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._live = Live(console=self._console, transient=True, refresh_per_second=8)
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def show(self, job: Job) -> None:
        phase = phase_of(job)
        if job.status in FINAL:
            self._end_phase()
            mark, style = _MARKS[job.status]
            total_ms = job.metrics.total_ms
            took = "" if total_ms is None else f" in {total_ms / 1000:.1f} s"
            self._line(f"{mark} {phase.name}{took}{f' · {phase.detail}' if phase.detail else ''}", style)
        else:
            self._enter(phase)

    def say(self, name: str, detail: str = "") -> None:
        """A step that is not the job's own: `agent starting`."""
        self._enter(Phase(name=name, detail=detail))

    def _enter(self, phase: Phase) -> None:
        is_new = self._phase is None or phase.name != self._phase.name
        if is_new:
            self._end_phase()
            self._logged = 0.0
        self._phase = phase
        if self._live is not None:
            self._live.update(_moving(phase), refresh=True)
        elif is_new or (phase.fraction or 0.0) >= self._logged + _LOGGED_STEP:
            self._logged = phase.fraction or 0.0
            self._line(f"· {phase}", "")

    def _end_phase(self) -> None:
        """On a terminal the line that moved stays, with its time; elsewhere the next line says enough."""
        if self._phase is not None and self._live is not None:
            self._live.update(Text(""))
            self._line(f"✓ {self._phase.name} {self._clock() - self._since_s:.1f} s", "dim")
        self._phase = None
        self._since_s = self._clock()

    def _line(self, text: str, style: str) -> None:
        self._console.print(Text(text, style=style), soft_wrap=True, highlight=False)


def _moving(phase: Phase) -> Table:
    line = Table.grid(padding=(0, 1))
    cells: list[Spinner | Text | ProgressBar] = [Spinner("dots"), Text(phase.name)]
    if phase.fraction is not None:
        cells += [ProgressBar(total=1.0, completed=phase.fraction, width=30), Text(f"{phase.fraction:.0%}")]
    line.add_row(*cells, Text(phase.detail, style="dim"))
    return line
