"""How busy an agent keeps its runtime, and what it costs: `python -m bench.agent [MODE ...]`.

The real agent against the emulator at AWS's distance (`agent_aws`), with a runtime that only waits (`agent_runtime`).
Writes results/agent.json, and a picture of a few jobs beside it when every mode was run.
"""

import argparse
import json
import os
import platform
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from bench import agent_timeline
from bench.agent_aws import DELAY_S
from bench.agent_run import ROOT, Measured, Mode, bare_cpu_ms, measured, percentile
from local import emulator
from sd_async.contract.jobs import RuntimeType

RESULTS = ROOT / "bench" / "results"
AHEAD = 16  # the chart's own
BARE_JOBS = 100
LONG_S = 10.0
MODES = (
    Mode(name="300ms", run_s=0.3, jobs=200, jobs_without=60),
    Mode(name="20ms", run_s=0.02, jobs=200, jobs_without=60),
    Mode(name="60s", run_s=60, jobs=3, jobs_without=2),
    Mode(name="16_images", run_s=0.3, jobs=20, jobs_without=10, files=16),
    Mode(name="50MB_video", run_s=0.3, jobs=10, jobs_without=5, size_bytes=50_000_000),
    Mode(name="a1111_300ms", run_s=0.3, jobs=200, jobs_without=60, runtime=RuntimeType.A1111),
)
TIMELINE = Mode(name="timeline", run_s=0.3, jobs=9, jobs_without=0)


def row(mode: Mode, overlapped: Measured, one_by_one: Measured) -> dict[str, float]:
    return {
        "busy_pct": round(overlapped.busy_pct, 2),
        "gap_p50_ms": round(percentile(overlapped.gaps_ms, 0.50), 2),
        "gap_p95_ms": round(percentile(overlapped.gaps_ms, 0.95), 2),
        "jobs_per_hour": round(overlapped.jobs_per_hour, 1),
        "rss_mb": round(overlapped.rss_mb, 1),
        "cpu_ms_per_job": round(1000 * overlapped.cpu_s / mode.jobs, 2),
        "first_receive_s": round(overlapped.first_receive_s, 3),
        "ratio_without_overlap": round(overlapped.jobs_per_hour / one_by_one.jobs_per_hour, 3),
    }


def idle_sigterm_s(runs: Sequence[Measured]) -> float:
    """The longest that an idle agent took to leave."""
    return round(max(one.idle_sigterm_s for one in runs), 3)


def run(mode: Mode) -> tuple[Measured, Measured]:
    """With overlap, and one step after the other."""

    def with_overlap() -> Measured:
        return _run(mode, mode.jobs, jobs_ahead=AHEAD)

    def without() -> Measured:
        return _run(mode, mode.jobs_without, jobs_ahead=0)

    if mode.run_s < LONG_S:
        return with_overlap(), without()
    with ThreadPoolExecutor(2) as pool:  # both wait nearly all the time
        overlapped, one_by_one = pool.submit(with_overlap), pool.submit(without)
        return overlapped.result(), one_by_one.result()


def bare() -> float:
    with tempfile.TemporaryDirectory(prefix="bench-") as folder, emulator.running(Path(folder)) as aws:
        return bare_cpu_ms(aws, MODES[0], BARE_JOBS)


def _run(mode: Mode, jobs: int, *, jobs_ahead: int, names_jobs: bool = False) -> Measured:
    """In an emulator of its own, so that one run's objects are not another's memory."""
    command = [sys.executable, str(ROOT / "bench" / "agent_aws.py"), *(["--jobs"] if names_jobs else [])]
    with (
        tempfile.TemporaryDirectory(prefix="bench-") as folder,
        emulator.running(Path(folder), command=command) as aws,
    ):
        return measured(aws, mode, jobs, jobs_ahead=jobs_ahead)


def about() -> dict[str, Any]:
    """bare_calls_cpu_ms_per_job: of boto3 alone, the part of `cpu_ms_per_job` that the machine's speed shows in."""
    return {
        "aws_delay_ms": [1000 * bound for bound in DELAY_S],
        "bare_calls_cpu_ms_per_job": round(bare(), 2),
        "cpus": os.cpu_count(),
        "machine": platform.machine(),
        "python": platform.python_version(),
        "steps": MODES[0].steps,
        "jobs": {mode.name: mode.jobs for mode in MODES},
        "jobs_without_overlap": {mode.name: mode.jobs_without for mode in MODES},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="How busy an agent keeps its runtime.")
    parser.add_argument(
        "modes", nargs="*", metavar="MODE", help=f"{', '.join(mode.name for mode in MODES)}; all of them"
    )
    chosen = parser.parse_args().modes
    found: dict[str, Any] = {}
    runs: list[Measured] = []
    for mode in MODES:
        if not chosen or mode.name in chosen:
            overlapped, one_by_one = run(mode)
            runs += overlapped, one_by_one
            found[mode.name] = row(mode, overlapped, one_by_one)
            print(mode.name, json.dumps(found[mode.name]), flush=True)
    found["idle_sigterm_s"] = idle_sigterm_s(runs)
    print("idle_sigterm_s", found["idle_sigterm_s"])
    if chosen:
        return
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "agent.json").write_text(json.dumps({**found, "about": about()}, indent=2) + "\n")
    shown = _run(TIMELINE, TIMELINE.jobs, jobs_ahead=AHEAD, names_jobs=True)
    (RESULTS / "agent-timeline.svg").write_text(agent_timeline.picture(shown))


if __name__ == "__main__":
    main()
