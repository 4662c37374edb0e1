"""KEDA's operator: it reads the queues' lengths and may do nothing else."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pulumi
from pulumi_aws import eks, iam
from pulumi_kubernetes.helm import v3 as helm

from components import cluster_policies, naming
from components.image_copies import KEDA
from components.settings import Settings

REPOSITORY = "https://kedacore.github.io/charts"
NAMESPACE, SERVICE_ACCOUNT = "keda", "keda-operator"
# What the chart calls its images, by the names of their copies
CHART_NAMES = dict(zip(KEDA, ("keda", "metricsApiServer", "webhooks"), strict=True))


@dataclass(frozen=True, kw_only=True)
class KedaOperatorArgs:
    """copied: the stack's own copies of controllers' images, by name; none where nodes reach the others."""

    settings: Settings
    cluster: str
    queue_arns: Sequence[pulumi.Input[str]]
    copied: Mapping[str, pulumi.Input[str]] = field(default_factory=dict)


class KedaOperator(pulumi.ComponentResource):
    """release: what ScaledObjects wait for, since it brings their definition."""

    def __init__(self, name: str, args: KedaOperatorArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("sd:keda:Operator", name, None, opts)
        below = pulumi.ResourceOptions(parent=self)
        role = iam.Role(
            name,
            name=naming.prefixed(args.settings, "keda"),
            assume_role_policy=json.dumps(cluster_policies.pod_identity()),
            opts=below,
        )
        allowed = iam.RolePolicy(
            name,
            role=role.name,
            policy=pulumi.Output.all(*args.queue_arns).apply(
                lambda arns: json.dumps(cluster_policies.queue_reader(arns))
            ),
            opts=below,
        )
        bound = eks.PodIdentityAssociation(
            name,
            cluster_name=args.cluster,
            namespace=NAMESPACE,
            service_account=SERVICE_ACCOUNT,
            role_arn=role.arn,
            opts=below,
        )
        self.release = helm.Release(
            name,
            chart="keda",
            repository_opts={"repo": REPOSITORY},
            version=args.settings.keda.version,
            name="keda",
            namespace=NAMESPACE,
            create_namespace=True,
            values=_values(args),
            opts=pulumi.ResourceOptions(parent=self, depends_on=[allowed, bound]),
        )
        self.register_outputs({})


def _values(args: KedaOperatorArgs) -> pulumi.Output[dict[str, Any]]:
    own: dict[str, Any] = {name: args.copied[name] for name in KEDA if name in args.copied}
    return pulumi.Output.from_input(own).apply(lambda known: chart_values(args.settings, known))


def chart_values(settings: Settings, copied: Mapping[str, str]) -> dict[str, Any]:
    """copied: `repository@digest` by name; without any, images come from the registry of the settings."""
    images: dict[str, Any] = {"pullPolicy": "IfNotPresent"}
    registry = settings.cluster.registries.github
    for name, reference in copied.items():
        repository, _, digest = reference.partition("@")
        registry, _, path = repository.partition("/")
        # the chart knows no digest, and writes what is its tag after a colon
        images[CHART_NAMES[name]] = {"repository": path, "tag": f"{settings.keda.version}@{digest}"}
    return {
        "global": {"image": {"registry": registry}},
        "serviceAccount": {"operator": {"name": SERVICE_ACCOUNT}},
        "image": images,
    }
