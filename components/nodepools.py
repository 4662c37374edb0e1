"""Karpenter's documents: which GPU nodes there may be, how many, how they start and when they go."""

from typing import Any

from components import naming
from components.chart_values import GRACE_MARGIN_S, POOL_LABEL
from components.settings import Settings
from components.settings_cluster import PoolSettings

Json = dict[str, Any]

NODE_CLASS = "sd-async"
GPU_TAINT = {"key": "nvidia.com/gpu", "value": "true", "effect": "NoSchedule"}
# `agent.gpu_ready` takes this off once the node has a GPU to give (0128). A node has it from its first moment, so there
# is nothing on it yet that would have to leave, and NoSchedule is enough.
GPU_STARTUP_TAINT = {"key": "sd-async/gpu-not-ready", "effect": "NoSchedule"}
# Its driver takes this off once it answers (Mountpoint for S3 CSI driver, "Configure node startup taint"; since 2.1).
MOUNT_TAINT = {"key": "s3.csi.aws.com/agent-not-ready", "effect": "NoExecute"}

# Of pods that belong there and start no node
ON_GPU_NODES: Json = {
    "nodeAffinity": {
        "requiredDuringSchedulingIgnoredDuringExecution": {
            "nodeSelectorTerms": [{"matchExpressions": [{"key": POOL_LABEL, "operator": "Exists"}]}]
        }
    }
}

# After its last pod's grace a node still detaches volumes and leaves the cluster.
NODE_GRACE_MARGIN_S = 300
ROOT_VOLUME_GIB = 4  # of Bottlerocket's system; nothing else is on it

# The NodePool with the larger weight is tried first (Karpenter, "NodePools", spec.weight).
WEIGHTS = {"spot": 20, "on-demand": 10}

# Layers are fetched in parts and unpacked side by side: 45 s instead of 112 s for an image of 10.8 GB. Numbers for an
# NVMe disk or gp3 of more than 400 MB/s, from Bottlerocket's settings reference, "soci-snapshotter".
USER_DATA = """\
[settings.container-runtime]
snapshotter = "soci"

[settings.container-runtime-plugins.soci-snapshotter]
pull-mode = "parallel-pull-unpack"

[settings.container-runtime-plugins.soci-snapshotter.parallel-pull-unpack]
max-concurrent-downloads-per-image = 20
concurrent-download-chunk-size = "16mb"
max-concurrent-unpacks-per-image = 12
discard-unpacked-layers = true
"""


def node_class(settings: Settings, instance_profile: str) -> Json:
    """The EC2NodeClass of all pools. instance_profile: of the nodes' role, by name."""
    karpenter, cluster = settings.karpenter, naming.cluster(settings)
    return {
        "apiVersion": "karpenter.k8s.aws/v1",
        "kind": "EC2NodeClass",
        "metadata": {"name": NODE_CLASS},
        "spec": {
            # Karpenter picks the NVIDIA variant for types with such a GPU; it brings driver and device plugin
            "amiSelectorTerms": [{"alias": f"bottlerocket@v{karpenter.bottlerocket}"}],
            "instanceProfile": instance_profile,
            "subnetSelectorTerms": _subnets(settings),
            # EKS tags the one group that it makes for a cluster
            "securityGroupSelectorTerms": [{"tags": {f"kubernetes.io/cluster/{cluster}": "owned"}}],
            # A node's own disks would be mounted over the images that the snapshot brings (Karpenter, Bottlerocket)
            **({} if karpenter.image_snapshot_id else {"instanceStorePolicy": "RAID0"}),
            "blockDeviceMappings": [
                _volume("/dev/xvda", ROOT_VOLUME_GIB) | {"rootVolume": True},
                _volume("/dev/xvdb", karpenter.data_volume_gib, snapshot=karpenter.image_snapshot_id),
            ],
            # One hop: what runs in a pod can't take the node's role
            "metadataOptions": {"httpTokens": "required", "httpPutResponseHopLimit": 1},
            "userData": USER_DATA,
            "tags": naming.node_tags(settings, "gpu"),  # Karpenter adds its own, so that a bill tells NodePools apart
        },
    }


