"""Karpenter: the controller with its identity and its queue of interruptions, and the GPU nodes it may start."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

import pulumi
from pulumi_aws import cloudwatch, get_caller_identity_output, iam, sqs
from pulumi_aws import eks as aws_eks
from pulumi_kubernetes.apiextensions import CustomResource
from pulumi_kubernetes.helm import v3 as helm

from components import cluster_policies, image_policies, naming, nodepools, policies
from components.cluster_policies import ControllerArns
from components.image_copies import KARPENTER
from components.settings import Settings

CHART = "oci://public.ecr.aws/karpenter/karpenter"
DCGM_REPOSITORY, DCGM_VERSION = "https://nvidia.github.io/dcgm-exporter/helm-charts", "4.8.4"
NAMESPACE = "kube-system"  # whose pods the API server lets in first
SERVICE_ACCOUNT = "karpenter"

# What is older is no news: a spot instance has gone by then (Karpenter, "Disruption", interruption).
EVENT_RETENTION_S = 300
EVENTS = {
    "spot": ("aws.ec2", "EC2 Spot Instance Interruption Warning"),
    "rebalance": ("aws.ec2", "EC2 Instance Rebalance Recommendation"),
    "state": ("aws.ec2", "EC2 Instance State-change Notification"),
    "health": ("aws.health", "AWS Health Event"),
    "reservation": ("aws.ec2", "EC2 Capacity Reservation Instance Interruption Warning"),
}
# Deleting waits until the nodes are gone; without it the controller would go first and leave instances running.
FOREGROUND = {"pulumi.com/deletionPropagationPolicy": "foreground"}
END_MARGIN_S = 900  # an instance's own shutdown, after the longest grace


@dataclass(frozen=True, kw_only=True)
class KarpenterArgs:
    """copied: the stack's own copies of controllers' images, by name; none where nodes reach the others."""

    settings: Settings
    cluster: str
    copied: Mapping[str, pulumi.Input[str]] = field(default_factory=dict)


class Karpenter(pulumi.ComponentResource):
    """The controller. instance_profile: name of the one that GPU nodes get. release: what NodePools wait for."""

    def __init__(self, name: str, args: KarpenterArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("sd:karpenter:Karpenter", name, None, opts)
        self._args, self._settings = args, args.settings
        self._below = pulumi.ResourceOptions(parent=self)
        role, profile = self._node_identity()
        queue, events = self._interruptions()
        bound = self._identity(queue, role, profile)
        self.instance_profile = profile.name
        self.release = helm.Release(
            name,
            chart=CHART,
            version=args.settings.karpenter.version,
            name="karpenter",
            namespace=NAMESPACE,
            values=pulumi.Output.all(queue.name, args.copied.get(KARPENTER)).apply(lambda known: self._values(*known)),
            opts=pulumi.ResourceOptions(parent=self, depends_on=[*bound, *events]),
        )
        self.register_outputs({})

    def _node_identity(self) -> tuple[iam.Role, iam.InstanceProfile]:
        settings, label = self._settings, "gpu"
        name = naming.prefixed(settings, label)
        trust = json.dumps(policies.assumed_by("ec2.amazonaws.com"))
        role = iam.Role(label, name=name, assume_role_policy=trust, opts=self._below)
        for policy, arn in zip(
            cluster_policies.NODE_POLICIES,
            cluster_policies.managed(settings.region, *cluster_policies.NODE_POLICIES),
            strict=True,
        ):
            iam.RolePolicyAttachment(f"{label}-{policy}", role=role.name, policy_arn=arn, opts=self._below)
        if settings.images.caches:
            caches = json.dumps(image_policies.cache_puller(settings))
            iam.RolePolicy(f"{label}-caches", role=role.name, policy=caches, opts=self._below)
        aws_eks.AccessEntry(
            label, cluster_name=self._args.cluster, principal_arn=role.arn, type="EC2_LINUX", opts=self._below
        )
        return role, iam.InstanceProfile(label, name=name, role=role.name, opts=self._below)

    def _interruptions(self) -> tuple[sqs.Queue, list[pulumi.Resource]]:
        queue = sqs.Queue(
            "interruptions",
            name=naming.prefixed(self._settings, "interruptions"),
            message_retention_seconds=EVENT_RETENTION_S,
            sqs_managed_sse_enabled=True,
            opts=self._below,
        )
        rules = {label: self._rule(label, *event) for label, event in EVENTS.items()}
        allowed = sqs.QueuePolicy(
            "interruptions",
            queue_url=queue.url,
            policy=pulumi.Output.all(queue.arn, *(rule.arn for rule in rules.values())).apply(
                lambda arns: json.dumps(cluster_policies.interruption_queue(arns[0], arns[1:]))
            ),
            opts=self._below,
        )
        after = pulumi.ResourceOptions(parent=self, depends_on=[allowed])
        return queue, [
            cloudwatch.EventTarget(f"interruption-{label}", rule=rule.name, arn=queue.arn, opts=after)
            for label, rule in rules.items()
        ]

    def _rule(self, label: str, source: str, detail: str) -> cloudwatch.EventRule:
        return cloudwatch.EventRule(
            f"interruption-{label}",
            name=naming.prefixed(self._settings, "interrupt", label),
            event_pattern=json.dumps({"source": [source], "detail-type": [detail]}),
            opts=self._below,
        )

    def _identity(self, queue: sqs.Queue, node_role: iam.Role, profile: iam.InstanceProfile) -> list[pulumi.Resource]:
        role = iam.Role(
            "karpenter",
            name=naming.prefixed(self._settings, "karpenter"),
            assume_role_policy=json.dumps(cluster_policies.pod_identity()),
            opts=self._below,
        )
        documents = pulumi.Output.all(
            account=get_caller_identity_output(opts=pulumi.InvokeOutputOptions(parent=self)).account_id,
            queue=queue.arn,
            node_role=node_role.arn,
            instance_profile=profile.arn,
        ).apply(
            lambda known: cluster_policies.controller(
                ControllerArns(region=self._settings.region, cluster=self._args.cluster, **known)
            )
        )
        may: list[pulumi.Resource] = [
            iam.RolePolicy(
                f"karpenter-{subject}",
                role=role.name,
                policy=documents.apply(lambda known, subject=subject: json.dumps(known[subject])),  # type: ignore[misc] # mypy infers no type for a lambda's default
                opts=self._below,
            )
            for subject in cluster_policies.CONTROLLER_SUBJECTS
        ]
        bound = aws_eks.PodIdentityAssociation(
            "karpenter",
            cluster_name=self._args.cluster,
            namespace=NAMESPACE,
            service_account=SERVICE_ACCOUNT,
            role_arn=role.arn,
            opts=self._below,
        )
        return [bound, *may]

    def _values(self, queue_name: str, copied: str | None) -> dict[str, object]:
        elsewhere = f"{self._settings.cluster.registries.ecr_public}/karpenter/controller"
        repository = copied.partition("@")[0] if copied else elsewhere
        return {
            "settings": {
                "clusterName": self._args.cluster,
                "interruptionQueue": queue_name,
                # Without a way out there is no price list to ask
                "isolatedVPC": not self._settings.network.vpc_id and self._settings.network.nat == "none",
            },
            "serviceAccount": {"name": SERVICE_ACCOUNT},
            "replicas": min(2, self._settings.cluster.nodes),
            "dnsPolicy": "Default",  # it has to make nodes also when the cluster's DNS has none
            "controller": {
                # tag and digest stay the chart's own: a copy has them too, or does not run
                "image": {"repository": repository},
                "resources": {"requests": {"cpu": "250m", "memory": "512Mi"}, "limits": {"memory": "1Gi"}},
            },
        }


@dataclass(frozen=True, kw_only=True)
class GpuNodesArgs:
    settings: Settings
    instance_profile: pulumi.Input[str]


class GpuNodes(pulumi.ComponentResource):
    """The NodePools.

    Let it depend on the controller, on whoever takes startup taints off, and on all that a busy agent needs to end its
    job.
    pools: what goes first when a stack is destroyed, after what still asks for nodes.
    """

    def __init__(self, name: str, args: GpuNodesArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("sd:karpenter:GpuNodes", name, None, opts)
        settings = args.settings
        profile = pulumi.Output.from_input(args.instance_profile)
        node_class = CustomResource(
            nodepools.NODE_CLASS,
            api_version="karpenter.k8s.aws/v1",
            kind="EC2NodeClass",
            metadata={"name": nodepools.NODE_CLASS},
            spec=profile.apply(lambda known: nodepools.node_class(settings, known)["spec"]),
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.pools = [
            CustomResource(
                pool["metadata"]["name"],
                api_version=pool["apiVersion"],
                kind=pool["kind"],
                metadata=pool["metadata"] | {"annotations": FOREGROUND},
                spec=pool["spec"],
                opts=pulumi.ResourceOptions(
                    parent=self, depends_on=[node_class], custom_timeouts=_end_timeouts(settings)
                ),
            )
            for pool in nodepools.node_pools(settings)
        ]
        if settings.karpenter.dcgm_exporter:
            self._metrics()
        self.register_outputs({})

    def _metrics(self) -> None:
        """What the GPUs do, for Prometheus; on GPU nodes only, so that it starts none."""
        helm.Release(
            "dcgm-exporter",
            chart="dcgm-exporter",
            repository_opts={"repo": DCGM_REPOSITORY},
            version=DCGM_VERSION,
            name="dcgm-exporter",
            namespace=NAMESPACE,
            skip_await=True,  # without a GPU node it has no pod
            values={
                "affinity": nodepools.ON_GPU_NODES,
                # The lasting taint alone, so that it starts where the driver has answered
                "tolerations": [{"key": nodepools.GPU_TAINT["key"], "operator": "Exists"}],
                "serviceMonitor": {"enabled": False},  # there may be no Prometheus operator to know it
            },
            opts=pulumi.ResourceOptions(parent=self),
        )


def _end_timeouts(settings: Settings) -> pulumi.CustomTimeouts:
    longest_s = max(nodepools.node_grace_s(settings, pool.name) for pool in settings.karpenter.pools)
    return pulumi.CustomTimeouts(delete=f"{longest_s + END_MARGIN_S}s")
