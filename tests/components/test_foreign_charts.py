"""What the charts of Karpenter, KEDA and Fluent Bit make of our values passes the API server's own rules.

The charts lie in no package registry, so that they are judged where somebody has unpacked them, and only there.
"""

import functools
import os
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from tests.support.foreign_charts import (
    FOLDER_VARIABLE,
    ChartMissingError,
    ForeignChartError,
    Released,
    Rendered,
    folder_of,
    main,
    refusals,
    released,
    render,
)
from tests.support.manifests import CHECKER
from tests.support.translation import STACKS

ALWAYS = {"karpenter", "keda"}
FLUENT_BIT = "aws-for-fluent-bit"  # but in the stack private, which has the add-on
RELEASED = [
    (stack, chart)
    for stack in STACKS
    for chart in (*sorted(ALWAYS), FLUENT_BIT)
    if (stack, chart) != ("private", FLUENT_BIT)
]
NEEDS_CHECKER = pytest.mark.skipif(not CHECKER.exists(), reason="there is no ../shared/tools/check_manifests.py")

SMALL = Released("dev", "small", "1.2.3", "it", "here", {"replicas": 2, "image": {"tag": "1"}}, "1.36")
TEMPLATE = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: {{ .Release.Name }}, namespace: {{ .Release.Namespace }}}
spec:
  replicas: {{ .Values.replicas }}
  selector: {matchLabels: {a: b}}
  template:
    metadata: {labels: {a: b}}
    spec: {containers: [{name: a, image: "a:{{ .Values.image.tag }}"}]}
"""


@functools.cache
def of(stack: str) -> list[Released]:
    return released(stack)


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A folder with one chart in it."""
    place = tmp_path / "small"
    (place / "templates").mkdir(parents=True)
    (place / "Chart.yaml").write_text(yaml.safe_dump({"apiVersion": "v2", "name": "small", "version": "1.2.3"}))
    (place / "values.yaml").write_text(yaml.safe_dump({"replicas": 1, "image": {"tag": "0"}, "annotations": {}}))
    (place / "templates" / "deployment.yaml").write_text(TEMPLATE)
    return tmp_path


@pytest.fixture
def charts() -> Path:
    folder = folder_of(os.environ)
    if folder is None:
        pytest.skip(f"the charts of others are not here: unpack them and name their folder in {FOLDER_VARIABLE}")
    return folder


def rendered(stack: str, chart: str, folder: Path) -> Rendered:
    """Skips where the chart is not there; one of another version is no reason to skip."""
    [found] = [one for one in of(stack) if one.chart == chart]
    try:
        return render(found, folder)
    except ChartMissingError as error:
        pytest.skip(str(error))


@pytest.mark.parametrize("stack", STACKS)
def test_a_stack_with_a_cluster_releases_its_controllers_by_pinned_versions(stack: str) -> None:
    found = {one.chart: one for one in of(stack)}
    assert sorted(found) == sorted(chart for name, chart in RELEASED if name == stack)
    assert {one.kubernetes for one in found.values()} == {"1.36"}
    assert all(one.version.count(".") == 2 for one in found.values())


@NEEDS_CHECKER
@pytest.mark.parametrize(("stack", "chart"), RELEASED)
def test_the_api_server_takes_what_a_chart_of_others_makes_of_our_values(stack: str, chart: str, charts: Path) -> None:
    made = rendered(stack, chart, charts)
    assert {"Deployment", "DaemonSet"} & {one["kind"] for one in made.objects}
    assert refusals(made) == []


@pytest.mark.parametrize(("stack", "chart"), RELEASED)
def test_a_chart_of_others_knows_every_value_that_we_set(stack: str, chart: str, charts: Path) -> None:
    assert rendered(stack, chart, charts).unknown == ()


@pytest.mark.parametrize(("chart", "count"), [("karpenter", 1), ("keda", 3)])
def test_every_image_of_the_private_stacks_controllers_is_a_copy_of_its_own(
    chart: str, count: int, charts: Path
) -> None:
    images = rendered("private", chart, charts).images
    assert len(images) == count
    assert {image.partition("/")[0] for image in images} == {"123456789012.dkr.ecr.us-west-2.amazonaws.com"}


@NEEDS_CHECKER
def test_an_object_that_the_api_server_would_refuse_is_told(small: Path) -> None:
    made = render(SMALL, small)
    assert (refusals(made), made.images, made.unknown) == ([], {"a:1"}, ())
    [line] = refusals(render(replace(SMALL, values=SMALL.values | {"replicas": "two"}), small))
    assert "Deployment/it" in line
    assert "replicas" in line


def test_a_value_that_the_chart_does_not_know_is_told_by_its_path(small: Path) -> None:
    values = {"replica": 2, "image": {"tga": "1", "tag": "1"}, "annotations": {"free": "yes"}}
    assert render(replace(SMALL, values=values), small).unknown == ("replica", "image.tga")


def test_a_chart_of_another_version_is_refused_unless_it_was_asked_for(small: Path) -> None:
    newer = replace(SMALL, version="1.2.4")
    with pytest.raises(
        ForeignChartError, match=r"is version 1\.2\.3 and the stack dev releases 1\.2\.4: unpack that one"
    ):
        render(newer, small)
    assert render(newer, small, {"small": "1.2.3"}).version == "1.2.3"


def test_a_chart_that_is_not_there_is_refused_with_where_it_belongs(small: Path) -> None:
    with pytest.raises(ChartMissingError, match=r"holds no chart other: unpack 1\.2\.3 of it into .*/other\."):
        render(replace(SMALL, chart="other"), small)


def test_the_folder_is_the_one_that_is_named(tmp_path: Path) -> None:
    assert folder_of({FOLDER_VARIABLE: str(tmp_path)}) == tmp_path


def test_the_command_ends_in_one_sentence_where_a_chart_is_missing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(tmp_path)]) == 2
    assert f"{tmp_path} holds no chart" in capsys.readouterr().err
