"""Settings of the cluster and of what it needs around it."""

# ruff: noqa: RUF009 - `checked` is `dataclasses.field` with a check
from collections.abc import Iterator
from dataclasses import dataclass

from components import addressing
from components.schema import checked, flag, many, nested, one_of, text, whole
from components.settings_platform import LOG_RETENTION_DAYS

# A node without a way out reaches these only through endpoints of the VPC: its registration, images, identity, logs,
# metrics, queues and topics. Source: EKS user guide, "Deploy private clusters with limited internet access".
NEEDED_WITHOUT_NAT = ("ec2", "ecr.api", "ecr.dkr", "eks", "eks-auth", "logs", "sns", "sqs", "ssm", "sts")

# Parts of the control plane (EKS user guide, "Send control plane logs to CloudWatch Logs").
LOG_TYPES = ("api", "audit", "authenticator", "controllerManager", "scheduler")

# Since then a pod's token says by default which node it is on, and policies of admission are there to read it (0128).
OLDEST_KUBERNETES = "1.30"

# Families with NVIDIA GPUs, from the cheapest of an hour; the last two have eight GPUs a node.
EIGHT_GPU_FAMILIES = ("p4d", "p5")
GPU_FAMILIES = ("g4dn", "g6", "g5", "g6e", *EIGHT_GPU_FAMILIES)
DEFAULT_POOL = "gpu"

# Public registries of the controllers' images, for which AWS has no endpoint in a VPC.
PUBLIC_ECR, GITHUB = "public.ecr.aws", "ghcr.io"

_mirror = text(
    r"[a-z0-9][a-z0-9.-]*(:\d+)?(/[a-z0-9._-]+)*", "registry with a path or without, such as `registry.example/mirror`"
)
_cidr = text(r"\d{1,3}(\.\d{1,3}){3}/\d{1,2}", "range such as `10.0.0.0/16`")
_principal = text(r"arn:aws[a-z-]*:iam::\d{12}:(role|user)/\S{1,128}", "ARN of an IAM role or user")
_version = text(r"v\d+\.\d+\.\d+-eksbuild\.\d+", "version of an add-on such as `v1.22.4-eksbuild.3`")
_subnet = text(r"subnet-[0-9a-f]{8,17}", "subnet id such as `subnet-0123456789abcdef0`")


@dataclass(frozen=True, kw_only=True)
class NetworkSettings:
    """The VPC. vpc_id: an existing one, with its subnets; nothing of it is changed, so its tags are the owner's.

    zones: availability zones; GPUs are scarce, so more zones find more of them. nat: how private nodes reach the
    internet; `single` is one gateway for all zones, `none` none at all. endpoints: services with an interface endpoint.
    """

    vpc_id: str | None = checked(text(r"vpc-[0-9a-f]{8,17}", "VPC id such as `vpc-0123456789abcdef0`"), None)
    private_subnet_ids: tuple[str, ...] = checked(many(_subnet, 0, 6), ())
    public_subnet_ids: tuple[str, ...] = checked(many(_subnet, 0, 6), ())
    cidr: str = checked(_cidr, "10.0.0.0/16")
    zones: int = checked(whole(2, addressing.MAX_ZONES), 3)
    nat: str = checked(one_of("none", "single", "per-zone"), "single")
    endpoints: tuple[str, ...] = checked(
        many(text(r"[a-z0-9][a-z0-9.-]{1,40}", "service such as `ecr.api`"), 0, 30), ()
    )
    flow_logs: bool = checked(flag, default=False)
    log_retention_days: int = checked(one_of(*LOG_RETENTION_DAYS), 30)


@dataclass(frozen=True, kw_only=True)
class AddonSettings:
    """Versions of EKS's add-ons. The defaults belong to Kubernetes 1.36; `aws eks describe-addon-versions` has all."""

    vpc_cni: str = checked(_version, "v1.22.4-eksbuild.3")
    kube_proxy: str = checked(_version, "v1.36.0-eksbuild.21")
    coredns: str = checked(_version, "v1.14.3-eksbuild.16")
    pod_identity_agent: str = checked(_version, "v1.3.10-eksbuild.3")
    mountpoint_s3: str = checked(_version, "v2.9.2-eksbuild.1")
    metrics_server: str = checked(_version, "v0.9.0-eksbuild.5")
    cloudwatch_observability: str = checked(_version, "v6.3.0-eksbuild.1")


@dataclass(frozen=True, kw_only=True)
class RegistrySettings:
    """Where the controllers' images come from: the public registries, or mirrors of them with the same names below.

    ecr_public: of Karpenter and Fluent Bit. github: of KEDA. A pull-through cache of ECR is such a mirror. One that is
    left out with `network.nat: none` has its images copied into repositories of the stack.
    """

    ecr_public: str = checked(_mirror, PUBLIC_ECR)
    github: str = checked(_mirror, GITHUB)


