"""What the machines cost: which price counts, what is written, and how a call that AWS refuses is told."""

import json
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

import pytest

from components.alarms import STACK, STACK_DIMENSION, STACK_METRICS
from components.price_list import GPU_MACHINES
from functions.api.env import EnvError
from functions.machines import Ec2Error, Machine, Machines, SpotPrices
from tests.functions.entry import spend
from tests.functions.fakes import NOW_MS, SPEND_ENVIRONMENT

ENV = spend.load(SPEND_ENVIRONMENT)


@dataclass
class FakeMachines:
    """Implements `Machines`. asked: types whose spot price was asked for, a set for each call."""

    found: list[Machine] = field(default_factory=list)
    prices: dict[tuple[str, str], float] = field(default_factory=dict)
    running_fault: Ec2Error | None = None
    spot_fault: Ec2Error | None = None
    asked: list[set[str]] = field(default_factory=list)

    def running(self) -> list[Machine]:
        if self.running_fault:
            raise self.running_fault
        return self.found

    def spot_prices(self, types: Collection[str], now_ms: int) -> SpotPrices:
        assert now_ms == NOW_MS
        self.asked.append(set(types))
        if self.spot_fault:
            raise self.spot_fault
        return self.prices


_FAKE: Machines = FakeMachines()  # mypy compares the fake with the port


def machine(type_: str = "g5.xlarge", **changes: Any) -> Machine:
    given: dict[str, Any] = {"zone": "us-west-2a", "pool": "gpu-on-demand", "vcpus": 4, "is_spot": False} | changes
    return Machine(type=type_, **given)


def spot(type_: str = "g5.xlarge", zone: str = "us-west-2a") -> Machine:
    return machine(type_, zone=zone, pool="gpu-spot", is_spot=True)


def run(machines: Machines) -> None:
    spend.Spend(machines, ENV, now_ms=lambda: NOW_MS)({})


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_machines_on_demand_cost_what_the_table_says(capsys: pytest.CaptureFixture[str]) -> None:
    fake = FakeMachines([machine(), machine("g5.12xlarge"), machine("t4g.medium", pool="system"), machine()])

    run(fake)

    [line] = lines(capsys)
    assert line["HourlySpend"] == pytest.approx(1.006 * 2 + 5.672 + 0.0336)
    assert (line["Machines"], line["Gpus"]) == (4, 6)
    assert line["pools"] == {"gpu-on-demand g5.xlarge": 2, "gpu-on-demand g5.12xlarge": 1, "system t4g.medium": 1}
    assert line["priced"] == {"on demand": ["g5.12xlarge", "g5.xlarge", "t4g.medium"]}
    assert fake.asked == [], "nobody asks for spot prices where nothing is on spot"


def test_a_spot_machine_costs_what_its_own_zone_asks_now(capsys: pytest.CaptureFixture[str]) -> None:
    prices = {("g5.xlarge", "us-west-2a"): 0.545, ("g5.xlarge", "us-west-2b"): 0.4}
    fake = FakeMachines([spot(), spot(zone="us-west-2b"), machine("g5.12xlarge")], prices)

    run(fake)

    [line] = lines(capsys)
    assert line["HourlySpend"] == pytest.approx(0.545 + 0.4 + 5.672)
    assert line["priced"] == {"spot": ["g5.xlarge"], "on demand": ["g5.12xlarge"]}
    assert fake.asked == [{"g5.xlarge"}], "one call, for the types in use"


def test_a_spot_machine_without_a_price_costs_as_on_demand_and_the_line_says_so(
    capsys: pytest.CaptureFixture[str],
) -> None:
    run(FakeMachines([spot(zone="us-west-2c")], {("g5.xlarge", "us-west-2a"): 0.545}))

    [line] = lines(capsys)
    assert line["HourlySpend"] == 1.006
    assert line["priced"] == {"spot, at its price on demand": ["g5.xlarge"]}


def test_a_spot_machine_of_an_unknown_type_still_has_its_spot_price(capsys: pytest.CaptureFixture[str]) -> None:
    run(FakeMachines([spot("g9.xlarge")], {("g9.xlarge", "us-west-2a"): 0.9}))

    [line] = lines(capsys)
    assert (line["HourlySpend"], line["Gpus"], line["priced"]) == (0.9, 0, {"spot": ["g9.xlarge"]})


