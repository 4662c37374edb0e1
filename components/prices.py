"""What a stack costs in a month in which nobody uses it: a pure sum over its settings.

Prices and their sources: price_list.py. Other regions than us-west-2 differ by some per cent. What is paid by use
(requests, GPU hours, bytes) is no part of it, and neither are taxes or what the account's free tier takes off.
"""

from typing import NamedTuple

from components.alarms import SPEND, STACK_METRICS, alarms, functions
from components.price_list import GPU_MACHINES, PRICES, GpuMachine
from components.settings import Settings

HOURS = 730.0  # of a month, as AWS's calculator takes it
EKS_PER_H = PRICES["EKS control plane"].usd
NAT_PER_H = PRICES["NAT gateway"].usd
ADDRESS_PER_H = PRICES["public IPv4 address"].usd
ENDPOINT_PER_H = PRICES["interface endpoint"].usd
GP3_PER_GIB_MONTH = PRICES["gp3"].usd
KMS_KEY_PER_MONTH = PRICES["KMS key"].usd
ALARM_PER_METRIC = PRICES["alarm"].usd
CUSTOM_METRIC_PER_MONTH = PRICES["custom metric"].usd
DASHBOARD_PER_MONTH = PRICES["dashboard"].usd
FIREWALL_PER_MONTH, RULE_PER_MONTH, RULES = PRICES["firewall"].usd, PRICES["firewall rule"].usd, 3
SYSTEM_NODE_GIB = 4 + 30  # Bottlerocket's root and data volume
NODE_PER_H = {name: price.usd for name, price in PRICES.items() if name.startswith(("t4g.", "m6g.", "m7g."))}
CHEAPEST_GPU_PER_H = PRICES["g4dn.xlarge"].usd  # on demand: what a warm agent costs at least


class Item(NamedTuple):
    """usd: dollars a month; None when the price is not known here."""

    name: str
    usd: float | None


def fixed_items(settings: Settings) -> tuple[Item, ...]:
    """What is paid in an idle month, largest blocks first."""
    return (*_cluster(settings), *_network(settings), *_warm(settings), *_platform(settings))


def fixed_usd_per_month(settings: Settings) -> float:
    """Sum of what has a price here."""
    return round(sum(item.usd or 0 for item in fixed_items(settings)), 2)


def machine_prices(settings: Settings) -> dict[str, GpuMachine]:
    """What the stack's machines cost an hour on demand, by type: those of its pools' families, and its system nodes."""
    families = {family for pool in settings.karpenter.pools for family in pool.families}
    found = {name: machine for name, machine in GPU_MACHINES.items() if name.partition(".")[0] in families}
    node = settings.cluster.node_type
    return found | ({node: GpuMachine(NODE_PER_H[node], 0)} if node in NODE_PER_H else {})


def _cluster(settings: Settings) -> tuple[Item, ...]:
    if not settings.has_new_cluster:
        return ()
    nodes, kind = settings.cluster.nodes, settings.cluster.node_type
    per_h = NODE_PER_H.get(kind)
    return (
        Item("EKS control plane", EKS_PER_H * HOURS),
        Item(f"{nodes} system nodes {kind}", None if per_h is None else nodes * per_h * HOURS),
        Item("system nodes' disks", nodes * SYSTEM_NODE_GIB * GP3_PER_GIB_MONTH),
        Item("KMS key of the cluster", KMS_KEY_PER_MONTH),
    )


def _network(settings: Settings) -> tuple[Item, ...]:
    network = settings.network
    if not settings.has_new_cluster or network.vpc_id:
        return ()
    gateways = {"none": 0, "single": 1, "per-zone": network.zones}[network.nat]
    endpoints = len(settings.interface_endpoints) * network.zones
    rows = (
        Item(f"{gateways} NAT gateways with their addresses", gateways * (NAT_PER_H + ADDRESS_PER_H) * HOURS),
        Item(f"{endpoints} interface endpoints", endpoints * ENDPOINT_PER_H * HOURS),
    )
    return tuple(row for row in rows if row.usd)


def _warm(settings: Settings) -> tuple[Item, ...]:
    return tuple(
        Item(f"warm agents of {runtime.name}, at least", runtime.scaling.min_replicas * CHEAPEST_GPU_PER_H * HOURS)
        for runtime in settings.runtimes
        if runtime.scaling.min_replicas
    )


def _platform(settings: Settings) -> tuple[Item, ...]:
    metrics = sum(len(alarm.metrics) for alarm in alarms(settings))
    written = len(STACK_METRICS) if SPEND in functions(settings) else 0
    spend = (Item(f"{written} metrics of the machines", written * CUSTOM_METRIC_PER_MONTH),) if written else ()
    firewall = (Item("AWS WAF", FIREWALL_PER_MONTH + RULES * RULE_PER_MONTH),) if settings.api.waf else ()
    return (
        Item(f"alarms over {metrics} metrics", metrics * ALARM_PER_METRIC),
        *spend,
        Item("dashboard", DASHBOARD_PER_MONTH),
        Item("KMS key of the alarms' topic", KMS_KEY_PER_MONTH),
        *firewall,
    )
