"""What calls the functions that no client calls: schedules, and the dead-letter queues the function that reads them."""

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
from pulumi_aws import cloudwatch, lambda_

from components import naming
from components.settings import Settings

RATES = {"outbox": "rate(1 minute)", "spend": "rate(5 minutes)"}
BATCH_SIZE = 10  # the most that a queue hands over at once without a waiting time


@dataclass(frozen=True)
class UpkeepArgs:
    """scheduled: name and ARN of functions, by their kind in RATES. dead_letter_queue_arns: by the runtime's name."""

    settings: Settings
    scheduled: Mapping[str, tuple[pulumi.Input[str], pulumi.Input[str]]]
    dead_letter_function: pulumi.Input[str]
    dead_letter_queue_arns: Mapping[str, pulumi.Input[str]]


class Upkeep(pulumi.ComponentResource):
    """The schedules and the dead-letter queues' event source mappings."""

    def __init__(self, name: str, args: UpkeepArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("sd:upkeep:Upkeep", name, None, opts)
        self._args = args
        for kind, (function, arn) in args.scheduled.items():
            self._schedule(kind, function, arn)
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

    def _schedule(self, kind: str, function: pulumi.Input[str], arn: pulumi.Input[str]) -> None:
        opts = pulumi.ResourceOptions(parent=self)
        rule = cloudwatch.EventRule(
            kind,
            name=naming.prefixed(self._args.settings, kind),
            schedule_expression=RATES[kind],
            opts=opts,
        )
        allowed = lambda_.Permission(
            kind,
            action="lambda:InvokeFunction",
            function=function,
            principal="events.amazonaws.com",
            source_arn=rule.arn,
            opts=opts,
        )
        cloudwatch.EventTarget(
            kind,
            rule=rule.name,
            arn=arn,
            opts=pulumi.ResourceOptions(parent=self, depends_on=[allowed]),
        )