def node_pools(settings: Settings) -> list[Json]:
    """The NodePools, for each pool one at each price that it allows."""
    gpus = {"spot": "spot_gpus", "on-demand": "on_demand_gpus"}
    return [
        _node_pool(settings, pool, price, getattr(pool, field))
        for pool in settings.karpenter.pools
        for price, field in gpus.items()
        if getattr(pool, field)
    ]


def node_grace_s(settings: Settings, pool: str) -> int:
    """Longest time that a node waits for its pods to end; more than any of them has.

    Without a bound, a pod that can't be evicted would keep a node for ever.
    """
    longest = max((one.job_timeout_s for one in settings.runtimes if one.pool == pool), default=0)
    return longest + GRACE_MARGIN_S + NODE_GRACE_MARGIN_S


def _node_pool(settings: Settings, pool: PoolSettings, price: str, gpus: int) -> Json:
    karpenter = settings.karpenter
    return {
        "apiVersion": "karpenter.sh/v1",
        "kind": "NodePool",
        "metadata": {"name": f"{pool.name}-{price}"},
        "spec": {
            "weight": WEIGHTS[price],
            "limits": {"nvidia.com/gpu": str(gpus), "cpu": str(pool.max_vcpus)},
            "disruption": {
                # Any other policy moves pods that are at work
                "consolidationPolicy": "WhenEmpty",
                "consolidateAfter": f"{karpenter.consolidate_after_s}s",
                # A new image or an old node is no reason to restart more than one at a time
                "budgets": [{"nodes": "100%", "reasons": ["Empty"]}, {"nodes": "1", "reasons": ["Drifted"]}],
            },
            "template": {
                "metadata": {"labels": {POOL_LABEL: pool.name}},
                "spec": {
                    "nodeClassRef": {"group": "karpenter.k8s.aws", "kind": "EC2NodeClass", "name": NODE_CLASS},
                    "requirements": _requirements(pool, price),
                    "taints": [GPU_TAINT],
                    "startupTaints": _startup_taints(settings, pool),
                    "expireAfter": f"{karpenter.expire_after_h}h",
                    "terminationGracePeriod": f"{node_grace_s(settings, pool.name)}s",
                },
            },
        },
    }


def _startup_taints(settings: Settings, pool: PoolSettings) -> list[Json]:
    """The driver's only where something is mounted: nobody else would take it off, and the node never be ready."""
    modes = {runtime.models.mode for runtime in settings.runtimes if runtime.pool == pool.name}
    return [GPU_STARTUP_TAINT, *([MOUNT_TAINT] if "mount" in modes else [])]


def _requirements(pool: PoolSettings, price: str) -> list[Json]:
    return [
        {"key": "karpenter.sh/capacity-type", "operator": "In", "values": [price]},
        {"key": "karpenter.k8s.aws/instance-family", "operator": "In", "values": list(pool.families)},
        {"key": "karpenter.k8s.aws/instance-gpu-count", "operator": "Lt", "values": [str(pool.max_gpus_per_node + 1)]},
        {"key": "kubernetes.io/arch", "operator": "In", "values": ["amd64"]},
        {"key": "kubernetes.io/os", "operator": "In", "values": ["linux"]},
    ]


def _subnets(settings: Settings) -> list[Json]:
    if settings.network.vpc_id:  # an existing network's tags are its owner's
        return [{"id": subnet} for subnet in settings.network.private_subnet_ids]
    return [{"tags": naming.discovery(settings)}]


def _volume(device: str, size_gib: int, snapshot: str | None = None) -> Json:
    ebs = {"volumeSize": f"{size_gib}Gi", "volumeType": "gp3", "encrypted": True, "deleteOnTermination": True}
    # 500 MB/s and 6,000 IOPS, twice to four times the default, for pulling images that are many GiB large
    fast = {} if size_gib == ROOT_VOLUME_GIB else {"throughput": 500, "iops": 6000}
    return {"deviceName": device, "ebs": ebs | fast | ({"snapshotID": snapshot} if snapshot else {})}
