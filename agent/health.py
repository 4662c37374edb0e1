"""`/livez` and `/readyz` for the kubelet, `/metrics` for Prometheus.

Alive means that the event loop turns, which an answer proves. Ready means that the runtime answers, busy or not; what
the agent is, else, stands in the body.
"""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from enum import StrEnum

from agent.errors import ConfigError

_REQUEST_TIMEOUT_S = 5.0
_MAX_REQUEST_BYTES = 8 * 1024
_JSON, _TEXT = "application/json", "text/plain"


class State(StrEnum):
    """What an agent is, to whoever asks whether it is ready; only one of them is."""

    STARTING = "starting"
    RUNTIME_LOADING = "runtime_loading"
    RUNTIME_GONE = "runtime_gone"
    RUNTIME_STUCK = "runtime_stuck"
    READY = "ready"
    DRAINING = "draining"


MEANINGS = {
    State.STARTING: "the runtime has not answered yet",
    State.RUNTIME_LOADING: "the runtime listens, and does not serve its API yet or reads its first model",
    State.RUNTIME_GONE: "the runtime has answered before and does not now",
    State.RUNTIME_STUCK: "the runtime answers and still works on what it was told to stop",
    State.READY: "the runtime answers",
    State.DRAINING: "the agent is being stopped and takes no more jobs",
}

Ask = Callable[[], Awaitable[State]]
# What `/metrics` gives, and its type.
Page = Callable[[], Awaitable[tuple[bytes, str]]]


@contextlib.asynccontextmanager
async def serving(host: str, port: int, state: Ask, page: Page | None = None) -> AsyncIterator[int]:
    """The port it listens on, until the block ends. port: 0 for any. page: None where nothing is to be scraped.

    Raises: ConfigError when it cannot listen.
    """

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            async with asyncio.timeout(_REQUEST_TIMEOUT_S):
                head = await reader.readuntil(b"\r\n\r\n")
                writer.write(await _answer(head, state, page))
                await writer.drain()
        writer.close()

    try:
        server = await asyncio.start_server(answer, host, port, limit=_MAX_REQUEST_BYTES)
    except OSError as error:
        where = f"SD_HEALTH_PORT is {port} and SD_POD_IP is {host}"
        raise ConfigError([f"{where}, where nothing can listen: {error.strerror or error}."]) from error
    async with server:
        yield server.sockets[0].getsockname()[1]


async def _answer(head: bytes, state: Ask, page: Page | None) -> bytes:
    method, _, rest = head.partition(b"\r\n")[0].partition(b" ")
    path = rest.partition(b" ")[0].partition(b"?")[0]
    if method not in {b"GET", b"HEAD"}:
        return _response("405 Method Not Allowed", b"GET only\n")
    if path == b"/livez":
        return _response("200 OK", b"ok\n")
    if path == b"/readyz":
        found = await state()
        body = json.dumps({"state": found, "meaning": MEANINGS[found]}).encode() + b"\n"
        return _response("200 OK" if found is State.READY else "503 Service Unavailable", body, _JSON)
    if path == b"/metrics" and page is not None:
        body, kind = await page()
        return _response("200 OK", body, kind)
    return _response("404 Not Found", b"/livez, /readyz and, with SD_METRICS, /metrics are here\n")


def _response(status: str, body: bytes, kind: str = _TEXT) -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    return head.encode() + body
