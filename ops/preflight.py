"""What would go wrong in `pulumi up`, or soon after, said before it: a row for each check, with the way out."""

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from components import prices
from components.settings import Settings

TOOLS = {
    "pulumi": "install it from https://www.pulumi.com/docs/install/",
    "aws": "install AWS CLI v2; the cluster's kubeconfig signs in with it",
}
# Service Quotas of EC2, in vCPUs running at once.
QUOTAS = {"on demand": "L-DB2E81BA", "spot": "L-3819A6DF"}  # G and VT instances
VCPUS_PER_AGENT = 4  # the smallest of the families below; a larger one is taken only when there is no small one
INSTANCE_TYPES = ("g4dn.xlarge", "g5.xlarge", "g6.xlarge", "g6e.xlarge")
FEWEST_TYPES = 2  # with one family only, a lack of capacity stops everything

Clients = Callable[[str], Any]  # a boto3 client of a service, in the stack's region


class Status(StrEnum):
    OK = "ok"
    PROBLEM = "problem"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Finding:
    """fix: what to do; empty where nothing is to be done."""

    check: str
    status: Status
    found: str
    fix: str = ""


def findings(settings: Settings, clients: Clients, which: Callable[[str], str | None] = shutil.which) -> list[Finding]:
    """Every check, in the order in which things would fail; what can't be asked is unknown, not wrong."""
    found = [*_tools(which), _credentials(clients)]
    if found[-1].status is Status.OK:
        found += [*_quotas(settings, clients), _offerings(settings, clients)]
    return [*found, _cost(settings)]


def _tools(which: Callable[[str], str | None]) -> Iterator[Finding]:
    for tool, fix in TOOLS.items():
        place = which(tool)
        yield Finding(tool, Status.OK, place) if place else Finding(tool, Status.PROBLEM, "is not on the PATH", fix)


def _credentials(clients: Clients) -> Finding:
    try:
        caller = clients("sts").get_caller_identity()
    except (ClientError, BotoCoreError) as error:
        return Finding(
            "credentials", Status.PROBLEM, str(error), "sign in (`aws sso login`) or set AWS_PROFILE, then try again"
        )
    return Finding("credentials", Status.OK, f"{caller['Arn']}")


def _quotas(settings: Settings, clients: Clients) -> Iterator[Finding]:
    wanted = vcpus_wanted(settings)
    for kind, code in QUOTAS.items():
        check = f"GPU quota, {kind}"
        try:
            quota = clients("service-quotas").get_service_quota(ServiceCode="ec2", QuotaCode=code)["Quota"]["Value"]
        except (ClientError, BotoCoreError) as error:
            yield Finding(check, Status.UNKNOWN, str(error), f"look up {code} of EC2 in Service Quotas by hand")
            continue
        found = f"{quota:g} vCPUs for {wanted} at max_replicas"
        if quota < wanted:
            fix = f"ask for {wanted} or more (Service Quotas, EC2, {code}), or lower runtimes[].scaling.max_replicas"
            yield Finding(check, Status.PROBLEM, found, fix)
        else:
            yield Finding(check, Status.OK, found)


def vcpus_wanted(settings: Settings) -> int:
    """As many vCPUs as the agents need that the settings allow at once, on the smallest instances."""
    return sum(runtime.scaling.max_replicas for runtime in settings.runtimes) * VCPUS_PER_AGENT


def _offerings(settings: Settings, clients: Clients) -> Finding:
    check = "GPU types in the region"
    try:
        pages = clients("ec2").get_paginator("describe_instance_type_offerings").paginate(
            LocationType="availability-zone", Filters=[{"Name": "instance-type", "Values": list(INSTANCE_TYPES)}]
        )  # fmt: skip
        pairs = [(each["InstanceType"], each["Location"]) for page in pages for each in page["InstanceTypeOfferings"]]
    except (ClientError, BotoCoreError) as error:
        return Finding(check, Status.UNKNOWN, str(error), "allow ec2:DescribeInstanceTypeOfferings to the operator")
    zones = {kind: sorted(zone for each, zone in pairs if each == kind) for kind in INSTANCE_TYPES}
    found = "; ".join(f"{kind}: {', '.join(there) or 'nowhere'}" for kind, there in zones.items())
    if sum(1 for there in zones.values() if there) < FEWEST_TYPES:
        return Finding(check, Status.PROBLEM, found, f"choose a region with more GPU families than {settings.region}")
    return Finding(check, Status.OK, found)


def _cost(settings: Settings) -> Finding:
    unknown = [item.name for item in prices.fixed_items(settings) if item.usd is None]
    without = f", without {', '.join(unknown)}" if unknown else ""
    found = f"about ${prices.fixed_usd_per_month(settings):.0f} a month while idle (us-west-2){without}"
    return Finding("fixed cost", Status.OK, found)
