"""IAM and queue policies of the cluster's side: what nodes, controllers and agents may do."""

from dataclasses import dataclass

from components import naming
from components.policies import SQS, Document, allow, assumed_by, document, partition
from sd_async.contract.agents import agents_key

FLOW_LOGS_SERVICE = "vpc-flow-logs.amazonaws.com"
SPOT_SERVICE = "spot.amazonaws.com"
SPOT_ROLE = f"aws-service-role/{SPOT_SERVICE}/AWSServiceRoleForEC2Spot"  # one for the whole account


def flow_logs_writer(log_group: str) -> Document:
    return document(allow(["logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"], [f"{log_group}:*"]))


def pod_identity() -> Document:
    """Trust of a role that EKS Pod Identity hands to pods; which pods, an association says."""
    trust = assumed_by("pods.eks.amazonaws.com")
    trust["Statement"][0]["Action"] = ["sts:AssumeRole", "sts:TagSession"]
    return trust


def managed(region: str, *names: str) -> list[str]:
    """ARNs of policies that AWS keeps."""
    return [f"arn:{partition(region)}:iam::aws:policy/{name}" for name in names]


# What a node needs to join and to pull images; SSM is how an operator gets a shell.
NODE_POLICIES = (
    "AmazonEKSWorkerNodePolicy",
    "AmazonEC2ContainerRegistryPullOnly",
    "AmazonSSMManagedInstanceCore",
)


@dataclass(frozen=True, kw_only=True)
class AgentArns:
    """What the agents of one runtime use, by ARN. models: the bucket; None when none of it is read.

    files: buckets that `s3://` inputs may come from.
    """

    queue: str
    table: str
    input_bucket: str
    output_bucket: str
    models: str | None
    results_topic: str
    files: tuple[str, ...] = ()


def agent(arns: AgentArns, runtime: str) -> Document:
    """Take jobs from the one queue, read their files, keep records and outputs, tell of the end; read its own models.

    A record's key is the job's id, which says nothing of its runtime, so the table is the narrowest there is; an
    update names the attempt that it belongs to. Where a key does name a runtime, it must be the agent's own.
    """
    return document(
        allow(["sqs:ChangeMessageVisibility", "sqs:DeleteMessage", "sqs:ReceiveMessage"], [arns.queue]),
        allow(["dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:UpdateItem"], [arns.table]),
        _not_for_others(arns.table, runtime),
        allow(["s3:GetObject"], [f"{bucket}/*" for bucket in (arns.input_bucket, *arns.files)]),
        allow(["s3:AbortMultipartUpload", "s3:PutObject"], [f"{arns.output_bucket}/*"]),
        *(_models_reader(arns.models, naming.models_prefix(runtime)) if arns.models else ()),
        allow(["sns:Publish"], [arns.results_topic]),
    )


def _not_for_others(table: str, runtime: str) -> Document:
    """What agents tell of themselves lies in one item per runtime, and each runtime's agents write theirs only."""
    return {
        "Effect": "Deny",
        "Action": ["dynamodb:PutItem", "dynamodb:UpdateItem"],
        "Resource": [table],
        "Condition": {
            "ForAnyValue:StringLike": {"dynamodb:LeadingKeys": [agents_key("*")]},
            "ForAnyValue:StringNotEquals": {"dynamodb:LeadingKeys": [agents_key(runtime)]},
        },
    }


def _models_reader(bucket: str, prefix: str) -> tuple[Document, Document]:
    """Mountpoint and the copying container ask for the same: what is below the prefix, and its list."""
    return (
        allow(["s3:GetObject"], [f"{bucket}/{prefix}*"]),
        allow(["s3:ListBucket"], [bucket]) | {"Condition": {"StringLike": {"s3:prefix": [f"{prefix}*"]}}},
    )


def queue_reader(queues: list[str]) -> Document:
    """KEDA's operator: the length of the runtimes' queues."""
    return document(allow(["sqs:GetQueueAttributes"], queues))


@dataclass(frozen=True, kw_only=True)
class ControllerArns:
    """What Karpenter's controller works with. cluster: its name, which all that it makes is tagged with."""

    region: str
    account: str
    cluster: str
    queue: str
    node_role: str
    instance_profile: str


CONTROLLER_SUBJECTS = ("launch", "tag", "end", "read", "interruption", "identity")


