"""The first checkpoint, which AUTOMATIC1111 reads in a thread behind its API; no route tells how far it is.

`reload-checkpoint` takes the model from a getter whose lock that thread holds, so it is answered once the thread is
done (0132). Forge, which reads a checkpoint with the job that needs it, answers at once.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable

from agent.edges.a1111.api import Api, json_of
from agent.edges.a1111.replies import error_of
from agent.errors import AgentError, RuntimeFaultError

LOOK_S = 0.25  # for an answer that comes at once, so that a runtime that has read it is ready at the first look
SHARE = 0.8  # of the time for which a runtime is waited for: whoever only loads must never be taken for gone
_UNROUTED = frozenset({404, 405})


class FirstLoad:
    """Of the runtime as it runs now; looked into once after its start, and after each time that it was lost.

    turn: held meanwhile, as the route takes no lock of the runtime's. wait_s: how long whoever calls waits for a
    runtime in all. warn: told of a checkpoint that is not read in time or could not be read, which a job will meet too.
    """

    def __init__(self, api: Api, turn: asyncio.Lock, wait_s: float, warn: Callable[[str], None]) -> None:
        self._api = api
        self._turn = turn
        self._within_s = wait_s * SHARE
        self._warn = warn
        self._asking: asyncio.Task[None] | None = None
        self._looked_at: int | None = None  # how often the runtime had been lost by then
        self._missed_since_s: float | None = None

    @property
    def is_known(self) -> bool:
        return self._looked_at == self._api.losses

    async def is_awaited(self) -> bool:
        """Whether it is still being read. The open connection tells, too, that the runtime lives."""
        if self._asking is None or self._asking.done():
            return False
        await asyncio.wait([self._asking], timeout=LOOK_S)
        return not self._asking.done()

    def begin(self) -> None:
        """Look into it, of a runtime that answers and is idle as far as it tells, unless that was done."""
        if not (self.is_known or self._turn.locked()):
            self._looked_at = self._api.losses
            self.note(is_ready=False)
            self._asking = asyncio.create_task(self._read())

    def note(self, *, is_ready: bool) -> None:
        """What is told to whoever waits for the runtime."""
        if is_ready:
            self._missed_since_s = None
        elif self._missed_since_s is None:
            self._missed_since_s = time.monotonic()

    def met(self) -> None:
        """A job has made a picture, so there is nothing to wait for."""
        self._looked_at = self._api.losses

    async def aclose(self) -> None:
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.wait([self._asking])

    async def _read(self) -> None:
        async with self._turn:
            # A runtime that is lost meanwhile is looked into once more when it is back.
            with contextlib.suppress(AgentError):
                if await self._is_read_at_the_start():
                    await self._end()

    async def _is_read_at_the_start(self) -> bool:
        if await self._api.get("schedulers") is None:
            return False  # below 1.9; up to 1.6 a reload read a second copy beside the thread's
        with contextlib.suppress(RuntimeFaultError):  # some versions cannot express their own flags
            flags = await self._api.get("cmd-flags")
            return not (isinstance(flags, dict) and flags.get("skip_load_model_at_start") is True)
        return True

    async def _end(self) -> None:
        left_s = self._within_s - (time.monotonic() - (self._missed_since_s or time.monotonic()))
        answer = await self._api.held("reload-checkpoint", left_s)
        if answer is None:
            self._warn(f"It is not read after {self._within_s:.0f} s of waiting; jobs are taken, and wait for it.")
        elif answer.status != 200 and answer.status not in _UNROUTED:
            self._warn(error_of(answer.status, json_of(answer)).message)
