"""The outbox runs every minute, and each dead-letter queue calls the function that settles it."""

import pytest

from components.upkeep import Upkeep, UpkeepArgs
from tests.components.example import stack
from tests.support.engine import Engine, build


@pytest.fixture(scope="module")
def placed() -> Engine:
    queues = {"sd15": "arn:dead:sd15", "sdxl": "arn:dead:sdxl"}
    return build(lambda: Upkeep("upkeep", UpkeepArgs(stack(), "outbox", "arn:outbox", "dead-letter", queues)))


def test_the_outbox_is_swept_every_minute_by_that_rule_only(placed: Engine) -> None:
    [rule] = placed.inputs("aws:cloudwatch/eventRule:EventRule")
    assert rule == {"name": "sd-async-dev-outbox", "scheduleExpression": "rate(1 minute)"}
    target = placed.named("aws:cloudwatch/eventTarget:EventTarget", "outbox")
    assert target.inputs == {"rule": "sd-async-dev-outbox", "arn": "arn:outbox"}
    permission = placed.named("aws:lambda/permission:Permission", "outbox")
    assert permission.inputs == {
        "action": "lambda:InvokeFunction",
        "function": "outbox",
        "principal": "events.amazonaws.com",
        "sourceArn": "arn:aws:events:us-west-2:123456789012:rule/sd-async-dev-outbox",
    }
    assert placed.waits_for(target, permission)


def test_every_dead_letter_queue_calls_and_only_what_failed_comes_back(placed: Engine) -> None:
    mappings = placed.inputs("aws:lambda/eventSourceMapping:EventSourceMapping")
    assert sorted(mapping["eventSourceArn"] for mapping in mappings) == ["arn:dead:sd15", "arn:dead:sdxl"]
    for mapping in mappings:
        assert (mapping["functionName"], mapping["batchSize"]) == ("dead-letter", 10)
        assert mapping["functionResponseTypes"] == ["ReportBatchItemFailures"]
