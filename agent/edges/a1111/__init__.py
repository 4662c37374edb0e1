"""AUTOMATIC1111's web UI and Forge over HTTP; `run` is the way of one job.

The answer to a job is its result: a connection that ends before loses the pictures. It says nothing about an
interruption, so whoever asked for one has to remember it.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from typing import Any

import httpx

from agent.edges.a1111 import replies
from agent.edges.a1111.answer import Answer, Picture
from agent.edges.a1111.api import Api
from agent.edges.a1111.body import Body
from agent.edges.a1111.names import Names
from agent.edges.a1111.outputs import artifacts
from agent.edges.a1111.progress import Watch
from agent.edges.a1111.request import Request, request_of
from agent.errors import AgentError, OutOfMemoryError, RuntimeFaultError, RuntimeLostError
from agent.ports import Artifact, Report, Work

POLL_S = 0.5  # a look costs the runtime 1 ms; a job shorter than this is over before the first
STOP_POLL_S = 0.5
STOP_TIMEOUT_S = 8.0  # an interrupt acts at the next step, and decoding cannot be interrupted
READY_TIMEOUT_S = 2.0
FRESH_S = 2.0  # whoever answered so recently is not asked again whether it does
FREE_TIMEOUT_S = 300.0  # weights back from the host's memory
PROGRESS = "progress?skip_current_image=true"  # a preview would be encoded on the job's time
_CHUNK_BYTES = 256 * 1024
_OTHER_MODELS = ("refiner_checkpoint", "hr_checkpoint_name")


class A1111:
    """A Backend. queue: the runtime's name here, which clients of the sample's older form give as a checkpoint.

    transport, sleep: for tests.
    """

    depth = 1  # its own queue holds whole requests, whose answers are lost with their connections

    def __init__(
        self,
        url: str,
        queue: str,
        *,
        transport: httpx.AsyncBaseTransport | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._queue = queue
        self._sleep = sleep
        self._api = Api(url, transport)
        self._names = Names(self._api)
        self._turn = asyncio.Lock()
        self._model: str | None = None  # in the GPU's memory, by its title; None while nobody can say
        self._failed_allocations: int | None = None
        self._may_be_busy = False
        self._jobs: set[asyncio.Task[Any]] = set()

    async def ready(self) -> bool:
        if self._api.answered_within(FRESH_S):
            return True
        try:
            return await self._api.status(PROGRESS, READY_TIMEOUT_S) == 200
        except RuntimeLostError:
            return False

    async def reset(self) -> None:
        """The runtime is this agent's alone, so whatever runs is its earlier process's."""
        self._may_be_busy = True
        with contextlib.suppress(AgentError):
            await self._idle()

    async def free(self) -> None:
        async with self._turn:  # both routes take no lock of the runtime's: never during a job
            self._model = None
            await self._api.post("unload-checkpoint", FREE_TIMEOUT_S)
            # Newer versions leave the weights beside the GPU, and a job would find them there.
            await self._api.post("reload-checkpoint", FREE_TIMEOUT_S)

    async def run(self, work: Work, report: Report) -> Sequence[Artifact]:
        async with self._turn:
            body_of = request_of(work)
            if self._may_be_busy:
                await self._idle()
            request, model = await self._names.checked(body_of, self._queue)
            watch = Watch(report, loads=request.generates and model != self._model)
            loaded, self._model = self._model, None
            if self._failed_allocations is None:
                self._failed_allocations = await self._count_failed_allocations()
            document = await self._watched(request, Body(request.payload, work.files), watch)
            if watch.was_interrupted:
                raise RuntimeFaultError("Somebody else interrupted the job at the runtime.")
            made = artifacts(document, request)
            self._model = _left_in_memory(request, model) if request.generates else loaded
            return made

    async def read(self, artifact: Artifact) -> AsyncGenerator[bytes, None]:
        if not isinstance(artifact.source, Picture):
            yield bytes(artifact.source)
            return
        with artifact.source.path.open("rb") as file:
            while chunk := file.read(_CHUNK_BYTES):
                yield chunk

    async def aclose(self) -> None:
        for job in self._jobs:
            job.cancel()
        if self._jobs:
            await asyncio.wait(self._jobs)
        await self._api.aclose()

    async def _watched(self, request: Request, body: Body, watch: Watch) -> Any:
        watch.begin()
        job = asyncio.create_task(self._asked(request.route, body))
        self._jobs.add(job)
        job.add_done_callback(self._over)
        polling = asyncio.create_task(self._poll(watch))
        try:
            await asyncio.wait([job])
            return job.result()
        except asyncio.CancelledError:
            await self._stop(job)
            raise
        finally:
            polling.cancel()
            await asyncio.wait([polling])

    def _over(self, job: "asyncio.Task[Any]") -> None:
        self._jobs.discard(job)
        if not job.cancelled():
            job.exception()  # looked at, or asyncio would tell of it where nobody waited for it

    async def _asked(self, route: str, body: Body) -> Any:
        """The answer to a job. Raises: what its refusal or failure means."""
        answer = Answer()
        try:
            async with self._api.job(route, body) as response:
                async for chunk in response.aiter_raw():
                    answer.take(chunk)
        finally:
            answer.close()
        document = answer.document()
        if response.status_code == 200:
            return document
        if replies.is_without_words(document) and await self._has_failed_to_allocate():
            raise OutOfMemoryError("The GPU's memory is too small for it (the runtime does not say where).")
        raise replies.error_of(response.status_code, document)

    async def _poll(self, watch: Watch) -> None:
        while True:
            await self._sleep(POLL_S)
            with contextlib.suppress(AgentError):  # the job's own connection decides
                watch.take(await self._api.get(PROGRESS))

    async def _stop(self, job: "asyncio.Task[Any]") -> None:
        """Interrupt until the job has ended; one that had not yet begun forgets an interrupt when it does.

        A job that goes on all the same keeps its connection until its answer, which nobody wants any more.
        """
        self._may_be_busy = True
        for _ in range(round(STOP_TIMEOUT_S / STOP_POLL_S)):
            with contextlib.suppress(AgentError):
                await self._api.post("interrupt", STOP_POLL_S)
            waking = asyncio.create_task(_awaited(self._sleep(STOP_POLL_S)))
            await asyncio.wait([job, waking], return_when=asyncio.FIRST_COMPLETED)
            waking.cancel()
            if job.done():
                self._may_be_busy = False
                return

    async def _idle(self) -> None:
        """Interrupts what still runs. Raises: RuntimeFaultError, when it goes on; RuntimeLostError."""
        for _ in range(round(STOP_TIMEOUT_S / STOP_POLL_S)):
            document = await self._api.get(PROGRESS)
            state = document.get("state") if isinstance(document, dict) else None
            if not isinstance(state, dict) or not state.get("job_count"):
                self._may_be_busy = False
                return
            await self._api.post("interrupt")
            await self._sleep(STOP_POLL_S)
        raise RuntimeFaultError("The runtime is still at an earlier job, which does not end.")

    async def _has_failed_to_allocate(self) -> bool:
        before, self._failed_allocations = self._failed_allocations, await self._count_failed_allocations()
        return (self._failed_allocations or 0) > (before or 0)

    async def _count_failed_allocations(self) -> int:
        """Since the runtime started; 0 where it cannot say."""
        with contextlib.suppress(AgentError):
            document = await self._api.get("memory")
            for key in ("cuda", "events", "oom"):
                document = document.get(key) if isinstance(document, dict) else None
            return document if isinstance(document, int) else 0
        return 0


def _left_in_memory(request: Request, model: str) -> str | None:
    """A job that switched models in its course leaves the last of them."""
    return None if any(request.payload.get(name) for name in _OTHER_MODELS) else model


async def _awaited(sleeping: Awaitable[None]) -> None:
    await sleeping
