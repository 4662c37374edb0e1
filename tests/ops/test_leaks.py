"""What is left of a stack is found by its tags, by its cluster's name and by its own name; others' things are not."""

from collections.abc import Callable
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from components import naming
from local.emulator import Emulator
from ops.errors import OpsError
from ops.leaks import leaks
from tests.components.example import stack
from tests.ops.test_cli import admin

SETTINGS = stack()
SERVICES = ("resourcegroupstaggingapi", "ec2", "logs", "ecr", "kms")
BUCKET, NODE = "arn:aws:s3:::sd-async-dev-models-1", "arn:aws:ec2:us-west-2:123456789012:instance/i-1"
VOLUME = "arn:aws:ec2:us-west-2:123456789012:volume/vol-1"
BALANCER = "arn:aws:elasticloadbalancing:us-west-2:123456789012:loadbalancer/app/k8s-1/2"
KEY = "arn:aws:kms:us-west-2:123456789012:key/1"


def aws(
    arns: tuple[str, ...] = (),
    nodes: tuple[tuple[str, str], ...] = (),
    *,
    volumes: tuple[tuple[str, str], ...] = (),
    interfaces: tuple[tuple[str, str], ...] = (),
    groups: tuple[str, ...] = (),
    balancers: tuple[str, ...] = (),
    cached: tuple[str, ...] = (),
    key_state: str = "",
    error: str = "",
) -> Callable[[str], Any]:
    """Clients whose answers are given. nodes, volumes, interfaces: id and state. key_state: of the one key."""
    made = {
        name: boto3.client(name, region_name="us-west-2", aws_access_key_id="x", aws_secret_access_key="x")
        for name in SERVICES
    }
    tagging, ec2, logs, ecr, kms = (Stubber(made[name]) for name in SERVICES)
    asked = {"TagFilters": [{"Key": "project", "Values": ["sd-async"]}, {"Key": "stack", "Values": ["dev"]}]}
    if error:
        tagging.add_client_error("get_resources", error)
    tagging.add_response("get_resources", {"ResourceTagMappingList": [{"ResourceARN": arn} for arn in arns]}, asked)
    instances = [{"InstanceId": node, "State": {"Name": state}} for node, state in nodes]
    owned = f"kubernetes.io/cluster/{naming.cluster(SETTINGS)}"
    ec2.add_response(
        "describe_instances",
        {"Reservations": [{"Instances": instances}]},
        {"Filters": [{"Name": "tag-key", "Values": [owned]}]},
    )
    tags = ({"Key": "cluster.k8s.amazonaws.com/name", "Value": "sd-async-dev"}, {"Key": owned, "Value": "owned"})
    rows = [{"NetworkInterfaceId": each, "Status": state, "TagSet": list(tags)} for each, state in interfaces]
    for tag in tags:
        filters = [{"Name": f"tag:{tag['Key']}", "Values": [tag["Value"]]}]
        ec2.add_response("describe_network_interfaces", {"NetworkInterfaces": rows}, {"Filters": filters})
    disks = {"Volumes": [{"VolumeId": each, "State": state} for each, state in volumes]}
    ec2.add_response("describe_volumes", disks, {"Filters": filters})
    ec2.add_response(
        "describe_security_groups", {"SecurityGroups": [{"GroupId": each} for each in groups]}, {"Filters": filters}
    )
    for key, value in ((owned, "owned"), ("elbv2.k8s.aws/cluster", "sd-async-dev")):
        of_cluster = [{"Key": key, "Values": [value]}]
        tagging.add_response(
            "get_resources",
            {"ResourceTagMappingList": [{"ResourceARN": arn} for arn in balancers]},
            {"TagFilters": of_cluster, "ResourceTypeFilters": ["elasticloadbalancing"]},
        )
    for _ in range(6):
        logs.add_response("describe_log_groups", {"logGroups": []})
    ecr.add_response("describe_repositories", {"repositories": [{"repositoryName": name} for name in cached]})
    metadata = {"KeyId": "1", "KeyState": key_state or "Enabled"}
    kms.add_response("describe_key", {"KeyMetadata": metadata}, {"KeyId": KEY})
    for stub in (tagging, ec2, logs, ecr, kms):
        stub.activate()
    return made.__getitem__


