"""HTTP to the runtime: one job's own request, and at most one other beside it."""

import asyncio
import contextlib
import json
import ssl
import time
from collections.abc import AsyncIterator, Mapping
from typing import Any

import httpx

from agent.edges.a1111.body import Body
from agent.errors import RuntimeFaultError, RuntimeLostError

ANSWER_TIMEOUT_S = 60.0  # lists answer in ms, but loading a checkpoint can hold the interpreter
CONNECT_TIMEOUT_S = 5.0
# Below uvicorn's 5 s, so that no request goes into a connection that the server is just closing.
_KEEP_ALIVE_S = 2.0
ROOT = "/sdapi/v1"


class Api:
    """transport: for tests. Paths are routes below `/sdapi/v1`."""

    def __init__(self, url: str, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self._beside = asyncio.Lock()
        self._under_way: set[asyncio.Task[httpx.Response]] = set()
        self._answered_s: float | None = None
        self._http = httpx.AsyncClient(
            base_url=url,
            timeout=httpx.Timeout(ANSWER_TIMEOUT_S, connect=CONNECT_TIMEOUT_S),
            transport=transport,
            limits=httpx.Limits(keepalive_expiry=_KEEP_ALIVE_S),
            # It would compress base64 for longer than it takes to send it.
            headers={"Accept-Encoding": "identity"},
            trust_env=False,  # the runtime is a neighbour, never behind a proxy
            verify=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT),  # plain HTTP: no certificate store in memory
        )

    def answered_within(self, seconds: float) -> bool:
        """Whether it gave any answer so recently, and was not lost since."""
        return self._answered_s is not None and time.monotonic() - self._answered_s < seconds

    async def status(self, route: str, timeout_s: float) -> int:
        """Raises: RuntimeLostError."""
        return (await self._ask("GET", route, None, timeout_s)).status_code

    async def get(self, route: str, timeout_s: float = ANSWER_TIMEOUT_S) -> Any:
        """The answer's JSON, None for a route that this version does not have.

        Raises: RuntimeLostError; RuntimeFaultError for any other answer than 200.
        """
        return _json(await self._ask("GET", route, None, timeout_s), route)

    async def post(self, route: str, timeout_s: float = ANSWER_TIMEOUT_S) -> None:
        """Raises: RuntimeLostError; RuntimeFaultError, when it is refused."""
        if (status := (await self._ask("POST", route, {}, timeout_s)).status_code) != 200:
            raise RuntimeFaultError(f"The runtime answers {status} to `{route}`.")

    @contextlib.asynccontextmanager
    async def job(self, route: str, body: Body) -> AsyncIterator[httpx.Response]:
        """The answer to a job, its body still to be read; whoever asks bounds how long that may take.

        Raises: RuntimeLostError, also from within the block when the connection ends before the answer does.
        """
        headers = {"Content-Type": "application/json", "Content-Length": str(body.size_bytes)}
        timeout = httpx.Timeout(None, connect=CONNECT_TIMEOUT_S)
        try:
            async with self._http.stream(
                "POST", f"{ROOT}/{route}", content=body.chunks(), headers=headers, timeout=timeout
            ) as answer:
                yield answer
        except httpx.TransportError as error:
            raise self._lost(error) from error
        self._answered_s = time.monotonic()

    async def aclose(self) -> None:
        if self._under_way:
            await asyncio.wait(self._under_way)
        await self._http.aclose()

    async def _ask(self, method: str, route: str, body: Mapping[str, Any] | None, timeout_s: float) -> httpx.Response:
        # A request that is canceled on its way keeps its connection for ever (httpcore 1.0.9), so it goes on.
        asking = asyncio.create_task(self._asked(method, route, body, timeout_s))
        self._under_way.add(asking)
        asking.add_done_callback(self._under_way.discard)
        return await asyncio.shield(asking)

    async def _asked(self, method: str, route: str, body: Mapping[str, Any] | None, timeout_s: float) -> httpx.Response:
        # Its 40 threads are shared by all who ask: a job, and never more than one question about it.
        async with self._beside:
            try:
                answer = await self._http.request(method, f"{ROOT}/{route}", json=body, timeout=timeout_s)
            except httpx.TransportError as error:
                raise self._lost(error) from error
        self._answered_s = time.monotonic()
        return answer

    def _lost(self, error: httpx.TransportError) -> RuntimeLostError:
        self._answered_s = None
        return RuntimeLostError(f"The runtime does not answer ({type(error).__name__}).")


def _json(answer: httpx.Response, route: str) -> Any:
    if answer.status_code in {404, 405}:
        return None
    if answer.status_code != 200:
        raise RuntimeFaultError(f"The runtime answers {answer.status_code} to `{route}`.")
    try:
        return json.loads(answer.content)
    except (ValueError, RecursionError) as error:
        raise RuntimeFaultError(f"The runtime's answer to `{route}` is no JSON.") from error
