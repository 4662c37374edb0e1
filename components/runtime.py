"""One runtime and its agents on Kubernetes: a release of the chart `sd-runtime`."""

from dataclasses import dataclass

import pulumi
from pulumi_kubernetes.helm import v3 as helm

from components.chart_values import RuntimeAddresses, values_for
from components.settings import Settings
from components.settings_runtimes import RuntimeSettings

CHART = "./helm/sd-runtime"  # Pulumi runs the program in the folder of its project


@dataclass(frozen=True, kw_only=True)
class RuntimeArgs:
    settings: Settings
    runtime: RuntimeSettings
    queue_url: pulumi.Input[str]
    jobs_table: pulumi.Input[str]
    output_bucket: pulumi.Input[str]
    input_bucket: pulumi.Input[str]
    models_bucket: pulumi.Input[str]
    results_topic_arn: pulumi.Input[str]
    runtime_image: pulumi.Input[str]
    agent_image: pulumi.Input[str]
    models_claim: str = ""


class Runtime(pulumi.ComponentResource):
    """release: its name is the runtime's, and so is that of its Deployment and its service account."""

    def __init__(self, name: str, args: RuntimeArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("sd:runtime:Runtime", name, None, opts)
        addresses = pulumi.Output.all(
            queue_url=args.queue_url,
            jobs_table=args.jobs_table,
            output_bucket=args.output_bucket,
            input_bucket=args.input_bucket,
            models_bucket=args.models_bucket,
            results_topic_arn=args.results_topic_arn,
            runtime_image=args.runtime_image,
            agent_image=args.agent_image,
        )
        self.release = helm.Release(
            name,
            chart=CHART,
            name=args.runtime.name,
            namespace=args.settings.kubernetes.namespace,
            create_namespace=True,
            values=addresses.apply(
                lambda known: values_for(args.settings, args.runtime, RuntimeAddresses(**known), args.models_claim),
            ),
            # There may be no GPU for hours, and none is wanted while there are no jobs: nothing to wait for.
            skip_await=True,
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.register_outputs({})
