"""The runtimes' logs, which a node would take with it: into log groups of the stack, by Fluent Bit or EKS's add-on."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pulumi
from pulumi_aws import cloudwatch, iam
from pulumi_aws import eks as aws_eks
from pulumi_kubernetes.helm import v3 as helm

from components import cluster_policies, naming, policies
from components.image_copies import FLUENT_BIT
from components.settings import Settings
from components.settings_platform import FLUENT_BIT_IMAGES

REPOSITORY, CHART = "https://aws.github.io/eks-charts", "aws-for-fluent-bit"
ADDON = "amazon-cloudwatch-observability"
# Who writes: the chart's service account in a namespace of ours, and the add-on's in the namespace that it makes.
ACCOUNTS = {"fluent-bit": ("kube-system", "fluent-bit"), "cloudwatch-addon": ("amazon-cloudwatch", "cloudwatch-agent")}
ANY_TAINT = [{"operator": "Exists"}]  # of GPU nodes above all, where the agents are


@dataclass(frozen=True, kw_only=True)
class LogsArgs:
    """copied: the stack's own copies of controllers' images, by name; none where nodes reach the others."""

    settings: Settings
    cluster: str
    copied: Mapping[str, pulumi.Input[str]] = field(default_factory=dict)


class Logs(pulumi.ComponentResource):
    """Nothing at all when `observability.logs` is none."""

    def __init__(self, name: str, args: LogsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("sd:logs:Logs", name, None, opts)
        self._args, self._below = args, pulumi.ResourceOptions(parent=self)
        way = args.settings.observability.logs
        if way != "none":
            groups = [self._group(label, group) for label, group in log_groups(args.settings).items()]
            ready = pulumi.ResourceOptions(parent=self, depends_on=self._rights(way, groups))
            self._chart(ready) if way == "fluent-bit" else self._addon(ready)
        self.register_outputs({})

    def _group(self, label: str, group: str) -> cloudwatch.LogGroup:
        days = self._args.settings.observability.log_retention_days
        return cloudwatch.LogGroup(label, name=group, retention_in_days=days, opts=self._below)

    def _rights(self, way: str, groups: list[cloudwatch.LogGroup]) -> list[pulumi.Resource]:
        """What a writer waits for. It may make no group, so that none is left that the stack does not own."""
        namespace, account = ACCOUNTS[way]
        trust = json.dumps(cluster_policies.pod_identity())
        role = iam.Role(
            "logs", name=naming.prefixed(self._args.settings, "logs"), assume_role_policy=trust, opts=self._below
        )
        allowed = iam.RolePolicy(
            "logs",
            role=role.name,
            policy=pulumi.Output.all(*(group.arn for group in groups)).apply(
                lambda arns: json.dumps(policies.joined(*(policies.log_writer(arn) for arn in arns)))
            ),
            opts=self._below,
        )
        bound = aws_eks.PodIdentityAssociation(
            "logs",
            cluster_name=self._args.cluster,
            namespace=namespace,
            service_account=account,
            role_arn=role.arn,
            opts=self._below,
        )
        return [allowed, bound, *groups]

    def _chart(self, opts: pulumi.ResourceOptions) -> None:
        namespace, _ = ACCOUNTS["fluent-bit"]
        helm.Release(
            "logs",
            chart=CHART,
            repository_opts={"repo": REPOSITORY},
            version=self._args.settings.observability.fluent_bit,
            name="fluent-bit",
            namespace=namespace,
            values=pulumi.Output.from_input(self._args.copied.get(FLUENT_BIT)).apply(
                lambda known: chart_values(self._args.settings, known)
            ),
            opts=opts,
        )

    def _addon(self, opts: pulumi.ResourceOptions) -> None:
        aws_eks.Addon(
            "logs",
            cluster_name=self._args.cluster,
            addon_name=ADDON,
            addon_version=self._args.settings.cluster.addons.cloudwatch_observability,
            configuration_values=json.dumps(ADDON_VALUES),
            resolve_conflicts_on_create="OVERWRITE",
            resolve_conflicts_on_update="OVERWRITE",
            opts=opts,
        )


def log_groups(settings: Settings) -> Mapping[str, str]:
    """Names of the log groups, by their labels. The add-on's are what it calls them."""
    if settings.observability.logs == "fluent-bit":
        return {"pods": naming.pods_log_group(settings)}
    kinds = ("application", "dataplane", "host")
    return {kind: f"/aws/containerinsights/{naming.cluster(settings)}/{kind}" for kind in kinds}


# Logs alone: the add-on's metrics are paid by observation, and its DCGM exporter would be a second one beside ours.
ADDON_VALUES = {
    "containerLogs": {"enabled": True},
    "containerInsights": {"enabled": False},
    "applicationSignals": {"enabled": False},
    "dcgmExporter": {"enabled": False},
    "neuronMonitor": {"enabled": False},
    "tolerations": ANY_TAINT,
}


def chart_values(settings: Settings, copied: str | None = None) -> dict[str, Any]:
    """Only what the stack's own namespaces say is sent, since it is paid by the byte.

    copied: `repository@digest` of the stack's own copy of the image.
    """
    namespaces = (settings.kubernetes.namespace, "keda", "kube-system")
    paths = [f"/var/log/containers/*_{namespace}_*.log" for namespace in namespaces]
    return {
        "fullnameOverride": "fluent-bit",
        "image": _image(settings, copied),
        "serviceAccount": {"create": True, "name": ACCOUNTS["fluent-bit"][1]},
        "input": {"path": ",".join(paths)},
        "filter": {"keepLog": "Off"},  # a line in JSON is sent in its parts, and not once more as text
        "cloudWatchLogs": {
            "region": settings.region,
            "logGroupName": naming.pods_log_group(settings),
            "logGroupTemplate": "",
            "autoCreateGroup": False,
        },
        "tolerations": ANY_TAINT,
        # containerd keeps logs below /var/log; the chart also mounts Docker's folder
        "volumes": [{"name": "varlog", "hostPath": {"path": "/var/log"}}],
        "volumeMounts": [{"name": "varlog", "mountPath": "/var/log"}],
    }


def _image(settings: Settings, copied: str | None) -> dict[str, str]:
    """The tag is the chart's own, which knows no digest and writes what is its tag after a colon."""
    if copied is None:
        return {"repository": f"{settings.cluster.registries.ecr_public}/aws-observability/aws-for-fluent-bit"}
    repository, _, digest = copied.partition("@")
    return {"repository": repository, "tag": f"{FLUENT_BIT_IMAGES[settings.observability.fluent_bit]}@{digest}"}
