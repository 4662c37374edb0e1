"""The whole program with a cluster: what waits for what, and so in which order `pulumi destroy` takes it away."""

import json
import re
import time
from collections.abc import Iterable
from typing import Any

import pytest

from tests.components.example import CONFIG, as_text, changed
from tests.support.engine import ROOT, Declared, Engine, evaluate, settings_of
from tests.support.manifests import refusals

RELEASE, POOL = "kubernetes:helm.sh/v3:Release", "kubernetes:karpenter.sh/v1:NodePool"
SCALED_OBJECT, NODE_CLASS = "kubernetes:keda.sh/v1alpha1:ScaledObject", "kubernetes:karpenter.k8s.aws/v1:EC2NodeClass"
DAEMON_SET = "kubernetes:apps/v1:DaemonSet"
RBAC, ADMISSION = (
    "kubernetes:rbac.authorization.k8s.io/v1",
    "kubernetes:admissionregistration.k8s.io/v1:ValidatingAdmission",
)
ASSOCIATION = "aws:eks/podIdentityAssociation:PodIdentityAssociation"
POLICY, EKS = "aws:iam/rolePolicy:RolePolicy", "eks:index:Cluster"


@pytest.fixture(scope="module")
def placed() -> Engine:
    return evaluate(as_text(changed(cluster={"create": True})))


def of(engine: Engine, token: str) -> list[Declared]:
    found = [one for one in engine.declared if one.token == token]
    assert found, f"nothing is {token}, so that no order of it could be wrong"
    return found


def assert_goes_before(engine: Engine, first: Iterable[Declared], later: Iterable[Declared]) -> None:
    """Whether destroying takes all of `first` before any of `later`: what waits to be made is the first to go."""
    others = list(later)
    for one in first:
        for other in others:
            assert engine.waits_for(one, other), f"{one.name} could still be there when {other.name} goes"


def test_what_asks_for_nodes_goes_first(placed: Engine) -> None:
    assert_goes_before(placed, of(placed, SCALED_OBJECT), [placed.named(RELEASE, "keda")])
    for name in ("sd15", "sdxl"):
        release = placed.named(RELEASE, f"runtime-{name}")
        assert_goes_before(placed, [placed.named(SCALED_OBJECT, f"scaling-{name}")], [release])
        assert_goes_before(placed, [release], of(placed, POOL))


def test_node_pools_and_their_nodes_go_before_the_controller_that_ends_them(placed: Engine) -> None:
    pools = of(placed, POOL)
    assert all(one.inputs["metadata"]["annotations"]["pulumi.com/deletionPropagationPolicy"] for one in pools)
    assert_goes_before(placed, pools, of(placed, NODE_CLASS))
    assert_goes_before(placed, of(placed, NODE_CLASS), [placed.named(RELEASE, "karpenter")])


def test_node_pools_and_their_nodes_go_before_whoever_takes_their_startup_taint_off(placed: Engine) -> None:
    """And so come after it: a node that were there before would be held back."""
    daemons = of(placed, DAEMON_SET)
    assert [one.inputs["metadata"]["name"] for one in daemons] == ["sd-async-gpu-ready"]
    assert_goes_before(placed, of(placed, POOL), daemons)
    rights = [*of(placed, f"{RBAC}:ClusterRoleBinding"), *of(placed, f"{RBAC}:RoleBinding")]
    assert_goes_before(placed, daemons, rights)
    assert_goes_before(placed, of(placed, f"{RBAC}:ClusterRoleBinding"), of(placed, f"{ADMISSION}PolicyBinding"))
    assert_goes_before(placed, [*daemons, *of(placed, f"{ADMISSION}Policy")], of(placed, EKS))


def test_whoever_takes_the_taint_off_is_the_image_that_the_agents_are(placed: Engine) -> None:
    [daemon] = of(placed, DAEMON_SET)
    [container] = daemon.inputs["spec"]["template"]["spec"]["containers"]
    agent = placed.named(RELEASE, "runtime-sd15").inputs["values"]["agent"]["image"]
    assert container["image"] == f"{agent['repository']}:{agent['tag']}@{agent['digest']}"


def test_the_controller_keeps_its_rights_until_it_is_gone(placed: Engine) -> None:
    rights = [one for one in of(placed, POLICY) if one.name.startswith("karpenter-")]
    bound = [one for one in of(placed, ASSOCIATION) if one.name == "karpenter"]
    assert_goes_before(placed, [placed.named(RELEASE, "karpenter")], [*rights, *bound])
    assert_goes_before(placed, of(placed, POOL), of(placed, "aws:iam/instanceProfile:InstanceProfile"))


