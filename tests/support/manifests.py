"""The strict checker of Kubernetes objects that lies beside the repository, where there is one.

It is loaded into this process: on its own it takes a second for each judgement, to read the definitions again.
"""

import functools
import importlib.util
from collections.abc import Sequence
from types import ModuleType
from typing import Any

import pytest
import yaml

from tests.support.engine import ROOT

Json = dict[str, Any]

CHECKER = ROOT.parent / "shared" / "tools" / "check_manifests.py"
NEEDED = ("kubernetes_validate", "cel", "jsonschema", "referencing")
UNDEFINED = frozenset({"PodMonitor"})  # the checker has no definition of it


def problems(manifests: str, kube_version: str | None = None, undefined: frozenset[str] = UNDEFINED) -> list[str]:
    """One line for each thing that the API server, or KEDA, would refuse. Skips the test without the checker.

    kube_version: such as 1.33; the newest that the checker knows without it. undefined: kinds that it passes over.
    """
    if not CHECKER.exists():
        pytest.skip("The checker of manifests is not beside this repository.")
    if missing := [name for name in NEEDED if importlib.util.find_spec(name) is None]:
        pytest.skip(f"The checker of manifests needs {', '.join(missing)}; install requirements/dev.lock.")
    checker, version = _checker(), _version(kube_version or "")
    return list(
        checker.check([manifests], lambda one: checker.schema_problems(one, _definitions(), version), undefined)
    )


def refusals(documents: Sequence[Json]) -> str:
    """What is wrong with objects of which each kind has to be known; empty when the API server would take them all."""
    return "\n".join(problems(yaml.safe_dump_all(documents), undefined=frozenset()))


@functools.cache
def _checker() -> ModuleType:
    spec = importlib.util.spec_from_file_location(CHECKER.stem, CHECKER)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@functools.cache
def _definitions() -> Json:
    """Of the kinds that the pinned CRDs make."""
    found: Json = _checker().load_crds(_checker().CRDS)
    return found


def _version(wanted: str) -> str:
    """The newest that the checker has of 1.33, say, or of all."""
    known = [each for each in _checker().all_versions() if f"{each}.".startswith(f"{wanted}." if wanted else "")]
    assert known, f"the checker knows nothing of Kubernetes {wanted}"
    return str(known[-1])
