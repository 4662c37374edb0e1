"""What checkov says about the AWS resources of every stack: nothing that has no reason in tests/checkov-skips.toml."""

from pathlib import Path

from tests.support.engine import ROOT
from tests.support.scanners import checkov, skips, unexplained
from tests.support.translation import STACKS, stack_file, translate


def test_every_stack_is_looked_at() -> None:
    files = {path.name for path in ROOT.glob("Pulumi.*.yaml*")}
    assert {stack_file(name).name for name in STACKS} == files


def test_checkov_finds_nothing_in_aws_without_a_reason(tmp_path: Path) -> None:
    translate(STACKS, tmp_path)
    found, passed = checkov("terraform_json", tmp_path)
    assert passed > 900, "it looked at the resources"
    assert unexplained(found, skips("aws")) == []
