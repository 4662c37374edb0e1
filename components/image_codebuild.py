"""One image built at AWS: its context to S3, a build started and waited for, the digest that came of it.

It imports nothing of pulumi, so that `pulumi up` and an operator's command build in the same way.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from components.asking import Clients, Clock
from components.image_contexts import QUEUED_TIMEOUT_MIN

POLL_S = 10.0
_MARGIN_S = 300  # CodeBuild itself ends a build that takes too long, and says so better
_RECENT = 20  # builds of a project among which one that still runs is looked for

Build = dict[str, Any]  # as CodeBuild describes it


class BuildError(RuntimeError):
    """There is no image; the message says why, and where the build's log is."""


@dataclass(frozen=True, kw_only=True)
class Order:
    """What is to be built, and by whom. repository_url: with the registry; archive: the zip of the context, here.

    copy_of: an image elsewhere that is copied as it is, instead of being built from a Dockerfile.
    docker_hub: prefix in the same registry of a cache of Docker Hub; empty where there is none.
    """

    project: str
    bucket: str
    repository_url: str
    tag: str
    archive: str
    timeout_min: int
    dockerfile: str = ""
    context: str = ""
    platforms: str = ""
    copy_of: str = ""
    docker_hub: str = ""

    @property
    def repository(self) -> str:
        return self.repository_url.partition("/")[2]

    @property
    def variables(self) -> dict[str, str]:
        """What `images/build.sh` reads, or `images/copy.sh`."""
        target = {"REPOSITORY": self.repository_url, "TAG": self.tag}
        if self.copy_of:
            return target | {"SOURCE": self.copy_of}
        registry = self.repository_url.partition("/")[0]
        hub = {"DOCKER_HUB": f"{registry}/{self.docker_hub}"} if self.docker_hub else {}
        how = {"DOCKERFILE": self.dockerfile, "CONTEXT": self.context, "PLATFORMS": self.platforms}
        return hub | target | how


class Builder:
    """Builds at CodeBuild. tell: hears what is being done, in a few words. Every method raises BuildError."""

    def __init__(self, clients: Clients, clock: Clock, tell: Callable[[str], None] = lambda _said: None) -> None:
        self._clients, self._clock, self._tell = clients, clock, tell

    def digest(self, order: Order) -> str | None:
        """Digest of the image that has the order's tag; None when there is none yet."""
        try:
            return digest_of(self._clients("ecr"), order.repository, order.tag)
        except (ClientError, BotoCoreError) as error:
            raise _failed(order, error) from error

    def ensure(self, order: Order) -> str:
        """Digest of the image, built first when no image has the tag: the same inputs are never built twice."""
        return self.finish(order, self.begin(order))

    def begin(self, order: Order) -> Build | None:
        """The build of an image that is not there, begun now or by an earlier run; None when nothing is to be built."""
        if self.digest(order):
            return None
        try:
            build = self._running(order) or self._start(order)
        except (ClientError, BotoCoreError, OSError) as error:
            raise _failed(order, error) from error
        self._tell(f"{order.repository}:{order.tag} is being built: {log_of(build)}")
        return build

    def finish(self, order: Order, build: Build | None) -> str:
        """Digest of the image once its build, if there is one, has ended."""
        try:
            ended = build and self._wait(order, build)
        except (ClientError, BotoCoreError) as error:
            raise _failed(order, error) from error
        if found := self.digest(order):  # also after a failure: another build of the same may have been faster
            return found
        reason = f"{outcome_of(ended)}; see {log_of(ended)}" if ended else "was not needed, but its image is gone"
        raise BuildError(f"The build of {order.repository}:{order.tag} {reason}.")

    def _running(self, order: Order) -> Build | None:
        """The build of the same image that an earlier, interrupted run has left behind."""
        client = self._clients("codebuild")
        found = client.list_builds_for_project(projectName=order.project, sortOrder="DESCENDING")
        recent = found.get("ids", [])[:_RECENT]
        builds = client.batch_get_builds(ids=recent)["builds"] if recent else []
        same = [one for one in builds if order.variables.items() <= _variables_of(one).items()]
        return next((one for one in same if one["buildStatus"] == "IN_PROGRESS"), None)

    def _start(self, order: Order) -> Build:
        key = f"contexts/{Path(order.archive).name}"
        with Path(order.archive).open("rb") as archive:
            self._clients("s3").put_object(Bucket=order.bucket, Key=key, Body=archive)
        build: Build = self._clients("codebuild").start_build(
            projectName=order.project,
            sourceLocationOverride=f"{order.bucket}/{key}",
            environmentVariablesOverride=[{"name": name, "value": value} for name, value in order.variables.items()],
        )["build"]
        return build

    def _wait(self, order: Order, build: Build) -> Build:
        """The build when it has ended."""
        patience_s = (QUEUED_TIMEOUT_MIN + order.timeout_min) * 60 + _MARGIN_S
        deadline, phase = self._clock.now() + patience_s, ""
        while build["buildStatus"] == "IN_PROGRESS":
            if self._clock.now() >= deadline:
                raise BuildError(
                    f"The build of {order.repository}:{order.tag} has not ended in {patience_s // 60} minutes; see "
                    f"{log_of(build)}. Once it has, the same command takes its image."
                )
            self._clock.sleep(POLL_S)
            [build] = self._clients("codebuild").batch_get_builds(ids=[build["id"]])["builds"]
            if build.get("currentPhase", phase) != phase:
                phase = build["currentPhase"]
                self._tell(f"{order.repository}:{order.tag}: {phase.lower()}")
        return build


def digest_of(ecr: Any, repository: str, tag: str) -> str | None:
    """Digest of what has a tag in a repository; None when nothing has. Raises: ClientError, BotoCoreError."""
    try:
        found = ecr.describe_images(repositoryName=repository, imageIds=[{"imageTag": tag}])["imageDetails"]
    except ClientError as error:
        if error.response["Error"]["Code"] == "ImageNotFoundException":
            return None
        raise
    return str(found[0]["imageDigest"]) if found else None


def outcome_of(build: Build) -> str:
    """How a build ended, with CodeBuild's own words for it."""
    words = [
        f"{phase['phaseType'].lower()}: {context['message']}"
        for phase in build.get("phases", [])
        if phase.get("phaseStatus", "SUCCEEDED") != "SUCCEEDED"
        for context in phase.get("contexts", [])
        if context.get("message")
    ]
    status = build["buildStatus"].lower().replace("_", " ")
    if build["buildStatus"] == "SUCCEEDED":
        return "succeeded and left no image with that tag"
    return f"ended as {status}" + (f" ({'; '.join(words)})" if words else "")


def log_of(build: Build) -> str:
    """Address of the build's log in the console, once it has one; else the build's id."""
    return str(build.get("logs", {}).get("deepLink") or f"build {build['id']} in CodeBuild")


def _variables_of(build: Build) -> dict[str, str]:
    given = build.get("environment", {}).get("environmentVariables", [])
    return {each["name"]: each["value"] for each in given}


def _failed(order: Order, error: Exception) -> BuildError:
    return BuildError(f"{order.repository}:{order.tag} can't be built by {order.project}: {error}")
