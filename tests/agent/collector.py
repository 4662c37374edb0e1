"""A collector of traces that takes OTLP over HTTP, and reads it by OpenTelemetry's own schema."""

import base64
import contextlib
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from google.protobuf.json_format import ParseDict
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

PATIENCE_S = 10.0


@dataclass
class Collector:
    """status: what it answers; 0 for nothing, until `released`. bodies: what came to /v1/traces."""

    url: str = ""
    status: int = 200
    released: threading.Event = field(default_factory=threading.Event)
    bodies: list[dict[str, Any]] = field(default_factory=list)
    arrived: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))

    def requests(self) -> list[ExportTraceServiceRequest]:
        return [parsed(body) for body in self.bodies]

    def spans(self) -> dict[str, Span]:
        """By name."""
        return {
            span.name: span
            for request in self.requests()
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        }


def parsed(body: dict[str, Any]) -> ExportTraceServiceRequest:
    """OTLP's JSON is protobuf's but for its ids, which are hexadecimal; an unknown field is refused."""
    request = ExportTraceServiceRequest()
    ParseDict(_with_plain_ids(body), request)
    return request


def _with_plain_ids(value: Any) -> Any:
    if isinstance(value, list):
        return [_with_plain_ids(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        name: base64.b64encode(bytes.fromhex(item)).decode() if name in _IDS else _with_plain_ids(item)
        for name, item in value.items()
    }


_IDS = frozenset({"traceId", "spanId", "parentSpanId"})


@contextlib.contextmanager
def collecting() -> Iterator[Collector]:
    collector = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if self.path == "/v1/traces" and self.headers["Content-Type"] == "application/json":
                collector.bodies.append(body)
            collector.arrived.release()
            if collector.status == 0:
                collector.released.wait(PATIENCE_S)
            with contextlib.suppress(OSError):
                self.send_response(collector.status or 200)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"{}")

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    serving = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    serving.start()
    collector.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield collector
    finally:
        collector.released.set()
        server.shutdown()
        server.server_close()
        serving.join()
