"""Who takes the startup taint off: on every GPU node, with the right to do that and nothing else."""

import copy
from pathlib import Path
from typing import Any

import cel
import pytest
import yaml
from kubernetes_validate.utils import all_versions, schema_contents  # type: ignore[import-untyped] # it has no stubs

from agent.gpu_ready import place_of
from components import gpu_taint, nodepools
from components.cluster import MOUNTPOINT_VALUES
from components.gpu_ready import GpuReady, GpuReadyArgs
from components.logs import ADDON_VALUES, chart_values
from tests.components.example import AGENT, stack
from tests.support.engine import ROOT, Engine, build
from tests.support.manifests import refusals
from tests.support.scanners import checkov, skips, unexplained

Json = dict[str, Any]
OURS, LASTING = nodepools.GPU_STARTUP_TAINT, nodepools.GPU_TAINT
NODE = "ip-10-0-1-2.us-west-2.compute.internal"
BOUND = {"authentication.kubernetes.io/node-name": [NODE], "authentication.kubernetes.io/pod-name": ["a"]}


@pytest.fixture(scope="module")
def placed() -> Engine:
    return build(lambda: GpuReady("gpu-ready", GpuReadyArgs(agent_image=AGENT)))


def documents() -> list[Json]:
    roles = [gpu_taint.node_role(), gpu_taint.events_role()]
    narrowed = [gpu_taint.policy(), gpu_taint.policy_binding()]
    bound = [gpu_taint.binding(role) for role in roles]
    return [gpu_taint.service_account(), *narrowed, *roles, *bound, gpu_taint.daemon_set(AGENT)]


def pod() -> Json:
    spec: Json = gpu_taint.daemon_set(AGENT)["spec"]["template"]["spec"]
    return spec


def test_the_api_server_takes_every_document_and_pulumi_hands_it_over_as_it_is(placed: Engine) -> None:
    made = [one.inputs for one in placed.declared if one.is_custom]
    assert sorted(made, key=lambda one: str(one["kind"])) == sorted(documents(), key=lambda one: str(one["kind"]))
    assert refusals(documents()) == ""


def test_a_document_that_the_api_server_refuses_is_found() -> None:
    broken = gpu_taint.policy()
    broken["spec"]["validation"] = []
    assert "validation" in refusals([broken])


