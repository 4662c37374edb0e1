"""Karpenter's documents: real to its CRDs, bounded in money, and never in the way of a job at work."""

import re
import tomllib
from typing import Any

import pytest

from components.cluster import MOUNTPOINT_VALUES
from components.nodepools import node_class, node_grace_s, node_pools
from components.settings import Settings, SettingsError
from tests.components import example
from tests.support.manifests import refusals


def stack(**karpenter: Any) -> Settings:
    return example.stack(cluster={"create": True}, karpenter=karpenter)


def requirements(pool: dict[str, Any]) -> dict[str, tuple[str, list[str]]]:
    return {
        each["key"]: (each["operator"], each["values"]) for each in pool["spec"]["template"]["spec"]["requirements"]
    }


def test_the_api_server_takes_every_document() -> None:
    pools = [{"name": "gpu"}, {"name": "large", "families": ["p4d", "p5"], "max_gpus_per_node": 8, "spot_gpus": 0}]
    settings = stack(pools=pools, image_snapshot_id="snap-0123456789abcdef0")
    assert refusals([node_class(settings, "profile"), *node_pools(settings)]) == ""


def test_a_document_that_karpenter_refuses_is_found() -> None:
    broken = node_pools(stack())[0]
    broken["spec"]["disruption"]["consolidationPolicy"] = "WhenIdle"
    assert "WhenIdle" in refusals([broken])


def test_spot_is_tried_first_and_on_demand_where_it_has_nothing() -> None:
    spot, on_demand = node_pools(stack())
    assert (spot["metadata"]["name"], on_demand["metadata"]["name"]) == ("gpu-spot", "gpu-on-demand")
    assert spot["spec"]["weight"] > on_demand["spec"]["weight"]
    assert requirements(spot)["karpenter.sh/capacity-type"] == ("In", ["spot"])
    assert requirements(on_demand)["karpenter.sh/capacity-type"] == ("In", ["on-demand"])


def test_at_least_four_families_may_have_what_one_lacks() -> None:
    for pool in node_pools(stack()):
        assert requirements(pool)["karpenter.k8s.aws/instance-family"] == ("In", ["g4dn", "g6", "g5", "g6e"])
        assert requirements(pool)["karpenter.k8s.aws/instance-gpu-count"] == ("Lt", ["2"])


def test_a_run_away_spends_no_more_than_the_settings_say() -> None:
    limits = [pool["spec"]["limits"] for pool in node_pools(stack())]
    assert limits == [{"nvidia.com/gpu": "4", "cpu": "128"}, {"nvidia.com/gpu": "2", "cpu": "128"}]


def test_a_price_of_no_gpus_has_no_pool() -> None:
    pools = node_pools(stack(pools=[{"name": "gpu", "on_demand_gpus": 0}]))
    assert [pool["metadata"]["name"] for pool in pools] == ["gpu-spot"]


def test_a_node_at_work_is_never_moved_and_an_empty_one_goes_after_a_while() -> None:
    for pool in node_pools(stack(consolidate_after_s=60)):
        assert pool["spec"]["disruption"]["consolidationPolicy"] == "WhenEmpty"
        assert pool["spec"]["disruption"]["consolidateAfter"] == "60s"
        assert pool["spec"]["template"]["spec"]["expireAfter"] == "336h"


def test_a_node_waits_longer_than_its_longest_pod() -> None:
    settings = stack()
    longest = max(runtime.job_timeout_s for runtime in settings.runtimes)
    assert node_grace_s(settings, "gpu") > longest + 120, "a pod's grace is its longest job and 120 s"
    for pool in node_pools(settings):
        assert pool["spec"]["template"]["spec"]["terminationGracePeriod"] == f"{longest + 420}s"


def test_only_pods_that_want_a_gpu_come_onto_its_node() -> None:
    for pool in node_pools(stack()):
        assert pool["spec"]["template"]["spec"]["taints"] == [
            {"key": "nvidia.com/gpu", "value": "true", "effect": "NoSchedule"}
        ]


