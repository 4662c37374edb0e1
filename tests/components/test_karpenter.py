"""Karpenter: its controller's rights, the news it gets, and what waits for it."""

import json

import pytest

from components.cluster_policies import CONTROLLER_SUBJECTS
from components.karpenter import GpuNodes, GpuNodesArgs, Karpenter, KarpenterArgs
from tests.components.example import stack
from tests.support.engine import Engine, build

RELEASE, POOL = "kubernetes:helm.sh/v3:Release", "kubernetes:karpenter.sh/v1:NodePool"
POLICY, QUEUE = "aws:iam/rolePolicy:RolePolicy", "aws:sqs/queue:Queue"
TAGGED = ("Request", "Resource")
# Actions that know no resource (Service Authorization Reference): lists of EC2 and IAM, and the price list.
NOT_NARROWER = ("ec2:Describe", "iam:ListInstanceProfiles", "pricing:GetProducts")
INLINE_LIMIT = 10_240  # characters of all policies in a role together (IAM quotas)


@pytest.fixture(scope="module")
def placed() -> Engine:
    settings = stack(cluster={"create": True})

    def program() -> None:
        karpenter = Karpenter("karpenter", KarpenterArgs(settings=settings, cluster="sd-async-dev"))
        GpuNodes("gpu", GpuNodesArgs(settings=settings, instance_profile=karpenter.instance_profile))

    return build(program)


def test_the_controller_is_pinned_and_knows_its_cluster_and_queue(placed: Engine) -> None:
    release = placed.named(RELEASE, "karpenter").inputs
    assert (release["chart"], release["version"]) == ("oci://public.ecr.aws/karpenter/karpenter", "1.14.1")
    assert release["values"]["settings"] == {
        "clusterName": "sd-async-dev",
        "interruptionQueue": "sd-async-dev-interruptions",
        "isolatedVPC": False,
    }


def test_five_kinds_of_news_reach_a_queue_that_only_they_may_fill(placed: Engine) -> None:
    [queue] = placed.inputs(QUEUE)
    assert (queue["messageRetentionSeconds"], queue["sqsManagedSseEnabled"]) == (300, True)
    patterns = [json.loads(one["eventPattern"]) for one in placed.inputs("aws:cloudwatch/eventRule:EventRule")]
    assert sorted(pattern["detail-type"][0] for pattern in patterns) == [
        "AWS Health Event",
        "EC2 Capacity Reservation Instance Interruption Warning",
        "EC2 Instance Rebalance Recommendation",
        "EC2 Instance State-change Notification",
        "EC2 Spot Instance Interruption Warning",
    ]
    assert len(placed.inputs("aws:cloudwatch/eventTarget:EventTarget")) == 5
    [policy] = placed.inputs("aws:sqs/queuePolicy:QueuePolicy")
    send = json.loads(policy["policy"])["Statement"][0]
    assert len(send["Condition"]["ArnEquals"]["aws:SourceArn"]) == 5


def test_the_controllers_rights_are_six_policies_that_fit_into_a_role(placed: Engine) -> None:
    found = {one.name: one.inputs["policy"] for one in placed.declared if one.token == POLICY}
    assert sorted(found) == sorted(f"karpenter-{subject}" for subject in CONTROLLER_SUBJECTS)
    assert sum(map(len, found.values())) < INLINE_LIMIT


def test_the_controller_ends_and_changes_only_what_it_made(placed: Engine) -> None:
    for subject in ("end", "tag"):
        for statement in json.loads(placed.named(POLICY, f"karpenter-{subject}").inputs["policy"])["Statement"]:
            tags = statement["Condition"]["StringEquals"]
            assert "owned" in [tags.get(f"aws:{whose}Tag/kubernetes.io/cluster/sd-async-dev") for whose in TAGGED]


def test_only_lists_that_cannot_be_narrowed_are_of_every_resource(placed: Engine) -> None:
    for one in placed.inputs(POLICY):
        for statement in json.loads(one["policy"])["Statement"]:
            assert not [action for action in statement["Action"] if "*" in action]
            if "*" in statement["Resource"]:
                assert all(action.startswith(NOT_NARROWER) for action in statement["Action"])


def test_the_controllers_pods_get_its_role(placed: Engine) -> None:
    [bound] = placed.inputs("aws:eks/podIdentityAssociation:PodIdentityAssociation")
    assert (bound["namespace"], bound["serviceAccount"]) == ("kube-system", "karpenter")
    assert placed.named(RELEASE, "karpenter").inputs["values"]["serviceAccount"]["name"] == "karpenter"


def test_gpu_nodes_may_join(placed: Engine) -> None:
    [entry] = placed.inputs("aws:eks/accessEntry:AccessEntry")
    assert entry["type"] == "EC2_LINUX"
    [node_class] = placed.inputs("kubernetes:karpenter.k8s.aws/v1:EC2NodeClass")
    assert node_class["spec"]["instanceProfile"] == "sd-async-dev-gpu"


def test_metrics_of_gpus_are_a_choice_and_start_no_node(placed: Engine) -> None:
    assert [one["name"] for one in placed.inputs(RELEASE)] == ["karpenter"]
    settings = stack(cluster={"create": True}, karpenter={"dcgm_exporter": True})
    [release] = build(lambda: GpuNodes("gpu", GpuNodesArgs(settings=settings, instance_profile="gpu"))).inputs(RELEASE)
    assert (release["name"], release["version"]) == ("dcgm-exporter", "4.8.4")
    [term] = release["values"]["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"][
        "nodeSelectorTerms"
    ]
    assert term == {"matchExpressions": [{"key": "sd-async/pool", "operator": "Exists"}]}


def test_a_deleted_pool_takes_its_nodes_with_it_before_it_is_gone(placed: Engine) -> None:
    pools = placed.inputs(POOL)
    assert len(pools) == 2
    for pool in pools:
        assert pool["metadata"]["annotations"] == {"pulumi.com/deletionPropagationPolicy": "foreground"}
