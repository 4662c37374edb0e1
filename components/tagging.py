"""The tag that says which component a resource belongs to; the tags of the whole stack are its provider's defaults."""

from collections.abc import Callable
from typing import Any

import pulumi

TAG = "component"
TAGGED_PACKAGES = ("aws:", "eks:")

Tagged = Callable[[str], pulumi.ResourceOptions]


def options(provider: pulumi.ProviderResource, component: str) -> pulumi.ResourceOptions:
    """Options of a component: the provider of its AWS resources, and its name as a tag of each that takes tags."""

    def tag(args: pulumi.ResourceTransformationArgs) -> pulumi.ResourceTransformationResult | None:
        # a class of the SDK lists all of its inputs, those not given as None
        if not args.type_.startswith(TAGGED_PACKAGES) or "tags" not in args.props:
            return None
        given: Any = args.props["tags"] or {}
        return pulumi.ResourceTransformationResult({**args.props, "tags": {**given, TAG: component}}, args.opts)

    return pulumi.ResourceOptions(providers=[provider], transformations=[tag])
