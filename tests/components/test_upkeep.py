"""Schedules call the outbox and what prices machines, and each dead-letter queue the function that settles it."""

import pytest

from components.upkeep import Upkeep, UpkeepArgs
from tests.components.example import stack
from tests.support.engine import Engine, build


@pytest.fixture(scope="module")
def placed() -> Engine:
    queues = {"sd15": "arn:dead:sd15", "sdxl": "arn:dead:sdxl"}
    scheduled = {kind: (kind, f"arn:{kind}") for kind in ("outbox", "spend")}
    return build(lambda: Upkeep("upkeep", UpkeepArgs(stack(), scheduled, "dead-letter", queues)))


@pytest.mark.parametrize(("kind", "rate"), [("outbox", "rate(1 minute)"), ("spend", "rate(5 minutes)")])
def test_a_schedule_calls_its_function_and_no_other_rule_may(placed: Engine, kind: str, rate: str) -> None:
    rule = placed.named("aws:cloudwatch/eventRule:EventRule", kind)
    assert rule.inputs == {"name": f"sd-async-dev-{kind}", "scheduleExpression": rate}
    target = placed.named("aws:cloudwatch/eventTarget:EventTarget", kind)
    assert target.inputs == {"rule": f"sd-async-dev-{kind}", "arn": f"arn:{kind}"}
    permission = placed.named("aws:lambda/permission:Permission", kind)
    assert permission.inputs == {
        "action": "lambda:InvokeFunction",
        "function": kind,
        "principal": "events.amazonaws.com",
        "sourceArn": f"arn:aws:events:us-west-2:123456789012:rule/sd-async-dev-{kind}",
    }
    assert placed.waits_for(target, permission)


def test_only_what_there_is_is_called() -> None:
    args = UpkeepArgs(stack(), {"outbox": ("outbox", "arn:outbox")}, "dead-letter", {})
    placed = build(lambda: Upkeep("upkeep", args))
    assert [one["name"] for one in placed.inputs("aws:cloudwatch/eventRule:EventRule")] == ["sd-async-dev-outbox"]


def test_every_dead_letter_queue_calls_and_only_what_failed_comes_back(placed: Engine) -> None:
    mappings = placed.inputs("aws:lambda/eventSourceMapping:EventSourceMapping")
    assert sorted(mapping["eventSourceArn"] for mapping in mappings) == ["arn:dead:sd15", "arn:dead:sdxl"]
    for mapping in mappings:
        assert (mapping["functionName"], mapping["batchSize"]) == ("dead-letter", 10)
        assert mapping["functionResponseTypes"] == ["ReportBatchItemFailures"]