def test_agents_keep_their_rights_queue_and_buckets_until_their_node_is_gone(placed: Engine) -> None:
    rights = [one for one in placed.declared if one.token in (POLICY, ASSOCIATION) and one.name.startswith("access-")]
    assert len(rights) == 4
    assert_goes_before(placed, of(placed, POOL), rights)
    queues = [placed.named("aws:sqs/queue:Queue", f"jobs-{name}") for name in ("sd15", "sdxl")]
    kept = [*queues, placed.named("aws:dynamodb/table:Table", "jobs"), *of(placed, "aws:s3/bucket:Bucket")]
    volumes = of(placed, "kubernetes:core/v1:PersistentVolumeClaim")
    assert_goes_before(placed, of(placed, POOL), [*kept, *volumes])


def test_controllers_go_before_the_cluster_and_the_cluster_before_its_network(placed: Engine) -> None:
    controllers = [placed.named(RELEASE, name) for name in ("karpenter", "keda")]
    inside = [*of(placed, "aws:eks/nodeGroup:NodeGroup"), *of(placed, "aws:eks/addon:Addon")]
    assert_goes_before(placed, controllers, inside)
    assert_goes_before(placed, inside, of(placed, EKS))
    network = [one for one in placed.declared if one.token.startswith("aws:ec2/") and one.name != "system"]
    assert_goes_before(placed, of(placed, EKS), network)


def test_interfaces_are_swept_after_the_nodes_and_their_network_plugin_and_before_the_cluster(placed: Engine) -> None:
    [swept] = of(placed, "pulumi-python:dynamic/cluster:InterfaceSweep")
    assert (swept.inputs["cluster"], swept.inputs["region"]) == ("sd-async-dev", "us-west-2")
    plugin = placed.named("aws:eks/addon:Addon", "vpc-cni")
    assert_goes_before(placed, [*of(placed, POOL), *of(placed, "aws:eks/nodeGroup:NodeGroup"), plugin], [swept])
    network = [one for one in placed.declared if one.token.startswith("aws:ec2/") and one.name != "system"]
    assert_goes_before(placed, [swept], [*of(placed, EKS), *network])


def test_alarms_go_before_the_topic_that_they_tell_and_the_topic_before_its_key(placed: Engine) -> None:
    topic = placed.named("aws:sns/topic:Topic", "alarms")
    assert_goes_before(placed, of(placed, "aws:cloudwatch/metricAlarm:MetricAlarm"), [topic])
    assert_goes_before(placed, [topic], [placed.named("aws:kms/key:Key", "alarms")])


def test_a_private_api_goes_before_its_endpoint_and_the_endpoint_before_its_subnets() -> None:
    engine = evaluate(as_text(changed(cluster={"create": True}, api={"private": True})))
    endpoint = engine.named("aws:ec2/vpcEndpoint:VpcEndpoint", "execute-api")
    door = [engine.named("aws:apigateway/restApi:RestApi", "api"), *of(engine, "aws:apigateway/stage:Stage")]
    assert_goes_before(engine, door, [endpoint])
    private = [one for one in of(engine, "aws:ec2/subnet:Subnet") if one.name.startswith("private")]
    assert_goes_before(engine, [endpoint], [*private, *of(engine, "aws:ec2/securityGroup:SecurityGroup")])


def test_each_runtimes_role_goes_to_the_service_account_of_its_chart(placed: Engine) -> None:
    bound = {one.name: one.inputs for one in of(placed, ASSOCIATION)}
    for runtime in ("sd15", "sdxl"):
        assert (
            bound[f"access-{runtime}"]["namespace"] == placed.named(RELEASE, f"runtime-{runtime}").inputs["namespace"]
        )
        assert bound[f"access-{runtime}"]["serviceAccount"] == runtime
    assert (bound["keda"]["namespace"], bound["keda"]["serviceAccount"]) == ("keda", "keda-operator")


def test_a_user_gets_the_clusters_name_and_in_secret_its_kubeconfig(placed: Engine) -> None:
    assert placed.exports["cluster_name"] == "sd-async-dev"
    assert placed.exports["kubeconfig"] == "kubeconfig of cluster"
    assert placed.secret_exports["kubeconfig"]


def test_a_fresh_stack_has_no_agent_and_so_no_gpu_node(placed: Engine) -> None:
    assert [one.inputs["spec"]["minReplicaCount"] for one in of(placed, SCALED_OBJECT)] == [0, 0]
    assert all("replicas" not in one.inputs["values"] for one in of(placed, RELEASE) if one.name != "karpenter")


