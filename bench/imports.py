"""What importing costs, against an interpreter that imports nothing: `python -m bench.imports [--json]`.

The best of several fresh interpreters is taken, since everything that disturbs a measurement makes it longer.
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
BARE = "pass"
MODULES = (
    "sd_async",
    "msgspec",
    "sd_async.contract.jobs",
    "sd_async.contract.records",
    "sd_async.client",
    "sd_async.cli",
)


@dataclass(frozen=True, kw_only=True)
class Cost:
    """total_ms: start, import and end of an interpreter. added_ms, ratio: against one that imports nothing."""

    name: str
    total_ms: float
    added_ms: float
    ratio: float


def run_ms(code: str) -> float:
    """Milliseconds of a fresh interpreter."""
    started_ns = time.perf_counter_ns()
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)  # noqa: S603 - this interpreter, own code
    return (time.perf_counter_ns() - started_ns) / 1e6


def costs(modules: Sequence[str] = MODULES, runs: int = 15) -> list[Cost]:
    """All in turn, so that what a machine does beside this for a while makes none of them alone look slow."""
    run_ms(f"import {', '.join(modules)}")  # writes the bytecode caches
    codes = {"(nothing)": BARE} | {name: f"import {name}" for name in modules}
    rounds = [{name: run_ms(code) for name, code in codes.items()} for _ in range(runs)]
    best = {name: min(each[name] for each in rounds) for name in codes}
    bare_ms = best["(nothing)"]
    return [Cost(name=name, total_ms=ms, added_ms=ms - bare_ms, ratio=ms / bare_ms) for name, ms in best.items()]


def main() -> None:
    parser = argparse.ArgumentParser(description="What importing costs.")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--runs", type=int, default=15, help="interpreters per module (default 15)")
    given = parser.parse_args()
    found = costs(runs=given.runs)
    if given.json:
        print(json.dumps([asdict(cost) for cost in found], indent=2))
        return
    print(f"{'import':<28}{'total ms':>10}{'added ms':>10}{'ratio':>8}")
    for cost in found:
        print(f"{cost.name:<28}{cost.total_ms:>10.1f}{cost.added_ms:>10.1f}{cost.ratio:>8.2f}")


if __name__ == "__main__":
    main()
