"""mypy reads of the SDKs, which declare hundreds of services, what this project uses: what it skips, it lets pass."""

import ast
import importlib
import importlib.util
import tomllib
from collections.abc import Iterator

import pytest

import tests.support.engine  # noqa: F401 - the SDK's own warnings are silenced by what its import does
from tests.test_rooms import ROOT, tracked

CONFIG = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["mypy"]
OVERRIDES = {one["follow_imports"]: one["module"] for one in CONFIG["overrides"] if "follow_imports" in one}
LARGE = {pattern.partition(".")[0] for pattern in OVERRIDES["skip"]}


def used(source: str) -> Iterator[str]:
    """Modules in which what a file imports of a large SDK is defined."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.partition(".")[0] in LARGE)
        elif isinstance(node, ast.ImportFrom) and str(node.module).partition(".")[0] in LARGE:
            yield from (defined(str(node.module), alias.name) for alias in node.names)


def defined(module: str, name: str) -> str:
    """A module's own name, or where a class or function of one stands."""
    if importlib.util.find_spec(f"{module}.{name}"):
        return f"{module}.{name}"
    return str(getattr(importlib.import_module(module), name).__module__)


def is_read(module: str) -> bool:
    """Whether it is followed, and not by the pattern of all that is not."""
    return any(
        module == pattern or f"{module}.".startswith(pattern.removesuffix("*"))
        for pattern in OVERRIDES["normal"]
        if module == pattern or pattern.endswith(".*")
    )


def test_mypy_reads_every_service_that_is_used() -> None:
    found = {module for path in tracked() for module in used((ROOT / path).read_text(encoding="utf-8"))}
    assert len(found) > 15
    assert [module for module in sorted(found) if not is_read(module)] == []


def test_whatever_a_type_is_made_of_is_read_too() -> None:
    assert CONFIG["disallow_any_unimported"] is True


@pytest.mark.parametrize(
    ("source", "module"),
    [
        ("from pulumi_aws import mq", "pulumi_aws.mq"),
        ("from pulumi_aws import ec2, get_regions_output", "pulumi_aws.get_regions"),
        ("import pulumi_aws.mq as broker", "pulumi_aws.mq"),
        ("from pulumi_aws.mq import Broker", "pulumi_aws.mq.broker"),
        ("def late():\n    from pulumi_kubernetes import batch", "pulumi_kubernetes.batch"),
    ],
)
def test_a_service_that_mypy_does_not_read_is_told(source: str, module: str) -> None:
    assert module in [each for each in used(source) if not is_read(each)]


def test_a_service_that_it_reads_is_not() -> None:
    assert all(is_read(module) for module in used("from pulumi_aws import Provider, ec2"))
