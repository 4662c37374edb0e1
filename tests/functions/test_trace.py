"""The trace that a job belongs to: whose it is, and how far it goes."""

import pytest

from sd_async.contract.messages import JobMessage, decode_message
from sd_async.contract.records import from_item
from sd_async.contract.results import result_of
from tests.functions.conftest import Caller
from tests.functions.entry import trace_of
from tests.functions.fakes import WORKFLOW, event_of

JOB = {"runtime": "comfy", "input": WORKFLOW}
GATEWAY = "Root=1-5759e988-bd862e3fe1be46a994272793"
TRACED = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1"
W3C = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def test_the_callers_trace_travels_with_the_job_and_stays_with_its_record(caller: Caller) -> None:
    caller.post(JOB, headers={"X-Amzn-Trace-Id": GATEWAY})

    [(_, body)] = caller.store.published
    message = decode_message(body)
    [record] = map(from_item, caller.store.items.values())
    assert isinstance(message, JobMessage)
    assert message.trace == record.trace == GATEWAY
    assert result_of(record, "outputs").trace == GATEWAY, "a webhook goes on from here"


@pytest.mark.parametrize(
    ("headers", "of_lambda", "trace"),
    [
        ({"X-Amzn-Trace-Id": GATEWAY}, None, GATEWAY),
        ({"X-Amzn-Trace-Id": GATEWAY}, f"{GATEWAY};Parent=53995c3f42cd8ad8;Sampled=0", GATEWAY),
        ({"X-Amzn-Trace-Id": GATEWAY}, TRACED, TRACED),
        ({"X-Amzn-Trace-Id": GATEWAY, "Traceparent": W3C}, TRACED, W3C),
        ({"traceparent": "00-nonsense-01", "x-amzn-trace-id": GATEWAY}, None, GATEWAY),
        ({"X-Amzn-Trace-Id": "Root=1-2-3\n"}, "Root=nonsense", None),
        ({}, None, None),
    ],
    ids=["gateway", "X-Ray off", "X-Ray on", "the caller's own", "a broken one", "all broken", "none"],
)
def test_the_trace_is_the_callers_own_before_x_rays(
    headers: dict[str, str], of_lambda: str | None, trace: str | None
) -> None:
    environment = {} if of_lambda is None else {"_X_AMZN_TRACE_ID": of_lambda}
    assert trace_of(event_of(headers=headers), environment) == trace
