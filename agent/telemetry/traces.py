"""Spans of a job's attempt, made at its end of the times that it noted. Loaded only where a collector is named."""

import threading
from collections.abc import Mapping
from typing import Any

from opentelemetry.context import Context
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.trace import NonRecordingSpan, Span, SpanContext, SpanKind, Status, StatusCode, set_span_in_context
from opentelemetry.trace.span import TraceFlags, format_trace_id

from agent.telemetry.closing import Closing
from sd_async.contract.traces import Trace

SCOPE = "sd_async.agent"
CLOSE_S = 0.5  # an idle agent ends within 1 s of SIGTERM
_GOOD = frozenset({"succeeded", "canceled"})


class Spans:
    """A Listener. about: the resource's attributes, such as `service.instance.id`. queue_url: where jobs come from."""

    def __init__(self, exporter: SpanExporter, about: Mapping[str, str], queue_url: str, version: str) -> None:
        self._ids = _Ids()
        # `OTEL_RESOURCE_ATTRIBUTES`, `OTEL_SERVICE_NAME` and `OTEL_TRACES_SAMPLER` are read by the SDK.
        resource = Resource.create(dict(about)).merge(OTELResourceDetector().detect())
        self._provider = TracerProvider(resource=resource, id_generator=self._ids, shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer(SCOPE, version)
        self._queue = queue_url.rpartition("/")[2]

    def __call__(self, closing: Closing) -> Mapping[str, Any]:
        if not closing.marks or (closing.trace and closing.trace.is_sampled is False):
            return {}
        job = self._begun(closing)
        inside = set_span_in_context(job)
        for phase, (began_ns, ended_ns) in sorted(closing.marks.items(), key=lambda item: item[1]):
            self._tracer.start_span(phase, inside, start_time=began_ns).end(max(began_ns, ended_ns))
        if closing.line.outcome not in _GOOD:
            job.set_attribute("error.type", closing.error_code or closing.line.outcome)
            job.set_status(Status(StatusCode.ERROR, closing.error_code or closing.line.outcome))
        job.end(max(ended_ns for _, ended_ns in closing.marks.values()))
        return {"trace_id": format_trace_id(job.get_span_context().trace_id)}

    def flush(self) -> None:
        """Send what waits, now; it is sent by itself every few seconds."""
        self._provider.force_flush()

    def close(self) -> None:
        """Send what waits, within CLOSE_S: a collector that is away must not hold up an agent's end."""
        closing = threading.Thread(target=self._provider.shutdown, daemon=True)
        closing.start()
        closing.join(CLOSE_S)

    def _begun(self, closing: Closing) -> Span:
        line = closing.line
        self._ids.next_trace_id = int(closing.trace.trace_id, 16) if closing.trace else None
        return self._tracer.start_span(
            f"process {self._queue}",
            _parent(closing.trace),
            SpanKind.CONSUMER,
            {
                "messaging.system": "aws_sqs",
                "messaging.operation.type": "process",
                "messaging.destination.name": self._queue,
                "sd_async.job_id": line.job_id,
                "sd_async.attempt": line.attempt,
                "sd_async.outcome": line.outcome,
                "sd_async.decision": line.decision,
                "sd_async.wait_s": line.wait_s,
                "sd_async.outputs": line.images,
                "sd_async.output_bytes": line.bytes_out,
            },
            start_time=min(began_ns for began_ns, _ in closing.marks.values()),
        )


class _Ids(RandomIdGenerator):
    """Random, but for a trace that has an id and no span yet: API Gateway gives such, unless X-Ray is on."""

    next_trace_id: int | None = None

    def generate_trace_id(self) -> int:
        given, self.next_trace_id = self.next_trace_id, None
        return given or super().generate_trace_id()


def _parent(trace: Trace | None) -> Context:
    """An empty context where there is no span to be the parent, not whatever is current."""
    if trace is None or trace.parent_id is None:
        return Context()
    flags = TraceFlags(TraceFlags.DEFAULT if trace.is_sampled is False else TraceFlags.SAMPLED)
    parent = SpanContext(int(trace.trace_id, 16), int(trace.parent_id, 16), is_remote=True, trace_flags=flags)
    return set_span_in_context(NonRecordingSpan(parent), Context())
