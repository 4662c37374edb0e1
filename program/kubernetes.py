"""The half of the program that runs on Kubernetes: a cluster or an existing one, and the runtimes on it.

The engine destroys in the opposite order. ScaledObjects and releases go first, so that nothing asks for a node any
more; then NodePools, each waiting until its nodes are gone; only then what agents use to end their job, the
controllers that end nodes, the cluster and its network (0070).
"""

from dataclasses import dataclass

import pulumi
from pulumi_kubernetes import Provider

from components.images import Images
from components.keda import KedaArgs, RuntimeScaling
from components.messaging import Messaging
from components.network import Network
from components.runtime import Runtime, RuntimeArgs
from components.settings import Settings
from components.settings_runtimes import RuntimeSettings
from components.storage import Storage
from components.tagging import Tagged


@dataclass(frozen=True)
class Platform:
    """What the runtimes work with. network: of a new cluster. tagged: options of a component with AWS resources."""

    settings: Settings
    storage: Storage
    messaging: Messaging
    images: Images
    network: Network | None
    tagged: Tagged


@dataclass(frozen=True)
class Base:
    """Where runtimes go. nodes: what their releases wait for. operator: what their ScaledObjects wait for.

    claims: of the volumes with their models, by runtime.
    """

    provider: Provider
    nodes: list[pulumi.Resource]
    operator: list[pulumi.Resource]
    claims: dict[str, str]


def place(platform: Platform) -> dict[str, pulumi.Input[str]]:
    """The runtimes, and the cluster under them; outputs: of the stack, by name."""
    settings = platform.settings
    outputs: dict[str, pulumi.Input[str]] = {}
    if settings.kubernetes.context:
        base = Base(Provider("kubernetes", context=settings.kubernetes.context), [], [], {})
    elif platform.network:
        base, outputs = _new_cluster(platform, platform.network)
    else:
        return {}
    for runtime in settings.runtimes:
        _release(platform, runtime, base)
    return outputs


def _new_cluster(platform: Platform, network: Network) -> tuple[Base, dict[str, pulumi.Input[str]]]:
    # pulumi_eks takes a second to load, which an existing cluster is spared
    from components.cluster import Cluster, ClusterArgs  # noqa: PLC0415 - see above
    from components.gpu_ready import GpuReady, GpuReadyArgs  # noqa: PLC0415 - see above
    from components.karpenter import GpuNodes, GpuNodesArgs, Karpenter, KarpenterArgs  # noqa: PLC0415 - see above
    from components.keda_operator import KedaOperator, KedaOperatorArgs  # noqa: PLC0415 - see above
    from components.logs import Logs, LogsArgs  # noqa: PLC0415 - see above
    from components.models import ModelVolumes, ModelVolumesArgs  # noqa: PLC0415 - see above

    settings, tagged = platform.settings, platform.tagged
    placed_in = ClusterArgs(
        settings=settings,
        vpc_id=network.vpc_id,
        private_subnet_ids=network.private_subnet_ids,
        public_subnet_ids=network.public_subnet_ids,
    )
    cluster = Cluster("cluster", placed_in, _after(tagged("cluster"), network))
    provider = Provider("kubernetes", kubeconfig=cluster.kubeconfig)

    def inside(component: str, *after: pulumi.Resource) -> pulumi.ResourceOptions:
        both = pulumi.ResourceOptions.merge(tagged(component), pulumi.ResourceOptions(providers=[provider]))
        return _after(both, *cluster.ready, *after)

    copied = platform.images.copied
    karpenter_args = KarpenterArgs(settings=settings, cluster=cluster.name, copied=copied)
    karpenter = Karpenter("karpenter", karpenter_args, inside("karpenter"))
    logs = Logs("logs", LogsArgs(settings=settings, cluster=cluster.name, copied=copied), inside("logs"))
    queue_arns = [queue.arn for queue in platform.messaging.queues.values()]
    scaler = KedaOperatorArgs(settings=settings, cluster=cluster.name, queue_arns=queue_arns, copied=copied)
    keda = KedaOperator("keda", scaler, inside("keda"))
    access = [
        bound for runtime in settings.runtimes for bound in _access(platform, runtime, cluster.name, inside("runtime"))
    ]
    folders = ModelVolumesArgs(settings=settings, models_bucket=platform.storage.models_bucket.bucket)
    models = ModelVolumes("models", folders, inside("models"))
    ready = GpuReady("gpu-ready", GpuReadyArgs(agent_image=platform.images.agent), inside("gpu-ready"))
    started = GpuNodesArgs(settings=settings, instance_profile=karpenter.instance_profile)
    nodes = GpuNodes("gpu-nodes", started, inside("gpu-nodes", karpenter, ready, logs, models, *access))
    outputs: dict[str, pulumi.Input[str]] = {"cluster_name": cluster.name, "kubeconfig": cluster.kubeconfig}
    return Base(provider, [nodes], [keda], models.claims), outputs


def _access(
    platform: Platform, runtime: RuntimeSettings, cluster: str, opts: pulumi.ResourceOptions
) -> list[pulumi.Resource]:
    from components.runtime_access import RuntimeAccess, RuntimeAccessArgs  # noqa: PLC0415 - as in _new_cluster

    storage, messaging = platform.storage, platform.messaging
    args = RuntimeAccessArgs(
        settings=platform.settings,
        runtime=runtime,
        cluster=cluster,
        queue_arn=messaging.queues[runtime.name].arn,
        jobs_table_arn=storage.jobs_table.arn,
        input_bucket_arn=storage.input_bucket.arn,
        output_bucket_arn=storage.output_bucket.arn,
        models_bucket_arn=storage.models_bucket.arn,
        results_topic_arn=messaging.results_topic.arn,
    )
    return RuntimeAccess(f"access-{runtime.name}", args, opts).bound


def _release(platform: Platform, runtime: RuntimeSettings, base: Base) -> None:
    settings, storage, messaging = platform.settings, platform.storage, platform.messaging
    queue_url = messaging.queues[runtime.name].url
    opts = pulumi.ResourceOptions(providers=[base.provider])
    released = Runtime(
        f"runtime-{runtime.name}",
        RuntimeArgs(
            settings=settings,
            runtime=runtime,
            queue_url=queue_url,
            jobs_table=storage.jobs_table.name,
            output_bucket=storage.output_bucket.bucket,
            input_bucket=storage.input_bucket.bucket,
            models_bucket=storage.models_bucket.bucket,
            results_topic_arn=messaging.results_topic.arn,
            runtime_image=platform.images.runtime(runtime),
            agent_image=platform.images.agent,
            models_claim=base.claims.get(runtime.name, ""),
        ),
        _after(opts, *base.nodes),
    )
    scaled = KedaArgs(settings=settings, runtime=runtime, queue_url=queue_url)
    RuntimeScaling(f"scaling-{runtime.name}", scaled, _after(opts, released, *base.operator))


def _after(opts: pulumi.ResourceOptions, *before: pulumi.Resource) -> pulumi.ResourceOptions:
    return pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(depends_on=list(before)))
