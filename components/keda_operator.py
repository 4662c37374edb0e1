"""KEDA's operator: it reads the queues' lengths and may do nothing else."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
from pulumi_aws import eks, iam
from pulumi_kubernetes.helm import v3 as helm

from components import cluster_policies, naming
from components.settings import Settings

REPOSITORY = "https://kedacore.github.io/charts"
NAMESPACE, SERVICE_ACCOUNT = "keda", "keda-operator"


@dataclass(frozen=True, kw_only=True)
class KedaOperatorArgs:
    settings: Settings
    cluster: str
    queue_arns: Sequence[pulumi.Input[str]]


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
            values={
                "global": {"image": {"registry": args.settings.cluster.registries.github}},
                "serviceAccount": {"operator": {"name": SERVICE_ACCOUNT}},
                "image": {"pullPolicy": "IfNotPresent"},
            },
            opts=pulumi.ResourceOptions(parent=self, depends_on=[allowed, bound]),
        )
        self.register_outputs({})
