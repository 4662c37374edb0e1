"""EC2's answers as machines and prices: every page of them, and its refusals by name."""

from datetime import UTC, datetime
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.stub import Stubber

from functions.machines import COMPONENT, NODE_POOL, Ec2Error, Ec2Machines, Machine
from local.emulator import Emulator
from local.processes import free_port
from tests.functions.fakes import NOW_MS

TAGS = {"project": "sd-async", "stack": "dev"}
FILTERS = [
    {"Name": "tag:project", "Values": ["sd-async"]},
    {"Name": "tag:stack", "Values": ["dev"]},
    {"Name": "instance-state-name", "Values": ["pending", "running"]},
]
NOW = datetime.fromtimestamp(NOW_MS / 1000, UTC)


@pytest.fixture
def machines() -> Ec2Machines:
    client = boto3.client("ec2", region_name="us-west-2", aws_access_key_id="test", aws_secret_access_key="test")
    return Ec2Machines(client, TAGS)


def instance(type_: str = "g5.xlarge", tags: dict[str, str] | None = None, **facts: Any) -> dict[str, Any]:
    return {
        "InstanceType": type_,
        "Placement": {"AvailabilityZone": "us-west-2a"},
        "CpuOptions": {"CoreCount": 2, "ThreadsPerCore": 2},
        "Tags": [{"Key": key, "Value": value} for key, value in (tags or {}).items()],
        **facts,
    }


def page(*instances: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"Reservations": [{"Instances": [each]} for each in instances], **more}


def test_every_page_is_read_and_only_the_stacks_machines_that_run_are_asked_for(machines: Ec2Machines) -> None:
    pool, part = {NODE_POOL: "gpu-spot", COMPONENT: "gpu"}, {COMPONENT: "system"}
    asked = {"Filters": FILTERS, "MaxResults": 1000}
    with Stubber(machines.ec2) as stubber:
        first = page(instance(tags=pool, InstanceLifecycle="spot"), instance("t4g.medium", part), NextToken="more")
        stubber.add_response("describe_instances", first, asked)
        stubber.add_response("describe_instances", page(instance("m5.large")), asked | {"NextToken": "more"})

        found = machines.running()

        stubber.assert_no_pending_responses()
    assert found == [
        Machine(type="g5.xlarge", zone="us-west-2a", pool="gpu-spot", vcpus=4, is_spot=True),
        Machine(type="t4g.medium", zone="us-west-2a", pool="system", vcpus=4, is_spot=False),
        Machine(type="m5.large", zone="us-west-2a", pool="other", vcpus=4, is_spot=False),
    ]


def change(price: str, day: int, zone: str = "us-west-2a") -> dict[str, Any]:
    at = datetime(2026, 11, day, tzinfo=UTC)
    return {"InstanceType": "g5.xlarge", "AvailabilityZone": zone, "SpotPrice": price, "Timestamp": at}


def test_the_newest_price_of_a_zone_is_the_one_in_effect(machines: Ec2Machines) -> None:
    asked = {
        "InstanceTypes": ["g5.xlarge", "g6.xlarge"],
        "ProductDescriptions": ["Linux/UNIX", "Linux/UNIX (Amazon VPC)"],
        "StartTime": NOW,
        "MaxResults": 1000,
    }
    with Stubber(machines.ec2) as stubber:
        first = {"SpotPriceHistory": [change("0.6", 20), change("0.5", 19)], "NextToken": "more"}
        stubber.add_response("describe_spot_price_history", first, asked)
        second = {"SpotPriceHistory": [change("0.4", 1, "us-west-2b")], "NextToken": ""}
        stubber.add_response("describe_spot_price_history", second, asked | {"NextToken": "more"})

        found = machines.spot_prices({"g6.xlarge", "g5.xlarge"}, NOW_MS)

        stubber.assert_no_pending_responses()
    assert found == {("g5.xlarge", "us-west-2a"): 0.6, ("g5.xlarge", "us-west-2b"): 0.4}


@pytest.mark.parametrize("code", ["UnauthorizedOperation", "RequestLimitExceeded"])
def test_a_refusal_names_the_call_and_awss_code(machines: Ec2Machines, code: str) -> None:
    with Stubber(machines.ec2) as stubber:
        stubber.add_client_error("describe_instances", service_error_code=code)
        with pytest.raises(Ec2Error, match=f"^DescribeInstances: {code}$"):
            machines.running()
        stubber.add_client_error("describe_spot_price_history", service_error_code=code)
        with pytest.raises(Ec2Error, match=f"^DescribeSpotPriceHistory: {code}$"):
            machines.spot_prices({"g5.xlarge"}, NOW_MS)


def test_an_address_where_nobody_answers_is_named_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    down = Ec2Machines.connect("us-west-2", f"http://127.0.0.1:{free_port()}", TAGS)
    once = down.ec2.meta.config.merge(Config(retries={"total_max_attempts": 1}))
    client = boto3.client("ec2", region_name="us-west-2", endpoint_url=down.ec2.meta.endpoint_url, config=once)
    with pytest.raises(Ec2Error, match=r"^DescribeInstances: EndpointConnectionError$"):
        Ec2Machines(client, TAGS).running()


def test_the_emulator_lists_what_carries_the_tags_and_runs(emulator: Emulator) -> None:
    client = emulator.client("ec2")

    def start(type_: str, stack: str) -> str:
        tags = [
            {"Key": "project", "Value": "sd-async"},
            {"Key": "stack", "Value": stack},
            {"Key": COMPONENT, "Value": "gpu"},
        ]
        made = client.run_instances(
            ImageId="ami-00000001",
            InstanceType=type_,
            MinCount=1,
            MaxCount=1,
            TagSpecifications=[{"ResourceType": "instance", "Tags": tags}],
        )
        return str(made["Instances"][0]["InstanceId"])

    start("g5.xlarge", "here")
    start("g6.xlarge", "elsewhere")
    client.terminate_instances(InstanceIds=[start("g4dn.xlarge", "here")])

    [found] = Ec2Machines(client, {"project": "sd-async", "stack": "here"}).running()

    assert (found.type, found.pool, found.is_spot) == ("g5.xlarge", "gpu", False)


def test_the_emulator_which_knows_no_spot_prices_refuses_as_aws_would(emulator: Emulator) -> None:
    with pytest.raises(Ec2Error, match=r"^DescribeSpotPriceHistory: \w+$"):
        Ec2Machines(emulator.client("ec2"), TAGS).spot_prices({"g5.xlarge"}, NOW_MS)
