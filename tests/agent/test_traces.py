"""Spans of an attempt: they join the caller's trace, and a collector that is away costs nothing."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from agent.telemetry.otlp import OtlpJsonExporter
from agent.telemetry.traces import Spans
from tests.agent.closings import BEGAN_NS, MARKS, closing
from tests.agent.collector import Collector, collecting
from tests.agent.said import saying

TRACE_ID = "5759e988bd862e3fe1be46a994272793"
PARENT_ID = "53995c3f42cd8ad8"
XRAY = f"Root=1-{TRACE_ID[:8]}-{TRACE_ID[8:]};Parent={PARENT_ID};Sampled=1"
ABOUT = {"service.name": "sd-async-agent", "service.instance.id": "comfy-0"}
QUEUE_URL = "https://sqs.us-west-2.amazonaws.com/000000000000/sd-async-dev-jobs-comfy"
JOB = "process sd-async-dev-jobs-comfy"


@contextmanager
def tracing(collector: Collector) -> Iterator[tuple[Spans, list[str]]]:
    """Spans that are sent when the block ends, and what was counted of the sending."""
    results: list[str] = []
    spans = Spans(OtlpJsonExporter(collector.url, results.append), ABOUT, QUEUE_URL, "1.2.3")
    try:
        yield spans, results
    finally:
        spans.close()


def attributes(span: Span) -> dict[str, object]:
    return {each.key: getattr(each.value, str(each.value.WhichOneof("value"))) for each in span.attributes}


def test_a_jobs_span_has_one_for_each_phase_at_the_times_that_were_marked() -> None:
    with collecting() as collector:
        with tracing(collector) as (spans, results):
            spans(closing(trace=XRAY))
        found = collector.spans()
    assert set(found) == {JOB, *MARKS}
    job = found.pop(JOB)
    assert (job.start_time_unix_nano, job.end_time_unix_nano) == (BEGAN_NS, BEGAN_NS + 10_760_000_000)
    for phase, span in found.items():
        assert (span.start_time_unix_nano, span.end_time_unix_nano) == MARKS[phase]
        assert span.parent_span_id == job.span_id
        assert span.trace_id == job.trace_id
    assert results == ["taken"]


def test_it_tells_what_became_of_the_job_and_nothing_of_its_content() -> None:
    with collecting() as collector:
        with tracing(collector) as (spans, _):
            spans(closing(trace=XRAY, attempt=3))
        job = collector.spans()[JOB]
    assert attributes(job) == {
        "messaging.system": "aws_sqs",
        "messaging.operation.type": "process",
        "messaging.destination.name": "sd-async-dev-jobs-comfy",
        "sd_async.job_id": "8f14e45f-ceea-467f-a830-5d1fd1a4d6c8",
        "sd_async.attempt": 3,
        "sd_async.outcome": "succeeded",
        "sd_async.decision": "finish",
        "sd_async.wait_s": 2.5,
        "sd_async.outputs": 2,
        "sd_async.output_bytes": 3_000_000,
    }
    assert job.kind == Span.SPAN_KIND_CONSUMER
    assert job.status.code == Status.STATUS_CODE_UNSET


def test_a_failure_is_an_error_by_its_code_without_its_words() -> None:
    with collecting() as collector:
        with tracing(collector) as (spans, _):
            spans(closing(outcome="released", error="aws_unavailable: AWS is busy with a fox."))
        job = collector.spans()[JOB]
    assert (job.status.code, job.status.message) == (Status.STATUS_CODE_ERROR, "aws_unavailable")
    assert attributes(job)["error.type"] == "aws_unavailable"
    assert "fox" not in str(collector.bodies)


@pytest.mark.parametrize(
    ("trace", "parent"),
    [
        (XRAY, PARENT_ID),
        (f"00-{TRACE_ID}-{PARENT_ID}-01", PARENT_ID),
        (f"Root=1-{TRACE_ID[:8]}-{TRACE_ID[8:]}", ""),
    ],
    ids=["X-Ray", "W3C", "API Gateway without X-Ray"],
)
def test_it_joins_the_callers_trace(trace: str, parent: str) -> None:
    with collecting() as collector:
        with tracing(collector) as (spans, _):
            told = spans(closing(trace=trace))
        found = collector.spans()
    assert {span.trace_id.hex() for span in found.values()} == {TRACE_ID}
    assert found[JOB].parent_span_id.hex() == parent
    assert told == {"trace_id": TRACE_ID}, "the log line leads to it"


def test_without_a_caller_each_job_is_a_trace_of_its_own() -> None:
    with collecting() as collector:
        with tracing(collector) as (spans, _):
            told = [spans(closing())["trace_id"], spans(closing())["trace_id"]]
        ids = {span.trace_id.hex() for span in collector.spans().values()}
    assert len(set(told)) == 2
    assert ids <= set(told)


@pytest.mark.parametrize("trace", [XRAY.replace("Sampled=1", "Sampled=0"), f"00-{TRACE_ID}-{PARENT_ID}-00"])
def test_what_the_caller_does_not_sample_is_not_sent(trace: str) -> None:
    with collecting() as collector:
        with tracing(collector) as (spans, results):
            assert spans(closing(trace=trace)) == {}
        assert (collector.bodies, results) == ([], [])


def test_an_attempt_that_marked_nothing_has_no_span() -> None:
    with collecting() as collector:
        with tracing(collector) as (spans, _):
            spans(closing(marks={}))
        assert collector.bodies == []


def test_its_resource_says_which_agent_it_was_and_the_environment_has_the_last_word(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "service.instance.id=mine,deployment.environment=test")
    with collecting() as collector:
        with tracing(collector) as (spans, _):
            spans(closing())
        [request] = collector.requests()
    [resource] = request.resource_spans
    told = {each.key: each.value.string_value for each in resource.resource.attributes}
    assert told["service.name"] == "sd-async-agent"
    assert told["service.instance.id"] == "mine"
    assert told["deployment.environment"] == "test"
    [scope] = resource.scope_spans
    assert (scope.scope.name, scope.scope.version) == ("sd_async.agent", "1.2.3")


def test_a_collector_that_refuses_is_told_of_once_until_it_takes_some_again() -> None:
    with collecting() as collector, saying() as stream:
        with tracing(collector) as (spans, results):
            for collector.status in (503, 503, 200, 503):
                spans(closing())
                spans.flush()
        assert results == ["lost", "lost", "taken", "lost"]
    assert stream.getvalue().count("spans are lost") == 2
    assert '"error": "503"' in stream.getvalue()


def test_a_collector_that_hangs_or_is_not_there_holds_nobody_up() -> None:
    with collecting() as collector:
        collector.status = 0
        spans = Spans(OtlpJsonExporter(collector.url, lambda result: None), ABOUT, QUEUE_URL, "1")
        began_s = time.monotonic()
        spans(closing())
        assert time.monotonic() - began_s < 0.2, "spans are sent beside the job"
        spans.close()
        assert time.monotonic() - began_s < 1, "an idle agent ends within 1 s of SIGTERM"
    results: list[str] = []
    spans = Spans(OtlpJsonExporter("http://127.0.0.1:9", results.append), ABOUT, QUEUE_URL, "1")
    spans(closing())
    spans.close()
    assert results == ["lost"]
