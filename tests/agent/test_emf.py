"""The closing line as CloudWatch reads it."""

import json
from typing import Any

from agent import telemetry
from agent.telemetry.closing import LISTENERS
from agent.telemetry.emf import DIMENSION, NAMESPACE, UNITS, Emf
from components import naming
from components.alarms import alarms
from tests.agent.closings import MARKS, closing, line
from tests.agent.said import saying
from tests.components.example import stack

QUEUE_URL = "https://sqs.us-west-2.amazonaws.com/000000000000/sd-async-dev-jobs-sdxl"
# The units that CloudWatch has (CloudWatch API, MetricDatum), as far as they are used here.
KNOWN_UNITS = {"Count", "Seconds", "Bytes"}


def written(**changes: Any) -> dict[str, Any]:
    """The line as it stands in the log."""
    emf = Emf(QUEUE_URL, now_ms=lambda: 1_800_000_000_000)
    LISTENERS.append(emf)
    try:
        with saying() as stream:
            telemetry.close(line(**changes), MARKS)
    finally:
        LISTENERS.remove(emf)
    [text] = stream.getvalue().splitlines()
    read: dict[str, Any] = json.loads(text)
    return read


def test_the_closing_line_names_its_metrics_and_holds_each_as_a_number() -> None:
    """Source: CloudWatch, "Specification: Embedded metric format": targets are members of the root."""
    document = written()
    assert document["_aws"]["Timestamp"] == 1_800_000_000_000
    [directive] = document["_aws"]["CloudWatchMetrics"]
    assert set(directive) == {"Namespace", "Dimensions", "Metrics"}
    assert directive["Dimensions"] == [["QueueName"]]
    assert document["QueueName"] == "sd-async-dev-jobs-sdxl"
    assert {metric["Name"]: document[metric["Name"]] for metric in directive["Metrics"]} == {
        "Jobs": 1,
        "Failed": 0,
        "Released": 0,
        "LeasesLost": 0,
        "Wait": 2.5,
        "Execution": 10.0,
        "Store": 0.2,
        "Total": 10.76,
        "OutputBytes": 3_000_000,
    }
    assert {metric["Unit"] for metric in directive["Metrics"]} == KNOWN_UNITS


def test_it_is_still_the_closing_line() -> None:
    document = written()
    assert (document["message"], document["outcome"], document["images"]) == ("job closed", "succeeded", 2)


def test_what_did_not_happen_is_no_metric_rather_than_an_empty_one() -> None:
    found = Emf(QUEUE_URL)(closing(marks={}, outcome="failed", error="bad_file", generate_s=None, store_s=None))
    names = {metric["Name"] for metric in found["_aws"]["CloudWatchMetrics"][0]["Metrics"]}
    assert not names & {"Execution", "Store"}
    assert (found["Failed"], found["Jobs"]) == (1, 1)
    assert "Execution" not in found


def test_a_lost_lease_and_a_release_are_told_apart() -> None:
    lost = Emf(QUEUE_URL)(closing(outcome="dropped", error="lease_lost: The lease could not be renewed in time."))
    released = Emf(QUEUE_URL)(closing(outcome="released", error="stopped: The agent was stopped."))
    assert (lost["LeasesLost"], lost["Released"]) == (1, 0)
    assert (released["LeasesLost"], released["Released"]) == (0, 1)


def test_each_of_our_own_metrics_that_an_alarm_watches_is_emitted_under_that_very_name() -> None:
    settings = stack(agent={"image": "registry.example/agent:1", "metrics": "emf"})
    own = [metric for alarm in alarms(settings) for metric in alarm.metrics if not metric.namespace.startswith("AWS/")]
    assert own, "an empty list would prove nothing"
    for metric in own:
        assert metric.namespace == NAMESPACE
        assert metric.name in UNITS
        assert metric.dimension == DIMENSION
    assert {metric.value for metric in own} == {naming.queue(settings, one.name) for one in settings.runtimes}


def test_no_alarm_watches_our_own_metrics_where_none_are_written() -> None:
    for metrics in ("prometheus", "none"):
        rows = alarms(stack(agent={"image": "registry.example/agent:1", "metrics": metrics}))
        assert all(metric.namespace.startswith("AWS/") for alarm in rows for metric in alarm.metrics)
