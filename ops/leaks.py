"""What a stack left behind: everything at AWS that still carries its tags, and what its controllers made without them.

Nodes, interfaces, volumes, security groups and load balancers of a cluster are tagged by EKS, Karpenter and other
controllers with the cluster's name, not by the program.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from botocore.exceptions import BotoCoreError, ClientError

from components import naming
from components.asking import Clients
from components.image_sweep import repositories
from components.interface_sweep import interfaces, is_left
from components.settings import Settings
from ops.errors import OpsError

# Gone for AWS, but its list of tagged things shows them for a while.
GONE = {"terminated", "shutting-down", "deleting", "deleted"}


@dataclass(frozen=True)
class Leak:
    """arn: or an id, where AWS has no ARN. reason: by what it is known to be this stack's."""

    arn: str
    reason: str


def leaks(settings: Settings, clients: Clients) -> list[Leak]:
    """Everything of the stack that is still there, sorted. Raises: OpsError when AWS can't be asked."""
    try:
        looks = (_tagged, _instances, _interfaces, _disks_and_groups, _by_controllers, _log_groups, _repositories)
        found = {leak for look in looks for leak in look(settings, clients)}
    except (ClientError, BotoCoreError) as error:
        raise OpsError(f"AWS can't be asked what is left of {naming.prefixed(settings)}: {error}") from error
    named = {leak.arn.rpartition("/")[2] for leak in found if "/" in leak.arn}
    return sorted((leak for leak in found if leak.arn not in named), key=lambda leak: leak.arn)  # each thing once


def _tagged(settings: Settings, clients: Clients) -> Iterator[Leak]:
    wanted = naming.tags(settings)
    filters = [{"Key": name, "Values": [wanted[name]]} for name in ("project", "stack")]
    pages = clients("resourcegroupstaggingapi").get_paginator("get_resources").paginate(TagFilters=filters)
    for page in pages:
        for each in page["ResourceTagMappingList"]:
            arn = each["ResourceARN"]
            # terminated instances keep their tags for an hour; _instances knows their state
            if ":instance/" not in arn and not _is_ending_key(arn, clients):
                yield Leak(arn, "the stack's tags")


def _is_ending_key(arn: str, clients: Clients) -> bool:
    """Whether it is a KMS key that waits for its deletion: it costs nothing, and AWS deletes none at once."""
    if ":kms:" not in arn:
        return False
    state: str = clients("kms").describe_key(KeyId=arn)["KeyMetadata"]["KeyState"]
    return state == "PendingDeletion"


def _instances(settings: Settings, clients: Clients) -> Iterator[Leak]:
    """Nodes: the most expensive thing that can be left."""
    filters = [{"Name": "tag-key", "Values": [_owned(settings)]}]
    for page in clients("ec2").get_paginator("describe_instances").paginate(Filters=filters):
        for reservation in page["Reservations"]:
            for each in reservation["Instances"]:
                if each["State"]["Name"] not in GONE:
                    yield Leak(each["InstanceId"], "a node of the stack's cluster")


def _interfaces(settings: Settings, clients: Clients) -> Iterator[Leak]:
    """Those that nothing holds: they hold subnets. `pulumi destroy` takes them, unless it was cut short (0125)."""
    for each in interfaces(clients("ec2"), naming.cluster(settings)):
        if is_left(each):
            yield Leak(each["NetworkInterfaceId"], "an interface of the stack's cluster")


def _disks_and_groups(settings: Settings, clients: Clients) -> Iterator[Leak]:
    """By EC2 itself, which knows at once what is gone. EKS names the cluster's own security group after it."""
    filters = [{"Name": f"tag:{_owned(settings)}", "Values": ["owned"]}]
    for page in clients("ec2").get_paginator("describe_volumes").paginate(Filters=filters):
        for volume in page["Volumes"]:
            if volume["State"] not in GONE:
                yield Leak(volume["VolumeId"], "a volume of the stack's cluster")
    for page in clients("ec2").get_paginator("describe_security_groups").paginate(Filters=filters):
        for group in page["SecurityGroups"]:
            yield Leak(group["GroupId"], "a security group of the stack's cluster")


def _by_controllers(settings: Settings, clients: Clients) -> Iterator[Leak]:
    """Load balancers of Services and Ingresses; EKS itself and the load balancer controller tag them differently."""
    cluster = naming.cluster(settings)
    for key, value in ((_owned(settings), "owned"), ("elbv2.k8s.aws/cluster", cluster)):
        pages = clients("resourcegroupstaggingapi").get_paginator("get_resources")
        asked = {"TagFilters": [{"Key": key, "Values": [value]}], "ResourceTypeFilters": ["elasticloadbalancing"]}
        for page in pages.paginate(**asked):
            for each in page["ResourceTagMappingList"]:
                yield Leak(each["ResourceARN"], "a load balancer of the stack's cluster")


def _owned(settings: Settings) -> str:
    """Tag of what belongs to the cluster; its value says whether it is the cluster's alone."""
    return f"kubernetes.io/cluster/{naming.cluster(settings)}"


def _log_groups(settings: Settings, clients: Clients) -> Iterator[Leak]:
    """Groups that a service made again when it wrote once more, without tags and without an end to what they keep."""
    name = naming.prefixed(settings)
    starts = (
        f"/aws/codebuild/{name}-",
        f"/aws/lambda/{name}-",
        f"/aws/apigateway/{name}-",
        f"/aws/eks/{naming.cluster(settings)}/",
        f"/aws/vpc/{name}-",
        f"/aws/containerinsights/{naming.cluster(settings)}/",
    )
    for start in starts:
        for page in clients("logs").get_paginator("describe_log_groups").paginate(logGroupNamePrefix=start):
            for each in page["logGroups"]:
                yield Leak(each["logGroupName"], "the stack's name")


def _repositories(settings: Settings, clients: Clients) -> Iterator[Leak]:
    """Those that ECR made for a cache carry no tags."""
    for name in repositories(clients("ecr"), naming.prefixed(settings)):
        yield Leak(name, "the stack's name")
