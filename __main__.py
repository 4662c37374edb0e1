"""The whole system as one Pulumi program: settings in, components placed in their order, outputs out."""

from functools import partial
from pathlib import Path

import pulumi
from pulumi.runtime import config
from pulumi_aws import Provider as Aws

from components import bundle, naming, settings, tagging
from components.access import Access, AccessArgs
from components.api import Api, ApiArgs
from components.images import Images, ImagesArgs
from components.lambdas import Lambdas, LambdasArgs
from components.messaging import Messaging, MessagingArgs
from components.observability import Observability, ObservabilityArgs
from components.storage import Storage, StorageArgs
from components.upkeep import Upkeep, UpkeepArgs
from program.reach import place_network

CONSOLE = "/console"  # of the routes, for people

given = {**config.get_config_env(), **config.CONFIG.get()}
stack = settings.parse(pulumi.get_project(), pulumi.get_stack(), given)
code = bundle.build(Path(), bundle.Target(stack.api.architecture, stack.api.python))

aws = Aws("aws", region=stack.region, default_tags={"tags": naming.tags(stack)})
tagged = partial(tagging.options, aws)  # of every component: each of its AWS resources carries the tags
storage = Storage("storage", StorageArgs(stack), tagged("storage"))
messaging = Messaging("messaging", MessagingArgs(stack), tagged("messaging"))
dead_letter_arns = {name: queue.arn for name, queue in messaging.dead_letter_queues.items()}
called = LambdasArgs(settings=stack, bundle=code, dead_letter_queue_arns=list(dead_letter_arns.values()),
                     jobs_topic_arn=messaging.jobs_topic.arn, results_topic_arn=messaging.results_topic.arn,
                     **storage.places)  # fmt: skip
lambdas = Lambdas("lambdas", called, tagged("lambdas"))
reach = place_network(stack, tagged("network"))
api = Api("api", ApiArgs(stack, lambdas.api.name, lambdas.api.invoke_arn, reach.api_endpoint_id), tagged("api"))
stage = api.stage
opened = AccessArgs(stack, api.rest_api.id, stage.stage_name, stage.arn, stage.invoke_url)
access = Access("access", opened, tagged("access"))
upkeep = UpkeepArgs(stack, lambdas.scheduled, lambdas.dead_letter.name, dead_letter_arns)
Upkeep("upkeep", upkeep, tagged("upkeep"))
images = Images("images", ImagesArgs(stack, storage.contexts_bucket), tagged("images"))
if stack.images.caches:
    # what it places loads botocore, which a stack without caches is spared
    from components.image_caches import ImageCaches, ImageCachesArgs

    ImageCaches("image-caches", ImageCachesArgs(stack), tagged("image-caches"))
watched = Observability("observability", ObservabilityArgs(stack), tagged("observability"))

outputs = {}
if stack.kubernetes.context or stack.has_new_cluster:
    # pulumi_kubernetes takes a second to load, which a stack without a cluster is spared
    from program.kubernetes import Platform, place

    outputs = place(Platform(stack, storage, messaging, images, reach.network, tagged))

pulumi.export("api_endpoint", access.endpoint)
if not stack.api.iam_auth:  # no browser signs its requests
    pulumi.export("console_url", pulumi.Output.concat(access.endpoint, CONSOLE))
pulumi.export("api_keys", pulumi.Output.secret(access.keys))
for name, value in {**storage.outputs, **messaging.outputs}.items():
    pulumi.export(name, value)
pulumi.export("dashboard_url", watched.dashboard_url)
for name, value in outputs.items():
    pulumi.export(name, value)
for runtime in (each for each in stack.runtimes if each.models.mode != "image"):
    pulumi.log.info(
        f"Models of {runtime.name} are put in place by: sd-async admin models push DIR --runtime {runtime.name}"
    )
