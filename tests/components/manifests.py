"""Judges Kubernetes documents as the API server would, by the checker beside this repository where it is there."""

import subprocess
import sys
from collections.abc import Sequence
from typing import Any

import pytest
import yaml

from tests.support.engine import ROOT

CHECKER = ROOT.parent / "shared" / "tools" / "check_manifests.py"


def refusals(documents: Sequence[dict[str, Any]]) -> str:
    """What is wrong with the documents; empty when the API server would take them all."""
    if not CHECKER.exists():
        pytest.skip("there is no ../shared/tools/check_manifests.py beside this repository")
    text = yaml.safe_dump_all(documents)
    done = subprocess.run([sys.executable, str(CHECKER)], input=text, capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else done.stdout + done.stderr
