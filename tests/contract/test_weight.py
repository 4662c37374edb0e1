"""Importing the contract must stay light: it is on the way of every cold start and every command."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from bench.imports import costs

ROOT = Path(__file__).parents[2]
HEAVY = {"httpx", "httpcore", "asyncio", "ssl", "boto3", "botocore", "click", "rich", "pulumi", "yaml", "email", "http"}
CONTRACT = [
    "adoption",
    "agents",
    "checks",
    "codec",
    "errors",
    "forms",
    "jobs",
    "limits",
    "messages",
    "records",
    "results",
    "states",
    "times",
    "traces",
]


def loaded_by(code: str) -> set[str]:
    """Modules that a fresh interpreter holds after running the code, beside those it starts with."""
    tail = "found = sorted(set(sys.modules) - before); import json; print(json.dumps(found))"
    script = f"import sys; before = set(sys.modules); {code}; {tail}"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=True, capture_output=True, text=True)
    return set(json.loads(done.stdout))


def tops(modules: set[str]) -> set[str]:
    return {name.partition(".")[0] for name in modules}


def test_the_package_alone_loads_nothing_of_itself() -> None:
    assert {name for name in loaded_by("import sd_async") if name.startswith("sd_async")} == {"sd_async"}
    assert not tops(loaded_by("import sd_async")) & (HEAVY | {"msgspec"})


@pytest.mark.parametrize("module", CONTRACT)
def test_no_part_of_the_contract_loads_anything_heavy(module: str) -> None:
    assert not tops(loaded_by(f"import sd_async.contract.{module}")) & HEAVY


def test_the_list_of_the_contracts_parts_is_complete() -> None:
    files = {path.stem for path in (ROOT / "sd_async" / "contract").glob("*.py")} - {"__init__"}
    assert files == set(CONTRACT)


def test_a_name_is_loaded_when_it_is_asked_for() -> None:
    assert "httpx" in loaded_by("import sd_async; sd_async.Client")
    assert "httpx" not in loaded_by("import sd_async; sd_async.ContractError")
    with pytest.raises(subprocess.CalledProcessError):
        loaded_by("import sd_async; sd_async.Nothing")


def test_importing_the_contract_takes_a_few_times_a_bare_interpreter_at_most() -> None:
    # 60 ms on an idle machine; as a ratio, since a busy one is slow at everything. Measured: 25 ms, 2.0.
    (_, contract) = costs(["sd_async.contract.records"], runs=7)
    assert contract.added_ms < 60 or contract.ratio < 4, f"{contract.added_ms:.0f} ms, ratio {contract.ratio:.1f}"
