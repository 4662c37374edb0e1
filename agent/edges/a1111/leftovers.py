"""What the runtime works on though nobody waits for it any more, and how that is brought to an end.

Its interrupt is one flag, which a job that begins takes down (facts): one that is on its way, or waits for the first
checkpoint, forgets what was asked before, and one that comes late meets the next job.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from agent.edges.a1111.api import Api
from agent.edges.a1111.progress import has_job
from agent.errors import AgentError, RuntimeFaultError

STOP_POLL_S = 0.5
STOP_TIMEOUT_S = 8.0  # an interrupt acts at the next step, and decoding cannot be interrupted
NO_PREVIEW: Mapping[str, str] = {"skip_current_image": "true"}  # one would be encoded on the job's time


class Leftovers:
    """may_be_some: whether the runtime has to be looked at before the next job."""

    def __init__(self, api: Api, sleep: Callable[[float], Awaitable[None]]) -> None:
        self.may_be_some = False
        self._api = api
        self._sleep = sleep
        self._stopping: asyncio.Task[None] | None = None

    @property
    def is_stopping(self) -> bool:
        return self._stopping is not None and not self._stopping.done()

    async def stop(self, asking: "asyncio.Task[Any]", over: asyncio.Event) -> None:
        """Interrupts a job. One that outlives the time is interrupted on, and counts as work until it is over.

        asking: waits for its answer, and is ended here. over: set when the runtime is done with it.
        """
        self.may_be_some = True
        self._stopping = asyncio.create_task(self._interrupted(asking, over))
        enough = asyncio.ensure_future(self._sleep(STOP_TIMEOUT_S))
        try:
            await asyncio.wait([self._stopping, enough], return_when=asyncio.FIRST_COMPLETED)
        finally:
            enough.cancel()

    async def is_at_work(self) -> bool:
        """Raises: RuntimeLostError, RuntimeFaultError."""
        return self.is_stopping or has_job(await self._api.get("progress", NO_PREVIEW))

    async def none_left(self) -> None:
        """Raises: RuntimeFaultError, when it goes on; RuntimeLostError."""
        if not self.may_be_some:
            return
        for _ in range(round(STOP_TIMEOUT_S / STOP_POLL_S)):
            if not await self.is_at_work():
                self.may_be_some = False
                return
            await self._api.post("interrupt")
            await self._sleep(STOP_POLL_S)
        raise RuntimeFaultError("The runtime is still at an earlier job, which does not end.")

    async def aclose(self) -> None:
        if self._stopping is not None:
            await ended(self._stopping)

    async def _interrupted(self, asking: "asyncio.Task[Any]", over: asyncio.Event) -> None:
        """Again and again, and done only when the last interrupt is answered.

        A job that has not begun shows nowhere but on its own connection: `progress` tells of an idle runtime.
        """
        try:
            while not (over.is_set() or asking.done()):
                with contextlib.suppress(AgentError):
                    await self._api.post("interrupt")
                ends = [asking, *(asyncio.ensure_future(one) for one in (over.wait(), self._sleep(STOP_POLL_S)))]
                await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
                for waiting in ends[1:]:
                    waiting.cancel()
            self.may_be_some = not over.is_set()  # a lost connection ends no job
        finally:
            await ended(asking)


async def ended(task: "asyncio.Task[Any]") -> None:
    """Canceled, unless it is over, and its failure looked at: asyncio would tell of one that nobody waited for."""
    task.cancel()
    await asyncio.wait([task])
    if not task.cancelled():
        task.exception()
