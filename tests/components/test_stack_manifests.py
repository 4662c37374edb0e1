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
    assert {"DaemonSet", "ClusterRole", "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"} <= kinds
    assert refusals(objects) == ""


@pytest.mark.parametrize("stack", STACKS)
def test_every_startup_taint_of_a_stack_has_somebody_to_take_it_off(stack: str) -> None:
    pools = placed(stack).inputs("kubernetes:karpenter.sh/v1:NodePool")
    keys = {taint["key"] for pool in pools for taint in pool["spec"]["template"]["spec"]["startupTaints"]}
    [daemon] = placed(stack).inputs("kubernetes:apps/v1:DaemonSet")
    [container] = daemon["spec"]["template"]["spec"]["containers"]
    ours = next(each["value"] for each in container["env"] if each["name"] == "SD_STARTUP_TAINT").partition(":")[0]
    drivers = {one["addonName"] for one in placed(stack).inputs("aws:eks/addon:Addon")}
    assert ours in keys
    assert keys - {ours} <= {"s3.csi.aws.com/agent-not-ready"}
    assert "aws-mountpoint-s3-csi-driver" in drivers
    assert "@sha256:" in container["image"], "by digest, as all that is released"


@pytest.mark.parametrize("stack", STACKS)
def test_the_chart_takes_every_runtimes_values_and_the_api_server_what_it_makes_of_them(stack: str) -> None:
    runtimes = [
        one.inputs for one in placed(stack).declared if one.token == RELEASE and "runtime" in one.inputs["values"]
    ]
    assert runtimes
    made = [document for one in runtimes for document in render(CHART, one["name"], one["namespace"], one["values"])]
    deployments = [one for one in made if one["kind"] == "Deployment"]
    assert len(deployments) == len(runtimes)
    tolerated = [each for one in deployments for each in one["spec"]["template"]["spec"]["tolerations"]]
    assert {each["key"] for each in tolerated} == {"nvidia.com/gpu"}, "a job waits for what startup taints wait for"
    assert refusals(made) == ""
