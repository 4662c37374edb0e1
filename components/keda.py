"""How many agents a runtime has: KEDA's ScaledObject beside its Deployment."""

from dataclasses import dataclass
from typing import Any

import pulumi
from pulumi_kubernetes.apiextensions import CustomResource

from components.scaling import scaled_object
from components.settings import Settings
from components.settings_runtimes import RuntimeSettings


@dataclass(frozen=True, kw_only=True)
class KedaArgs:
    settings: Settings
    runtime: RuntimeSettings
    queue_url: pulumi.Input[str]


class RuntimeScaling(pulumi.ComponentResource):
    """Let it depend on the runtime's release: KEDA wants the Deployment to be there."""

    def __init__(self, name: str, args: KedaArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("sd:keda:RuntimeScaling", name, None, opts)
        self.scaled_object = CustomResource(
            name,
            api_version="keda.sh/v1alpha1",
            kind="ScaledObject",
            metadata={"name": args.runtime.name, "namespace": args.settings.kubernetes.namespace},
            spec=pulumi.Output.from_input(args.queue_url).apply(lambda url: _spec(args, url)),
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.register_outputs({})


def _spec(args: KedaArgs, queue_url: str) -> dict[str, Any]:
    document = scaled_object(
        args.runtime,
        queue_url=queue_url,
        region=args.settings.region,
        namespace=args.settings.kubernetes.namespace,
        deployment=args.runtime.name,
        endpoint_url=args.settings.endpoint_url,
    )
    spec: dict[str, Any] = document["spec"]
    return spec
