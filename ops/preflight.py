"""What would go wrong in `pulumi up`, or soon after, said before it: a row for each check, with the way out."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from components import naming, prices
from components.asking import Clients
from components.settings import Settings
from ops import capacity, tools
from ops.findings import Finding, Status

REACH = "cluster API"


def findings(settings: Settings, clients: Clients, asked: tools.Ask = tools.ask) -> list[Finding]:
    """Every check, in the order in which things would fail; what can't be asked is unknown, not wrong."""
    names = ", ".join(runtime.name for runtime in settings.runtimes)
    found = [Finding("settings", Status.OK, f"are valid; runtimes: {names}")]
    found += [*tools.findings(asked), _credentials(settings, clients)]
    if found[-1].status is Status.OK:
        found += [*_reach(settings, clients), *capacity.findings(settings, clients)]
    return [*found, _cost(settings)]


def _credentials(settings: Settings, clients: Clients) -> Finding:
    try:
        caller = clients("sts").get_caller_identity()
    except (ClientError, BotoCoreError) as error:
        fix = "sign in (`aws sso login`) or set AWS_PROFILE, then try again"
        return Finding("credentials", Status.PROBLEM, str(error), fix)
    return Finding("credentials", Status.OK, f"{caller['Arn']} in {settings.region}")


def _reach(settings: Settings, clients: Clients) -> Iterator[Finding]:
    """Whether Pulumi can put charts into the cluster: an API without public access is reached from its VPC only."""
    if not settings.has_new_cluster:
        return
    if settings.cluster.public_access:
        yield Finding(REACH, Status.OK, f"public, by IAM, from {', '.join(settings.cluster.public_cidrs)}")
        return
    inside = "run Pulumi from where addresses of the VPC are reached (a VPN, a peering, a machine inside)"
    if settings.network.vpc_id or _is_there(settings, clients):
        yield Finding(REACH, Status.UNKNOWN, "reached from the VPC only (cluster.public_access: false)", inside)
        return
    yield Finding(
        REACH,
        Status.PROBLEM,
        "reached from the VPC only (cluster.public_access: false), and there is no way into a VPC that is new",
        "leave cluster.public_access out for the first `pulumi up`, with your address in cluster.public_cidrs; once "
        f"there is a way in, set it to false and {inside}",
    )


def _is_there(settings: Settings, clients: Clients) -> bool:
    """Whether the cluster was made before; one that may not be asked for counts as new."""
    try:
        clients("eks").describe_cluster(name=naming.cluster(settings))
    except (ClientError, BotoCoreError):
        return False
    return True


def _cost(settings: Settings) -> Finding:
    unknown = [item.name for item in prices.fixed_items(settings) if item.usd is None]
    without = f", without {', '.join(unknown)}" if unknown else ""
    found = f"about ${prices.fixed_usd_per_month(settings):.0f} a month while idle{without}; us-west-2's prices"
    return Finding("fixed cost", Status.OK, found)


def report(settings: Settings, found: Sequence[Finding]) -> str:
    """Everything as JSON: `checks`, and `idle_month` with its sum and items in dollars (null where not known)."""
    items = {item.name: item.usd for item in prices.fixed_items(settings)}
    month: dict[str, Any] = {"usd": prices.fixed_usd_per_month(settings), "items": items}
    return json.dumps({"checks": [asdict(row) for row in found], "idle_month": month}, indent=2)
