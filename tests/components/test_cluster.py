"""The EKS cluster: who gets in, what is pinned, what its nodes may, and what waits for what."""

import json
from typing import Any

import pytest

from components.cluster import Cluster, ClusterArgs
from components.settings import SettingsError
from components.settings_cluster import AddonSettings
from tests.components.example import stack
from tests.support.engine import Engine, build

EKS, ADDON, NODES = "eks:index:Cluster", "aws:eks/addon:Addon", "aws:eks/nodeGroup:NodeGroup"
ASSOCIATION = "aws:eks/podIdentityAssociation:PodIdentityAssociation"


def cluster(**settings: Any) -> Engine:
    given = stack(cluster=settings)
    args = ClusterArgs(
        settings=given, vpc_id="vpc-1", private_subnet_ids=["subnet-1", "subnet-2"], public_subnet_ids=["subnet-3"]
    )
    return build(lambda: Cluster("cluster", args))


@pytest.fixture(scope="module")
def placed() -> Engine:
    return cluster()


def test_the_control_plane_is_reached_by_access_entries_and_keeps_its_secrets_under_a_key(placed: Engine) -> None:
    [given] = placed.inputs(EKS)
    assert (given["name"], given["version"], given["authenticationMode"]) == ("sd-async-dev", "1.36", "API")
    assert given["encryptionConfigKeyArn"].startswith("arn:aws:kms:")
    assert given["endpointPrivateAccess"]
    assert given["endpointPublicAccess"]
    assert given["publicAccessCidrs"] == ["0.0.0.0/0"]
    assert given["skipDefaultNodeGroup"]
    assert given["createOidcProvider"] is False, "identity comes by Pod Identity"


def test_a_private_cluster_has_no_public_endpoint() -> None:
    [given] = cluster(public_access=False).inputs(EKS)
    assert given["endpointPublicAccess"] is False
    assert "publicAccessCidrs" not in given


def test_a_cluster_without_any_way_in_is_refused() -> None:
    with pytest.raises(SettingsError, match=r"cluster\.private_access: false, as public_access, leaves no way"):
        cluster(public_access=False, private_access=False)


def test_its_log_group_is_the_stacks_own_and_there_first(placed: Engine) -> None:
    group = placed.named("aws:cloudwatch/logGroup:LogGroup", "cluster")
    assert (group.inputs["name"], group.inputs["retentionInDays"]) == ("/aws/eks/sd-async-dev/cluster", 30)
    assert placed.waits_for(placed.named(EKS, "cluster"), group), "EKS would make one that never ends"


def test_every_add_on_is_pinned(placed: Engine) -> None:
    assert {one["addonName"]: one["addonVersion"] for one in placed.inputs(ADDON)} == {
        "aws-mountpoint-s3-csi-driver": "v2.9.2-eksbuild.1",
        "coredns": "v1.14.3-eksbuild.16",
        "eks-pod-identity-agent": "v1.3.10-eksbuild.3",
        "kube-proxy": "v1.36.0-eksbuild.21",
        "metrics-server": "v0.9.0-eksbuild.5",
        "vpc-cni": "v1.22.4-eksbuild.3",
    }
    cni = placed.named(ADDON, "vpc-cni").inputs
    assert json.loads(cni["configurationValues"])["enableNetworkPolicy"] == "true"
    assert cluster(addons={"coredns": "v1.15.0-eksbuild.1"}).named(ADDON, "coredns").inputs["addonVersion"] == (
        "v1.15.0-eksbuild.1"
    )
    assert AddonSettings().coredns != "v1.15.0-eksbuild.1"


def test_nodes_come_between_what_they_need_and_what_needs_them(placed: Engine) -> None:
    nodes = placed.named(NODES, "system")
    for addon in ("vpc-cni", "kube-proxy", "eks-pod-identity-agent"):
        assert placed.waits_for(nodes, placed.named(ADDON, addon)), addon
    for addon in ("coredns", "metrics-server", "aws-mountpoint-s3-csi-driver"):
        assert placed.waits_for(placed.named(ADDON, addon), nodes), addon
    assert placed.waits_for(placed.named(ADDON, "vpc-cni"), placed.named(ASSOCIATION, "vpc-cni"))


def test_system_nodes_are_small_private_and_give_their_role_to_no_pod(placed: Engine) -> None:
    [nodes], [template] = placed.inputs(NODES), placed.inputs("aws:ec2/launchTemplate:LaunchTemplate")
    assert (nodes["amiType"], nodes["instanceTypes"]) == ("BOTTLEROCKET_ARM_64", ["t4g.medium"])
    assert nodes["subnetIds"] == ["subnet-1", "subnet-2"]
    assert template["metadataOptions"] == {"httpTokens": "required", "httpPutResponseHopLimit": 1}
    assert all(one["ebs"]["encrypted"] == "true" for one in template["blockDeviceMappings"])


def test_administrators_are_those_of_the_settings() -> None:
    admin = "arn:aws:iam::123456789012:role/ops"
    engine = cluster(admins=[admin])
    [entry] = engine.inputs("aws:eks/accessEntry:AccessEntry")
    [policy] = engine.inputs("aws:eks/accessPolicyAssociation:AccessPolicyAssociation")
    assert entry["principalArn"] == policy["principalArn"] == admin
    assert policy["policyArn"] == "arn:aws:eks::aws:cluster-access-policy/AmazonEKSClusterAdminPolicy"
    assert cluster().inputs("aws:eks/accessEntry:AccessEntry") == []


def test_names_stay_what_they_are(placed: Engine) -> None:
    found = [f"{one.token.split(':')[-1]} {one.name}" for one in placed.declared if one.is_custom]
    assert sorted(found) == [
        "Addon aws-mountpoint-s3-csi-driver",
        "Addon coredns",
        "Addon eks-pod-identity-agent",
        "Addon kube-proxy",
        "Addon metrics-server",
        "Addon vpc-cni",
        "InterfaceSweep interfaces",
        "Key cluster",
        "LaunchTemplate system",
        "LogGroup cluster",
        "NodeGroup system",
        "PodIdentityAssociation vpc-cni",
        "Role system",
        "Role vpc-cni",
        "RolePolicyAttachment system-AmazonEC2ContainerRegistryPullOnly",
        "RolePolicyAttachment system-AmazonEKSWorkerNodePolicy",
        "RolePolicyAttachment system-AmazonSSMManagedInstanceCore",
        "RolePolicyAttachment vpc-cni",
    ]
