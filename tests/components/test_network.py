"""The VPC: which subnets, gateways and endpoints there are, and what a node without a way out must have."""

from typing import Any

import pytest

from components.network import Network, NetworkArgs
from components.settings import SettingsError
from components.settings_cluster import NEEDED_WITHOUT_NAT
from tests.components.example import stack
from tests.support.engine import Engine, build

NAT, ENDPOINT = "aws:ec2/natGateway:NatGateway", "aws:ec2/vpcEndpoint:VpcEndpoint"
SUBNET, ROUTE, VPC = "aws:ec2/subnet:Subnet", "aws:ec2/route:Route", "aws:ec2/vpc:Vpc"


def network(**settings: Any) -> Engine:
    given = stack(network=settings)
    return build(lambda: Network("network", NetworkArgs(given)))


def test_each_zone_has_a_public_and_a_private_subnet_tagged_for_who_looks_for_them() -> None:
    engine = network()
    found = {one.name: one.inputs for one in engine.declared if one.token == SUBNET}
    assert {name: (one["cidrBlock"], one["availabilityZone"]) for name, one in found.items()} == {
        "private-0": ("10.0.0.0/18", "us-west-2a"),
        "private-1": ("10.0.64.0/18", "us-west-2b"),
        "private-2": ("10.0.128.0/18", "us-west-2c"),
        "public-0": ("10.0.192.0/20", "us-west-2a"),
        "public-1": ("10.0.208.0/20", "us-west-2b"),
        "public-2": ("10.0.224.0/20", "us-west-2c"),
    }
    for name, one in found.items():
        is_public = name.startswith("public")
        role = "kubernetes.io/role/elb" if is_public else "kubernetes.io/role/internal-elb"
        assert one["tags"][role] == "1"
        assert (one["tags"].get("karpenter.sh/discovery") == "sd-async-dev") is not is_public, "nodes are private"
        assert "mapPublicIpOnLaunch" not in one


@pytest.mark.parametrize(("nat", "gateways"), [("single", 1), ("per-zone", 3)])
def test_every_private_subnet_has_its_way_out(nat: str, gateways: int) -> None:
    engine = network(nat=nat)
    assert len(engine.inputs(NAT)) == gateways
    ways = {one.name: one.inputs.get("natGatewayId") for one in engine.declared if one.token == ROUTE}
    assert ways == {
        "public": None,
        "private-0": "nat-0-id",
        "private-1": f"nat-{min(1, gateways - 1)}-id",
        "private-2": f"nat-{min(2, gateways - 1)}-id",
    }


def test_a_stack_without_a_way_out_pays_for_no_nat_gateway_and_has_the_endpoints_it_needs() -> None:
    engine = network(nat="none", endpoints=list(NEEDED_WITHOUT_NAT))
    assert len(engine.inputs(VPC)) == 1
    assert engine.inputs(NAT) == engine.inputs("aws:ec2/eip:Eip") == []
    assert [one.name for one in engine.declared if one.token == ROUTE] == ["public"]
    interfaces = [one for one in engine.inputs(ENDPOINT) if one["vpcEndpointType"] == "Interface"]
    assert len(interfaces) == len(NEEDED_WITHOUT_NAT)
    assert all(one["privateDnsEnabled"] and len(one["subnetIds"]) == 3 for one in interfaces)


@pytest.mark.parametrize("named", [[], ["execute-api"]])
def test_a_private_api_gets_one_endpoint_of_its_own_in_the_network(named: list[str]) -> None:
    found: list[Network] = []
    given = stack(cluster={"create": True}, api={"private": True}, network={"endpoints": named})
    engine = build(lambda: found.append(Network("network", NetworkArgs(given))))
    [endpoint] = [one for one in engine.inputs(ENDPOINT) if one["vpcEndpointType"] == "Interface"]
    assert endpoint["serviceName"] == "com.amazonaws.us-west-2.execute-api"
    assert endpoint["privateDnsEnabled"], "clients call the name that the stack's output says"
    assert list(found[0].endpoint_ids) == ["execute-api"]


def test_without_a_way_out_a_missing_endpoint_is_asked_for_by_name() -> None:
    left = [service for service in NEEDED_WITHOUT_NAT if service not in ("sqs", "ecr.api")]
    with pytest.raises(SettingsError, match=r"network\.endpoints: with nat `none` nodes have no way to ecr\.api, sqs;"):
        stack(network={"nat": "none", "endpoints": left})


def test_s3_and_dynamodb_are_reached_without_the_gateway() -> None:
    gateways = {one.name: one.inputs for one in network().declared if one.token == ENDPOINT}
    assert sorted(gateways) == ["dynamodb", "s3"]
    for service, inputs in gateways.items():
        assert (inputs["vpcEndpointType"], inputs["serviceName"]) == ("Gateway", f"com.amazonaws.us-west-2.{service}")
        assert sorted(inputs["routeTableIds"]) == ["private-0-id", "private-1-id", "private-2-id"]


def test_an_existing_vpc_is_used_as_it_is() -> None:
    private = ["subnet-0123456789abcdef0", "subnet-0123456789abcdef1"]
    found: list[Network] = []
    given = stack(network={"vpc_id": "vpc-0123456789abcdef0", "private_subnet_ids": private})
    engine = build(lambda: found.append(Network("network", NetworkArgs(given))))
    assert (found[0].vpc_id, found[0].private_subnet_ids) == ("vpc-0123456789abcdef0", private)
    assert [one.token for one in engine.declared] == ["sd:network:Network"]


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"vpc_id": "vpc-0123456789abcdef0"}, "network.private_subnet_ids: 0 are given for vpc-0123456789abcdef0"),
        ({"private_subnet_ids": ["subnet-01234567"]}, "network: subnets are given without their VPC"),
        ({"cidr": "10.0.0.0/8"}, "network.cidr: 10.0.0.0/8 is no private range from /16 to /20"),
        ({"zones": 1}, "network.zones: 1 is no whole number from 2 to 3"),
    ],
)
def test_a_network_that_cannot_be_is_refused(given: dict[str, Any], problem: str) -> None:
    with pytest.raises(SettingsError, match=problem):
        stack(network=given)


def test_flow_logs_are_kept_when_asked_for_and_end() -> None:
    engine = network(flow_logs=True, log_retention_days=7)
    [group] = engine.inputs("aws:cloudwatch/logGroup:LogGroup")
    assert (group["name"], group["retentionInDays"]) == ("/aws/vpc/sd-async-dev-flow-logs", 7)
    assert engine.inputs("aws:ec2/flowLog:FlowLog")[0]["trafficType"] == "ALL"
    assert network().inputs("aws:ec2/flowLog:FlowLog") == []


def test_names_stay_what_they_are() -> None:
    found = sorted(f"{one.token.split(':')[-1]} {one.name}" for one in network().declared if one.is_custom)
    zones = ("0", "1", "2")
    assert found == sorted(
        [
            *("Eip nat-0", "InternetGateway internet", "NatGateway nat-0", "Route public", "RouteTable public"),
            *("Vpc vpc", "VpcEndpoint dynamodb", "VpcEndpoint s3"),
            *(f"Subnet {kind}-{zone}" for kind in ("private", "public") for zone in zones),
            *(f"{kind} private-{zone}" for kind in ("Route", "RouteTable", "RouteTableAssociation") for zone in zones),
            *(f"RouteTableAssociation public-{zone}" for zone in zones),
        ]
    )
