"""Interfaces that nodes left are taken away with the cluster; whatever is anybody else's stays."""

from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError
from pulumi.dynamic.dynamic import serialize_provider

from components.interface_provider import InterfaceSweepProvider
from components.interface_sweep import POLL_S, WAIT_S, interfaces, sweep
from local.emulator import Emulator, running
from tests.support.clock import WaitedClock

CLUSTER = "sd-async-dev"
CNI = {"cluster.k8s.amazonaws.com/name": CLUSTER, "node.k8s.amazonaws.com/instance_id": "i-1"}
OWNED = {f"kubernetes.io/cluster/{CLUSTER}": "owned", "eks:eni:owner": "amazon-vpc-cni"}
OTHERS = [
    {},
    {"cluster.k8s.amazonaws.com/name": f"{CLUSTER}-2"},
    {f"kubernetes.io/cluster/{CLUSTER}-2": "owned"},
    {f"kubernetes.io/cluster/{CLUSTER}": "shared"},
]


class Refusing:
    """An EC2 client that answers each wish to delete with an error first."""

    def __init__(self, client: Any, *codes: str) -> None:
        self._client, self._codes = client, list(codes)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def delete_network_interface(self, **given: Any) -> None:
        if self._codes:
            raise ClientError({"Error": {"Code": self._codes.pop(0), "Message": "no"}}, "DeleteNetworkInterface")
        self._client.delete_network_interface(**given)


@pytest.fixture(scope="module")
def _emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    with running(tmp_path_factory.mktemp("emulator")) as started:
        yield started


@pytest.fixture
def ec2(_emulator: Emulator) -> Any:
    _emulator.reset()
    return _emulator.client("ec2")


def interface(ec2: Any, tags: dict[str, str]) -> str:
    """Id of a new one that nothing holds."""
    subnet = ec2.describe_subnets()["Subnets"][0]["SubnetId"]
    made: str = ec2.create_network_interface(SubnetId=subnet)["NetworkInterface"]["NetworkInterfaceId"]
    if tags:
        ec2.create_tags(Resources=[made], Tags=[{"Key": key, "Value": value} for key, value in tags.items()])
    return made


def left(ec2: Any) -> list[str]:
    return [each["NetworkInterfaceId"] for each in ec2.describe_network_interfaces()["NetworkInterfaces"]]


def swept(ec2: Any, clock: WaitedClock) -> list[str]:
    """What is told."""
    told: list[str] = []
    sweep(ec2, CLUSTER, clock, told.append)
    return told


def test_what_either_tag_calls_the_clusters_goes_and_nothing_else_does(ec2: Any) -> None:
    for tags in (CNI, OWNED, CNI | OWNED):
        interface(ec2, tags)
    others = [interface(ec2, tags) for tags in OTHERS]
    assert len(list(interfaces(ec2, CLUSTER))) == 3
    clock = WaitedClock()
    assert swept(ec2, clock) == []
    assert (sorted(left(ec2)), clock.seconds) == (sorted(others), 0)


def test_aws_is_asked_for_the_clusters_alone() -> None:
    asked: list[Any] = []

    class Pages:
        def paginate(self, **given: Any) -> list[Any]:
            asked.append(given)
            return []

    class Ec2:
        def get_paginator(self, _call: str) -> Pages:
            return Pages()

    assert list(interfaces(Ec2(), CLUSTER)) == []
    assert [given["Filters"] for given in asked] == [
        [{"Name": "tag:cluster.k8s.amazonaws.com/name", "Values": [CLUSTER]}],
        [{"Name": f"tag:kubernetes.io/cluster/{CLUSTER}", "Values": ["owned"]}],
    ]


def test_one_that_a_node_is_letting_go_is_waited_for(ec2: Any) -> None:
    made = interface(ec2, CNI)
    held = ec2.attach_network_interface(NetworkInterfaceId=made, InstanceId="i-1", DeviceIndex=1)["AttachmentId"]
    clock = WaitedClock(lambda: ec2.detach_network_interface(AttachmentId=held))
    assert swept(ec2, clock) == []
    assert (left(ec2), clock.seconds) == ([], POLL_S)


def test_one_that_is_never_let_go_is_told_and_stays(ec2: Any) -> None:
    made = interface(ec2, CNI)
    ec2.attach_network_interface(NetworkInterfaceId=made, InstanceId="i-1", DeviceIndex=1)
    clock = WaitedClock()
    [said] = swept(ec2, clock)
    assert said.startswith(f"{made}: still in use though the nodes of {CLUSTER} are gone")
    assert (left(ec2), clock.seconds) == ([made], WAIT_S)


@pytest.mark.parametrize(
    ("codes", "waited_s"),
    [(["InvalidParameterValue"], POLL_S), (["InvalidNetworkInterface.InUse"] * 2, 2 * POLL_S)],
)
def test_one_that_is_found_free_and_is_not_is_tried_again(ec2: Any, codes: list[str], waited_s: float) -> None:
    interface(ec2, CNI)
    clock = WaitedClock()
    assert swept(Refusing(ec2, *codes), clock) == []
    assert (left(ec2), clock.seconds) == ([], waited_s)


def test_one_that_went_by_itself_is_as_good_as_deleted(ec2: Any) -> None:
    interface(ec2, CNI)
    clock = WaitedClock()
    assert swept(Refusing(ec2, "InvalidNetworkInterfaceID.NotFound"), clock) == []
    assert clock.seconds == 0


def test_a_right_that_is_missing_is_an_error_and_no_silence(ec2: Any) -> None:
    interface(ec2, CNI)
    with pytest.raises(ClientError, match="UnauthorizedOperation"):
        swept(Refusing(ec2, "UnauthorizedOperation"), WaitedClock())


def test_the_resource_sweeps_when_it_is_deleted_and_not_before(ec2: Any, _emulator: Emulator, monkeypatch: Any) -> None:  # noqa: PT019 - its environment
    for name, value in _emulator.environment.items():
        monkeypatch.setenv(name, value)
    interface(ec2, CNI)
    other = interface(ec2, {})
    provider, props = InterfaceSweepProvider(), {"cluster": CLUSTER, "region": "us-west-2"}
    assert provider.create(props).id == CLUSTER
    assert len(left(ec2)) == 2
    provider.delete(CLUSTER, props)
    assert left(ec2) == [other]


def test_another_cluster_is_another_sweep_and_another_profile_is_none() -> None:
    provider, olds = InterfaceSweepProvider(), {"cluster": CLUSTER, "profile": "a"}
    assert not provider.diff(CLUSTER, olds, olds | {"profile": "b"}).changes
    changed = provider.diff(CLUSTER, olds, olds | {"cluster": "other"})
    assert (changed.changes, changed.replaces) == (True, ["cluster"])
    assert len(serialize_provider(provider)) < 200, "the engine keeps a reference, not the code"