def test_nothing_left_is_nothing_found() -> None:
    assert leaks(SETTINGS, aws()) == []


def test_what_carries_the_stacks_tags_is_left_and_so_is_a_node_that_runs() -> None:
    found = leaks(SETTINGS, aws((BUCKET, NODE), (("i-1", "running"),)))
    assert [(leak.arn, leak.reason) for leak in found] == [
        (BUCKET, "the stack's tags"),
        ("i-1", "a node of the stack's cluster"),
    ]


@pytest.mark.parametrize("state", ["terminated", "shutting-down"])
def test_a_node_that_is_gone_is_not_left_though_its_tags_are(state: str) -> None:
    assert leaks(SETTINGS, aws((NODE,), (("i-1", state),))) == []


def test_what_controllers_made_is_left_by_the_clusters_tags() -> None:
    found = leaks(
        SETTINGS,
        aws(
            volumes=(("vol-1", "available"), ("vol-2", "deleting")),
            interfaces=(("eni-1", "available"), ("eni-2", "in-use")),
            groups=("sg-1",),
            balancers=(BALANCER,),
        ),
    )
    assert [(leak.arn, leak.reason) for leak in found] == [
        (BALANCER, "a load balancer of the stack's cluster"),
        ("eni-1", "an interface of the stack's cluster"),
        ("sg-1", "a security group of the stack's cluster"),
        ("vol-1", "a volume of the stack's cluster"),
    ]


def test_what_is_found_by_its_arn_and_by_its_id_is_told_once() -> None:
    found = leaks(SETTINGS, aws((VOLUME,), volumes=(("vol-1", "in-use"), ("vol-2", "in-use"))))
    assert [leak.arn for leak in found] == [VOLUME, "vol-2"]


def test_a_repository_that_ecr_made_for_a_cache_is_left_though_it_has_no_tags() -> None:
    found = leaks(SETTINGS, aws(cached=("sd-async-dev/quay/a", "sd-async-development/quay/a", "other")))
    assert [(leak.arn, leak.reason) for leak in found] == [("sd-async-dev/quay/a", "the stack's name")]


@pytest.mark.parametrize(("state", "left"), [("PendingDeletion", []), ("Enabled", [KEY])])
def test_a_key_that_waits_for_its_deletion_is_not_left_and_one_that_is_paid_for_is(state: str, left: list[str]) -> None:
    assert [leak.arn for leak in leaks(SETTINGS, aws((KEY,), key_state=state))] == left


def test_when_aws_cannot_be_asked_nothing_is_said_to_be_clean() -> None:
    with pytest.raises(OpsError, match="can't be asked what is left of sd-async-dev"):
        leaks(SETTINGS, aws(error="AccessDeniedException"))


def test_the_command_names_a_log_group_that_came_back(emulator: Emulator) -> None:
    emulator.reset()
    look = ("leaks", "--endpoint-url", emulator.endpoint)
    clean = admin(*look, emulator=emulator)
    assert (clean.returncode, clean.stdout) == (0, ""), clean.stderr
    client = emulator.client("logs")
    for name in ("/aws/lambda/sd-async-dev-api", "/aws/lambda/sd-async-development-api"):
        client.create_log_group(logGroupName=name)
    done = admin(*look, emulator=emulator)
    assert (done.returncode, done.stdout) == (1, "/aws/lambda/sd-async-dev-api  (the stack's name)\n")


def test_the_command_names_an_interface_that_nothing_holds(emulator: Emulator) -> None:
    emulator.reset()
    ec2 = emulator.client("ec2")
    subnet = ec2.describe_subnets()["Subnets"][0]["SubnetId"]
    made = [ec2.create_network_interface(SubnetId=subnet)["NetworkInterface"]["NetworkInterfaceId"] for _ in range(2)]
    tag = {"Key": "cluster.k8s.amazonaws.com/name", "Value": naming.cluster(SETTINGS)}
    ec2.create_tags(Resources=made[:1], Tags=[tag])
    done = admin("leaks", "--endpoint-url", emulator.endpoint, emulator=emulator)
    assert (done.returncode, done.stdout) == (1, f"{made[0]}  (an interface of the stack's cluster)\n"), done.stderr
