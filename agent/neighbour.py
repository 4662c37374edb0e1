"""HTTP/1.1 to the runtime beside the agent: plain sockets, kept open.

A job asks its runtime half a dozen things, and with a general client that cost more processor time than all of AWS's
calls (0102). This one does what a neighbour on the loopback needs: no TLS, no proxy, no redirect, no compression.
"""

import asyncio
import contextlib
import json
import socket
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode, urlsplit

from agent.errors import RuntimeLostError

_CHUNK_BYTES = 256 * 1024
_MAX_HEAD_BYTES = 64 * 1024
_CONNECT_TIMEOUT_S = 5.0
_ALWAYS_EMPTY = frozenset({204, 304})


@dataclass(frozen=True, slots=True)
class Answer:
    """content_type: as sent, empty when there is none."""

    status: int
    content_type: str
    body: bytes


class Neighbour:
    """url: `http://host[:port][/path]`. Every call raises RuntimeLostError when there is no answer, or half of one."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self.host, self.port = parts.hostname or "", parts.port or 80
        self.path = parts.path.rstrip("/")
        self._idle: list[_Line] = []

    async def ask(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        document: Any = None,
        form: "Form | None" = None,
        timeout_s: float,
    ) -> Answer:
        """document: sent as JSON. form: sent instead of it."""
        body: Sequence[bytes] = form.parts if form else [json.dumps(document).encode()] if document is not None else []
        kind = form.content_type if form else "application/json"
        try:
            async with asyncio.timeout(timeout_s), self._asked(method, path, query, kind, body) as answer:
                return Answer(answer.status, answer.content_type, b"".join([chunk async for chunk in answer.chunks()]))
        except TimeoutError as error:
            raise _lost(error) from error

    @contextlib.asynccontextmanager
    async def read(self, path: str, query: Mapping[str, str], timeout_s: float) -> AsyncIterator["Reading"]:
        """An answer whose body is still to come. timeout_s: until it begins."""
        try:
            async with asyncio.timeout(timeout_s) as limit, self._asked("GET", path, query, "", []) as answer:
                limit.reschedule(None)
                yield answer
        except TimeoutError as error:
            raise _lost(error) from error

    async def connected(self) -> socket.socket:
        """A new connection, the caller's to close. Raises: OSError."""
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(_CONNECT_TIMEOUT_S):
            found = await loop.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM)
            family, kind, protocol, _, address = found[0]
            made = socket.socket(family, kind, protocol)
            try:
                made.setblocking(False)  # noqa: FBT003 - the standard library's own signature
                made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                await loop.sock_connect(made, address)
            except BaseException:
                made.close()
                raise
        return made

    def close(self) -> None:
        while self._idle:
            self._idle.pop().close()

    @contextlib.asynccontextmanager
    async def _asked(
        self, method: str, path: str, query: Mapping[str, str] | None, kind: str, body: Sequence[bytes]
    ) -> AsyncIterator["Reading"]:
        target = self.path + path + (f"?{urlencode(query)}" if query else "")
        head = f"{method} {target} HTTP/1.1\r\nHost: {self.host}:{self.port}\r\nAccept-Encoding: identity\r\n"
        if body:
            head += f"Content-Type: {kind}\r\nContent-Length: {sum(map(len, body))}\r\n"
        elif method != "GET":
            head += "Content-Length: 0\r\n"
        line, reading = await self._line(), None
        try:
            try:
                await line.send(f"{head}\r\n".encode(), *body)
                reading = await line.answer()
            except ConnectionError as error:
                raise _lost(error) from error
            yield reading
        finally:
            if reading is not None and reading.is_over and reading.is_kept:
                self._idle.append(line)
            else:
                line.close()

    async def _line(self) -> "_Line":
        while self._idle:
            line = self._idle.pop()
            if line.is_usable():
                return line
            line.close()
        try:
            return _Line(await self.connected())
        except OSError as error:
            raise _lost(error) from error