def test_nodes_are_pinned_closed_and_quick_to_pull() -> None:
    spec = node_class(stack(), "profile")["spec"]
    assert spec["amiSelectorTerms"] == [{"alias": "bottlerocket@v1.68.0"}]
    assert spec["instanceStorePolicy"] == "RAID0"
    assert spec["metadataOptions"] == {"httpTokens": "required", "httpPutResponseHopLimit": 1}
    assert all(one["ebs"]["encrypted"] for one in spec["blockDeviceMappings"])
    assert "snapshotID" not in spec["blockDeviceMappings"][1]["ebs"]
    assert tomllib.loads(spec["userData"])["settings"]["container-runtime"]["snapshotter"] == "soci"


def test_images_of_a_snapshot_are_not_hidden_behind_the_nodes_own_disks() -> None:
    spec = node_class(stack(image_snapshot_id="snap-0123456789abcdef0"), "profile")["spec"]
    assert spec["blockDeviceMappings"][1]["ebs"]["snapshotID"] == "snap-0123456789abcdef0"
    assert "instanceStorePolicy" not in spec


def test_an_existing_networks_subnets_are_named_one_by_one() -> None:
    subnets = ["subnet-0123456789abcdef0", "subnet-0123456789abcdef1"]
    network = {"vpc_id": "vpc-0123456789abcdef0", "private_subnet_ids": subnets}
    terms = node_class(example.stack(network=network), "profile")["spec"]["subnetSelectorTerms"]
    assert terms == [{"id": subnet} for subnet in subnets]
    assert node_class(stack(), "profile")["spec"]["subnetSelectorTerms"] == [
        {"tags": {"karpenter.sh/discovery": "sd-async-dev"}}
    ]


@pytest.mark.parametrize(
    ("pools", "problem"),
    [
        (
            [{"name": "gpu", "families": ["p5"]}],
            r"pools\[0\]\.families: p5 have 8 GPUs a node and max_gpus_per_node is 1",
        ),
        ([{"name": "gpu", "spot_gpus": 0, "on_demand_gpus": 0}], "allows no node at all"),
        ([{"name": "other"}], r"runtimes\[0\]\.pool: gpu is none of karpenter\.pools, other;"),
        ([{"name": "gpu"}, {"name": "gpu"}], "karpenter.pools: two have the same name"),
        (
            [{"name": "gpu", "spot_gpus": 3, "on_demand_gpus": 0}],
            "gpu allows 3 GPUs and its runtimes' max_replicas ask",
        ),
    ],
)
def test_pools_that_could_not_serve_their_runtimes_are_refused(pools: list[Any], problem: str) -> None:
    with pytest.raises(SettingsError, match=problem):
        stack(pools=pools)


def test_every_node_is_held_back_until_its_gpu_answers_and_no_pod_has_to_tolerate_that() -> None:
    pools = [{"name": "gpu"}, {"name": "large", "families": ["p4d", "p5"], "max_gpus_per_node": 8}]
    found = node_pools(stack(pools=pools))
    assert len(found) == 4
    for pool in found:
        spec = pool["spec"]["template"]["spec"]
        assert {"key": "sd-async/gpu-not-ready", "effect": "NoSchedule"} in spec["startupTaints"]
        assert [each["key"] for each in spec["taints"]] == ["nvidia.com/gpu"], "it would never go"


@pytest.mark.parametrize(
    ("modes", "tainted"),
    [(("mount", "mount"), True), (("mount", "image"), True), (("copy", "image"), False)],
    ids=["both mount", "one mounts", "none mounts"],
)
def test_no_pod_that_mounts_models_starts_before_the_driver_answers_and_no_node_waits_for_one_it_does_not_need(
    modes: tuple[str, str], *, tainted: bool
) -> None:
    runtimes = [
        one | {"models": {"mode": mode}} for one, mode in zip(example.CONFIG["sd-async:runtimes"], modes, strict=True)
    ]
    settings = example.stack(cluster={"create": True}, runtimes=runtimes)
    driver = {"key": "s3.csi.aws.com/agent-not-ready", "effect": "NoExecute"}
    for pool in node_pools(settings):
        taints = pool["spec"]["template"]["spec"]["startupTaints"]
        assert (driver in taints) is tainted
    assert refusals(node_pools(settings)) == ""


def test_the_driver_that_takes_the_startup_taint_off_runs_on_tainted_nodes_and_is_new_enough() -> None:
    assert MOUNTPOINT_VALUES["node"]["tolerateAllTaints"] is True
    major, minor = re.findall(r"\d+", stack().cluster.addons.mountpoint_s3)[:2]
    assert (int(major), int(minor)) >= (2, 1), "older ones leave the taint where it is"
