"""Single things that AWS takes by the ten, each with an answer of its own."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

I = TypeVar("I")  # noqa: E741 - an item
R = TypeVar("R")

MOST = 10  # entries of one call (SQS and SNS, batch actions)
MAX_BYTES = 256 * 1024  # of all entries together (likewise)


class Batcher(Generic[I, R]):
    """What comes within `linger_s` of the first goes as one call, and `most` do not wait for more.

    send: for each item, in their order, its result or what went wrong with it alone; raises what went wrong with all.
    size: bytes of an item, as far as they count.
    """

    def __init__(
        self,
        send: Callable[[Sequence[I]], Awaitable[Sequence[R | Exception]]],
        *,
        linger_s: float,
        most: int = MOST,
        size: Callable[[I], int] = lambda _: 0,
    ) -> None:
        self._send = send
        self._linger_s = linger_s
        self._most = most
        self._size = size
        self._waiting: list[tuple[I, asyncio.Future[R]]] = []
        self._bytes = 0
        self._timer: asyncio.TimerHandle | None = None
        self._sending: set[asyncio.Task[None]] = set()

    async def done(self, item: I) -> R:
        """Its result. It is sent even if the caller is canceled meanwhile. Raises: what went wrong with it."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[R] = loop.create_future()
        if self._waiting and self._bytes + self._size(item) > MAX_BYTES:
            self._flush()
        self._waiting.append((item, future))
        self._bytes += self._size(item)
        if len(self._waiting) == self._most:
            self._flush()
        elif self._timer is None:
            self._timer = loop.call_later(self._linger_s, self._flush)
        return await future

    def _flush(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        batch, self._waiting, self._bytes, self._timer = self._waiting, [], 0, None
        task = asyncio.create_task(self._sent(batch))
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)

    async def _sent(self, batch: Sequence[tuple[I, "asyncio.Future[R]"]]) -> None:
        try:
            results: Sequence[R | Exception] = await self._send([item for item, _ in batch])
        except Exception as error:  # noqa: BLE001 - whoever waits gets it
            results = [error] * len(batch)
        for (_, future), result in zip(batch, results, strict=True):
            if future.done():
                continue
            if isinstance(result, Exception):
                future.set_exception(result)
            else:
                future.set_result(result)