class Reading:
    """An answer as it comes in. length: of its body in bytes, None when only its end will tell."""

    def __init__(self, line: "_Line", status: int, headers: Mapping[str, str]) -> None:
        self._line = line
        self.status = status
        self.content_type = headers.get("content-type", "")
        self.is_kept = headers.get("connection", "").lower() != "close"
        self._is_chunked = headers.get("transfer-encoding", "").lower() == "chunked"
        given = headers.get("content-length", "")
        self.length = int(given) if given.isascii() and given.isdigit() else None
        if status in _ALWAYS_EMPTY:
            self.length = 0
        self.is_over = False

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """Raises: RuntimeLostError."""
        try:
            async for chunk in self._raw():
                yield chunk
        except (ConnectionError, ValueError) as error:
            raise _lost(error) from error
        self.is_over = True

    async def _raw(self) -> AsyncGenerator[bytes, None]:
        if self._is_chunked:
            while size := int((await self._line.until(b"\r\n")).split(b";")[0], 16):
                async for chunk in self._line.exactly(size):
                    yield chunk
                await self._line.until(b"\r\n")
            while await self._line.until(b"\r\n"):
                pass  # trailers
        elif self.length is not None:
            async for chunk in self._line.exactly(self.length):
                yield chunk
        else:
            self.is_kept = False
            while chunk := await self._line.some(_CHUNK_BYTES):
                yield chunk


class _Line:
    """One connection; `_ahead` holds what was received and not yet asked for."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._loop = asyncio.get_running_loop()
        self._ahead = b""

    def is_usable(self) -> bool:
        """Whether the other side has neither closed it nor said anything unasked."""
        try:
            self._socket.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return not self._ahead
        except OSError:
            return False
        return False

    async def send(self, *parts: bytes) -> None:
        small = b"".join(part for part in parts) if sum(map(len, parts)) < _CHUNK_BYTES else None
        for part in (small,) if small is not None else parts:
            await self._loop.sock_sendall(self._socket, part)

    async def answer(self) -> Reading:
        status, *lines = (await self.until(b"\r\n\r\n")).split(b"\r\n")
        pairs = (line.decode("latin-1").partition(":") for line in lines)
        try:
            return Reading(self, int(status.split(b" ")[1]), {name.lower(): value.strip() for name, _, value in pairs})
        except (IndexError, ValueError) as error:
            raise ConnectionError("no HTTP") from error

    async def until(self, mark: bytes) -> bytes:
        while (end := self._ahead.find(mark)) < 0:
            if len(self._ahead) > _MAX_HEAD_BYTES:
                raise ConnectionError("a head without end")
            more = await self._loop.sock_recv(self._socket, _MAX_HEAD_BYTES)
            if not more:
                raise ConnectionError("half an answer")
            self._ahead += more
        found, self._ahead = self._ahead[:end], self._ahead[end + len(mark) :]
        return found

    async def some(self, most: int) -> bytes:
        if self._ahead:
            found, self._ahead = self._ahead[:most], self._ahead[most:]
            return found
        return await self._loop.sock_recv(self._socket, most)

    async def exactly(self, size: int) -> AsyncGenerator[bytes, None]:
        left = size
        while left:
            chunk = await self.some(min(left, _CHUNK_BYTES))
            if not chunk:
                raise ConnectionError("half an answer")
            left -= len(chunk)
            yield chunk

    def close(self) -> None:
        self._socket.close()


class Form:
    """A `multipart/form-data` body of one file and some fields."""

    def __init__(self, field: str, name: str, content: bytes, fields: Mapping[str, str]) -> None:
        """name: of the file, our own, so that it needs no escaping."""
        boundary = uuid.uuid4().hex  # which no client can have put into its file
        self.content_type = f"multipart/form-data; boundary={boundary}"
        start = f"--{boundary}\r\nContent-Disposition: form-data; name="
        texts = "".join(f'{start}"{key}"\r\n\r\n{value}\r\n' for key, value in fields.items())
        file = f'{start}"{field}"; filename="{name}"\r\nContent-Type: application/octet-stream\r\n\r\n'
        self.parts = [(texts + file).encode(), content, f"\r\n--{boundary}--\r\n".encode()]


def _lost(error: Exception) -> RuntimeLostError:
    return RuntimeLostError(f"The runtime does not answer ({type(error).__name__}).")
