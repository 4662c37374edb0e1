"""IAM, queue, topic and bucket policies as plain documents: actions and resources can be read without an engine.

No statement allows `*` as an action, and none as a resource, but a key's own policy, where `*` is that key, and what
EC2 lists, which knows no resources.
"""

from dataclasses import dataclass
from typing import Any

from sd_async.contract import records

Document = dict[str, Any]

SQS = ["sqs:ChangeMessageVisibility", "sqs:DeleteMessage", "sqs:ReceiveMessage", "sqs:SendMessage"]

JOB_FOLDER = "jobs"  # of the input bucket: what the API stores of each job


@dataclass(frozen=True, kw_only=True)
class Arns:
    """What the functions may touch, by ARN."""

    table: str
    input_bucket: str
    output_bucket: str
    jobs_topic: str
    results_topic: str


def document(*statements: Document) -> Document:
    return {"Version": "2012-10-17", "Statement": list(statements)}


def joined(*documents: Document) -> Document:
    return document(*(statement for one in documents for statement in one["Statement"]))


def allow(actions: list[str], resources: list[str]) -> Document:
    return {"Effect": "Allow", "Action": actions, "Resource": resources}


def assumed_by(service: str) -> Document:
    """Trust of a role that an AWS service takes."""
    return document({"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": service}})


def api_function(arns: Arns) -> Document:
    """Record a job, keep its input, publish it; sign URLs of outputs, which work as far as the signer may read."""
    return document(
        allow(["dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:UpdateItem"], [arns.table]),
        allow(["s3:GetObject", "s3:PutObject"], [f"{arns.input_bucket}/{JOB_FOLDER}/*"]),
        allow(["s3:GetObject"], [f"{arns.output_bucket}/*"]),
        allow(["sns:Publish"], [arns.jobs_topic]),
    )


def outbox_function(arns: Arns) -> Document:
    """Find what was recorded and never published, publish it; a job whose input is gone is failed, with its result."""
    return document(
        allow(["dynamodb:Query"], [f"{arns.table}/index/{records.BY_OUTBOX}"]),
        allow(["dynamodb:UpdateItem"], [arns.table]),
        allow(["s3:GetObject"], [f"{arns.input_bucket}/{JOB_FOLDER}/*"]),
        # S3 tells a missing object from a forbidden one only to those who may list the bucket
        allow(["s3:ListBucket"], [arns.input_bucket]),
        allow(["sns:Publish"], [arns.jobs_topic, arns.results_topic]),
    )


def dead_letter_function(arns: Arns, dead_letter_queues: list[str]) -> Document:
    """Read what was given up, mark it failed, or record it so where no agent could, and say so."""
    return document(
        allow(["sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ReceiveMessage"], dead_letter_queues),
        allow(["dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:UpdateItem"], [arns.table]),
        allow(["sns:Publish"], [arns.results_topic]),
    )


def spend_function() -> Document:
    """List machines and what spot ones cost, of the whole region: EC2 has no narrower right for either."""
    return document(allow(["ec2:DescribeInstances", "ec2:DescribeSpotPriceHistory"], ["*"]))


def gateway_logs(region: str) -> str:
    """ARN of AWS's own policy for API Gateway's logs, which no narrower one replaces: groups are a region's."""
    return f"arn:{partition(region)}:iam::aws:policy/service-role/AmazonAPIGatewayPushToCloudWatchLogs"


def partition(region: str) -> str:
    """First part of every ARN in a region."""
    others = {"cn-": "aws-cn", "us-gov-": "aws-us-gov"}
    return next((name for start, name in others.items() if region.startswith(start)), "aws")


def log_writer(log_group: str) -> Document:
    """Write to a group that exists; without the right to make groups, a deleted one stays deleted."""
    return document(allow(["logs:CreateLogStream", "logs:PutLogEvents"], [f"{log_group}:*"]))


def queue(queue_arn: str, topic_arn: str) -> Document:
    """The jobs topic, and no other, may send; nobody in the clear."""
    return document(_sent_by("sns.amazonaws.com", "sqs:SendMessage", queue_arn, [topic_arn]), _only_tls(queue_arn, SQS))