@dataclass(frozen=True, kw_only=True)
class ClusterSettings:
    """The EKS cluster. create: whether there is one; it is not made when `kubernetes.context` names another.

    public_cidrs: who may reach the public endpoint. admins: roles and users with all rights, beside who made the
    cluster. nodes, node_type: of the system's pods; an arm64 type. logs: parts of the control plane that write logs.
    """

    create: bool = checked(flag, default=True)
    version: str = checked(text(r"1\.\d{2}", "Kubernetes version such as `1.36`"), "1.36")
    public_access: bool = checked(flag, default=True)
    private_access: bool = checked(flag, default=True)
    public_cidrs: tuple[str, ...] = checked(many(_cidr, 1, 40), ("0.0.0.0/0",))
    admins: tuple[str, ...] = checked(many(_principal, 0, 20), ())
    logs: tuple[str, ...] = checked(many(one_of(*LOG_TYPES), 0, len(LOG_TYPES)), ("audit", "authenticator"))
    log_retention_days: int = checked(one_of(*LOG_RETENTION_DAYS), 30)
    nodes: int = checked(whole(1, 10), 2)
    node_type: str = checked(
        text(r"[a-z]+\d+g[a-z]*\.[a-z0-9]+", "arm64 instance type such as `t4g.medium`"), "t4g.medium"
    )
    addons: AddonSettings = checked(nested(AddonSettings), AddonSettings())
    registries: RegistrySettings = checked(nested(RegistrySettings), RegistrySettings())


@dataclass(frozen=True, kw_only=True)
class PoolSettings:
    """GPU nodes of one kind, for the runtimes that name it; none exists while no job needs one.

    families: several, since one family often has no capacity. max_gpus_per_node: 1 keeps to one GPU a node; p4d and
    p5 have eight. spot_gpus, on_demand_gpus: most GPUs at once at each price, and so the most that a run-away spends;
    0 for none. On-demand nodes start only where spot has none. max_vcpus: bound of the same kind, for each price.
    """

    name: str = checked(text(r"[a-z]([a-z0-9-]{0,18}[a-z0-9])?", "pool name: a letter, then up to 19 of a-z, 0-9, `-`"))
    families: tuple[str, ...] = checked(many(one_of(*GPU_FAMILIES), 1, len(GPU_FAMILIES)), GPU_FAMILIES[:4])
    max_gpus_per_node: int = checked(whole(1, 8, "GPUs"), 1)
    spot_gpus: int = checked(whole(0, 1000, "GPUs"), 4)
    on_demand_gpus: int = checked(whole(0, 1000, "GPUs"), 2)
    max_vcpus: int = checked(whole(4, 20000, "vCPUs"), 128)


@dataclass(frozen=True, kw_only=True)
class KarpenterSettings:
    """GPU nodes. bottlerocket: version of their system. image_snapshot_id: a snapshot of a data volume with images.

    With a snapshot, a node's own disks are not used: they would hide it. data_volume_gib: for images and scratch where
    a node has no disk of its own. consolidate_after_s: how long an empty node waits for the next job. expire_after_h:
    life of a node, after which a patched one takes its place.
    dcgm_exporter: whether the GPUs' own metrics are offered to Prometheus.
    """

    version: str = checked(text(r"\d+\.\d+\.\d+", "version such as `1.14.1`"), "1.14.1")
    bottlerocket: str = checked(text(r"\d+\.\d+\.\d+", "version such as `1.68.0`"), "1.68.0")
    pools: tuple[PoolSettings, ...] = checked(many(nested(PoolSettings), 1, 10), (PoolSettings(name=DEFAULT_POOL),))
    data_volume_gib: int = checked(whole(20, 16384, "GiB"), 100)
    image_snapshot_id: str | None = checked(
        text(r"snap-[0-9a-f]{8,17}", "snapshot id such as `snap-0123456789abcdef0`"), None
    )
    consolidate_after_s: int = checked(whole(0, 86400, "seconds"), 300)
    expire_after_h: int = checked(whole(1, 8760, "hours"), 336)
    dcgm_exporter: bool = checked(flag, default=False)


@dataclass(frozen=True, kw_only=True)
class KedaSettings:
    """The operator that counts jobs and sets the number of agents."""

    version: str = checked(text(r"\d+\.\d+\.\d+", "version such as `2.21.1`"), "2.21.1")