def test_the_api_server_takes_every_object_of_the_program(placed: Engine) -> None:
    objects = [
        one.inputs for one in placed.declared if one.token.startswith("kubernetes:") and "helm.sh" not in one.token
    ]
    assert len(objects) >= 2 + 3 + 5 + 8, "ScaledObjects, Karpenter's, the volumes, and who takes a taint off"
    assert refusals(objects) == ""


def test_an_existing_cluster_is_left_as_it_is() -> None:
    engine = evaluate(as_text(CONFIG | {"sd-async:kubernetes": {"context": "work"}}))
    tokens = {one.token for one in engine.declared}
    assert RELEASE in tokens
    assert tokens.isdisjoint({EKS, POOL, ASSOCIATION, "aws:ec2/vpc:Vpc", DAEMON_SET, f"{ADMISSION}Policy"})


def test_the_dev_stack_is_evaluated_within_15_seconds() -> None:
    began_s = time.process_time()
    engine = evaluate(settings_of(ROOT / "Pulumi.dev.yaml"))
    assert engine.inputs(EKS)
    assert time.process_time() - began_s < 15


@pytest.mark.parametrize(("mode", "reads"), [("mount", True), ("copy", True), ("image", False)])
def test_the_models_bucket_is_open_to_an_agents_role_only_where_models_come_from_it(mode: str, reads: bool) -> None:  # noqa: FBT001 - a row of the table
    runtimes = [CONFIG["sd-async:runtimes"][0] | {"models": {"mode": mode}}]
    engine = evaluate(as_text(changed(cluster={"create": True}, runtimes=runtimes)))
    statements = json.loads(engine.named(POLICY, "access-sd15").inputs["policy"])["Statement"]
    models = [one["Resource"] for one in statements if "sd-async-dev-models" in str(one["Resource"])]
    assert models == ([["arn:aws:s3:::sd-async-dev-models/sd15/*"], ["arn:aws:s3:::sd-async-dev-models"]] * reads)


def design() -> set[str]:
    """The names in DESIGN's sentence on "Stack outputs"."""
    page = ROOT.parent / "shared" / "DESIGN.md"
    if not page.exists():
        pytest.skip("there is no ../shared/DESIGN.md beside this repository")
    [sentence] = re.findall(r"^Stack outputs: (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return set(re.findall(r"`(\w+)`", sentence))


# What a stack tells its user (0130): its own things beside these are told by `sd-async admin names`.
OUTPUTS = {
    "api_endpoint",
    "api_keys",
    "console_url",
    "output_bucket",
    "models_bucket",
    "jobs_topic_arn",
    "results_topic_arn",
    "queue_urls",
    "dead_letter_queue_urls",
    "cluster_name",
    "kubeconfig",
    "dashboard_url",
}
WITHOUT_A_CLUSTER = {"cluster_name", "kubeconfig"}


def test_the_outputs_are_those_of_the_design() -> None:
    assert design() == OUTPUTS


def test_a_stack_tells_exactly_these_and_two_of_them_are_secret(placed: Engine) -> None:
    assert placed.exports.keys() == OUTPUTS
    assert {name for name, is_secret in placed.secret_exports.items() if is_secret} == {"api_keys", "kubeconfig"}


@pytest.mark.parametrize(
    ("sections", "missing"),
    [
        ({"cluster": {"create": False}}, WITHOUT_A_CLUSTER),
        ({"kubernetes": {"context": "work"}}, WITHOUT_A_CLUSTER),
        ({"api": {"iam_auth": True}}, {"console_url"}),
    ],
)
def test_what_a_stack_has_not_it_does_not_tell(sections: dict[str, Any], missing: set[str]) -> None:
    engine = evaluate(as_text(changed(**({"cluster": {"create": True}} | sections))))
    assert OUTPUTS - engine.exports.keys() == missing
    assert engine.exports.keys() <= OUTPUTS


def test_controllers_come_from_their_public_registries_unless_mirrors_are_named(placed: Engine) -> None:
    values = {one.name: one.inputs["values"] for one in of(placed, RELEASE)}
    assert values["karpenter"]["controller"]["image"] == {"repository": "public.ecr.aws/karpenter/controller"}
    assert values["keda"]["global"] == {"image": {"registry": "ghcr.io"}}
    assert values["logs"]["image"] == {"repository": "public.ecr.aws/aws-observability/aws-for-fluent-bit"}
