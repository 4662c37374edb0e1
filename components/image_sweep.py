"""Repositories that ECR made by itself, for a cache, taken away with the cache: no engine knows of them."""

from collections.abc import Iterator
from typing import Any


def repositories(ecr: Any, prefix: str) -> Iterator[str]:
    """Names of those below a prefix. ecr: a client. Raises: ClientError, BotoCoreError."""
    for page in ecr.get_paginator("describe_repositories").paginate():
        for each in page["repositories"]:
            if each["repositoryName"].startswith(f"{prefix}/"):
                yield each["repositoryName"]


def sweep(ecr: Any, prefix: str) -> None:
    """Delete them with their images, which their registry has all the same."""
    for name in list(repositories(ecr, prefix)):
        ecr.delete_repository(repositoryName=name, force=True)
