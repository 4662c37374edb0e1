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


def best_ms(code: str, runs: int) -> float:
    """Milliseconds of the fastest of so many fresh interpreters."""
    times = []
    for _ in range(runs):
        started_ns = time.perf_counter_ns()
        subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)  # noqa: S603 - this interpreter, own code
        times.append((time.perf_counter_ns() - started_ns) / 1e6)
    return min(times)


def costs(modules: Sequence[str] = MODULES, runs: int = 15) -> list[Cost]:
    best_ms(f"import {', '.join(modules)}", 1)  # writes the bytecode caches
    bare_ms = best_ms(BARE, runs)
    found = [Cost(name="(nothing)", total_ms=bare_ms, added_ms=0.0, ratio=1.0)]
    for name in modules:
        total_ms = best_ms(f"import {name}", runs)
        found.append(Cost(name=name, total_ms=total_ms, added_ms=total_ms - bare_ms, ratio=total_ms / bare_ms))
    return found


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
