"""Where the stack's images lie: a private repository for the agent and one for each type of runtime that it has."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pulumi
from pulumi_aws import ecr

from components import naming
from components.settings import Settings

AGENT = "agent"


@dataclass(frozen=True)
class ImagesArgs:
    settings: Settings


class Images(pulumi.ComponentResource):
    """urls: of the repositories, by the agent's or the runtime type's name."""

    urls: Mapping[str, pulumi.Output[str]]

    def __init__(self, name: str, args: ImagesArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("sd:images:Images", name, None, opts)
        self._settings, self._child = args.settings, pulumi.ResourceOptions(parent=self)
        names = repositories(args.settings) if args.settings.images.repositories else ()
        self.urls = {name: self._repository(name) for name in names}
        self.register_outputs({})

    def _repository(self, name: str) -> pulumi.Output[str]:
        """A tag that was pushed once means the same image for ever, so that a release can be read back from its tag."""
        repository = ecr.Repository(
            name,
            name=naming.repository(self._settings, name),
            image_tag_mutability="IMMUTABLE",
            image_scanning_configuration={"scan_on_push": True},
            encryption_configurations=[{"encryption_type": "AES256"}],
            force_delete=True,  # its images go with the stack: `pulumi destroy` leaves nothing behind
            opts=self._child,
        )
        rules = json.dumps(lifecycle(self._settings.images.keep))
        ecr.LifecyclePolicy(name, repository=repository.name, policy=rules, opts=self._child)
        return repository.repository_url


def repositories(settings: Settings) -> tuple[str, ...]:
    """Names, each once: the agent's and those of the runtimes' types."""
    return (AGENT, *sorted({runtime.type.value for runtime in settings.runtimes}))


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
