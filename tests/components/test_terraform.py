"""What Terraform's AWS provider refuses in the AWS resources of every stack, and what checkov says about them."""

import json
from pathlib import Path

import pytest

from tests.components.example import changed
from tests.components.test_image_caches import CACHES
from tests.support.engine import ROOT
from tests.support.scanners import checkov, skips, unexplained
from tests.support.translation import STACKS, Judged, judge, stack_file


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With a folder for each stack, once it is judged."""
    return tmp_path_factory.mktemp("terraform")


@pytest.fixture(scope="module")
def judged(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Judged]:
    """Every stack, and one that reads public registries through caches."""
    caches = tmp_path_factory.mktemp("stack") / "Pulumi.caches.yaml"
    caches.write_text(json.dumps({"config": changed(agent={}, images=CACHES)}), encoding="utf-8")
    return judge({**{name: stack_file(name) for name in STACKS}, "caches": caches}, folder)


def test_every_stack_is_looked_at() -> None:
    files = {path.name for path in ROOT.glob("Pulumi.*.yaml*")}
    assert {stack_file(name).name for name in STACKS} == files


@pytest.mark.parametrize("name", [*STACKS, "caches"])
def test_the_aws_provider_takes_every_argument(name: str, judged: dict[str, Judged]) -> None:
    assert judged[name].wrong == []
    assert judged[name].count > 90, "it looked at the resources"


def test_nothing_of_a_cache_is_left_unchecked(judged: dict[str, Judged]) -> None:
    assert not [line for line in judged["caches"].unchecked if "aws:ecr/" in line]


def test_checkov_finds_nothing_in_aws_without_a_reason(folder: Path, judged: dict[str, Judged]) -> None:
    assert {each.name for each in folder.iterdir()} == judged.keys()
    found, passed = checkov("terraform_json", folder)
    assert passed > 900, "it looked at the resources"
    assert unexplained(found, skips("aws")) == []