@dataclass(frozen=True, kw_only=True)
class KubernetesSettings:
    """context: of the kubeconfig, an existing cluster where runtimes are released; without it, see `cluster.create`."""

    context: str | None = checked(
        text(r"\S{1,253}", "context of a kubeconfig: 1 to 253 characters without spaces"), None
    )
    namespace: str = checked(
        text(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", "namespace: up to 63 of a-z, 0-9 and inner `-`"), "sd-async"
    )


@dataclass(frozen=True, kw_only=True)
class ClusterSections:
    """The sections of this file, as the stack file names them."""

    network: NetworkSettings = checked(nested(NetworkSettings), NetworkSettings())
    cluster: ClusterSettings = checked(nested(ClusterSettings), ClusterSettings())
    karpenter: KarpenterSettings = checked(nested(KarpenterSettings), KarpenterSettings())
    keda: KedaSettings = checked(nested(KedaSettings), KedaSettings())
    kubernetes: KubernetesSettings = checked(nested(KubernetesSettings), KubernetesSettings())


def conflicts(sections: ClusterSections) -> Iterator[str]:
    """What is wrong between settings of this file that are right by themselves."""
    yield from _network_conflicts(sections.network)
    if sections.cluster.create and not sections.kubernetes.context:
        yield from _version_conflicts(sections.cluster)
        yield from _exporter_conflicts(sections)
    if not sections.cluster.public_access and not sections.cluster.private_access:
        yield "cluster.private_access: false, as public_access, leaves no way to the cluster; set one of them to true."
    for index, pool in enumerate(sections.karpenter.pools):
        yield from _pool_conflicts(f"karpenter.pools[{index}]", pool)


def unreachable_registries(sections: ClusterSections) -> dict[str, str]:
    """Public registries whose images nodes need and can't pull, by their key in `cluster.registries`.

    Of an existing VPC the ways out are not known, and where a mirror is named it is the owner's to fill.
    """
    network, mirrors = sections.network, sections.cluster.registries
    is_own = sections.cluster.create and not sections.kubernetes.context and not network.vpc_id
    if not is_own or network.nat != "none":
        return {}
    named = {"ecr_public": (PUBLIC_ECR, mirrors.ecr_public), "github": (GITHUB, mirrors.github)}
    return {key: public for key, (public, given) in named.items() if given == public}


def _version_conflicts(cluster: ClusterSettings) -> Iterator[str]:
    if int(cluster.version.partition(".")[2]) < int(OLDEST_KUBERNETES.partition(".")[2]):
        yield (
            f"cluster.version: {cluster.version} can't narrow a pod's rights to its own node, which "
            f"{OLDEST_KUBERNETES} can; set it to {OLDEST_KUBERNETES} or newer."
        )


def _exporter_conflicts(sections: ClusterSections) -> Iterator[str]:
    """The one image that nodes without a way out can't pull and the stack does not copy."""
    if sections.network.vpc_id or sections.network.nat != "none":
        return
    if sections.karpenter.dcgm_exporter:
        yield (
            "karpenter.dcgm_exporter: its image is at nvcr.io, to which nodes have no way with nat `none`; leave it "
            "out, or set network.nat to single."
        )


def _pool_conflicts(key: str, pool: PoolSettings) -> Iterator[str]:
    if pool.spot_gpus + pool.on_demand_gpus == 0:
        yield f"{key}.spot_gpus: 0, as on_demand_gpus, allows no node at all; allow some GPUs, or remove the pool."
    large = [family for family in pool.families if family in EIGHT_GPU_FAMILIES]
    if large and pool.max_gpus_per_node < 8:
        yield (
            f"{key}.families: {', '.join(large)} have 8 GPUs a node and max_gpus_per_node is {pool.max_gpus_per_node}, "
            "so that they would never be chosen; set it to 8 or remove them."
        )


def _network_conflicts(network: NetworkSettings) -> Iterator[str]:
    try:
        addressing.vpc_range(network.cidr)
    except addressing.LayoutError as error:
        yield f"network.cidr: {error}"
    if network.vpc_id and len(network.private_subnet_ids) < 2:
        yield (
            f"network.private_subnet_ids: {len(network.private_subnet_ids)} are given for {network.vpc_id} and EKS "
            "wants subnets of at least 2 zones; list them."
        )
    if not network.vpc_id and (network.private_subnet_ids or network.public_subnet_ids):
        yield "network: subnets are given without their VPC; add network.vpc_id, or remove them to have a new VPC."
    missing = sorted(set(NEEDED_WITHOUT_NAT) - set(network.endpoints))
    if not network.vpc_id and network.nat == "none" and missing:
        yield (
            f"network.endpoints: with nat `none` nodes have no way to {', '.join(missing)}; add these endpoints, or "
            "set network.nat to single."
        )
