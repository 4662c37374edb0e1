"""Alarms are placed as the rows say and told to the topic that only they may use; budget and mails are settings."""

import json
from typing import Any

import pytest

from components.alarms import alarms, sections
from components.observability import Observability, ObservabilityArgs, dashboard, queries
from tests.components.example import stack
from tests.support.engine import Engine, build

ALARM, TOPIC = "aws:cloudwatch/metricAlarm:MetricAlarm", "aws:sns/topic:Topic"
BUDGET, MAIL = "aws:budgets/budget:Budget", "aws:sns/topicSubscription:TopicSubscription"
TOPIC_POLICY, KEY = "aws:sns/topicPolicy:TopicPolicy", "aws:kms/key:Key"
BUDGETS = {"Service": "budgets.amazonaws.com"}
ROWS = alarms(stack())


def watched(**observability: Any) -> Engine:
    args = ObservabilityArgs(stack(observability=observability))
    return build(lambda: Observability("observability", args))


@pytest.fixture(scope="module")
def placed() -> Engine:
    return watched()


def test_each_row_is_an_alarm_that_tells_the_topic_when_it_begins_and_ends(placed: Engine) -> None:
    assert {one["name"] for one in placed.inputs(ALARM)} == {f"sd-async-dev-{row.key}" for row in ROWS}
    topic = "arn:aws:sns:us-west-2:123456789012:sd-async-dev-alarms"
    for one in placed.inputs(ALARM):
        assert one["alarmActions"] == one["okActions"] == [topic]
        assert one["treatMissingData"] == "notBreaching", "a queue nobody uses publishes nothing"


def test_exactly_one_query_of_an_alarm_is_compared() -> None:
    for row in ROWS:
        rows: list[Any] = queries(row)
        assert [query["id"] for query in rows if query["return_data"]] == [
            row.metrics[0].id if row.expression == row.metrics[0].id else "raised"
        ]


def statements(engine: Engine, token: str) -> list[dict[str, Any]]:
    [one] = engine.inputs(token)
    found: list[dict[str, Any]] = json.loads(one["policy"])["Statement"]
    return found


OWN_ALARMS = {
    "StringEquals": {"aws:SourceAccount": "123456789012"},
    "ArnLike": {"aws:SourceArn": ["arn:aws:cloudwatch:us-west-2:123456789012:alarm:sd-async-dev-*"]},
}
OWN_BUDGETS = {
    "StringEquals": {"aws:SourceAccount": "123456789012"},
    "ArnLike": {"aws:SourceArn": ["arn:aws:budgets::123456789012:*"]},
}


def test_only_the_stacks_own_alarms_may_use_the_topic(placed: Engine) -> None:
    allowed, refused = statements(placed, TOPIC_POLICY)
    assert allowed["Principal"] == {"Service": "cloudwatch.amazonaws.com"}
    assert (allowed["Action"], allowed["Condition"]) == (["sns:Publish"], OWN_ALARMS)
    assert {one["name"].startswith("sd-async-dev-") for one in placed.inputs(ALARM)} == {True}, "the pattern fits all"
    assert refused["Effect"] == "Deny"


def test_the_topic_has_a_key_that_lets_in_those_who_tell_and_leaves_it_to_the_account(placed: Engine) -> None:
    [topic] = placed.inputs(TOPIC)
    assert topic["kmsMasterKeyId"] == "alarms-id"
    owner, used = statements(placed, KEY)
    assert owner["Principal"] == {"AWS": "arn:aws:iam::123456789012:root"}, "or nobody could delete the key"
    assert used["Principal"] == {"Service": "cloudwatch.amazonaws.com"}
    assert (used["Action"], used["Condition"]) == (["kms:Decrypt", "kms:GenerateDataKey*"], OWN_ALARMS)
    [key] = placed.inputs(KEY)
    assert key["enableKeyRotation"] is True


def test_a_budget_tells_the_topic_too_and_is_let_in_there_and_by_the_key() -> None:
    engine = watched(emails=["a@example.com"], budget_usd_per_month=150)
    [budget] = [one for one in engine.declared if one.token == BUDGET]
    for notice in budget.inputs["notifications"]:
        assert notice["subscriberSnsTopicArns"] == ["arn:aws:sns:us-west-2:123456789012:sd-async-dev-alarms"]
    for token in (TOPIC_POLICY, KEY):
        [told] = [one for one in statements(engine, token) if one["Principal"] == BUDGETS]
        assert told["Condition"] == OWN_BUDGETS
    assert engine.waits_for(budget, engine.named(TOPIC_POLICY, "alarms"))


def test_without_a_budget_nobody_else_is_let_in(placed: Engine) -> None:
    for token in (TOPIC_POLICY, KEY):
        assert BUDGETS not in [one["Principal"] for one in statements(placed, token)]


def test_nobody_is_mailed_and_nothing_is_budgeted_unasked(placed: Engine) -> None:
    assert placed.inputs(ALARM)
    assert placed.inputs(MAIL) == placed.inputs(BUDGET) == []


def test_mails_and_a_budget_go_to_those_who_are_named() -> None:
    placed = watched(emails=["a@example.com", "b@example.com"], budget_usd_per_month=150)
    assert sorted(one["endpoint"] for one in placed.inputs(MAIL)) == ["a@example.com", "b@example.com"]
    [budget] = placed.inputs(BUDGET)
    assert (budget["limitAmount"], budget["limitUnit"], budget["timeUnit"]) == ("150", "USD", "MONTHLY")
    assert {tuple(each["subscriberEmailAddresses"]) for each in budget["notifications"]} == {
        ("a@example.com", "b@example.com")
    }


def test_the_dashboard_has_a_graph_for_each_alarm_and_none_covers_another(placed: Engine) -> None:
    [one] = placed.inputs("aws:cloudwatch/dashboard:Dashboard")
    widgets = json.loads(one["dashboardBody"])["widgets"]
    assert json.loads(one["dashboardBody"]) == dashboard(ROWS, "us-west-2")
    assert {widget["properties"]["title"] for widget in widgets} == sections(stack()) - {"spend"}
    assert len({(widget["x"], widget["y"]) for widget in widgets}) == len(widgets)
    assert all(widget["x"] + widget["width"] <= 24 for widget in widgets)
    shown = {tuple(metric[:4]) for widget in widgets for metric in widget["properties"]["metrics"]}
    assert shown == {(each.namespace, each.name, each.dimension, each.value) for row in ROWS for each in row.metrics}


def test_what_the_machines_cost_is_shown_with_how_many_they_are_on_a_scale_of_their_own() -> None:
    rows = alarms(stack(cluster={"create": True}))
    widgets = dashboard(rows, "us-west-2")["widgets"]
    [graph] = [widget["properties"] for widget in widgets if widget["properties"]["title"] == "spend"]
    place = ["Stack", "sd-async-dev"]
    assert graph["metrics"] == [
        ["sd-async/stack", "HourlySpend", *place, {"stat": "Average"}],
        ["sd-async/stack", "Machines", *place, {"stat": "Average", "yAxis": "right"}],
        ["sd-async/stack", "Gpus", *place, {"stat": "Average", "yAxis": "right"}],
    ]
    assert len({(widget["x"], widget["y"]) for widget in widgets}) == len(widgets)


def test_everything_belongs_to_the_component(placed: Engine) -> None:
    [component] = [one for one in placed.declared if not one.is_custom]
    assert {one.parent for one in placed.declared if one.is_custom} == {component.urn}
