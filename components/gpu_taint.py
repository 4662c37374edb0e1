"""Documents of who takes the GPU's startup taint off a node: a DaemonSet, and the little that it may do (0128)."""

from typing import Any

from components.nodepools import GPU_STARTUP_TAINT, ON_GPU_NODES

Json = dict[str, Any]

NAME, NAMESPACE = "sd-async-gpu-ready", "kube-system"  # whose pods' lines are sent with the others
EVENTS_NAMESPACE = "default"  # of Events about what has no namespace, such as a node
USER = f"system:serviceaccount:{NAMESPACE}:{NAME}"
NODE_CLAIM = "authentication.kubernetes.io/node-name"  # in each token of a pod, since Kubernetes 1.30
NONROOT = 65532  # the image's own
_RBAC, _ADMISSION = "rbac.authorization.k8s.io", "admissionregistration.k8s.io"
_OURS = f"taint.key == '{GPU_STARTUP_TAINT['key']}' && taint.effect == '{GPU_STARTUP_TAINT['effect']}'"

# All of a node's metadata that a user can set.
KEPT_METADATA = ("labels", "annotations", "finalizers", "ownerReferences")


def service_account() -> Json:
    return _named("v1", "ServiceAccount", NAMESPACE) | {"automountServiceAccountToken": False}


def node_role() -> Json:
    """Of all nodes, as RBAC knows no "its own": `policy` narrows it."""
    rule = {"apiGroups": [""], "resources": ["nodes"], "verbs": ["get", "patch"]}
    return _named(f"{_RBAC}/v1", "ClusterRole") | {"rules": [rule]}


def events_role() -> Json:
    rule = {"apiGroups": [""], "resources": ["events"], "verbs": ["create"]}
    return _named(f"{_RBAC}/v1", "Role", EVENTS_NAMESPACE) | {"rules": [rule]}


def binding(role: Json) -> Json:
    """Of the one account to a role, where the role is."""
    kind = role["kind"]
    return _named(f"{_RBAC}/v1", f"{kind}Binding", role["metadata"].get("namespace")) | {
        "roleRef": {"apiGroup": _RBAC, "kind": kind, "name": NAME},
        "subjects": [{"kind": "ServiceAccount", "name": NAME, "namespace": NAMESPACE}],
    }


def policy() -> Json:
    """What the account may change: its own node, and of that the one taint, which it may take away."""
    return _named(f"{_ADMISSION}/v1", "ValidatingAdmissionPolicy") | {
        "spec": {
            "failurePolicy": "Fail",
            "matchConstraints": {
                "resourceRules": [
                    {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["UPDATE"], "resources": ["nodes"]}
                ]
            },
            "matchConditions": [{"name": "by-this-account", "expression": f"request.userInfo.username == '{USER}'"}],
            "variables": [
                {"name": "before", "expression": "dyn(oldObject.spec)"},  # as maps, whose fields can be counted up
                {"name": "after", "expression": "dyn(object.spec)"},
            ],
            "validations": [
                _must(
                    f"has(request.userInfo.extra) && '{NODE_CLAIM}' in request.userInfo.extra"
                    f" && request.userInfo.extra['{NODE_CLAIM}'] == [object.metadata.name]",
                    "only the node that the pod runs on may be changed",
                ),
                _must(
                    "(has(variables.after.taints) ? variables.after.taints : [])"
                    f" == (has(variables.before.taints) ? variables.before.taints : []).filter(taint, !({_OURS}))",
                    f"of the taints only {GPU_STARTUP_TAINT['key']} may be taken away, and no other changed",
                ),
                _must(
                    "variables.before.all(field, field == 'taints' || field in variables.after) && "
                    "variables.after.all(field, field == 'taints' || "
                    "(field in variables.before && variables.after[field] == variables.before[field]))",
                    "of the spec nothing but taints may be changed",
                ),
                *(_must(_same(f"metadata.{field}"), f"its {field} may not be changed") for field in KEPT_METADATA),
            ],
        }
    }


def policy_binding() -> Json:
    return _named(f"{_ADMISSION}/v1", "ValidatingAdmissionPolicyBinding") | {
        "spec": {"policyName": NAME, "validationActions": ["Deny"]}
    }


def daemon_set(image: object) -> Json:
    """image: the agent's, or what stands for it until it is known."""
    labels = {"app.kubernetes.io/name": NAME}
    document = _named("apps/v1", "DaemonSet", NAMESPACE)
    # There may be no GPU node for months, and of those that are there one may be broken: nothing to wait for
    document["metadata"] |= {"labels": labels, "annotations": {"pulumi.com/skipAwait": "true"}}
    return document | {
        "spec": {
            "selector": {"matchLabels": labels},
            # None of them waits for another, and the new image is then on each node before its agents want it
            "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "100%"}},
            "template": {"metadata": {"labels": labels}, "spec": _pod(image)},
        }
    }


def _pod(image: object) -> Json:
    return {
        "serviceAccountName": NAME,
        "automountServiceAccountToken": True,
        "enableServiceLinks": False,
        "priorityClassName": "system-node-critical",  # without it no job comes onto the node
        "terminationGracePeriodSeconds": 5,  # it ends at once
        "affinity": ON_GPU_NODES,
        # Any taint: one that is not known here would leave the node held back for ever
        "tolerations": [{"operator": "Exists"}],
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": NONROOT,
            "runAsGroup": NONROOT,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [
            {
                "name": "gpu-ready",
                "image": image,
                "imagePullPolicy": "IfNotPresent",
                "args": ["agent.gpu_ready"],
                "env": [
                    {"name": "SD_NODE_NAME", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}},
                    {
                        "name": "SD_STARTUP_TAINT",
                        "value": f"{GPU_STARTUP_TAINT['key']}:{GPU_STARTUP_TAINT['effect']}",
                    },
                ],
                "resources": {"requests": {"cpu": "5m", "memory": "32Mi"}, "limits": {"memory": "64Mi"}},
                "securityContext": {
                    "allowPrivilegeEscalation": False,
                    "readOnlyRootFilesystem": True,
                    "capabilities": {"drop": ["ALL"]},
                },
            }
        ],
    }


def _named(api_version: str, kind: str, namespace: str | None = None) -> Json:
    place = {"namespace": namespace} if namespace else {}
    return {"apiVersion": api_version, "kind": kind, "metadata": {"name": NAME} | place}


def _must(expression: str, message: str) -> Json:
    return {"expression": expression, "message": message, "reason": "Forbidden"}


def _same(path: str) -> str:
    """In CEL, that a field is equal in both objects, or in neither."""
    return f"has(object.{path}) == has(oldObject.{path}) && (!has(object.{path}) || object.{path} == oldObject.{path})"
