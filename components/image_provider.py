"""What no provider of Pulumi's does, as resources: builds that are waited for, and repositories that ECR made itself.

The engine keeps a provider as a pickle, in which its class is a reference to this module; what it needs is imported
when it is called, in a process of the engine's own (0084).
"""

from dataclasses import fields
from typing import Any

import pulumi
from pulumi.dynamic import CreateResult, DiffResult, ReadResult, Resource, ResourceProvider, UpdateResult

from components.asking import SystemClock
from components.image_codebuild import Builder, Order
from components.image_sweep import sweep

ORDER = tuple(field.name for field in fields(Order))


class BuildProvider(ResourceProvider):
    """Creates and updates by building. Deleting is nothing: images go with their repository."""

    serialize_as_secret_always = False  # it holds none, and a secret would hide every difference

    def builder(self, props: dict[str, Any]) -> Builder:
        return Builder(session_of(props).client, SystemClock(), pulumi.log.info)

    def diff(self, _id: str, olds: dict[str, Any], news: dict[str, Any]) -> DiffResult:
        """Where the zip lies and who builds it are no differences: another colleague's folder has another path."""
        is_other = any(olds.get(name) != news.get(name) for name in ("repository_url", "tag"))
        return DiffResult(changes=is_other, replaces=[])

    def create(self, props: dict[str, Any]) -> CreateResult:
        return CreateResult(order_of(props).repository, self._built(props))

    def update(self, _id: str, _olds: dict[str, Any], news: dict[str, Any]) -> UpdateResult:
        return UpdateResult(self._built(news))

    def read(self, id_: str, props: dict[str, Any]) -> ReadResult:
        """An image that has expired has no tag any more, so that the next `pulumi up` builds it again."""
        digest = self.builder(props).digest(order_of(props))
        return ReadResult(id_, {**props, "digest": digest or "", "tag": props["tag"] if digest else ""})

    def _built(self, props: dict[str, Any]) -> dict[str, Any]:
        return {**props, "digest": self.builder(props).ensure(order_of(props))}


class ImageBuild(Resource, module="images", name="Build"):
    """digest: of the image, known when its build has ended."""

    digest: pulumi.Output[str]

    def __init__(
        self, name: str, props: dict[str, pulumi.Input[Any]], opts: pulumi.ResourceOptions | None = None
    ) -> None:
        """props: what `Order` has, and the region and profile of the credentials."""
        super().__init__(BuildProvider(), name, {**props, "digest": None}, opts)


class SweepProvider(ResourceProvider):
    """Creating is nothing; deleting takes what lies below a prefix."""

    serialize_as_secret_always = False

    def diff(self, _id: str, olds: dict[str, Any], news: dict[str, Any]) -> DiffResult:
        is_other = olds.get("prefix") != news.get("prefix")
        return DiffResult(changes=is_other, replaces=["prefix"] if is_other else [])

    def create(self, props: dict[str, Any]) -> CreateResult:
        return CreateResult(props["prefix"], props)

    def delete(self, _id: str, props: dict[str, Any]) -> None:
        sweep(session_of(props).client("ecr"), props["prefix"])


class CacheSweep(Resource, module="images", name="Sweep"):
    """Takes the repositories of a cache away when it is destroyed; what fills them must depend on it, to go first."""

    def __init__(
        self, name: str, props: dict[str, pulumi.Input[Any]], opts: pulumi.ResourceOptions | None = None
    ) -> None:
        """props: the prefix, and the region and profile of the credentials."""
        super().__init__(SweepProvider(), name, props, opts)


def session_of(props: dict[str, Any]) -> Any:
    """A boto3 session with the credentials of whoever runs Pulumi, as pulumi-aws finds them."""
    import boto3  # noqa: PLC0415 - half a second that only the engine's process needs

    return boto3.Session(region_name=props["region"], profile_name=props.get("profile") or None)


def order_of(props: dict[str, Any]) -> Order:
    """The order among a resource's properties; on the wire there are only floating-point numbers."""
    given = {name: props[name] for name in ORDER if name in props}
    return Order(**{**given, "timeout_min": int(given["timeout_min"])})
