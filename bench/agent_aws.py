"""The emulator with AWS's distance: `python -m bench.agent_aws` is `python -m ministack`, each call DELAY_S later.

The delay is a sleep in front of the emulator's application, so it takes no processor from what is measured.
`GET /_bench/calls` tells the calls so far; with `--jobs` those that concern a job name it.
"""

import asyncio
import json
import random
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from typing import Any

import ministack.app  # type: ignore[import-untyped] # it has no types

DELAY_S = (0.010, 0.020)  # 15 ± 5 ms: a call from a node to a regional endpoint, as the issue sets it
PATH = "/_bench/calls"

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


class Distance:
    """calls: name, monotonic seconds of arrival and answer, ids of the jobs that it is about."""

    def __init__(self, inner: App, *, names_jobs: bool) -> None:
        self._inner = inner
        self._names_jobs = names_jobs
        self._random = random.Random(15)  # noqa: S311 - the same distances in every run
        self.calls: list[tuple[str, float, float, list[str]]] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"].startswith("/_ministack"):
            await self._inner(scope, receive, send)
        elif scope["path"] == PATH:
            await _answer(send, json.dumps(self.calls).encode())
        else:
            await self._passed_on(scope, receive, send)

    async def _passed_on(self, scope: Scope, receive: Receive, send: Send) -> None:
        arrived_s, heard = time.monotonic(), bytearray()
        index = len(self.calls)
        self.calls.append((_name(scope), arrived_s, 0.0, []))
        await asyncio.sleep(self._random.uniform(*DELAY_S))

        async def hear() -> Message:
            message = await receive()
            heard.extend(message.get("body", b""))
            return message

        async def say(message: Message) -> None:
            heard.extend(message.get("body", b""))
            await send(message)

        is_heard = self._names_jobs and scope["method"] == "POST"
        await self._inner(scope, hear if is_heard else receive, say if is_heard else send)
        jobs = sorted(set(_ids(bytes(heard)))) if is_heard else []
        self.calls[index] = (_name(scope), arrived_s, time.monotonic(), jobs)


def _name(scope: Scope) -> str:
    """`AmazonSQS.ReceiveMessage` and the like; `PUT /bucket/key` for what has no such header."""
    target = next((value.decode() for name, value in scope["headers"] if name == b"x-amz-target"), "")
    return target.rpartition(".")[2] or f"{scope['method']} {scope['path']}"


def _ids(heard: bytes) -> Iterator[str]:
    """Ids of jobs, which the bench makes so that they can be found in any text."""
    for part in heard.split(b"be0c0000-")[1:]:
        yield "be0c0000-" + part[:27].decode(errors="replace")


async def _answer(send: Send, body: bytes) -> None:
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


if __name__ == "__main__":
    ministack.app.app = Distance(ministack.app.app, names_jobs="--jobs" in sys.argv)
    del sys.argv[1:]  # the emulator has options of its own
    ministack.app.main()
