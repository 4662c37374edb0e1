"""Pods' logs outlive their node, in groups that the stack owns, by whom the settings name."""

import json
from typing import Any

import pytest

from components.logs import ADDON_VALUES, chart_values, log_groups
from tests.components.example import as_text, changed, stack
from tests.components.test_cluster_program import POOL, RELEASE, assert_goes_before, of
from tests.support.engine import Engine, evaluate

GROUP, ADDON = "aws:cloudwatch/logGroup:LogGroup", "aws:eks/addon:Addon"
POLICY, ASSOCIATION = "aws:iam/rolePolicy:RolePolicy", "aws:eks/podIdentityAssociation:PodIdentityAssociation"


def placed(**observability: Any) -> Engine:
    return evaluate(as_text(changed(cluster={"create": True}, observability=observability)))


@pytest.fixture(scope="module")
def shipped() -> Engine:
    return placed(log_retention_days=7)


@pytest.fixture(scope="module")
def managed() -> Engine:
    return placed(logs="cloudwatch-addon")


def test_fluent_bit_sends_to_the_one_group_of_the_stack_which_ends(shipped: Engine) -> None:
    group = shipped.named(GROUP, "pods")
    assert (group.inputs["name"], group.inputs["retentionInDays"]) == ("/aws/eks/sd-async-dev/pods", 7)
    release = shipped.named(RELEASE, "logs").inputs
    assert (release["chart"], release["version"]) == ("aws-for-fluent-bit", "0.2.0")
    assert release["values"]["cloudWatchLogs"] == {
        "region": "us-west-2",
        "logGroupName": "/aws/eks/sd-async-dev/pods",
        "logGroupTemplate": "",
        "autoCreateGroup": False,
    }


def test_the_add_on_is_pinned_and_its_groups_are_the_stacks_own(managed: Engine) -> None:
    addon = managed.named(ADDON, "logs").inputs
    assert (addon["addonName"], addon["addonVersion"]) == ("amazon-cloudwatch-observability", "v6.3.0-eksbuild.1")
    names = {one["name"] for one in managed.inputs(GROUP) if "containerinsights" in one["name"]}
    assert names == {f"/aws/containerinsights/sd-async-dev/{kind}" for kind in ("application", "dataplane", "host")}
    assert [one.name for one in managed.declared if one.token == RELEASE and one.name == "logs"] == []


def test_the_add_on_counts_nothing_so_that_no_second_exporter_runs_beside_the_stacks_own() -> None:
    assert not ADDON_VALUES["dcgmExporter"]["enabled"]  # type: ignore[index] # one of its values is a list
    assert not ADDON_VALUES["containerInsights"]["enabled"]  # type: ignore[index] # as above


def test_whoever_writes_runs_on_gpu_nodes_too() -> None:
    assert chart_values(stack())["tolerations"] == ADDON_VALUES["tolerations"] == [{"operator": "Exists"}]


@pytest.mark.parametrize("way", ["shipped", "managed"])
def test_whoever_writes_may_write_to_those_groups_and_make_none(way: str, request: pytest.FixtureRequest) -> None:
    engine: Engine = request.getfixturevalue(way)
    statements = json.loads(engine.named(POLICY, "logs").inputs["policy"])["Statement"]
    assert {action for one in statements for action in one["Action"]} == {"logs:CreateLogStream", "logs:PutLogEvents"}
    logs = "fluent-bit" if way == "shipped" else "cloudwatch-addon"
    assert {resource for one in statements for resource in one["Resource"]} == {
        f"arn:aws:logs:us-west-2:123456789012:log-group:{name}:*"
        for name in log_groups(stack(observability={"logs": logs})).values()
    }
    bound = engine.named(ASSOCIATION, "logs").inputs
    assert (bound["namespace"], bound["serviceAccount"]) == (
        ("kube-system", "fluent-bit") if way == "shipped" else ("amazon-cloudwatch", "cloudwatch-agent")
    )


@pytest.mark.parametrize("way", ["shipped", "managed"])
def test_the_last_words_of_a_node_are_sent_and_only_then_group_and_rights_go(
    way: str, request: pytest.FixtureRequest
) -> None:
    engine: Engine = request.getfixturevalue(way)
    writer = engine.named(RELEASE if way == "shipped" else ADDON, "logs")
    assert_goes_before(engine, of(engine, POOL), [writer])
    groups = [one for one in of(engine, GROUP) if one.parent == writer.parent]
    assert groups
    assert_goes_before(engine, [writer], [*groups, engine.named(POLICY, "logs"), engine.named(ASSOCIATION, "logs")])


def test_only_what_the_stacks_own_namespaces_say_is_paid_for() -> None:
    values = chart_values(stack(kubernetes={"namespace": "images"}))
    assert values["input"]["path"].split(",") == [
        f"/var/log/containers/*_{namespace}_*.log" for namespace in ("images", "keda", "kube-system")
    ]


def test_logs_stay_on_the_node_when_nobody_wants_them() -> None:
    engine = placed(logs="none")
    assert engine.inputs(POOL)
    [component] = [one for one in engine.declared if one.token == "sd:logs:Logs"]
    assert [one.name for one in engine.declared if one.parent == component.urn] == []


# Who makes a log group by itself, without an end to what it keeps, and what it calls it.
MAKERS = {
    "aws:lambda/function:Function": lambda one: f"/aws/lambda/{one['name']}",
    "eks:index:Cluster": lambda one: f"/aws/eks/{one['name']}/cluster",
    "aws:codebuild/project:Project": lambda one: f"/aws/codebuild/{one['name']}",
}


@pytest.mark.parametrize("token", MAKERS)
def test_a_group_that_aws_would_make_is_there_before_and_ends_with_the_stack(shipped: Engine, token: str) -> None:
    groups = {one.inputs["name"]: one for one in of(shipped, GROUP)}
    assert all(one.inputs["retentionInDays"] for one in groups.values())
    found = [one for one in shipped.declared if one.token == token]
    assert found or token == "aws:codebuild/project:Project", "a stack whose images are given builds none"
    for one in found:
        assert shipped.waits_for(one, groups[MAKERS[token](one.inputs)]), f"{one.name} would make its group itself"
