"""The Lambda functions: one bundle, one environment, and for each its own role, log group and handler."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pulumi
from pulumi_aws import cloudwatch, iam, lambda_

from components import naming, policies, prices
from components.alarms import SPEND, functions
from components.policies import Arns, Document
from components.settings import Settings

API_TIMEOUT_S = 29  # API Gateway waits no longer
OUTBOX_TIMEOUT_S = 50  # below its schedule's minute, so that two runs seldom meet
DEAD_LETTER_TIMEOUT_S = 30
SPEND_TIMEOUT_S = 60  # two calls with all their attempts


@dataclass(frozen=True)
class LambdasArgs:
    """bundle: the zip that holds the functions' code. The rest are names and ARNs of what they use."""

    settings: Settings
    bundle: Path
    jobs_table: pulumi.Input[str]
    jobs_table_arn: pulumi.Input[str]
    input_bucket: pulumi.Input[str]
    input_bucket_arn: pulumi.Input[str]
    output_bucket: pulumi.Input[str]
    output_bucket_arn: pulumi.Input[str]
    jobs_topic_arn: pulumi.Input[str]
    results_topic_arn: pulumi.Input[str]
    dead_letter_queue_arns: Sequence[pulumi.Input[str]]


class Lambdas(pulumi.ComponentResource):
    """api, dead_letter: functions; what calls them is placed elsewhere.

    scheduled: name and ARN of each function that a schedule calls, by its kind.
    """

    def __init__(self, name: str, args: LambdasArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("sd:lambdas:Lambdas", name, None, opts)
        self._args = args
        self._code = pulumi.FileArchive(str(args.bundle))
        self._arns = pulumi.Output.all(
            table=args.jobs_table_arn,
            input_bucket=args.input_bucket_arn,
            output_bucket=args.output_bucket_arn,
            jobs_topic=args.jobs_topic_arn,
            results_topic=args.results_topic_arn,
        ).apply(lambda known: Arns(**known))
        dead_letters = pulumi.Output.all(*args.dead_letter_queue_arns)
        self.api = self._function(
            "api", "functions.api.handler.handle", API_TIMEOUT_S, self._arns.apply(policies.api_function)
        )
        outbox = self._function(
            "outbox", "functions.outbox.handle", OUTBOX_TIMEOUT_S, self._arns.apply(policies.outbox_function)
        )
        self.scheduled = {"outbox": (outbox.name, outbox.arn)}
        if SPEND in functions(args.settings):
            spend = self._spend()
            self.scheduled[SPEND] = (spend.name, spend.arn)
        self.dead_letter = self._function(
            "dead-letter",
            "functions.dead_letter.handle",
            DEAD_LETTER_TIMEOUT_S,
            pulumi.Output.all(self._arns, dead_letters).apply(
                lambda known: policies.dead_letter_function(known[0], known[1])
            ),
        )
        self.register_outputs({})

    def _spend(self) -> lambda_.Function:
        may = pulumi.Output.from_input(policies.spend_function())
        variables = spend_environment(self._args.settings)
        return self._function(SPEND, "functions.spend.handle", SPEND_TIMEOUT_S, may, variables)

    def _function(
        self,
        kind: str,
        handler: str,
        timeout_s: int,
        may: pulumi.Output[Document],
        variables: Mapping[str, pulumi.Input[str]] | None = None,
    ) -> lambda_.Function:
        api, opts = self._args.settings.api, pulumi.ResourceOptions(parent=self)
        name = naming.prefixed(self._args.settings, kind)
        logs = cloudwatch.LogGroup(
            kind, name=naming.function_log_group(name), retention_in_days=api.log_retention_days, opts=opts
        )
        role = iam.Role(
            kind, name=name, assume_role_policy=json.dumps(policies.assumed_by("lambda.amazonaws.com")), opts=opts
        )
        allowed = iam.RolePolicy(
            kind,
            role=role.name,
            policy=pulumi.Output.all(may, logs.arn).apply(
                lambda known: json.dumps(policies.joined(known[0], policies.log_writer(known[1])))
            ),
            opts=opts,
        )
        return lambda_.Function(
            kind,
            name=name,
            role=role.arn,
            runtime=f"python{api.python}",
            architectures=[self._args.settings.function_architecture],
            handler=handler,
            code=self._code,
            memory_size=api.memory_mb,
            timeout=timeout_s,
            environment={"variables": variables or environment(self._args)},
            # the role must be able to do its work when the first event arrives
            opts=pulumi.ResourceOptions(parent=self, depends_on=[allowed, logs]),
        )


def environment(args: LambdasArgs) -> dict[str, pulumi.Input[str]]:
    """What every function but `spend` reads at its start (`functions.api.env`)."""
    settings = args.settings
    runtimes = {
        runtime.name: {"type": runtime.type, "timeout_seconds": runtime.job_timeout_s} for runtime in settings.runtimes
    }
    return {
        "SD_JOBS_TABLE": args.jobs_table,
        "SD_JOBS_TOPIC_ARN": args.jobs_topic_arn,
        "SD_RESULTS_TOPIC_ARN": args.results_topic_arn,
        "SD_OUTPUT_BUCKET": args.output_bucket,
        "SD_INPUT_BUCKET": args.input_bucket,
        "SD_FILE_BUCKETS": ",".join(settings.storage.file_buckets),
        "SD_RUNTIMES": json.dumps(runtimes, separators=(",", ":")),
        "SD_RETENTION_DAYS": str(settings.storage.retention_days),
        "SD_URL_SECONDS": str(settings.api.url_expiry_s),
    }


def spend_environment(settings: Settings) -> dict[str, pulumi.Input[str]]:
    """What `functions.spend` reads at its start: none of the stack's data, since it touches none."""
    return {
        "SD_STACK": naming.prefixed(settings),
        "SD_STACK_TAGS": json.dumps(naming.tags(settings), separators=(",", ":")),
        "SD_PRICES": json.dumps(prices.machine_prices(settings), separators=(",", ":")),
    }
