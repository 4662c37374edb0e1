"""IAM and queue policies of the cluster's side: what nodes, controllers and agents may do."""

from components.policies import Document, allow, assumed_by, document, partition

FLOW_LOGS_SERVICE = "vpc-flow-logs.amazonaws.com"


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
