"""The strict checker of Kubernetes objects that lies beside the repository, where there is one."""

import functools
import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

CHECKER = Path(__file__).resolve().parents[3] / "shared" / "tools" / "check_manifests.py"
NEEDED = ("kubernetes_validate", "cel", "jsonschema", "referencing")


def problems(manifests: str, kube_version: str | None = None) -> list[str]:
    """One line for each thing that the API server, or KEDA, would refuse. Skips the test without the checker.

    kube_version: such as 1.33; the newest that the checker knows without it.
    """
    if not CHECKER.exists():
        pytest.skip("The checker of manifests is not beside this repository.")
    if missing := [name for name in NEEDED if importlib.util.find_spec(name) is None]:
        pytest.skip(f"The checker of manifests needs {', '.join(missing)}; install requirements/dev.lock.")
    done = _check(manifests, kube_version)
    if done.returncode == 0:
        return []
    return (done.stdout + done.stderr).splitlines()


@functools.cache
def _check(manifests: str, kube_version: str | None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(CHECKER), "--allow-kind", "PodMonitor"]  # the checker has no definition of it
    command += ["--kube-version", kube_version] if kube_version else []
    return subprocess.run(command, input=manifests, capture_output=True, text=True, timeout=120, check=False)
