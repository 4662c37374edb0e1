"""Each check says what it found, and how to put right what is wrong; what can't be asked is no problem."""

import json
from collections.abc import Callable, Sequence
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from components.prices import fixed_usd_per_month
from local.emulator import Emulator
from ops.capacity import QUOTAS, SMALLEST, vcpus_wanted
from ops.findings import Finding, Status
from ops.preflight import findings, report
from ops.tools import ask
from tests.components.example import COMFYUI, stack
from tests.ops.test_cli import admin

SETTINGS = stack(cluster={"create": True})
CALLER = {"UserId": "u", "Account": "123456789012", "Arn": "arn:aws:iam::123456789012:user/operator"}
TYPES = {"g4dn.xlarge": (1, 4), "g5.xlarge": (1, 4), "g6.2xlarge": (1, 8), "g6e.12xlarge": (4, 48)}
ZONES = ("us-west-2a", "us-west-2b")
EVERYWHERE = [(kind, zone) for kind in TYPES for zone in ZONES]
SUBNETS = ["subnet-01234567", "subnet-01234568"]
TOOLS = {"pulumi": "v3.272.0", "aws": "aws-cli/2.31.1 Python/3.13.7 Linux/6.1"}
ON_DEMAND, SPOT = "quota: Running On-Demand G and VT instances", "quota: All G and VT Spot Instance Requests"
POOL = "GPU types of pool gpu"


def asked(command: Sequence[str]) -> str | None:
    return TOOLS.get(command[0])


class Account:
    """Clients whose answers are given, in the order of the calls; None refuses the question."""

    def __init__(self) -> None:
        self._clients = {
            name: boto3.client(name, region_name="us-west-2", aws_access_key_id="x", aws_secret_access_key="x")
            for name in ("sts", "service-quotas", "ec2", "eks")
        }
        self._stubs = {name: Stubber(client) for name, client in self._clients.items()}
        for stub in self._stubs.values():
            stub.activate()

    def __call__(self, name: str) -> Any:
        return self._clients[name]

    def answer(self, service: str, operation: str, given: dict[str, Any] | None, asked: dict[str, Any] | None) -> None:
        if given is None:
            self._stubs[service].add_client_error(operation, "AccessDenied", "not allowed")
        else:
            self._stubs[service].add_response(operation, given, asked)


def aws(
    *,
    vcpus: float | None = 100,
    offered: list[tuple[str, str]] | None = None,
    types: dict[str, tuple[int, int]] | None = TYPES,
    codes: Sequence[str] = ("L-DB2E81BA", "L-3819A6DF"),
    pools: int = 1,
    signed_in: bool = True,
) -> Account:
    account = Account()
    account.answer("sts", "get_caller_identity", CALLER if signed_in else None, None)
    rows = [
        {"InstanceType": kind, "GpuInfo": {"Gpus": [{"Count": gpus}]}, "VCpuInfo": {"DefaultVCpus": vcpus_of}}
        for kind, (gpus, vcpus_of) in (types or {}).items()
    ]
    known = None if types is None else {"InstanceTypes": rows}
    account.answer("ec2", "describe_instance_types", known, None)
    for code in codes:
        value = None if vcpus is None else {"Quota": {"Value": vcpus}}
        account.answer("service-quotas", "get_service_quota", value, {"ServiceCode": "ec2", "QuotaCode": code})
    pairs = EVERYWHERE if offered is None else offered
    offers = {"InstanceTypeOfferings": [{"InstanceType": kind, "Location": zone} for kind, zone in pairs]}
    for _ in range(pools):
        account.answer("ec2", "describe_instance_type_offerings", offers, None)
    return account


def found(
    clients: Callable[[str], Any], settings: Any = SETTINGS, tools: Callable[[Sequence[str]], str | None] = asked
) -> dict[str, Finding]:
    return {row.check: row for row in findings(settings, clients, tools)}


def test_on_a_ready_account_everything_is_ok_and_the_idle_month_has_a_price() -> None:
    rows = found(aws())
    assert {row.status for row in rows.values()} == {Status.OK}
    assert "a month while idle" in rows["fixed cost"].found
    assert "runtimes: sd15, sdxl" in rows["settings"].found


