"""What calls the functions that no client calls: the outbox every minute, the dead-letter function by its queues."""

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
from pulumi_aws import cloudwatch, lambda_

from components import naming
from components.settings import Settings

BATCH_SIZE = 10  # the most that a queue hands over at once without a waiting time


@dataclass(frozen=True)
class UpkeepArgs:
    """dead_letter_queue_arns: by the runtime's name."""

    settings: Settings
    outbox_function: pulumi.Input[str]
    outbox_function_arn: pulumi.Input[str]
    dead_letter_function: pulumi.Input[str]
    dead_letter_queue_arns: Mapping[str, pulumi.Input[str]]


class Upkeep(pulumi.ComponentResource):
    """The outbox's schedule and the dead-letter queues' event source mappings."""

    def __init__(self, name: str, args: UpkeepArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("sd:upkeep:Upkeep", name, None, opts)
        self._args = args
        self._schedule()
        for runtime, queue_arn in args.dead_letter_queue_arns.items():
            lambda_.EventSourceMapping(
                runtime,
                event_source_arn=queue_arn,
                function_name=args.dead_letter_function,
                batch_size=BATCH_SIZE,
                function_response_types=["ReportBatchItemFailures"],
                opts=pulumi.ResourceOptions(parent=self),
            )
        self.register_outputs({})

    def _schedule(self) -> None:
        opts = pulumi.ResourceOptions(parent=self)
        rule = cloudwatch.EventRule(
            "outbox",
            name=naming.prefixed(self._args.settings, "outbox"),
            schedule_expression="rate(1 minute)",
            opts=opts,
        )
        allowed = lambda_.Permission(
            "outbox",
            action="lambda:InvokeFunction",
            function=self._args.outbox_function,
            principal="events.amazonaws.com",
            source_arn=rule.arn,
            opts=opts,
        )
        cloudwatch.EventTarget(
            "outbox",
            rule=rule.name,
            arn=self._args.outbox_function_arn,
            opts=pulumi.ResourceOptions(parent=self, depends_on=[allowed]),
        )
