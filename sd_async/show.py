"""Jobs as text on stdout: JSON for programs, lines for people."""

import json
from collections.abc import Sequence
from pathlib import Path

import msgspec

from sd_async.contract.jobs import Job
from sd_async.contract.states import Status
from sd_async.progress import phase_of, printable


def as_json(job: Job, files: Sequence[Path] | None = None) -> str:
    """The job as the API shows it; `files` are added where outputs were saved."""
    document = msgspec.to_builtins(job)
    if files is not None:
        document["files"] = [str(path) for path in files]
    return json.dumps(document, indent=2, ensure_ascii=False)


def as_lines(job: Job) -> list[str]:
    rows = [
        ("id", job.id),
        ("status", _status(job)),
        ("runtime", f"{job.runtime} ({job.type})"),
        ("created", job.created_at),
        ("started", job.started_at or "-"),
        ("completed", job.completed_at or "-"),
        ("attempts", str(job.attempts)),
        ("times", _times(job)),
        *(("output", output.s3_uri) for output in job.outputs),
    ]
    return [f"{name:<10}{printable(value)}" for name, value in rows]


def _status(job: Job) -> str:
    """The state as the API names it, where the phase has another word for it."""
    return str(job.status) if job.status is Status.SUCCEEDED else str(phase_of(job))


def _times(job: Job) -> str:
    metrics = {name.removesuffix("_ms"): value for name, value in msgspec.to_builtins(job.metrics).items()}
    known = [f"{name} {value / 1000:.1f} s" for name, value in metrics.items() if value is not None]
    return ", ".join(known) or "-"
