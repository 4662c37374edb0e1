"""Documents about images: who may build and fetch them, and how long they are kept."""

from dataclasses import dataclass
from typing import Any

from components import naming
from components.policies import Document, allow, document, partition
from components.settings import Settings


@dataclass(frozen=True, kw_only=True)
class BuilderArns:
    """What CodeBuild works with, by ARN. log_group: without the end that stands for its streams."""

    bucket: str
    log_group: str
    repositories: tuple[str, ...]


def cache_puller(settings: Settings) -> Document:
    """Let ECR fetch what a cache has not yet, and make the repository for it (ECR user guide, pull-through IAM)."""
    start = f"arn:{partition(settings.region)}:ecr:{settings.region}:*:repository"
    caches = [f"{start}/{naming.repository(settings, cache.upstream)}/*" for cache in settings.images.caches]
    return document(allow(["ecr:BatchImportUpstreamImage", "ecr:CreateRepository"], caches))


def builder(arns: BuilderArns, settings: Settings) -> Document:
    """Read contexts, write the log, push to the stack's repositories and read back what was pushed.

    What S3 as a source and ECR as a target need: CodeBuild user guide, "Service role" and "Docker sample". It makes
    neither repositories nor log groups, so that what was destroyed stays away.
    """
    push = ["BatchCheckLayerAvailability", "CompleteLayerUpload", "InitiateLayerUpload", "PutImage", "UploadLayerPart"]
    read = ["BatchGetImage", "GetDownloadUrlForLayer"]
    caches = cache_puller(settings)["Statement"] if settings.images.caches else []
    return document(
        *caches,
        allow(["s3:GetObject", "s3:GetObjectVersion"], [f"{arns.bucket}/contexts/*"]),
        allow(["s3:GetBucketAcl", "s3:GetBucketLocation"], [arns.bucket]),
        allow(["logs:CreateLogStream", "logs:PutLogEvents"], [f"{arns.log_group}:*"]),
        allow([f"ecr:{action}" for action in (*push, *read)], list(arns.repositories)),
        # It knows no resource (Service Authorization Reference, ECR)
        allow(["ecr:GetAuthorizationToken"], ["*"]),
    )


def copies_lifecycle(keep: int) -> dict[str, Any]:
    """Only the newest versions are kept. What has no tag stays: the images of a copy's platforms have none."""
    selection = {
        "tagStatus": "tagged",
        "tagPatternList": ["*"],
        "countType": "imageCountMoreThan",
        "countNumber": keep,
    }
    return {"rules": [{"rulePriority": 1, "selection": selection, "action": {"type": "expire"}}]}


def lifecycle(keep: int) -> dict[str, Any]:
    """Only the newest images are kept, and nothing that lost its tag in a push that was broken off."""
    untagged = {"tagStatus": "untagged", "countType": "sinceImagePushed", "countUnit": "days", "countNumber": 1}
    oldest = {"tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": keep}
    return {
        "rules": [
            {"rulePriority": place, "selection": selection, "action": {"type": "expire"}}
            for place, selection in enumerate((untagged, oldest), start=1)
        ]
    }
