"""The idle month's price follows the settings, and the stack to try things out stays below its bound."""

import re
from typing import Any

import pytest

from components.alarms import SPEND, STACK_METRICS, alarms
from components.price_list import FACTS, GPU_MACHINES, PRICES
from components.prices import fixed_items, fixed_usd_per_month, machine_prices
from components.settings import Settings, parse
from components.settings_cluster import GPU_FAMILIES
from tests.components.example import CONFIG, stack
from tests.support.engine import ROOT, settings_of

BARE = {"cluster": {"create": False}}
RUNTIMES = CONFIG["sd-async:runtimes"]


def clustered(**sections: Any) -> Settings:
    """A stack with a cluster of its own."""
    return stack(**{"cluster": {"create": True}, **sections})


def test_the_stack_to_try_things_out_costs_at_most_150_dollars_a_month_while_idle() -> None:
    settings = parse("sd-async", "dev", settings_of(ROOT / "Pulumi.dev.yaml"))
    assert 100 < fixed_usd_per_month(settings) <= 150
    assert all(item.usd is not None for item in fixed_items(settings))


def test_without_a_cluster_only_what_watches_is_paid() -> None:
    assert fixed_usd_per_month(stack(**BARE)) < 10


def test_one_nat_gateway_costs_its_hours_and_its_address() -> None:
    names = [item.name for item in fixed_items(clustered(network={"nat": "single"}))]
    assert any("1 NAT gateways" in name for name in names)
    one, three = (fixed_usd_per_month(clustered(network={"nat": nat})) for nat in ("single", "per-zone"))
    assert three - one == pytest.approx(2 * 0.05 * 730)


def test_each_zone_of_an_endpoint_is_paid() -> None:
    bare, two = (fixed_usd_per_month(clustered(network={"endpoints": names})) for names in ([], ["sqs", "sns"]))
    assert two - bare == pytest.approx(2 * 3 * 0.01 * 730)


def test_an_existing_vpc_is_paid_already() -> None:
    subnets = [f"subnet-{number:08x}" for number in (1, 2)]
    settings = clustered(network={"vpc_id": "vpc-00000001", "private_subnet_ids": subnets})
    assert not [item for item in fixed_items(settings) if "NAT" in item.name]


def test_a_warm_agent_costs_at_least_the_cheapest_gpu() -> None:
    cold = fixed_usd_per_month(stack())
    warm = fixed_usd_per_month(stack(runtimes=[{**RUNTIMES[0], "scaling": {"min_replicas": 1}}, RUNTIMES[1]]))
    assert warm - cold == pytest.approx(0.526 * 730)


def test_a_node_type_without_a_price_is_named_and_not_taken_for_free() -> None:
    [unknown] = [item for item in fixed_items(clustered(cluster={"node_type": "c9g.large"})) if item.usd is None]
    assert "c9g.large" in unknown.name


def test_a_firewall_costs_itself_and_its_rules() -> None:
    assert fixed_usd_per_month(stack(api={"waf": True})) - fixed_usd_per_month(stack()) == pytest.approx(8)


def facts() -> dict[str, float]:
    """The first price of each row of the facts."""
    path = ROOT / FACTS
    if not path.exists():
        pytest.skip(f"there is no {FACTS} beside this repository")
    rows = re.findall(r"^\| (.+?) \| ([0-9.]+)", path.read_text(encoding="utf-8"), re.MULTILINE)
    return {name: float(usd) for name, usd in rows}


@pytest.mark.parametrize(
    ("name", "row"),
    [
        ("EKS control plane", "EKS control plane per h"),
        ("NAT gateway", "NAT gateway"),
        ("gp3", "gp3 per GB-month"),
        ("g4dn.xlarge", "g4dn.xlarge on-demand / spot per h"),
    ],
)
def test_a_price_is_the_one_of_the_facts(name: str, row: str) -> None:
    assert PRICES[name] == (facts()[row], PRICES[name].unit, FACTS)


@pytest.mark.parametrize("name", ["g4dn.xlarge", "g5.xlarge", "g5.2xlarge", "g6.xlarge", "g6.2xlarge", "g6e.xlarge"])
def test_a_gpu_machine_costs_what_the_facts_say(name: str) -> None:
    found = facts()
    assert GPU_MACHINES[name].usd == found.get(name, found.get(f"{name} on-demand / spot per h"))


def test_every_family_that_a_pool_may_name_has_its_machines_with_their_gpus() -> None:
    assert {name.partition(".")[0] for name in GPU_MACHINES} == set(GPU_FAMILIES)
    for name, machine in GPU_MACHINES.items():
        assert machine.gpus in (1, 4, 8), name
        assert machine.usd / machine.gpus >= 0.5, f"{name}: no GPU is cheaper than a g4dn.xlarge's"


def test_only_machines_that_the_stack_may_start_are_priced() -> None:
    pools = [{"name": "gpu", "families": ["g5"]}, {"name": "large", "families": ["g6e", "g5"]}]
    runtimes = [{**runtime, "pool": "gpu"} for runtime in RUNTIMES]
    found = machine_prices(clustered(karpenter={"pools": pools}, runtimes=runtimes, cluster={"node_type": "m7g.large"}))
    assert {name.partition(".")[0] for name in found} == {"g5", "g6e", "m7g"}
    assert found["m7g.large"] == (PRICES["m7g.large"].usd, 0)


def test_a_system_node_of_unknown_price_is_left_for_the_function_to_name() -> None:
    assert "c9g.large" not in machine_prices(clustered(cluster={"node_type": "c9g.large"}))


def test_metrics_of_the_machines_are_paid_where_there_are_any() -> None:
    [item] = [item for item in fixed_items(clustered()) if "metrics of the machines" in item.name]
    assert item.usd == pytest.approx(0.30 * 3)
    assert not [item for item in fixed_items(stack(**BARE)) if "metrics of the machines" in item.name]
    [row] = [row for row in alarms(clustered()) if row.section == SPEND]
    assert [metric.name for metric in (*row.metrics, *row.beside)] == list(STACK_METRICS), "none is paid and not shown"


def test_every_other_price_names_the_page_that_says_so() -> None:
    others = {name: price for name, price in PRICES.items() if price.source != FACTS}
    assert len(others) == len(PRICES) - 4
    assert all(price.source.startswith("https://") for price in others.values())


def test_the_endpoint_of_a_private_api_is_paid_in_each_zone() -> None:
    private = fixed_usd_per_month(clustered(api={"private": True}))
    assert private - fixed_usd_per_month(clustered()) == pytest.approx(3 * 0.01 * 730)


def test_the_key_of_the_alarms_topic_is_paid_with_or_without_a_cluster() -> None:
    [item] = [item for item in fixed_items(stack(**BARE)) if "alarms' topic" in item.name]
    assert item.usd == 1.0
