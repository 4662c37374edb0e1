"""Topics for jobs and results, and per runtime a queue that gets its share of the jobs, with a queue for the rest."""

import json
from dataclasses import dataclass

import pulumi
from pulumi_aws import sns, sqs

from components import naming, policies, queue_times
from components.settings import Settings
from components.settings_runtimes import RuntimeSettings
from sd_async.contract.limits import SPARE_RECEIPTS

LONG_POLL_S = 20  # the longest wait for a message; shorter ones cost more requests
MAX_RECEIPTS = 1000  # SQS, redrive policy
DEAD_LETTER_VISIBILITY_S = 180  # six times the reading function's timeout (Lambda guide, "Using Lambda with SQS")
# SNS encrypts with this AWS-managed key for everyone in the account who may publish; no key of ours to pay or manage.
SNS_KEY = "alias/aws/sns"


@dataclass(frozen=True)
class MessagingArgs:
    settings: Settings


class Messaging(pulumi.ComponentResource):
    """queues, dead_letter_queues: by the runtime's name. outputs: of the stack."""

    def __init__(self, name: str, args: MessagingArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("sd:messaging:Messaging", name, None, opts)
        self._settings = args.settings
        self.jobs_topic = self._topic("jobs")
        self.results_topic = self._topic("results")
        self.queues: dict[str, sqs.Queue] = {}
        self.dead_letter_queues: dict[str, sqs.Queue] = {}
        for runtime in args.settings.runtimes:
            self._queues(runtime)
        self.outputs: dict[str, pulumi.Input[object]] = {
            "jobs_topic_arn": self.jobs_topic.arn,
            "results_topic_arn": self.results_topic.arn,
            "queue_urls": {name: queue.url for name, queue in self.queues.items()},
            "dead_letter_queue_urls": {name: queue.url for name, queue in self.dead_letter_queues.items()},
        }
        self.register_outputs({})

    def _topic(self, kind: str) -> sns.Topic:
        opts = pulumi.ResourceOptions(parent=self)
        topic = sns.Topic(kind, name=naming.topic(self._settings, kind), kms_master_key_id=SNS_KEY, opts=opts)
        policy = topic.arn.apply(lambda arn: json.dumps(policies.topic(arn)))
        sns.TopicPolicy(kind, arn=topic.arn, policy=policy, opts=opts)
        return topic

    def _queues(self, runtime: RuntimeSettings) -> None:
        opts, agent, key = pulumi.ResourceOptions(parent=self), self._settings.agent, f"jobs-{runtime.name}"
        record_days = self._settings.storage.retention_days
        dead = sqs.Queue(
            f"dead-{runtime.name}",
            name=naming.dead_letter_queue(self._settings, runtime.name),
            message_retention_seconds=queue_times.DEAD_LETTER_RETENTION_S,
            visibility_timeout_seconds=DEAD_LETTER_VISIBILITY_S,
            sqs_managed_sse_enabled=True,
            opts=opts,
        )
        receipts = min(agent.max_attempts + SPARE_RECEIPTS, MAX_RECEIPTS)
        queue = sqs.Queue(
            key,
            name=naming.queue(self._settings, runtime.name),
            visibility_timeout_seconds=queue_times.visibility_s(agent, runtime),
            message_retention_seconds=queue_times.retention_s(agent, runtime, record_days=record_days),
            receive_wait_time_seconds=LONG_POLL_S,
            sqs_managed_sse_enabled=True,
            redrive_policy=dead.arn.apply(
                lambda arn: json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": receipts})
            ),
            opts=opts,
        )
        sqs.RedriveAllowPolicy(
            key,
            queue_url=dead.url,
            redrive_allow_policy=queue.arn.apply(
                lambda arn: json.dumps({"redrivePermission": "byQueue", "sourceQueueArns": [arn]})
            ),
            opts=opts,
        )
        sqs.QueuePolicy(
            f"dead-{runtime.name}",
            queue_url=dead.url,
            policy=dead.arn.apply(lambda arn: json.dumps(policies.dead_letter_queue(arn))),
            opts=opts,
        )
        self._subscribe(runtime.name, queue)
        self.queues[runtime.name], self.dead_letter_queues[runtime.name] = queue, dead

    def _subscribe(self, runtime: str, queue: sqs.Queue) -> None:
        """Jobs for this runtime; the public sample's v1alpha1 clients name it by another attribute."""
        policy = sqs.QueuePolicy(
            f"jobs-{runtime}",
            queue_url=queue.url,
            policy=pulumi.Output.all(queue.arn, self.jobs_topic.arn).apply(
                lambda arns: json.dumps(policies.queue(arns[0], arns[1]))
            ),
            opts=pulumi.ResourceOptions(parent=self),
        )
        wanted = [{"runtime": [runtime]}, {"sd_model_checkpoint": [runtime]}]
        sns.TopicSubscription(
            f"jobs-{runtime}",
            topic=self.jobs_topic.arn,
            protocol="sqs",
            endpoint=queue.arn,
            raw_message_delivery=True,
            filter_policy=json.dumps({"$or": wanted}),
            # what is published before the queue lets the topic in is lost
            opts=pulumi.ResourceOptions(parent=self, depends_on=[policy]),
        )
