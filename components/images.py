"""Where the stack's images lie, and how those that no setting names come there.

A repository for the agent, for each type of runtime that the stack has, and for the chart; where nodes have no way out
(0116), one for each image of the controllers, which is copied.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pulumi
from pulumi_aws import cloudwatch, codebuild, ecr, iam, s3

from components import image_contexts, image_policies, naming, policies
from components.image_contexts import AGENT, CHART, Context, Copying, repositories
from components.image_copies import copies
from components.image_policies import BuilderArns
from components.settings import Settings
from components.settings_runtimes import RuntimeSettings

# CodeBuild's own; the docker in it is 28, with buildx (aws/aws-codebuild-docker-images, al/x86_64/standard/5.0)
BUILD_IMAGE = "aws/codebuild/amazonlinux-x86_64-standard:5.0"


@dataclass(frozen=True)
class ImagesArgs:
    """contexts: where CodeBuild finds what it builds from; None where it builds nothing. root: the project's folder."""

    settings: Settings
    contexts: s3.Bucket | None = None
    root: Path = Path()


class Images(pulumi.ComponentResource):
    """built: images by their digest, `repository@sha256:…`, by the agent's or the runtime type's name.

    copied: those of controllers that were only copied, by the names of `image_copies`.
    """

    built: Mapping[str, pulumi.Output[str]]
    copied: Mapping[str, pulumi.Output[str]]

    def __init__(self, name: str, args: ImagesArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("sd:images:Images", name, None, opts)
        self._args, self._settings = args, args.settings
        self._child = pulumi.ResourceOptions(parent=self)
        names = repositories(args.settings)
        self._repositories = {name: self._repository(name) for name in names}
        self._urls = {name: repository.repository_url for name, repository in self._repositories.items()}
        made = self._made()
        self.copied = {copy.name: made[copy.name] for copy in copies(args.settings)}
        self.built = {name: image for name, image in made.items() if name not in self.copied}
        self.register_outputs({})

    @property
    def agent(self) -> pulumi.Input[str]:
        return self._settings.agent.image or self.built[AGENT]

    def runtime(self, runtime: RuntimeSettings) -> pulumi.Input[str]:
        return runtime.image or self.built[runtime.type.value]

    def _made(self) -> dict[str, pulumi.Output[str]]:
        root, settings = self._args.root, self._settings
        if settings.images.build == "local":  # nothing is copied then, as the settings see to
            here = {image: image_contexts.context(root, image) for image in image_contexts.wanted(settings)}
            return self._by_docker(here) if here else {}
        contexts = image_contexts.contexts(root, settings)
        return self._by_codebuild(contexts) if contexts else {}

    def _repository(self, name: str) -> ecr.Repository:
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
        rules = json.dumps(self._lifecycle(name))
        ecr.LifecyclePolicy(name, repository=repository.name, policy=rules, opts=self._child)
        return repository

    def _lifecycle(self, name: str) -> dict[str, Any]:
        keep = self._settings.images.keep
        if name in {copy.name for copy in copies(self._settings)}:
            return image_policies.copies_lifecycle(keep)
        return image_policies.lifecycle(keep * manifests(name))

    def _by_docker(self, contexts: Mapping[str, Context]) -> dict[str, pulumi.Output[str]]:
        """With this machine's Docker, whose builder must know all platforms of an image."""
        import pulumi_docker_build as docker  # noqa: PLC0415 - a package that no other way of building needs

        registry = self._repositories[AGENT].registry_id
        token = ecr.get_authorization_token_output(registry, opts=pulumi.InvokeOutputOptions(parent=self))
        images = {
            name: docker.Image(
                name,
                context={"location": str(self._args.root / context.recipe.context)},
                dockerfile={"location": str(self._args.root / context.recipe.dockerfile)},
                platforms=[docker.Platform(platform) for platform in context.recipe.platforms],
                tags=[pulumi.Output.format("{0}:{1}", self._urls[name], context.tag)],
                registries=[
                    {
                        "address": self._urls[name].apply(lambda url: url.partition("/")[0]),
                        "username": token.user_name,
                        "password": pulumi.Output.secret(token.password),
                    }
                ],
                push=True,
                build_on_preview=False,
                opts=self._child,
            )
            for name, context in contexts.items()
        }
        return {name: pulumi.Output.format("{0}@{1}", self._urls[name], image.digest) for name, image in images.items()}

    def _by_codebuild(self, contexts: Mapping[str, Context | Copying]) -> dict[str, pulumi.Output[str]]:
        """At AWS: nothing but Pulumi is needed here."""
        from components.image_provider import ImageBuild  # noqa: PLC0415 - it loads botocore

        assert self._args.contexts is not None, "storage makes it for every stack that builds at CodeBuild"
        bucket, images = self._args.contexts, self._settings.images
        project, rights = self._project(bucket, contexts)
        builds = {
            name: ImageBuild(
                name,
                {
                    "project": project.name,
                    "bucket": bucket.bucket,
                    "repository_url": self._urls[name],
                    **context.order,
                    "timeout_min": images.build_timeout_min,
                    "docker_hub": image_contexts.docker_hub(self._settings),
                    "region": self._settings.region,
                    "profile": pulumi.Config("aws").get("profile"),
                },
                pulumi.ResourceOptions(parent=self, depends_on=[rights]),
            )
            for name, context in contexts.items()
        }
        return {name: pulumi.Output.format("{0}@{1}", self._urls[name], each.digest) for name, each in builds.items()}

    def _project(self, bucket: s3.Bucket, names: Iterable[str]) -> tuple[codebuild.Project, iam.RolePolicy]:
        """The project of all images, and what it needs before it can build."""
        settings, name = self._settings, naming.image_project(self._settings)
        group = cloudwatch.LogGroup(
            "images",
            name=naming.build_log_group(name),
            retention_in_days=settings.api.log_retention_days,
            opts=self._child,
        )
        trust = json.dumps(policies.assumed_by("codebuild.amazonaws.com"))
        role = iam.Role("images", name=name, assume_role_policy=trust, opts=self._child)
        project = codebuild.Project(
            "images",
            name=name,
            description="Builds the images that no setting names, each from a context that comes with the build.",
            service_role=role.arn,
            source={"type": "S3", "location": pulumi.Output.format("{0}/contexts/", bucket.bucket)},
            artifacts={"type": "NO_ARTIFACTS"},
            environment={
                "type": "LINUX_CONTAINER",
                "image": BUILD_IMAGE,
                "compute_type": f"BUILD_GENERAL1_{settings.images.machine.upper()}",
                "privileged_mode": True,  # without it there is no docker
            },
            logs_config={"cloudwatch_logs": {"group_name": group.name}},
            build_timeout=settings.images.build_timeout_min,
            queued_timeout=image_contexts.QUEUED_TIMEOUT_MIN,
            opts=self._child,
        )
        document = pulumi.Output.all(
            bucket=bucket.arn,
            log_group=group.arn,
            repositories=pulumi.Output.all(*(self._repositories[name].arn for name in names)),
        ).apply(lambda known: json.dumps(image_policies.builder(BuilderArns(**known), settings)))
        return project, iam.RolePolicy("images", role=role.name, policy=document, opts=self._child)


def manifests(name: str) -> int:
    """How many images a build leaves in a repository: one for each platform, and the one that lists them."""
    return 1 if name == CHART else 1 + len(image_contexts.recipe(name).platforms)
