"""Network interfaces that a cluster's nodes left behind: they hold subnets, and the cluster's security group.

The VPC CNI attaches and detaches them by itself, and a node that ends in between leaves one that nobody ends (0125).
"""

from collections.abc import Callable, Iterator
from typing import Any

from botocore.exceptions import ClientError

from components.asking import Clock

POLL_S = 10.0
WAIT_S = 300.0  # a node's interfaces are let go seconds after it has ended; what takes longer has another reason
# Told of one that went by itself, or that is not let go yet (EC2 API, DeleteNetworkInterface)
GONE, BUSY = "InvalidNetworkInterfaceID.NotFound", {"InvalidParameterValue", "InvalidNetworkInterface.InUse"}


def tags(cluster: str) -> dict[str, str]:
    """Each by itself says whose an interface is: the first is the VPC CNI's, the second that of EKS's controllers."""
    return {"cluster.k8s.amazonaws.com/name": cluster, f"kubernetes.io/cluster/{cluster}": "owned"}


def interfaces(ec2: Any, cluster: str) -> Iterator[dict[str, Any]]:
    """The cluster's, in any state, as EC2 describes them. ec2: a client. Raises: ClientError, BotoCoreError."""
    seen = set()
    for name, value in tags(cluster).items():
        asked = [{"Name": f"tag:{name}", "Values": [value]}]
        for page in ec2.get_paginator("describe_network_interfaces").paginate(Filters=asked):
            for each in page["NetworkInterfaces"]:
                # Read again: who answers without the filter would have others' interfaces deleted
                is_ours = {"Key": name, "Value": value} in each.get("TagSet", [])
                if is_ours and each["NetworkInterfaceId"] not in seen:
                    seen.add(each["NetworkInterfaceId"])
                    yield each


def is_left(interface: dict[str, Any]) -> bool:
    """Whether nothing holds it any more: what is in use goes with its instance."""
    return bool(interface["Status"] == "available")


def sweep(ec2: Any, cluster: str, clock: Clock, tell: Callable[[str], None]) -> None:
    """Delete those of a cluster without nodes; one that is not let go in time is told, and left alone."""
    deadline = clock.now() + WAIT_S
    while held := [each for each in interfaces(ec2, cluster) if not (is_left(each) and _deleted(ec2, each))]:
        if clock.now() + POLL_S > deadline:
            names = ", ".join(each["NetworkInterfaceId"] for each in held)
            tell(f"{names}: still in use though the nodes of {cluster} are gone; subnets can't go before them.")
            return
        clock.sleep(POLL_S)


def _deleted(ec2: Any, interface: dict[str, Any]) -> bool:
    try:
        ec2.delete_network_interface(NetworkInterfaceId=interface["NetworkInterfaceId"])
    except ClientError as error:
        code = error.response["Error"]["Code"]
        if code in BUSY:
            return False
        if code != GONE:
            raise
    return True
