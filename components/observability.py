"""What a person sees of a stack, and what calls one: alarms and their topic, a dashboard, a budget."""

import json
from dataclasses import dataclass
from typing import Any

import pulumi
from pulumi_aws import budgets, cloudwatch, get_caller_identity_output, kms, sns

from components import naming, policies
from components.alarms import NOTICES, Alarm, Metric, alarms, dimensions
from components.settings import Settings

WIDTH, HEIGHT, COLUMNS = 8, 6, 3  # of a dashboard's grid of 24 columns


@dataclass(frozen=True)
class ObservabilityArgs:
    settings: Settings


class Observability(pulumi.ComponentResource):
    """alarm_topic_arn: where alarms are told. dashboard_url: of the console."""

    alarm_topic_arn: pulumi.Output[str]
    dashboard_url: str

    def __init__(self, name: str, args: ObservabilityArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("sd:observability:Observability", name, None, opts)
        self._settings, self._child = args.settings, pulumi.ResourceOptions(parent=self)
        rows = alarms(args.settings)
        topic, opened = self._topic()
        for row in rows:
            self._alarm(row, topic.arn)
        self._mail(topic.arn)
        self.alarm_topic_arn = topic.arn
        self.dashboard_url = self._dashboard(rows)
        self._budget(topic.arn, opened)
        self.register_outputs({})

    def _topic(self) -> tuple[sns.Topic, sns.TopicPolicy]:
        """The alarms' topic with its key, and what lets alarms and the budget in."""
        settings, name = self._settings, naming.prefixed(self._settings, "alarms")
        publishers = get_caller_identity_output(opts=pulumi.InvokeOutputOptions(parent=self)).account_id.apply(
            self._publishers
        )
        # AWS's own key for SNS lets neither CloudWatch nor Budgets in, and its policy is not ours to change
        key = kms.Key(
            "alarms",
            description=f"What {name} tells",
            enable_key_rotation=True,
            deletion_window_in_days=7,
            policy=publishers.apply(
                lambda known: json.dumps(policies.alarm_key(settings.region, known[0].account, known))
            ),
            opts=self._child,
        )
        topic = sns.Topic("alarms", name=name, kms_master_key_id=key.id, opts=self._child)
        policy = pulumi.Output.all(topic.arn, publishers).apply(
            lambda known: json.dumps(policies.alarm_topic(known[0], known[1]))
        )
        return topic, sns.TopicPolicy("alarms", arn=topic.arn, policy=policy, opts=self._child)

    def _publishers(self, account: str) -> list[policies.Publisher]:
        settings = self._settings
        alarmed = policies.alarm_publisher(settings.region, account, naming.prefixed(settings))
        has_budget = settings.observability.budget_usd_per_month is not None
        return [alarmed, *([policies.budget_publisher(settings.region, account)] if has_budget else [])]

    def _alarm(self, row: Alarm, topic_arn: pulumi.Output[str]) -> None:
        cloudwatch.MetricAlarm(
            row.key,
            name=naming.prefixed(self._settings, row.key),
            alarm_description=row.description,
            comparison_operator="GreaterThanOrEqualToThreshold",
            threshold=row.threshold,
            evaluation_periods=row.periods,
            treat_missing_data="notBreaching",
            metric_queries=queries(row),
            alarm_actions=[topic_arn],
            ok_actions=[topic_arn],
            opts=self._child,
        )

    def _mail(self, topic_arn: pulumi.Output[str]) -> None:
        for address in self._settings.observability.emails:
            sns.TopicSubscription(
                f"alarms-{address}", topic=topic_arn, protocol="email", endpoint=address, opts=self._child
            )

    def _dashboard(self, rows: tuple[Alarm, ...]) -> str:
        """The console's address of the dashboard, whose name is known before it is made."""
        name, region = naming.prefixed(self._settings), self._settings.region
        body = json.dumps(dashboard(rows, region))
        cloudwatch.Dashboard("stack", dashboard_name=name, dashboard_body=body, opts=self._child)
        return f"https://{region}.console.aws.amazon.com/cloudwatch/home?region={region}#dashboards/dashboard/{name}"

    def _budget(self, topic_arn: pulumi.Output[str], opened: pulumi.Resource) -> None:
        """Mails go out directly too: those need nobody's confirmation, and no key."""
        limit = self._settings.observability.budget_usd_per_month
        if limit is None:
            return
        budgets.Budget(
            "stack",
            name=naming.prefixed(self._settings),
            budget_type="COST",
            time_unit="MONTHLY",
            limit_amount=str(limit),
            limit_unit="USD",
            notifications=[
                {
                    "comparison_operator": "GREATER_THAN",
                    "notification_type": notice.kind,
                    "threshold": notice.percent,
                    "threshold_type": "PERCENTAGE",
                    "subscriber_email_addresses": list(self._settings.observability.emails),
                    "subscriber_sns_topic_arns": [topic_arn],
                }
                for notice in NOTICES
            ],
            opts=pulumi.ResourceOptions(parent=self, depends_on=[opened]),
        )


def queries(row: Alarm) -> list[cloudwatch.MetricAlarmMetricQueryArgsDict]:
    """The row's metrics and what is made of them; exactly one query gives the value that is compared."""
    is_bare = row.expression == row.metrics[0].id
    found: list[cloudwatch.MetricAlarmMetricQueryArgsDict] = [
        {
            "id": metric.id,
            "return_data": is_bare,
            "metric": {
                "namespace": metric.namespace,
                "metric_name": metric.name,
                "dimensions": dict(dimensions(metric)),
                "stat": metric.statistic,
                "period": row.period_s,
            },
        }
        for metric in row.metrics
    ]
    if not is_bare:
        found.append({"id": "raised", "expression": row.expression, "label": row.section, "return_data": True})
    return found


def dashboard(rows: tuple[Alarm, ...], region: str) -> dict[str, Any]:
    """One graph for each section of the runbook, with the metrics of all its subjects."""
    graphs: dict[str, list[list[Any]]] = {}
    for row in rows:
        shown = graphs.setdefault(row.section, [])
        shown.extend(_line(metric) for metric in row.metrics)
        shown.extend(_line(metric, yAxis="right") for metric in row.beside)
    return {
        "widgets": [
            {
                "type": "metric",
                "x": index % COLUMNS * WIDTH,
                "y": index // COLUMNS * HEIGHT,
                "width": WIDTH,
                "height": HEIGHT,
                "properties": {
                    "title": section,
                    "region": region,
                    "period": 60,
                    "metrics": metrics,
                },
            }
            for index, (section, metrics) in enumerate(graphs.items())
        ]
    }


def _line(metric: Metric, **look: str) -> list[Any]:
    return [metric.namespace, metric.name, metric.dimension, metric.value, {"stat": metric.statistic, **look}]
