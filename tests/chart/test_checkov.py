"""What checkov says about the chart's objects: nothing that has no reason in tests/checkov-skips.toml."""

from pathlib import Path

import pytest

from local.helm import template
from tests.chart.test_examples import EXAMPLES, NAMESPACE, release, values
from tests.support.engine import ROOT, evaluate, settings_of
from tests.support.scanners import Finding, Skip, checkov, skips, unexplained
from tests.support.translation import STACKS, stack_file

RELEASE = "kubernetes:helm.sh/v3:Release"


def write_examples(folder: Path) -> None:
    for path in EXAMPLES:
        text = template(values=values(path), chart=path.parents[1], release=release(path), namespace=NAMESPACE)
        (folder / path.name).write_text(text, encoding="utf-8")


def write_stack(name: str, folder: Path) -> None:
    """The runtimes' releases of one stack, as the program asks for them."""
    releases = [
        each
        for each in evaluate(settings_of(stack_file(name)), stack=name).inputs(RELEASE)
        if str(each["chart"]).startswith("./")
    ]
    assert releases
    for each in releases:
        text = template(ROOT / each["chart"], each["name"], each["namespace"], each["values"])
        (folder / f"{name}-{each['name']}.yaml").write_text(text, encoding="utf-8")


def test_checkov_finds_nothing_in_the_chart_without_a_reason(tmp_path: Path) -> None:
    write_examples(tmp_path)
    for name in STACKS:
        write_stack(name, tmp_path)
    found, passed = checkov("kubernetes", tmp_path)
    assert passed > 700, "it looked at the pods"
    assert unexplained(found, skips("kubernetes")) == []


FOUND = Finding("CKV_1", "Deployment.a", "a.yaml", "Be good")


@pytest.mark.parametrize(
    ("reasons", "wrong"),
    [
        ([], "CKV_1 (Be good): Deployment.a in a.yaml has no reason"),
        ([Skip("CKV_2", (), "")], "CKV_1 (Be good)"),
        ([Skip("CKV_1", ("Service.*",), "")], "CKV_1 (Be good)"),
        ([Skip("CKV_1", ("Deployment.a", "Deployment.b"), "")], "CKV_1: no finding is about Deployment.b"),
    ],
)
def test_a_finding_without_a_reason_and_a_reason_without_a_finding_are_told(reasons: list[Skip], wrong: str) -> None:
    assert wrong in unexplained([FOUND], reasons)[0]


def test_a_reason_covers_what_it_names() -> None:
    assert unexplained([FOUND], [Skip("CKV_1", ("Deployment.*",), "")]) == []


@pytest.mark.parametrize("section", ["aws", "kubernetes"])
def test_every_skip_has_its_reason(section: str) -> None:
    assert all(len(skip.reason) > 20 for skip in skips(section))
