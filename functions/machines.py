"""The machines of a stack and what spot ones cost now, asked of EC2; boto3 and its errors stop here."""

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol, Self

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

PAGE = 1000  # the most that either call gives at once (EC2 API)
LINUX = ["Linux/UNIX", "Linux/UNIX (Amazon VPC)"]  # the second is what accounts from before the VPC are told
NODE_POOL = "karpenter.sh/nodepool"  # tag of every instance that Karpenter starts
COMPONENT = "component"  # tag of the stack's own on all others

# Both calls with all their attempts end within the function's minute.
_CALL = Config(connect_timeout=2, read_timeout=6, retries={"mode": "standard", "total_max_attempts": 3})

SpotPrices = Mapping[tuple[str, str], float]  # US dollars an hour, by type and zone


class Ec2Error(Exception):
    """A call to EC2 failed; the message names the call and AWS's code."""


@dataclass(frozen=True, slots=True)
class Machine:
    """One that is paid for. pool: the NodePool that started it, or else the stack's component that it belongs to.

    vcpus: 1 where EC2 does not say, as an emulator may not.
    """

    type: str
    zone: str
    pool: str
    vcpus: int
    is_spot: bool


class Machines(Protocol):
    """Every method may raise Ec2Error."""

    def running(self) -> list[Machine]:
        """All that are pending or running."""

    def spot_prices(self, types: Collection[str], now_ms: int) -> SpotPrices:
        """What is in effect now; nothing of a type or zone that has no price."""


@dataclass(frozen=True, slots=True)
class Ec2Machines:
    """The real ones. tags: what every instance of the stack carries, and no other."""

    ec2: Any
    tags: Mapping[str, str]

    @classmethod
    def connect(cls, region: str, endpoint_url: str | None, tags: Mapping[str, str]) -> Self:
        """Makes no call; credentials are the platform's. endpoint_url: of an AWS emulator; None on AWS."""
        session = boto3.Session(region_name=region)
        return cls(session.client("ec2", config=_CALL, endpoint_url=endpoint_url), tags)

    def running(self) -> list[Machine]:
        filters = [{"Name": f"tag:{name}", "Values": [value]} for name, value in self.tags.items()]
        filters.append({"Name": "instance-state-name", "Values": ["pending", "running"]})
        with _translated("DescribeInstances"):
            pages = self._pages("describe_instances", Filters=filters)
            return [_machine(each) for page in pages for held in page["Reservations"] for each in held["Instances"]]

    def spot_prices(self, types: Collection[str], now_ms: int) -> SpotPrices:
        since = datetime.fromtimestamp(now_ms / 1000, UTC)  # with it comes the last change before it
        with _translated("DescribeSpotPriceHistory"):
            pages = self._pages(
                "describe_spot_price_history",
                InstanceTypes=sorted(types),
                ProductDescriptions=LINUX,
                StartTime=since,
            )
            changes = [change for page in pages for change in page["SpotPriceHistory"]]
        changes.sort(key=lambda change: change["Timestamp"])
        return {(each["InstanceType"], each["AvailabilityZone"]): float(each["SpotPrice"]) for each in changes}

    def _pages(self, operation: str, **asked: Any) -> Iterator[Mapping[str, Any]]:
        return iter(self.ec2.get_paginator(operation).paginate(**asked, PaginationConfig={"PageSize": PAGE}))


def _machine(instance: Mapping[str, Any]) -> Machine:
    tags = {tag["Key"]: tag["Value"] for tag in instance.get("Tags", [])}
    options = instance.get("CpuOptions", {})
    return Machine(
        type=instance["InstanceType"],
        zone=instance["Placement"]["AvailabilityZone"],
        pool=tags.get(NODE_POOL) or tags.get(COMPONENT) or "other",
        vcpus=options.get("CoreCount", 1) * options.get("ThreadsPerCore", 1),
        is_spot=instance.get("InstanceLifecycle") == "spot",
    )


@contextmanager
def _translated(call: str) -> Iterator[None]:
    try:
        yield
    except ClientError as error:
        raise Ec2Error(f"{call}: {error.response.get('Error', {}).get('Code', '')}") from error
    except BotoCoreError as error:
        raise Ec2Error(f"{call}: {type(error).__name__}") from error
