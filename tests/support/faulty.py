"""A proxy in front of the emulator that answers 5xx or throttles while told to, as AWS does on a bad day."""

import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx

_HOP_BY_HOP = {"connection", "transfer-encoding", "content-encoding", "content-length", "keep-alive"}


@dataclass
class FaultyNetwork:
    """upstream: where requests go. status: what every request gets instead while it is set. refused: how many did."""

    upstream: str = ""
    status: int | None = None
    refused: int = 0
    endpoint: str = ""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def in_front_of(self, upstream: str) -> str:
        self.upstream = upstream
        return self.endpoint

    @contextlib.contextmanager
    def failing(self, status: int) -> Iterator[None]:
        self.status = status
        try:
            yield
        finally:
            self.status = None

    def refuse(self) -> int | None:
        with self._lock:
            self.refused += self.status is not None
            return self.status


@contextlib.contextmanager
def faulty_network() -> Iterator[FaultyNetwork]:
    network = FaultyNetwork()
    http = httpx.Client(timeout=60, limits=httpx.Limits(max_connections=64))

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _pass(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            if status := network.refuse():
                self._answer(status, {}, b"")
                return
            headers = [(name, value) for name, value in self.headers.items() if name.lower() not in _HOP_BY_HOP]
            answer = http.request(self.command, network.upstream + self.path, content=body, headers=headers)
            self._answer(answer.status_code, dict(answer.headers), answer.content)

        def _answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
            self.send_response(status)
            for name, value in headers.items():
                if name.lower() not in _HOP_BY_HOP:
                    self.send_header(name, value)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                self.wfile.write(body)

        do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = _pass  # noqa: N815 - the standard library's names

        def log_message(self, *_arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    network.endpoint = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield network
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
        http.close()
