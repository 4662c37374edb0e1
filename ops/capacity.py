"""Whether the account may start the GPU nodes that the settings allow, and whether its region has them."""

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from botocore.exceptions import BotoCoreError, ClientError

from components.asking import Clients
from components.settings import Settings
from components.settings_cluster import PoolSettings
from ops.findings import Finding, Status

FEWEST_FAMILIES = 2  # with one only, a lack of capacity stops everything
PRICES = {"on-demand": "on_demand_gpus", "spot": "spot_gpus"}


class Quota(NamedTuple):
    """One of EC2's in Service Quotas, in vCPUs that run at once.

    Source: EC2 user guide, "Spot Instance quotas" and "On-Demand Instance quotas", whose links hold the codes.
    """

    name: str
    code: str
    price: str
    families: tuple[str, ...]


QUOTAS = (
    Quota("Running On-Demand G and VT instances", "L-DB2E81BA", "on-demand", ("g4dn", "g5", "g6", "g6e")),
    Quota("All G and VT Spot Instance Requests", "L-3819A6DF", "spot", ("g4dn", "g5", "g6", "g6e")),
    Quota("Running On-Demand P instances", "L-417A185B", "on-demand", ("p4d", "p5")),
    Quota("All P4, P3 and P2 Spot Instance Requests", "L-7212CCBC", "spot", ("p4d",)),
    Quota("All P5 Spot Instance Requests", "L-C4BD4855", "spot", ("p5",)),
)


class GpuType(NamedTuple):
    """An instance type with its GPUs and vCPUs."""

    name: str
    gpus: int
    vcpus: int

    @property
    def family(self) -> str:
        return self.name.partition(".")[0]


# Where EC2 may not be asked. Source: EC2 instance types guide, "Specifications for accelerated computing instances".
SMALLEST = (
    *(GpuType(f"{family}.xlarge", 1, 4) for family in ("g4dn", "g5", "g6", "g6e")),
    GpuType("p4d.24xlarge", 8, 96),
    GpuType("p5.48xlarge", 8, 192),
)


def findings(settings: Settings, clients: Clients) -> Iterator[Finding]:
    """A row for each quota that matters and for each pool; what can't be asked is unknown, not wrong."""
    if settings.kubernetes.context or not settings.cluster.create:
        yield Finding("GPU nodes", Status.OK, "are none of this stack's: it makes no cluster")
        return
    families = sorted({family for pool in settings.karpenter.pools for family in pool.families})
    types: Sequence[GpuType] = SMALLEST
    try:
        types = _types(families, clients)
    except (ClientError, BotoCoreError) as error:
        yield Finding("instance types", Status.UNKNOWN, str(error), "allow ec2:DescribeInstanceTypes to the operator")
    for quota in QUOTAS:
        if wanted := vcpus_wanted(settings, quota, types):
            yield _quota(quota, wanted, clients)
    yield from _offerings(settings, types, clients)


def _types(families: Sequence[str], clients: Clients) -> list[GpuType]:
    wanted = [{"Name": "instance-type", "Values": [f"{family}.*" for family in families]}]
    pages = clients("ec2").get_paginator("describe_instance_types").paginate(Filters=wanted)
    return [
        GpuType(
            each["InstanceType"],
            sum(gpu["Count"] for gpu in each["GpuInfo"]["Gpus"]),
            each["VCpuInfo"]["DefaultVCpus"],
        )
        for page in pages
        for each in page["InstanceTypes"]
        if each.get("GpuInfo")
    ]


def _fits(pool: PoolSettings, each: GpuType) -> bool:
    """Whether Karpenter may choose the type for the pool."""
    return each.family in pool.families and 0 < each.gpus <= pool.max_gpus_per_node


def gpus_wanted(settings: Settings, pool: PoolSettings, price: str) -> int:
    """As many as may run at once: what the pool allows at this price, or all that its runtimes may ask for."""
    agents = sum(each.scaling.max_replicas for each in settings.runtimes if each.pool == pool.name)
    return int(min(getattr(pool, PRICES[price]), agents))


def vcpus_wanted(settings: Settings, quota: Quota, types: Sequence[GpuType]) -> int:
    """The fewest vCPUs with which every pool that this quota bounds has all of its GPUs; 0 when it bounds none."""
    total = 0
    for pool in settings.karpenter.pools:
        gpus = gpus_wanted(settings, pool, quota.price)
        fitting = [each for each in types if _fits(pool, each) and each.family in quota.families]
        total += min((math.ceil(gpus / each.gpus) * each.vcpus for each in fitting), default=0)
    return total


def _quota(quota: Quota, wanted: int, clients: Clients) -> Finding:
    check = f"quota: {quota.name}"
    try:
        answer = clients("service-quotas").get_service_quota(ServiceCode="ec2", QuotaCode=quota.code)
    except (ClientError, BotoCoreError) as error:
        return Finding(check, Status.UNKNOWN, str(error), f"look up {quota.code} of EC2 in Service Quotas by hand")
    allowed = answer["Quota"]["Value"]
    found = f"{allowed:g} vCPUs, {wanted} wanted"
    if allowed >= wanted:
        return Finding(check, Status.OK, found)
    fix = (
        f"ask for {wanted} or more (Service Quotas, EC2, {quota.code}), or lower {PRICES[quota.price]} in "
        "karpenter.pools[] or scaling.max_replicas in runtimes[]"
    )
    return Finding(check, Status.PROBLEM, found, fix)


def _offerings(settings: Settings, types: Sequence[GpuType], clients: Clients) -> Iterator[Finding]:
    for pool in settings.karpenter.pools:
        check = f"GPU types of pool {pool.name}"
        names = sorted(each.name for each in types if _fits(pool, each))
        try:
            pairs = _offered(names, clients) if names else []
        except (ClientError, BotoCoreError) as error:
            yield Finding(check, Status.UNKNOWN, str(error), "allow ec2:DescribeInstanceTypeOfferings to the operator")
            continue
        yield _offering(settings.region, check, pool, pairs)


def _offered(names: Sequence[str], clients: Clients) -> list[tuple[str, str]]:
    """Family and zone of each type that is offered somewhere."""
    wanted = [{"Name": "instance-type", "Values": list(names)}]
    paginator = clients("ec2").get_paginator("describe_instance_type_offerings")
    pages = paginator.paginate(LocationType="availability-zone", Filters=wanted)
    return [
        (each["InstanceType"].partition(".")[0], each["Location"])
        for page in pages
        for each in page["InstanceTypeOfferings"]
    ]


def _offering(region: str, check: str, pool: PoolSettings, pairs: Sequence[tuple[str, str]]) -> Finding:
    zones = {family: sorted({zone for each, zone in pairs if each == family}) for family in pool.families}
    found = "; ".join(f"{family}: {', '.join(there) or 'nowhere'}" for family, there in zones.items())
    offered = sum(1 for there in zones.values() if there)
    if offered < min(FEWEST_FAMILIES, len(pool.families)):
        return Finding(check, Status.PROBLEM, found, f"choose other families, or a region with more than {region} has")
    return Finding(check, Status.OK, found)