def dead_letter_queue(queue_arn: str) -> Document:
    """SQS itself moves messages in, so that no principal has to be let in; nobody speaks in the clear."""
    return document(_only_tls(queue_arn, SQS))


def topic(topic_arn: str) -> Document:
    """Roles of this account publish by their own policies, and nobody else; nobody in the clear."""
    return document(_only_tls(topic_arn, ["sns:Publish"]))


@dataclass(frozen=True, kw_only=True)
class Publisher:
    """A service of AWS that tells alarms. sources: ARNs, or patterns of them, of those of its resources that may."""

    service: str
    account: str
    sources: list[str]


def alarm_publisher(region: str, account: str, prefix: str) -> Publisher:
    """CloudWatch, for the alarms of one stack. prefix: what their names begin with."""
    pattern = f"arn:{partition(region)}:cloudwatch:{region}:{account}:alarm:{prefix}-*"
    return Publisher(service="cloudwatch.amazonaws.com", account=account, sources=[pattern])


def budget_publisher(region: str, account: str) -> Publisher:
    """AWS Budgets, which names the account's budgets together (Cost Management user guide, "SNS topic policies")."""
    return Publisher(
        service="budgets.amazonaws.com", account=account, sources=[f"arn:{partition(region)}:budgets::{account}:*"]
    )


def alarm_topic(topic_arn: str, publishers: list[Publisher]) -> Document:
    """Those publishers, and no other; nobody in the clear."""
    return document(
        *(_published(one, ["sns:Publish"], topic_arn) for one in publishers), _only_tls(topic_arn, ["sns:Publish"])
    )


def alarm_key(region: str, account: str, publishers: list[Publisher]) -> Document:
    """The account's own policies govern the key, and those publishers may have SNS encrypt with it.

    Without the first statement nobody could change or delete the key any more (KMS guide, "Default key policy").
    """
    owner = {"AWS": f"arn:{partition(region)}:iam::{account}:root"}
    return document(
        {"Effect": "Allow", "Action": "kms:*", "Principal": owner, "Resource": "*"},
        # what a publisher to an encrypted topic needs (SNS guide, "Key management")
        *(_published(one, ["kms:Decrypt", "kms:GenerateDataKey*"], "*") for one in publishers),
    )


def _published(publisher: Publisher, actions: list[str], resource: str) -> Document:
    return {
        "Effect": "Allow",
        "Action": actions,
        "Principal": {"Service": publisher.service},
        "Resource": resource,
        "Condition": {
            "StringEquals": {"aws:SourceAccount": publisher.account},
            "ArnLike": {"aws:SourceArn": publisher.sources},
        },
    }


def private_api(execution_arn: str, vpc_endpoint: str) -> Document:
    """Whoever reaches the VPC's endpoint may call; without it a private API answers nobody. The key says who it is."""
    return document(
        {
            "Effect": "Allow",
            "Action": "execute-api:Invoke",
            "Principal": {"AWS": "*"},
            "Resource": f"{execution_arn}/*",
            "Condition": {"StringEquals": {"aws:SourceVpce": vpc_endpoint}},
        }
    )


def _sent_by(service: str, action: str, resource: str, sources: list[str]) -> Document:
    """What a service may do for those of its resources that are named; without them it would do so for anybody's."""
    return {
        "Effect": "Allow",
        "Action": action,
        "Principal": {"Service": service},
        "Resource": resource,
        "Condition": {"ArnEquals": {"aws:SourceArn": sources[0] if len(sources) == 1 else sources}},
    }


def _only_tls(resource: str | list[str], actions: list[str]) -> Document:
    return {
        "Effect": "Deny",
        "Action": actions,
        "Principal": {"AWS": "*"},
        "Resource": resource,
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }


def bucket(bucket_arn: str) -> Document:
    """Nobody may speak to the bucket in the clear; who may read it at all is said elsewhere."""
    return document(
        _only_tls([bucket_arn, f"{bucket_arn}/*"], ["s3:DeleteObject", "s3:GetObject", "s3:ListBucket", "s3:PutObject"])
    )
