"""The strict checker of Kubernetes objects that lies beside the repository, where there is one."""

import functools
import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

CHECKER = Path(__file__).resolve().parents[3] / "shared" / "tools" / "check_manifests.py"
NEEDED = ("kubernetes_validate", "cel", "jsonschema", "referencing")


def problems(manifests: str) -> list[str]:
    """One line for each thing that the API server, or KEDA, would refuse. Skips the test without the checker."""
    if not CHECKER.exists():
        pytest.skip("The checker of manifests is not beside this repository.")
    if missing := [name for name in NEEDED if importlib.util.find_spec(name) is None]:
        pytest.skip(f"The checker of manifests needs {', '.join(missing)}; install requirements/dev.lock.")
    done = _check(manifests)
    if done.returncode == 0:
        return []
    return (done.stdout + done.stderr).splitlines()


@functools.cache
def _check(manifests: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(CHECKER)], input=manifests, capture_output=True, text=True, timeout=120, check=False
    )
