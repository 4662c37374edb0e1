"""What the runtime is asked: one job's own request, and at most one other beside it that is answered at once."""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping
from typing import Any, Protocol

from agent.edges.a1111.body import Body
from agent.errors import RuntimeFaultError, RuntimeLostError
from agent.neighbour import Answer

ANSWER_TIMEOUT_S = 60.0  # lists answer in ms, but loading a checkpoint can hold the interpreter
ROOT = "/sdapi/v1"


class Incoming(Protocol):
    """An answer whose body is still to come."""

    @property
    def status(self) -> int: ...
    def chunks(self) -> AsyncGenerator[bytes, None]: ...


class Channel(Protocol):
    """HTTP to the runtime, as `agent.neighbour` does it. Raises: RuntimeLostError."""

    async def ask(
        self, method: str, path: str, *, query: Mapping[str, str] | None = None, document: Any = None, timeout_s: float
    ) -> Answer: ...

    def job(
        self, path: str, size_bytes: int, body: AsyncIterator[bytes]
    ) -> contextlib.AbstractAsyncContextManager[Incoming]: ...

    def close(self) -> None: ...


class Api:
    """Its routes are those below `/sdapi/v1`; a refusal is no sign that they are there.

    losses: how often there was no answer, as of a runtime that ended.
    """

    def __init__(self, channel: Channel) -> None:
        self.losses = 0
        self._channel = channel
        self._beside = asyncio.Lock()
        self._answered_s: float | None = None

    def answered_within(self, seconds: float) -> bool:
        """Whether it gave what it was asked for so recently, and was not lost since."""
        return self._answered_s is not None and time.monotonic() - self._answered_s < seconds

    async def get(self, route: str, query: Mapping[str, str] | None = None, timeout_s: float = ANSWER_TIMEOUT_S) -> Any:
        """The answer's JSON, None for a route that this version does not have.

        Raises: RuntimeLostError; RuntimeFaultError for any other answer than 200.
        """
        answer = await self._ask("GET", route, query, timeout_s)
        if answer.status in {404, 405}:
            return None
        return _json(_accepted(answer, route), route)

    async def look(self, route: str, query: Mapping[str, str], timeout_s: float) -> Answer | None:
        """None when there is no answer."""
        with contextlib.suppress(RuntimeLostError):
            return await self._ask("GET", route, query, timeout_s)
        return None

    async def post(self, route: str, timeout_s: float = ANSWER_TIMEOUT_S) -> None:
        """Raises: RuntimeLostError; RuntimeFaultError, when it is refused."""
        _accepted(await self._ask("POST", route, None, timeout_s), route)

    async def held(self, route: str, timeout_s: float) -> Answer | None:
        """Of a POST that is answered late, asked beside everything else. None after the time.

        Raises: RuntimeLostError.
        """
        longer_s = timeout_s + ANSWER_TIMEOUT_S  # a late answer is no loss
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                with self._counting_losses():
                    return await self._channel.ask("POST", f"{ROOT}/{route}", timeout_s=longer_s)
        return None

    @contextlib.asynccontextmanager
    async def job(self, route: str, body: Body) -> AsyncIterator[Incoming]:
        """Raises: RuntimeLostError, also from within the block when the connection ends before the answer does."""
        with self._counting_losses():
            async with self._channel.job(f"{ROOT}/{route}", body.size_bytes, body.chunks()) as answer:
                yield answer
        self._heard(answer.status)

    def close(self) -> None:
        self._channel.close()

    async def _ask(self, method: str, route: str, query: Mapping[str, str] | None, timeout_s: float) -> Answer:
        # The runtime's 40 threads are shared by all who ask: a job, and never more than one question about it.
        async with self._beside:
            with self._counting_losses():
                answer = await self._channel.ask(method, f"{ROOT}/{route}", query=query, timeout_s=timeout_s)
        self._heard(answer.status)
        return answer

    @contextlib.contextmanager
    def _counting_losses(self) -> Iterator[None]:
        try:
            yield
        except RuntimeLostError:
            self._answered_s = None
            self.losses += 1
            raise

    def _heard(self, status: int) -> None:
        if status == 200:
            self._answered_s = time.monotonic()


def _accepted(answer: Answer, route: str) -> bytes:
    if answer.status != 200:
        raise RuntimeFaultError(f"The runtime answers {answer.status} to `{route}`.")
    return answer.body


def _json(body: bytes, route: str) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise RuntimeFaultError(f"The runtime's answer to `{route}` is no JSON.") from error


def json_of(answer: Answer) -> Any:
    """None when it is none."""
    with contextlib.suppress(RuntimeFaultError):
        return _json(answer.body, "")
    return None