@pytest.mark.parametrize("is_spot", [False, True])
def test_an_unknown_type_is_named_and_costs_by_its_vcpus(capsys: pytest.CaptureFixture[str], *, is_spot: bool) -> None:
    run(FakeMachines([machine("g9.2xlarge", vcpus=8, is_spot=is_spot), machine("c9g.large", vcpus=2)]))

    [line] = lines(capsys)
    assert (line["HourlySpend"], line["Machines"]) == (5.0, 2)
    assert line["priced"] == {"unknown, by vCPUs": ["c9g.large", "g9.2xlarge"]}


def test_an_unknown_type_is_told_dearer_than_any_that_a_pool_may_have() -> None:
    def vcpus(name: str) -> int:
        size = name.partition(".")[2]
        return 96 if size == "metal" else 4 * int(size.removesuffix("xlarge") or 1)

    dearest = max(one.usd / vcpus(name) for name, one in GPU_MACHINES.items())
    assert 0.4 < dearest <= spend.UNPRICED_USD_PER_VCPU


def test_no_machines_are_told_as_zeros(capsys: pytest.CaptureFixture[str]) -> None:
    run(FakeMachines())

    [line] = lines(capsys)
    assert [line[name] for name in spend.UNITS] == [0, 0, 0]


def test_the_line_is_an_embedded_metric_of_cloudwatch(capsys: pytest.CaptureFixture[str]) -> None:
    run(FakeMachines([machine()]))

    [line] = lines(capsys)
    [directive] = line["_aws"]["CloudWatchMetrics"]
    assert line["_aws"]["Timestamp"] == NOW_MS
    assert (directive["Namespace"], directive["Dimensions"]) == ("sd-async/stack", [["Stack"]])
    assert directive["Metrics"] == [{"Name": name, "Unit": unit} for name, unit in spend.UNITS.items()]
    for name in spend.UNITS:
        assert isinstance(line[name], int | float)
    assert line["Stack"] == "sd-async-dev"
    assert (line["level"], line["event"]) == ("INFO", "spend")


def test_machines_that_cannot_be_listed_are_a_fault_with_its_reason_and_no_number(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(spend.SpendError, match="DescribeInstances: UnauthorizedOperation"):
        run(FakeMachines(running_fault=Ec2Error("DescribeInstances: UnauthorizedOperation")))

    [line] = lines(capsys)
    assert line == {
        "level": "ERROR",
        "event": "spend_unknown",
        "error": "DescribeInstances: UnauthorizedOperation",
    }


def test_without_spot_prices_the_machines_are_told_as_on_demand_and_the_run_ends_as_failed(
    capsys: pytest.CaptureFixture[str],
) -> None:
    fake = FakeMachines([spot()], spot_fault=Ec2Error("DescribeSpotPriceHistory: InvalidAction"))

    with pytest.raises(spend.SpendError, match="on demand: DescribeSpotPriceHistory: InvalidAction"):
        run(fake)

    fault, line = lines(capsys)
    assert (fault["event"], fault["level"]) == ("spot_prices_unknown", "ERROR")
    assert fault["error"] == "DescribeSpotPriceHistory: InvalidAction"
    assert line["HourlySpend"] == 1.006, "a fault must not hide a run-away"
    assert line["priced"] == {"spot, at its price on demand": ["g5.xlarge"]}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SD_STACK", " "),
        ("SD_STACK_TAGS", "{}"),
        ("SD_STACK_TAGS", "project=sd-async"),
        ("SD_STACK_TAGS", '{"project": 1}'),
        ("SD_PRICES", "{}"),
        ("SD_PRICES", '{"g5.xlarge": 1.006}'),
    ],
)
def test_a_wrong_variable_is_named(name: str, value: str) -> None:
    with pytest.raises(EnvError, match=name):
        spend.load(SPEND_ENVIRONMENT | {name: value})


def test_an_emulators_address_is_taken() -> None:
    assert ENV.endpoint_url is None
    assert (
        spend.load(SPEND_ENVIRONMENT | {"AWS_ENDPOINT_URL": "http://127.0.0.1:1"}).endpoint_url == "http://127.0.0.1:1"
    )


def test_what_the_alarms_watch_is_what_is_written_under_those_very_names() -> None:
    assert (spend.NAMESPACE, spend.DIMENSION) == (STACK, STACK_DIMENSION)
    assert tuple(spend.UNITS) == STACK_METRICS
