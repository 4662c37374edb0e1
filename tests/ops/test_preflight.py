"""Each check says what it found, and how to put right what is wrong; what can't be asked is no problem."""

from collections.abc import Callable
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from local.emulator import Emulator
from ops.preflight import INSTANCE_TYPES, QUOTAS, Finding, Status, findings, vcpus_wanted
from tests.components.example import stack
from tests.ops.test_cli import admin

SETTINGS = stack()
CALLER = {"UserId": "u", "Account": "123456789012", "Arn": "arn:aws:iam::123456789012:user/operator"}
EVERYWHERE = [(kind, zone) for kind in INSTANCE_TYPES for zone in ("us-west-2a", "us-west-2b")]


def aws(
    *, vcpus: float | None = 100, offered: list[tuple[str, str]] | None = None, signed_in: bool = True
) -> Callable[[str], Any]:
    """Clients whose answers are given; None refuses the question."""
    made = {
        name: boto3.client(name, region_name="us-west-2", aws_access_key_id="x", aws_secret_access_key="x")
        for name in ("sts", "service-quotas", "ec2")
    }
    stubs = {name: Stubber(client) for name, client in made.items()}
    if signed_in:
        stubs["sts"].add_response("get_caller_identity", CALLER)
    else:
        stubs["sts"].add_client_error("get_caller_identity", "ExpiredToken", "The token has expired")
    for code in QUOTAS.values():
        if vcpus is None:
            stubs["service-quotas"].add_client_error("get_service_quota", "AccessDeniedException", "not allowed")
        else:
            asked = {"ServiceCode": "ec2", "QuotaCode": code}
            stubs["service-quotas"].add_response("get_service_quota", {"Quota": {"Value": vcpus}}, asked)
    rows = [{"InstanceType": kind, "Location": zone} for kind, zone in (EVERYWHERE if offered is None else offered)]
    stubs["ec2"].add_response("describe_instance_type_offerings", {"InstanceTypeOfferings": rows})
    for stub in stubs.values():
        stub.activate()
    return made.__getitem__


def found(clients: Callable[[str], Any], which: Callable[[str], str | None] = str) -> dict[str, Finding]:
    return {row.check: row for row in findings(SETTINGS, clients, which)}


def test_on_a_ready_account_everything_is_ok_and_the_idle_month_has_a_price() -> None:
    rows = found(aws())
    assert {row.status for row in rows.values()} == {Status.OK}
    assert "a month while idle" in rows["fixed cost"].found


def test_a_quota_below_what_max_replicas_wants_is_a_problem_with_its_number() -> None:
    wanted = vcpus_wanted(SETTINGS)
    assert wanted == (2 + 2) * 4
    rows = found(aws(vcpus=wanted - 1))
    for kind, code in QUOTAS.items():
        row = rows[f"GPU quota, {kind}"]
        assert (row.status, row.found) == (Status.PROBLEM, f"{wanted - 1} vCPUs for {wanted} at max_replicas")
        assert f"ask for {wanted} or more (Service Quotas, EC2, {code})" in row.fix


def test_a_quota_that_is_just_enough_is_enough() -> None:
    rows = found(aws(vcpus=vcpus_wanted(SETTINGS)))
    assert rows["GPU quota, spot"].status is Status.OK


def test_a_quota_that_may_not_be_read_is_unknown() -> None:
    row = found(aws(vcpus=None))["GPU quota, on demand"]
    assert (row.status, "L-DB2E81BA" in row.fix) == (Status.UNKNOWN, True)


def test_without_credentials_nothing_else_is_asked() -> None:
    rows = found(aws(signed_in=False))
    assert rows["credentials"].status is Status.PROBLEM
    assert "aws sso login" in rows["credentials"].fix
    assert not [check for check in rows if check.startswith("GPU")]


@pytest.mark.parametrize("offered", [[], [("g5.xlarge", "us-west-2a")]])
def test_a_region_with_fewer_than_two_gpu_families_is_a_problem(offered: list[tuple[str, str]]) -> None:
    row = found(aws(offered=offered))["GPU types in the region"]
    assert row.status is Status.PROBLEM
    assert "g4dn.xlarge: nowhere" in row.found


def test_a_missing_tool_is_named_with_where_to_get_it() -> None:
    row = found(aws(), lambda tool: None if tool == "pulumi" else tool)["pulumi"]
    assert (row.status, row.found) == (Status.PROBLEM, "is not on the PATH")
    assert "https://www.pulumi.com/docs/install/" in row.fix


def test_the_command_prints_a_table_and_its_exit_code_tells_of_problems(emulator: Emulator) -> None:
    done = admin("preflight", "--endpoint-url", emulator.endpoint, emulator=emulator)
    assert "credentials" in done.stdout, done.stderr
    assert "a month while idle" in " ".join(done.stdout.split())
    assert done.returncode == (1 if "problem" in done.stdout else 0)


def test_a_stack_that_is_not_there_is_one_sentence() -> None:
    done = admin("preflight", "--stack", "nowhere")
    assert (done.returncode, "Pulumi.nowhere.yaml can't be read" in done.stderr) == (2, True)