def test_a_quota_below_what_the_settings_allow_is_a_problem_with_its_number() -> None:
    rows = found(aws(vcpus=7))
    assert (rows[ON_DEMAND].status, rows[ON_DEMAND].found) == (Status.PROBLEM, "7 vCPUs, 8 wanted")
    assert "ask for 8 or more (Service Quotas, EC2, L-DB2E81BA), or lower on_demand_gpus" in rows[ON_DEMAND].fix
    assert (rows[SPOT].status, rows[SPOT].found) == (Status.PROBLEM, "7 vCPUs, 16 wanted")
    assert "lower spot_gpus in karpenter.pools[]" in rows[SPOT].fix


def test_a_quota_that_is_just_enough_is_enough() -> None:
    assert found(aws(vcpus=16))[SPOT].status is Status.OK


def pool(**more: Any) -> Any:
    runtime = {"name": "flux", "type": "comfyui", "image": COMFYUI, "scaling": {"max_replicas": 9}}
    settings = {"name": "gpu", "spot_gpus": 9, "on_demand_gpus": 0, **more}
    return stack(cluster={"create": True}, karpenter={"pools": [settings]}, runtimes=[runtime])


def test_eight_gpus_a_node_are_counted_by_the_node() -> None:
    large = pool(families=["p4d", "p5"], max_gpus_per_node=8)
    wanted = {quota.code: vcpus_wanted(large, quota, SMALLEST) for quota in QUOTAS}
    assert wanted == {"L-DB2E81BA": 0, "L-3819A6DF": 0, "L-417A185B": 0, "L-7212CCBC": 2 * 96, "L-C4BD4855": 2 * 192}
    types = {"p4d.24xlarge": (8, 96), "p5.48xlarge": (8, 192), "p5.4xlarge": (1, 16)}
    rows = found(
        aws(
            vcpus=150, types=types, codes=("L-7212CCBC", "L-C4BD4855"), offered=[(kind, "us-west-2a") for kind in types]
        ),
        large,
    )
    assert rows["quota: All P4, P3 and P2 Spot Instance Requests"].found == "150 vCPUs, 192 wanted"
    assert rows["quota: All P5 Spot Instance Requests"].found == "150 vCPUs, 144 wanted", "nine small ones"


def test_no_more_is_wanted_than_the_runtimes_may_ask_for() -> None:
    [spot] = [quota for quota in QUOTAS if quota.code == "L-3819A6DF"]
    assert vcpus_wanted(pool(spot_gpus=20), spot, SMALLEST) == 9 * 4


def test_a_type_with_more_gpus_than_a_node_may_have_is_none_of_the_pools() -> None:
    row = found(aws(offered=[("g6e.12xlarge", "us-west-2a"), ("g5.xlarge", "us-west-2a")], types={"g5.xlarge": (1, 4)}))
    assert row[POOL].status is Status.OK
    assert vcpus_wanted(SETTINGS, QUOTAS[0], []) == 0, "without a type that fits nothing is wanted of it"


def test_a_region_that_knows_none_of_the_types_is_a_problem() -> None:
    row = found(aws(types={}, codes=(), pools=0))[POOL]
    assert (row.status, row.found.count("nowhere")) == (Status.PROBLEM, 4)


def test_where_types_may_not_be_asked_the_smallest_are_taken() -> None:
    rows = found(aws(types=None))
    assert (rows["instance types"].status, rows[SPOT].found) == (Status.UNKNOWN, "100 vCPUs, 16 wanted")


def test_a_quota_that_may_not_be_read_is_unknown() -> None:
    row = found(aws(vcpus=None))[ON_DEMAND]
    assert (row.status, "L-DB2E81BA" in row.fix) == (Status.UNKNOWN, True)


def test_every_gpu_family_has_a_quota_at_each_price() -> None:
    families = {each.family for each in SMALLEST}
    for price in ("spot", "on-demand"):
        bounded = [family for quota in QUOTAS if quota.price == price for family in quota.families]
        assert sorted(bounded) == sorted(families)


def test_without_a_cluster_of_its_own_a_stack_asks_for_no_gpus() -> None:
    rows = found(aws(), stack())
    assert "it makes no cluster" in rows["GPU nodes"].found
    assert not [check for check in rows if check.startswith("quota")]


def test_without_credentials_nothing_else_is_asked() -> None:
    rows = found(aws(signed_in=False))
    assert rows["credentials"].status is Status.PROBLEM
    assert "aws sso login" in rows["credentials"].fix
    assert not [check for check in rows if check.startswith(("quota", "GPU"))]


def closed(clients: Account, **network: Any) -> Finding:
    return found(clients, stack(cluster={"public_access": False}, network=network))["cluster API"]