def test_it_runs_on_every_gpu_node_and_on_no_other_whatever_taints_there_are() -> None:
    terms = pod()["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
    assert terms == [{"matchExpressions": [{"key": "sd-async/pool", "operator": "Exists"}]}]
    assert pod()["tolerations"] == [{"operator": "Exists"}]
    assert pod()["priorityClassName"] == "system-node-critical"


def test_the_agents_image_runs_a_module_that_is_in_it_and_understands_what_it_is_given() -> None:
    [container] = pod()["containers"]
    assert container["image"] == AGENT
    [module] = container["args"]
    assert (ROOT / f"{module.replace('.', '/')}.py").exists()
    given = {each["name"]: each.get("value", "node") for each in container["env"]}
    place = place_of(given | {"KUBERNETES_SERVICE_HOST": "10.100.0.1", "KUBERNETES_SERVICE_PORT": "443"})
    assert (place.key, place.effect) == (OURS["key"], OURS["effect"])


def test_pulumi_waits_for_no_pod_as_there_may_be_no_node() -> None:
    document = gpu_taint.daemon_set(AGENT)
    assert document["metadata"]["annotations"] == {"pulumi.com/skipAwait": "true"}
    assert document["spec"]["updateStrategy"]["rollingUpdate"] == {"maxUnavailable": "100%"}, "one may be broken"


def test_its_pod_is_as_little_as_a_pod_can_be() -> None:
    [container] = pod()["containers"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert pod()["securityContext"]["runAsNonRoot"] is True
    assert pod()["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert {"hostNetwork", "hostPID", "volumes"}.isdisjoint(pod())
    assert container["resources"]["requests"] == {"cpu": "5m", "memory": "32Mi"}


def test_it_may_read_and_patch_nodes_and_tell_and_nothing_else() -> None:
    assert gpu_taint.node_role()["rules"] == [{"apiGroups": [""], "resources": ["nodes"], "verbs": ["get", "patch"]}]
    assert gpu_taint.events_role()["rules"] == [{"apiGroups": [""], "resources": ["events"], "verbs": ["create"]}]
    assert gpu_taint.events_role()["metadata"]["namespace"] == "default"
    assert gpu_taint.service_account()["automountServiceAccountToken"] is False


def test_nothing_may_be_patched_before_the_policy_that_narrows_it_is_in_force(placed: Engine) -> None:
    token = "kubernetes:admissionregistration.k8s.io/v1:ValidatingAdmissionPolicyBinding"
    right = placed.named("kubernetes:rbac.authorization.k8s.io/v1:ClusterRoleBinding", "gpu-ready")
    assert placed.waits_for(right, placed.named(token, "gpu-ready"))
    assert placed.waits_for(placed.named("kubernetes:apps/v1:DaemonSet", "gpu-ready"), right)


def node(*taints: Json) -> Json:
    return {
        "metadata": {"name": NODE, "labels": {"a": "1"}, "annotations": {"b": "2"}, "resourceVersion": "7"},
        "spec": {"providerID": "aws:///us-west-2a/i-0", "taints": list(taints)},
        "status": {"allocatable": {"nvidia.com/gpu": "1"}},
    }


def refused(before: Json, after: Json, extra: Json | None = BOUND) -> list[str]:
    """Messages of the policy for a change by its account, as CEL says."""
    spec = gpu_taint.policy()["spec"]
    user: Json = {"username": "system:serviceaccount:kube-system:sd-async-gpu-ready"}
    known: Json = {"oldObject": before, "object": after}
    known["request"] = {"userInfo": user | ({} if extra is None else {"extra": extra})}
    assert cel.evaluate(spec["matchConditions"][0]["expression"], known) is True
    known["variables"] = {each["name"]: cel.evaluate(each["expression"], known) for each in spec["variables"]}
    return [each["message"] for each in spec["validations"] if not cel.evaluate(each["expression"], known)]


def test_nobody_else_is_judged_by_the_policy() -> None:
    condition = gpu_taint.policy()["spec"]["matchConditions"][0]["expression"]
    assert cel.evaluate(condition, {"request": {"userInfo": {"username": "system:node:a"}}}) is False


def test_a_refusal_is_no_conflict_which_would_be_tried_again_in_silence() -> None:
    assert {each["reason"] for each in gpu_taint.policy()["spec"]["validations"]} == {"Forbidden"}
    assert gpu_taint.policy()["spec"]["failurePolicy"] == "Fail"
    assert gpu_taint.policy_binding()["spec"] == {"policyName": "sd-async-gpu-ready", "validationActions": ["Deny"]}
    assert gpu_taint.policy()["metadata"]["name"] == "sd-async-gpu-ready"


def test_taking_the_taint_off_its_own_node_is_allowed() -> None:
    assert refused(node(LASTING, OURS), node(LASTING)) == []
    bare = node()
    del bare["spec"]["taints"]  # what the API server makes of an empty list
    assert refused(node(OURS), bare) == []
    assert refused(node(OURS), node(OURS)) == [
        "of the taints only sd-async/gpu-not-ready may be taken away, and no other changed"
    ]


@pytest.mark.parametrize(
    "extra",
    [None, {}, {"authentication.kubernetes.io/node-name": ["other"]}, BOUND | {gpu_taint.NODE_CLAIM: [NODE, "other"]}],
    ids=["no token of a pod", "of no node", "of another node", "of two nodes"],
)
def test_another_node_is_not(extra: Json | None) -> None:
    assert refused(node(OURS), node(), extra) == ["only the node that the pod runs on may be changed"]


@pytest.mark.parametrize(
    "after",
    [
        [],
        [OURS],
        [LASTING, OURS | {"effect": "NoExecute"}],
        [LASTING | {"effect": "PreferNoSchedule"}],
        [LASTING, {"key": "new", "effect": "NoExecute"}],
    ],
    ids=["all", "the lasting one", "another effect", "a change", "a new one"],
)
def test_another_change_of_the_taints_is_not(after: list[Json]) -> None:
    [message] = refused(node(LASTING, OURS), node(*after))
    assert message.startswith("of the taints only sd-async/gpu-not-ready may be taken away")


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("metadata.labels", {"a": "1", "node-role.kubernetes.io/control-plane": ""}, "its labels may not be changed"),
        ("metadata.annotations", {}, "its annotations may not be changed"),
        ("metadata.annotations", None, "its annotations may not be changed"),
        ("metadata.finalizers", ["a/b"], "its finalizers may not be changed"),
        ("metadata.ownerReferences", [{"kind": "Pod", "name": "gone"}], "its ownerReferences may not be changed"),
        ("spec.providerID", "aws:///us-west-2a/i-1", "of the spec nothing but taints may be changed"),
        ("spec.providerID", None, "of the spec nothing but taints may be changed"),
        ("spec.unschedulable", True, "of the spec nothing but taints may be changed"),
        ("spec.ofANewerVersion", {"a": ["b"]}, "of the spec nothing but taints may be changed"),
    ],
)
def test_a_change_of_anything_else_is_not(path: str, value: object, message: str) -> None:
    after = copy.deepcopy(node(LASTING))
    part, _, field = path.partition(".")
    if value is None:
        del after[part][field]
    else:
        after[part][field] = value
    assert refused(node(LASTING, OURS), after) == [message]


# What of ObjectMeta the API server alone sets, or lets nobody change.
SERVERS = {"creationTimestamp", "deletionGracePeriodSeconds", "deletionTimestamp", "generateName", "generation"}
SERVERS |= {"managedFields", "name", "namespace", "resourceVersion", "selfLink", "uid"}


@pytest.mark.parametrize("minor", [33, 36, 37])  # the oldest that the chart is checked against, ours and the newest
def test_all_metadata_that_a_user_can_set_is_kept(minor: int) -> None:
    version = next(each for each in all_versions() if each.startswith(f"1.{minor}."))
    path = f"kubernetes-json-schema/v{version}-local-strict/_definitions.json"
    definitions = schema_contents(path, version)["$defs"]
    known = definitions["io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"]["properties"].keys()
    assert known - SERVERS == set(gpu_taint.KEPT_METADATA)


def test_who_has_to_be_on_a_node_early_tolerates_the_startup_taint() -> None:
    anything = [{"operator": "Exists"}]
    assert MOUNTPOINT_VALUES["node"]["tolerateAllTaints"] is True
    assert chart_values(stack())["tolerations"] == ADDON_VALUES["tolerations"] == anything


def test_checkov_finds_nothing_without_a_reason(tmp_path: Path) -> None:
    (tmp_path / "gpu-ready.yaml").write_text(yaml.safe_dump_all(documents()), encoding="utf-8")
    found, passed = checkov("kubernetes", tmp_path)
    assert passed > 60, "it looked at them"
    assert unexplained(found, skips("gpu-ready")) == []
