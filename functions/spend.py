"""What the stack's machines cost an hour, every five minutes: one log line, of which CloudWatch makes metrics.

The line is in CloudWatch's embedded metric format, so that no call is needed to write them. Machines are what a
run-away queue buys; disks, gateways and requests are the budget's affair.
"""

import os
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from functions import log
from functions.api.env import EnvError, text
from functions.machines import Ec2Error, Ec2Machines, Machine, Machines, SpotPrices
from sd_async.contract.codec import decode
from sd_async.contract.errors import ContractError

NAMESPACE = "sd-async/stack"
DIMENSION = "Stack"
UNITS = {"HourlySpend": "None", "Machines": "Count", "Gpus": "Count"}
# Of a machine whose type has no price: more than any type costs that a GPU pool may have, and still little for the
# small machine that somebody tries out. p5 comes next with 0.29, g6e.xlarge with 0.47 (Karpenter's price list).
UNPRICED_USD_PER_VCPU = 0.50


class SpendError(Exception):
    """A part was not told by AWS; raised last, so that the function's error metric shows it."""


class OnDemand(NamedTuple):
    """usd: for an hour. gpus: of one machine."""

    usd: float
    gpus: int


@dataclass(frozen=True, slots=True)
class Env:
    """stack: value of the metrics' dimension. tags: of every instance of the stack. prices: on demand, by type."""

    region: str
    stack: str
    tags: Mapping[str, str]
    prices: Mapping[str, OnDemand]
    endpoint_url: str | None


class Priced(NamedTuple):
    """basis: how the price was found; `spot` and `on demand` are what AWS bills, the others are upper bounds."""

    usd: float
    basis: str


class Spend:
    def __init__(self, machines: Machines, environment: Env, now_ms: Callable[[], int]) -> None:
        self._machines = machines
        self._env = environment
        self._now_ms = now_ms

    def __call__(self, _event: object, _context: object = None) -> None:
        """Raises: SpendError, naming the call; where only spot prices are missing, after the line."""
        try:
            machines = self._machines.running()
        except Ec2Error as error:
            log.line("spend_unknown", "ERROR", error=str(error))
            raise SpendError(f"What the machines cost is not known: {error}") from error
        spot, fault = self._spot_prices(machines)
        log.line("spend", **self._metrics(machines, spot))
        if fault:
            raise SpendError(f"Spot machines were told at their price on demand: {fault}") from fault

    def _spot_prices(self, machines: list[Machine]) -> tuple[SpotPrices, Ec2Error | None]:
        """A fault of this call must not silence the alarm: what it leaves out is told at a higher price."""
        types = {machine.type for machine in machines if machine.is_spot}
        if not types:
            return {}, None
        try:
            return self._machines.spot_prices(types, self._now_ms()), None
        except Ec2Error as error:
            log.line("spot_prices_unknown", "ERROR", error=str(error))
            return {}, error

    def _metrics(self, machines: list[Machine], spot: SpotPrices) -> dict[str, Any]:
        """Zero machines are told as zeros: silence means that this function fails."""
        prices = self._env.prices
        priced = [(machine, price_of(machine, prices, spot)) for machine in machines]
        by_basis: dict[str, set[str]] = {}
        for machine, price in priced:
            by_basis.setdefault(price.basis, set()).add(machine.type)
        values = {
            "HourlySpend": round(sum(price.usd for _, price in priced), 4),
            "Machines": len(machines),
            "Gpus": sum(prices[machine.type].gpus for machine in machines if machine.type in prices),
        }
        directive = {
            "Namespace": NAMESPACE,
            "Dimensions": [[DIMENSION]],
            "Metrics": [{"Name": name, "Unit": UNITS[name]} for name in values],
        }
        return {
            "_aws": {"Timestamp": self._now_ms(), "CloudWatchMetrics": [directive]},
            DIMENSION: self._env.stack,
            **values,
            "pools": Counter(f"{machine.pool} {machine.type}" for machine in machines),
            "priced": {basis: sorted(types) for basis, types in by_basis.items()},
        }


def price_of(machine: Machine, prices: Mapping[str, OnDemand], spot: SpotPrices) -> Priced:
    """Of one hour. A price that is not known is never too low: a run-away must not hide behind it."""
    if machine.is_spot and (now := spot.get((machine.type, machine.zone))) is not None:
        return Priced(now, "spot")
    if machine.type in prices:
        return Priced(prices[machine.type].usd, "spot, at its price on demand" if machine.is_spot else "on demand")
    return Priced(machine.vcpus * UNPRICED_USD_PER_VCPU, "unknown, by vCPUs")


def load(environ: Mapping[str, str]) -> Env:
    """Raises: EnvError naming the variable."""
    return Env(
        region=text(environ, "AWS_REGION"),
        stack=text(environ, "SD_STACK"),
        tags=_decoded(environ, "SD_STACK_TAGS", dict[str, str], "{name: value}"),
        prices=_decoded(environ, "SD_PRICES", dict[str, OnDemand], "{type: [usd, gpus]}"),
        endpoint_url=environ.get("AWS_ENDPOINT_URL") or None,
    )


def _decoded(environ: Mapping[str, str], name: str, kind: Any, form: str) -> Any:
    try:
        found = decode(text(environ, name), kind)
    except ContractError as error:
        raise EnvError(f"The environment variable {name} is not {form}: {error}") from error
    if not found:
        raise EnvError(f"The environment variable {name} is empty.")  # no tags would be all machines of the account
    return found


_ENV = load(os.environ)
handle = Spend(
    Ec2Machines.connect(_ENV.region, _ENV.endpoint_url, _ENV.tags), _ENV, now_ms=lambda: time.time_ns() // 1_000_000
)