def controller(arns: ControllerArns) -> dict[str, Document]:
    """The six policies of Karpenter's controller, by subject: one document would be too long for one policy.

    It makes instances only with its cluster's tag, and changes and ends only those.
    Source: Karpenter, reference "CloudFormation"; without what makes instance profiles, since the stack has its own.
    """
    return {
        "launch": _launch(arns),
        "tag": _tag(arns),
        "end": document(
            allow(["ec2:DeleteLaunchTemplate", "ec2:TerminateInstances"], _ec2(arns, "instance", "launch-template"))
            | {"Condition": _tagged("Resource", arns.cluster)}
        ),
        "read": document(
            # These lists can't be narrowed to resources (Service Authorization Reference, EC2 and Price List)
            allow([f"ec2:Describe{kind}" for kind in _READ], ["*"])
            | {"Condition": {"StringEquals": {"aws:RequestedRegion": arns.region}}},
            allow(["pricing:GetProducts"], ["*"]),
            allow(["ssm:GetParameter"], [f"arn:{partition(arns.region)}:ssm:{arns.region}::parameter/aws/service/*"]),
        ),
        "interruption": document(
            allow(
                ["sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:GetQueueUrl", "sqs:ReceiveMessage"], [arns.queue]
            )
        ),
        "identity": _identity(arns),
    }


_READ = (
    "AvailabilityZones",
    "CapacityReservations",
    "Images",
    "InstanceStatus",
    "InstanceTypeOfferings",
    "InstanceTypes",
    "Instances",
    "LaunchTemplates",
    "PlacementGroups",
    "SecurityGroups",
    "SpotPriceHistory",
    "Subnets",
)
_MADE = ("fleet", "instance", "launch-template", "network-interface", "spot-instances-request", "volume")


def _ec2(arns: ControllerArns, *kinds: str, account: str = "*") -> list[str]:
    return [f"arn:{partition(arns.region)}:ec2:{arns.region}:{account}:{kind}/*" for kind in kinds]


def _tagged(whose: str, cluster: str) -> Document:
    """whose: `Request` for what is being made, `Resource` for what is there."""
    return {
        "StringEquals": {f"aws:{whose}Tag/kubernetes.io/cluster/{cluster}": "owned"},
        "StringLike": {f"aws:{whose}Tag/karpenter.sh/nodepool": "*"},
    }


def _launch(arns: ControllerArns) -> Document:
    taken = ("capacity-reservation", "security-group", "subnet")
    return document(
        allow(
            ["ec2:CreateFleet", "ec2:RunInstances"],
            [*_ec2(arns, "image", "snapshot", account=""), *_ec2(arns, "snapshot", *taken)],
        ),
        allow(["ec2:CreateFleet", "ec2:RunInstances"], _ec2(arns, "launch-template"))
        | {"Condition": _tagged("Resource", arns.cluster)},
        allow(["ec2:CreateFleet", "ec2:CreateLaunchTemplate", "ec2:RunInstances"], _ec2(arns, *_MADE))
        | {"Condition": _tagged("Request", arns.cluster)},
    )


def _tag(arns: ControllerArns) -> Document:
    making = _tagged("Request", arns.cluster)
    making["StringEquals"]["ec2:CreateAction"] = ["CreateFleet", "CreateLaunchTemplate", "RunInstances"]
    made = _tagged("Resource", arns.cluster)
    made["ForAllValues:StringEquals"] = {"aws:TagKeys": ["Name", "eks:eks-cluster-name", "karpenter.sh/nodeclaim"]}
    return document(
        allow(["ec2:CreateTags"], _ec2(arns, *_MADE)) | {"Condition": making},
        allow(["ec2:CreateTags"], _ec2(arns, "instance")) | {"Condition": made},
    )


def _identity(arns: ControllerArns) -> Document:
    name, region = partition(arns.region), arns.region
    return document(
        allow(["iam:PassRole"], [arns.node_role])
        | {"Condition": {"StringEquals": {"iam:PassedToService": "ec2.amazonaws.com"}}},
        allow(["iam:GetInstanceProfile"], [arns.instance_profile]),
        # An account that never had a spot instance lacks EC2's role for them; EC2 makes it for who may (0117)
        allow(["iam:CreateServiceLinkedRole"], [f"arn:{name}:iam::{arns.account}:role/{SPOT_ROLE}"])
        | {"Condition": {"StringEquals": {"iam:AWSServiceName": SPOT_SERVICE}}},
        allow(["iam:ListInstanceProfiles"], ["*"]),  # it knows no resource (Service Authorization Reference, IAM)
        allow(["eks:DescribeCluster"], [f"arn:{name}:eks:{region}:{arns.account}:cluster/{arns.cluster}"]),
    )


def interruption_queue(queue_arn: str, rules: list[str]) -> Document:
    """The stack's own rules may send, and nobody in the clear."""
    return document(
        {
            "Effect": "Allow",
            "Action": "sqs:SendMessage",
            "Principal": {"Service": "events.amazonaws.com"},
            "Resource": queue_arn,
            "Condition": {"ArnEquals": {"aws:SourceArn": rules}},
        },
        {
            "Effect": "Deny",
            "Action": SQS,
            "Principal": {"AWS": "*"},
            "Resource": queue_arn,
            "Condition": {"Bool": {"aws:SecureTransport": "false"}},
        },
    )
