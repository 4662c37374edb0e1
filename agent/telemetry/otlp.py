"""Spans to a collector: OTLP over HTTP in JSON, by the HTTP client that the agent has anyway.

Source: OpenTelemetry Protocol 1.x, "OTLP/HTTP" and "JSON Protobuf Encoding": ids are hexadecimal, 64-bit numbers text.
"""

import json
import logging
import ssl
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

import httpx
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.trace.span import format_span_id, format_trace_id

TIMEOUT_S = 1.0  # a collector is a neighbour; what it does not take at once is dropped, so that nothing waits for it
_LOGGER = logging.getLogger("agent.traces")


class OtlpJsonExporter(SpanExporter):
    """endpoint: base address, as in OTEL_EXPORTER_OTLP_ENDPOINT. Spans that it does not take are lost, and counted."""

    def __init__(
        self, endpoint: str, exported: Callable[[str], None], transport: httpx.BaseTransport | None = None
    ) -> None:
        is_open = urlsplit(endpoint).scheme == "http"
        self._exported = exported
        self._url = f"{endpoint.rstrip('/')}/v1/traces"
        # plain HTTP: no certificate store in memory
        verify = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT) if is_open else ssl.create_default_context()
        self._http = httpx.Client(timeout=TIMEOUT_S, transport=transport, trust_env=False, verify=verify)
        self._was_taken = True

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        body = json.dumps({"resourceSpans": [_resource_spans(spans)]}).encode()
        try:
            answer = self._http.post(self._url, content=body, headers={"Content-Type": "application/json"})
            is_taken, why = answer.is_success, str(answer.status_code)
        except httpx.HTTPError as error:
            is_taken, why = False, type(error).__name__
        self._exported("taken" if is_taken else "lost")
        if self._was_taken and not is_taken:  # once, not with every batch
            _LOGGER.warning("spans are lost", extra={"fields": {"collector": self._url, "error": why}})
        self._was_taken = is_taken
        return SpanExportResult.SUCCESS if is_taken else SpanExportResult.FAILURE

    def shutdown(self) -> None:
        self._http.close()


def _resource_spans(spans: Sequence[ReadableSpan]) -> dict[str, Any]:
    """All are of one resource and one scope, as one provider with one tracer made them."""
    first = spans[0]
    scope = first.instrumentation_scope
    return {
        "resource": {"attributes": _attributes(first.resource.attributes)},
        "scopeSpans": [
            {
                "scope": {"name": scope.name, "version": scope.version or ""} if scope else {},
                "spans": [_span(span) for span in spans],
            }
        ],
    }


def _span(span: ReadableSpan) -> dict[str, Any]:
    context = span.get_span_context()
    assert context is not None
    found: dict[str, Any] = {
        "traceId": format_trace_id(context.trace_id),
        "spanId": format_span_id(context.span_id),
        "name": span.name,
        "kind": span.kind.value + 1,  # OTLP counts from 1, and 0 is none
        "startTimeUnixNano": str(span.start_time),
        "endTimeUnixNano": str(span.end_time),
        "attributes": _attributes(span.attributes or {}),
        "status": {"code": span.status.status_code.value, "message": span.status.description or ""},
        "flags": int(context.trace_flags),
    }
    if span.parent is not None:
        found["parentSpanId"] = format_span_id(span.parent.span_id)
    return found


def _attributes(attributes: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [{"key": key, "value": _value(value)} for key, value in attributes.items()]


def _value(value: Any) -> dict[str, Any]:
    match value:
        case bool():
            return {"boolValue": value}
        case int():
            return {"intValue": str(value)}
        case float():
            return {"doubleValue": value}
        case str():
            return {"stringValue": value}
    return {"arrayValue": {"values": [_value(each) for each in value]}}
