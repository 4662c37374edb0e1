"""IAM policies of who builds images."""

from dataclasses import dataclass

from components.policies import Document, allow, document


@dataclass(frozen=True, kw_only=True)
class BuilderArns:
    """What CodeBuild works with, by ARN. log_group: without the end that stands for its streams."""

    bucket: str
    log_group: str
    repositories: tuple[str, ...]


def builder(arns: BuilderArns) -> Document:
    """Read contexts, write the log, push to the stack's repositories and read back what was pushed.

    What S3 as a source and ECR as a target need: CodeBuild user guide, "Service role" and "Docker sample". It makes
    neither repositories nor log groups, so that what was destroyed stays away.
    """
    push = ["BatchCheckLayerAvailability", "CompleteLayerUpload", "InitiateLayerUpload", "PutImage", "UploadLayerPart"]
    read = ["BatchGetImage", "GetDownloadUrlForLayer"]
    return document(
        allow(["s3:GetObject", "s3:GetObjectVersion"], [f"{arns.bucket}/contexts/*"]),
        allow(["s3:GetBucketAcl", "s3:GetBucketLocation"], [arns.bucket]),
        allow(["logs:CreateLogStream", "logs:PutLogEvents"], [f"{arns.log_group}:*"]),
        allow([f"ecr:{action}" for action in (*push, *read)], list(arns.repositories)),
        # It knows no resource (Service Authorization Reference, ECR)
        allow(["ecr:GetAuthorizationToken"], ["*"]),
    )
