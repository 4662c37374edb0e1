"""On each GPU node, whoever takes its startup taint off once the GPU answers."""

from dataclasses import dataclass
from typing import Any

import pulumi
from pulumi_kubernetes.admissionregistration import v1 as admission
from pulumi_kubernetes.apps import v1 as apps
from pulumi_kubernetes.core import v1 as core
from pulumi_kubernetes.rbac import v1 as rbac

from components import gpu_taint


@dataclass(frozen=True, kw_only=True)
class GpuReadyArgs:
    agent_image: pulumi.Input[str]


class GpuReady(pulumi.ComponentResource):
    """Let NodePools depend on it: a node that is there before would be held back until it comes."""

    def __init__(self, name: str, args: GpuReadyArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("sd:gpu:Ready", name, None, opts)
        self._name = name
        account = core.ServiceAccount(name, **_fields(gpu_taint.service_account()), opts=self._after())
        bound = [self._on_nodes(account), self._on_events(account)]
        apps.DaemonSet(name, **_fields(gpu_taint.daemon_set(args.agent_image)), opts=self._after(*bound))
        self.register_outputs({})

    def _on_nodes(self, account: pulumi.Resource) -> pulumi.Resource:
        """The right is there only while the policy that narrows it is."""
        policy = admission.ValidatingAdmissionPolicy(self._name, **_fields(gpu_taint.policy()), opts=self._after())
        in_force = admission.ValidatingAdmissionPolicyBinding(
            self._name, **_fields(gpu_taint.policy_binding()), opts=self._after(policy)
        )
        role = rbac.ClusterRole(self._name, **_fields(gpu_taint.node_role()), opts=self._after())
        fields = _fields(gpu_taint.binding(gpu_taint.node_role()))
        return rbac.ClusterRoleBinding(self._name, **fields, opts=self._after(account, role, in_force))

    def _on_events(self, account: pulumi.Resource) -> pulumi.Resource:
        role = rbac.Role(self._name, **_fields(gpu_taint.events_role()), opts=self._after())
        fields = _fields(gpu_taint.binding(gpu_taint.events_role()))
        return rbac.RoleBinding(self._name, **fields, opts=self._after(account, role))

    def _after(self, *before: pulumi.Resource) -> pulumi.ResourceOptions:
        return pulumi.ResourceOptions(parent=self, depends_on=list(before))


def _fields(document: dict[str, Any]) -> dict[str, Any]:
    """A document's own, as a resource's class calls them."""
    names = {"automountServiceAccountToken": "automount_service_account_token", "roleRef": "role_ref"}
    return {names.get(name, name): value for name, value in document.items() if name not in {"apiVersion", "kind"}}
