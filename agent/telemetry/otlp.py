"""Spans to a collector: OTLP over HTTP in JSON, by the standard library, as an HTTP client takes 10 MB.

Source: OpenTelemetry Protocol 1.x, "OTLP/HTTP" and "JSON Protobuf Encoding": ids are hexadecimal, 64-bit numbers text.
"""

import json
import logging
import ssl
from collections.abc import Callable, Mapping, Sequence
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Any
from urllib.parse import urlsplit

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.trace.span import format_span_id, format_trace_id

TIMEOUT_S = 1.0  # a collector is a neighbour; what it does not take at once is dropped, so that nothing waits for it
_LOGGER = logging.getLogger("agent.traces")


class OtlpJsonExporter(SpanExporter):
    """endpoint: base address, as in OTEL_EXPORTER_OTLP_ENDPOINT. Spans that it does not take are lost, and counted."""

    def __init__(self, endpoint: str, exported: Callable[[str], None]) -> None:
        self._exported = exported
        self._url = urlsplit(f"{endpoint.rstrip('/')}/v1/traces")
        self._tls = ssl.create_default_context() if self._url.scheme == "https" else None
        self._was_taken = True

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        body = json.dumps({"resourceSpans": [_resource_spans(spans)]}).encode()
        try:
            status = self._status_of(body)
            is_taken, why = 200 <= status < 300, str(status)
        except (OSError, HTTPException) as error:
            is_taken, why = False, type(error).__name__
        self._exported("taken" if is_taken else "lost")
        if self._was_taken and not is_taken:  # once, not with every batch
            _LOGGER.warning("spans are lost", extra={"fields": {"collector": self._url.geturl(), "error": why}})
        self._was_taken = is_taken
        return SpanExportResult.SUCCESS if is_taken else SpanExportResult.FAILURE

    def _status_of(self, body: bytes) -> int:
        """Of the answer. Batches are seconds apart, which is longer than most servers keep a connection for."""
        host, port = self._url.hostname or "", self._url.port
        connection = (
            HTTPConnection(host, port, timeout=TIMEOUT_S)
            if self._tls is None
            else HTTPSConnection(host, port, timeout=TIMEOUT_S, context=self._tls)
        )
        try:
            connection.request("POST", self._url.path, body, {"Content-Type": "application/json"})
            return connection.getresponse().status
        finally:
            connection.close()


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
