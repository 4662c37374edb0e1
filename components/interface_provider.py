"""Interfaces that nodes left, swept by a resource: so `pulumi destroy` does it after the nodes, before the cluster.

As in `image_provider`, the engine keeps a reference to this module.
"""

from typing import Any

import pulumi
from pulumi.dynamic import CreateResult, DiffResult, Resource, ResourceProvider

from components.asking import SystemClock
from components.image_provider import session_of
from components.interface_sweep import sweep


class InterfaceSweepProvider(ResourceProvider):
    """Creating is nothing; deleting takes what the cluster's nodes left."""

    serialize_as_secret_always = False

    def diff(self, _id: str, olds: dict[str, Any], news: dict[str, Any]) -> DiffResult:
        is_other = olds.get("cluster") != news.get("cluster")
        return DiffResult(changes=is_other, replaces=["cluster"] if is_other else [])

    def create(self, props: dict[str, Any]) -> CreateResult:
        return CreateResult(props["cluster"], props)

    def delete(self, _id: str, props: dict[str, Any]) -> None:
        sweep(session_of(props).client("ec2"), props["cluster"], SystemClock(), pulumi.log.warn)


class InterfaceSweep(Resource, module="cluster", name="InterfaceSweep"):
    """Nodes, and what gives them addresses, must depend on it, to go first; it depends on the cluster."""

    def __init__(
        self, name: str, props: dict[str, pulumi.Input[Any]], opts: pulumi.ResourceOptions | None = None
    ) -> None:
        """props: the cluster's name, and the region and profile of the credentials."""
        super().__init__(InterfaceSweepProvider(), name, props, opts)
