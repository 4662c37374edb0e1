"""What a stack costs in a month in which nobody uses it: a pure sum over its settings.

Prices: us-west-2, US dollars, November 2026 (AWS's price pages). Other regions differ by some per cent. What is paid by
use (requests, GPU hours, bytes) is no part of it, and neither are taxes or what the account's free tier takes off.
"""

from typing import NamedTuple

from components.alarms import alarms
from components.settings import Settings

HOURS = 730.0  # of a month, as AWS's calculator takes it
EKS_PER_H = 0.10
NAT_PER_H = 0.045
ADDRESS_PER_H = 0.005  # each public IPv4 address
ENDPOINT_PER_H = 0.01  # of an interface endpoint, for each zone
GP3_PER_GIB_MONTH = 0.08
KMS_KEY_PER_MONTH = 1.0
ALARM_PER_METRIC = 0.10
DASHBOARD_PER_MONTH = 3.0
FIREWALL_PER_MONTH, RULE_PER_MONTH, RULES = 5.0, 1.0, 3
SYSTEM_NODE_GIB = 4 + 30  # Bottlerocket's root and data volume
NODE_PER_H = {
    "t4g.small": 0.0168,
    "t4g.medium": 0.0336,
    "t4g.large": 0.0672,
    "t4g.xlarge": 0.1344,
    "m6g.medium": 0.0385,
    "m6g.large": 0.077,
    "m7g.medium": 0.0408,
    "m7g.large": 0.0816,
}
CHEAPEST_GPU_PER_H = 0.526  # g4dn.xlarge on demand: what a warm agent costs at least


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
    firewall = (Item("AWS WAF", FIREWALL_PER_MONTH + RULES * RULE_PER_MONTH),) if settings.api.waf else ()
    return (
        Item(f"alarms over {metrics} metrics", metrics * ALARM_PER_METRIC),
        Item("dashboard", DASHBOARD_PER_MONTH),
        Item("KMS key of the alarms' topic", KMS_KEY_PER_MONTH),
        *firewall,
    )
