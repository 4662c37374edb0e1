"""`/livez` and `/readyz` for the kubelet.

Alive means that the event loop turns, which an answer proves. Ready means that the runtime answers, busy or not.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

from agent.errors import ConfigError

_REQUEST_TIMEOUT_S = 5.0
_MAX_REQUEST_BYTES = 8 * 1024


@contextlib.asynccontextmanager
async def serving(host: str, port: int, is_ready: Callable[[], Awaitable[bool]]) -> AsyncIterator[int]:
    """The port it listens on, until the block ends. port: 0 for any. Raises: ConfigError when it cannot listen."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            async with asyncio.timeout(_REQUEST_TIMEOUT_S):
                head = await reader.readuntil(b"\r\n\r\n")
                writer.write(await _answer(head, is_ready))
                await writer.drain()
        writer.close()

    try:
        server = await asyncio.start_server(answer, host, port, limit=_MAX_REQUEST_BYTES)
    except OSError as error:
        where = f"SD_HEALTH_PORT is {port} and SD_POD_IP is {host}"
        raise ConfigError([f"{where}, where nothing can listen: {error.strerror or error}."]) from error
    async with server:
        yield server.sockets[0].getsockname()[1]


async def _answer(head: bytes, is_ready: Callable[[], Awaitable[bool]]) -> bytes:
    method, _, rest = head.partition(b"\r\n")[0].partition(b" ")
    path = rest.partition(b" ")[0].partition(b"?")[0]
    if method not in {b"GET", b"HEAD"}:
        return _response("405 Method Not Allowed", "GET only")
    match path:
        case b"/livez":
            return _response("200 OK", "ok")
        case b"/readyz":
            if await is_ready():
                return _response("200 OK", "ok")
            return _response("503 Service Unavailable", "the runtime does not answer")
    return _response("404 Not Found", "/livez and /readyz are here")


def _response(status: str, text: str) -> bytes:
    body = f"{text}\n"
    head = f"HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    return (head + body).encode()
