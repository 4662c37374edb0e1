"""What every stack of the repository would put into Kubernetes passes the API server's own rules."""

import functools

import pytest

from local.helm import CHART, render
from tests.support.engine import ROOT, Engine, evaluate, settings_of
from tests.support.manifests import refusals

RELEASE = "kubernetes:helm.sh/v3:Release"
STACKS = {
    "dev": "Pulumi.dev.yaml",
    **{name: f"Pulumi.{name}.yaml.example" for name in ("existing-vpc", "private", "production")},
}


@functools.cache
def placed(stack: str) -> Engine:
    return evaluate(settings_of(ROOT / STACKS[stack]), stack=stack)


@pytest.mark.parametrize("stack", STACKS)
def test_the_api_server_takes_every_object_that_the_program_makes_itself(stack: str) -> None:
    objects = [
        one.inputs for one in placed(stack).declared if one.token.startswith("kubernetes:") and one.token != RELEASE
    ]
    kinds = {one["kind"] for one in objects if "kind" in one}
    assert {"NodePool", "EC2NodeClass", "ScaledObject"} <= kinds
    assert refusals(objects) == ""


@pytest.mark.parametrize("stack", STACKS)
def test_the_chart_takes_every_runtimes_values_and_the_api_server_what_it_makes_of_them(stack: str) -> None:
    runtimes = [
        one.inputs for one in placed(stack).declared if one.token == RELEASE and "runtime" in one.inputs["values"]
    ]
    assert runtimes
    made = [document for one in runtimes for document in render(CHART, one["name"], one["namespace"], one["values"])]
    assert [one["kind"] for one in made].count("Deployment") == len(runtimes)
    assert refusals(made) == ""