def cluster_is(there: dict[str, Any] | None) -> Account:
    account = aws()
    account.answer("eks", "describe_cluster", there, {"name": "sd-async-dev"})
    return account


def test_a_cluster_that_only_its_new_vpc_reaches_is_a_problem_before_it_is_there() -> None:
    row = closed(cluster_is(None))
    assert (row.status, "no way into a VPC that is new" in row.found) == (Status.PROBLEM, True)
    assert row.fix.startswith("leave cluster.public_access out for the first `pulumi up`")


@pytest.mark.parametrize("vpc", [{}, {"vpc_id": "vpc-01234567", "private_subnet_ids": SUBNETS}], ids=["made", "given"])
def test_one_that_is_there_or_in_an_existing_vpc_may_be_reached_from_inside(vpc: dict[str, Any]) -> None:
    row = closed(cluster_is({"cluster": {}}), **vpc)
    assert (row.status, row.fix.startswith("run Pulumi from where")) == (Status.UNKNOWN, True)


def test_a_cluster_with_public_access_is_reached_and_by_whom_is_told() -> None:
    row = found(aws(), stack(cluster={"public_cidrs": ["203.0.113.7/32"]}))["cluster API"]
    assert (row.status, row.found) == (Status.OK, "public, by IAM, from 203.0.113.7/32")
    assert "cluster API" not in found(aws(), stack()), "a stack without a cluster has none to reach"


@pytest.mark.parametrize("offered", [[], [("g5.xlarge", "us-west-2a")]])
def test_a_region_with_fewer_than_two_of_the_pools_families_is_a_problem(offered: list[tuple[str, str]]) -> None:
    row = found(aws(offered=offered))[POOL]
    assert row.status is Status.PROBLEM
    assert "g4dn: nowhere" in row.found


def test_the_zones_of_each_family_are_told() -> None:
    assert "g5: us-west-2a, us-west-2b" in found(aws())[POOL].found


@pytest.mark.parametrize(
    ("answer", "status", "told"),
    [
        (None, Status.PROBLEM, "is not on the PATH"),
        ("v2.25.1", Status.PROBLEM, "2.25.1 is older than 3"),
        ("hello", Status.UNKNOWN, "tells no version: hello"),
        ("v3.0.0", Status.OK, "3.0.0"),
    ],
)
def test_a_tool_is_told_with_its_version_or_where_to_get_it(answer: str | None, status: Status, told: str) -> None:
    row = found(aws(), tools=lambda command: answer if command[0] == "pulumi" else asked(command))["pulumi"]
    assert (row.status, row.found.startswith(told)) == (status, True)
    assert ("https://www.pulumi.com/docs/install/" in row.fix) == (status is not Status.OK)


def test_a_program_that_is_there_is_asked_and_one_that_is_not_says_nothing() -> None:
    assert "Python" in (ask(["python3", "--version"]) or "")
    assert ask(["sd-async-no-such-program"]) is None


def test_the_report_holds_every_check_and_the_items_of_the_month() -> None:
    rows = findings(SETTINGS, aws(), asked)
    told = json.loads(report(SETTINGS, rows))
    assert [row["check"] for row in told["checks"]] == [row.check for row in rows]
    assert told["idle_month"]["usd"] == fixed_usd_per_month(SETTINGS)
    assert told["idle_month"]["items"]["EKS control plane"] == pytest.approx(73)


def test_the_command_prints_a_table_and_its_exit_code_tells_of_problems(emulator: Emulator) -> None:
    done = admin("preflight", "--endpoint-url", emulator.endpoint, emulator=emulator)
    assert "credentials" in done.stdout, done.stderr
    assert "a month while idle" in " ".join(done.stdout.split())
    assert "EKS control plane" in done.stdout
    assert done.returncode == (1 if "problem" in done.stdout else 0)


def test_the_command_prints_json_too(emulator: Emulator) -> None:
    done = admin("preflight", "--json", "--endpoint-url", emulator.endpoint, emulator=emulator)
    statuses = {row["check"]: row["status"] for row in json.loads(done.stdout)["checks"]}
    assert statuses["credentials"] == "ok"


def test_a_stack_that_is_not_there_is_one_sentence() -> None:
    done = admin("preflight", "--stack", "nowhere")
    assert (done.returncode, "Pulumi.nowhere.yaml can't be read" in done.stderr) == (2, True)
