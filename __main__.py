"""The whole system as one Pulumi program: settings in, components placed in their order, outputs out."""

from pathlib import Path

import pulumi
from pulumi.runtime import config

from components import bundle, settings
from components.access import Access, AccessArgs
from components.api import Api, ApiArgs
from components.lambdas import Lambdas, LambdasArgs
from components.messaging import Messaging, MessagingArgs
from components.observability import Observability, ObservabilityArgs
from components.storage import Storage, StorageArgs
from components.upkeep import Upkeep, UpkeepArgs

given = {**config.get_config_env(), **config.CONFIG.get()}
stack = settings.parse(pulumi.get_project(), pulumi.get_stack(), given)
code = bundle.build(Path(), bundle.Target(stack.api.architecture, stack.api.python))

storage = Storage("storage", StorageArgs(stack))
messaging = Messaging("messaging", MessagingArgs(stack))
dead_letter_arns = {name: queue.arn for name, queue in messaging.dead_letter_queues.items()}
lambdas = Lambdas(
    "lambdas",
    LambdasArgs(settings=stack, bundle=code, dead_letter_queue_arns=list(dead_letter_arns.values()), **storage.places,
                jobs_topic_arn=messaging.jobs_topic.arn, results_topic_arn=messaging.results_topic.arn),
)  # fmt: skip
api = Api("api", ApiArgs(stack, lambdas.api.name, lambdas.api.invoke_arn))
stage = api.stage
access = Access("access", AccessArgs(stack, api.rest_api.id, stage.stage_name, stage.arn, stage.invoke_url))
Upkeep("upkeep", UpkeepArgs(stack, lambdas.outbox.name, lambdas.outbox.arn, lambdas.dead_letter.name, dead_letter_arns))
watched = Observability("observability", ObservabilityArgs(stack))

# Network, cluster, Karpenter and KEDA's controller are placed here, before what they carry, once they exist.

if stack.kubernetes.context:
    # pulumi_kubernetes takes a second to load, which a stack without a cluster is spared
    from pulumi_kubernetes import Provider

    from components.keda import KedaArgs, RuntimeScaling
    from components.runtime import Runtime, RuntimeArgs

    kubernetes = Provider("kubernetes", context=stack.kubernetes.context)
    for runtime in stack.runtimes:
        queue_url = messaging.queues[runtime.name].url
        released = Runtime(
            f"runtime-{runtime.name}",
            RuntimeArgs(
                settings=stack,
                runtime=runtime,
                queue_url=queue_url,
                jobs_table=storage.jobs_table.name,
                output_bucket=storage.output_bucket.bucket,
                input_bucket=storage.input_bucket.bucket,
                results_topic_arn=messaging.results_topic.arn,
            ),
            pulumi.ResourceOptions(providers=[kubernetes]),
        )
        after = pulumi.ResourceOptions(providers=[kubernetes], depends_on=[released])
        scaled = KedaArgs(settings=stack, runtime=runtime, queue_url=queue_url)
        RuntimeScaling(f"scaling-{runtime.name}", scaled, after)

pulumi.export("api_endpoint", access.endpoint)
pulumi.export("api_keys", pulumi.Output.secret(access.keys))
pulumi.export("output_bucket", storage.output_bucket.bucket)
pulumi.export("input_bucket", storage.input_bucket.bucket)
pulumi.export("models_bucket", storage.models_bucket.bucket)
pulumi.export("jobs_table", storage.jobs_table.name)
pulumi.export("jobs_topic_arn", messaging.jobs_topic.arn)
pulumi.export("results_topic_arn", messaging.results_topic.arn)
pulumi.export("queue_urls", {name: queue.url for name, queue in messaging.queues.items()})
pulumi.export("dead_letter_queue_urls", {name: queue.url for name, queue in messaging.dead_letter_queues.items()})
pulumi.export("dashboard_url", watched.dashboard_url)
