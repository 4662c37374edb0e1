"""AUTOMATIC1111's web UI and Forge over HTTP; `run` is the way of one job.

The answer to a job is its result: a connection that ends before loses the pictures. It says nothing about an
interruption, so whoever asked for one has to remember it.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from agent.edges.a1111 import replies
from agent.edges.a1111.answer import Answer, Picture
from agent.edges.a1111.api import Api, Channel, json_of
from agent.edges.a1111.body import Body
from agent.edges.a1111.leftovers import NO_PREVIEW, Leftovers, ended
from agent.edges.a1111.loading import FirstLoad
from agent.edges.a1111.memory import free_host_bytes_of, memory_of
from agent.edges.a1111.names import Names
from agent.edges.a1111.outputs import artifacts, notes
from agent.edges.a1111.progress import Watch, has_job
from agent.edges.a1111.request import Request, request_of
from agent.errors import AgentError, OutOfMemoryError, RuntimeFaultError
from agent.neighbour import Neighbour
from agent.ports import Artifact, GpuMemory, Report, Work

POLL_S = 0.5  # a look costs the runtime 1 ms; a job shorter than this is over before the first
READY_TIMEOUT_S = 2.0
WAIT_S = 300.0  # `SD_RUNTIME_WAIT_S` unless told otherwise
FRESH_S = 2.0  # whoever answered so recently is not asked again whether it does
FREE_TIMEOUT_S = 300.0  # weights back from the host's memory
_CHUNK_BYTES = 256 * 1024
_TURNS_TO_SEND = 4  # of the event loop, from a turn that becomes free to the next job on its way
# FastAPI's for a route that is not there yet, and a proxy's for a server that is not.
_NOT_YET = frozenset({404, 503})
_OTHER_MODELS = ("refiner_checkpoint", "hr_checkpoint_name")


class A1111:
    """A Backend. queue: the runtime's name here, which clients of the sample's older form give as a checkpoint.

    Works take turns. A second one is held, so that it is sent as soon as the answer to the first begins: by then the
    GPU is idle, and megabytes of base64 are still to come. is_loading: its pages answer before its API is there, or it
    reads its first checkpoint. wait_s: how long whoever asks for `ready` waits for it to be true, four fifths of which
    are the checkpoint's. warn: told when they do not suffice, or it could not be read. channel, sleep: for tests.
    """

    depth = 2  # the runtime's own queue holds nothing: what waits there is lost with its connection

    def __init__(
        self,
        url: str,
        queue: str,
        *,
        wait_s: float = WAIT_S,
        warn: Callable[[str], None] = lambda _: None,
        channel: Channel | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.is_loading = False
        self._queue = queue
        self._sleep = sleep
        self._api = Api(channel or Neighbour(url))
        self._names = Names(self._api)
        self._turn = asyncio.Lock()
        self._leftovers = Leftovers(self._api, sleep)
        self._first_load = FirstLoad(self._api, self._turn, wait_s, warn)
        self._model: str | None = None  # in the GPU's memory, by its title; None while nobody can say
        self._failed_allocations: int | None = None

    async def ready(self) -> bool:
        self.is_loading = await self._first_load.is_awaited()
        is_ready = not self.is_loading and await self._is_there() and await self._has_loaded()
        self._first_load.note(is_ready=is_ready)
        return is_ready

    async def reset(self) -> None:
        """The runtime is this agent's alone, so whatever runs is its earlier process's."""
        self._leftovers.may_be_some = True
        with contextlib.suppress(AgentError):
            await self._leftovers.none_left()

    async def has_work(self) -> bool:
        return await self._leftovers.is_at_work()

    async def free(self) -> None:
        async with self._taken():  # both routes take no lock of the runtime's: never during a job
            await self._leftovers.none_left()
            self._model = None
            await self._api.post("unload-checkpoint", FREE_TIMEOUT_S)
            # Newer versions leave the weights beside the GPU, and a job would find them there.
            await self._api.post("reload-checkpoint", FREE_TIMEOUT_S)

    async def free_host_bytes(self) -> int | None:
        return free_host_bytes_of(await self._api.get("memory"))

    async def gpu_memory(self) -> Sequence[GpuMemory]:
        return memory_of(await self._api.get("memory"))

    async def run(self, work: Work, report: Report) -> Sequence[Artifact]:
        asked = request_of(work)
        async with self._taken() as leave:
            await self._leftovers.none_left()
            request, model = await self._names.checked(asked, self._queue)
            watch = Watch(report, loads=request.generates and model != self._model)
            if self._failed_allocations is None:
                self._failed_allocations = await self._count_failed_allocations()
            document = await self._watched(_Job(request, Body(request.payload, work.files), watch, model, leave))
        if watch.was_interrupted:
            raise RuntimeFaultError("Somebody else interrupted the job at the runtime.")
        made = artifacts(document, request)
        work.notes.update(notes(document))
        return made

    async def read(self, artifact: Artifact) -> AsyncGenerator[bytes, None]:
        if not isinstance(artifact.source, Picture):
            yield bytes(artifact.source)
            return
        with artifact.source.path.open("rb") as file:
            while chunk := file.read(_CHUNK_BYTES):
                yield chunk

    async def aclose(self) -> None:
        await self._first_load.aclose()
        await self._leftovers.aclose()
        self._api.close()

    async def _is_there(self) -> bool:
        if self._first_load.is_known and self._api.answered_within(FRESH_S):
            return True
        answer = await self._api.look("progress", NO_PREVIEW, READY_TIMEOUT_S)
        self.is_loading = answer is not None and answer.status in _NOT_YET
        if answer is None or answer.status != 200:
            return False
        if not (self._leftovers.is_stopping or has_job(json_of(answer))):  # never during a job
            self._first_load.begin()
        return True

    async def _has_loaded(self) -> bool:
        losses = self._api.losses
        self.is_loading = await self._first_load.is_awaited()
        return not self.is_loading and losses == self._api.losses

    @contextlib.asynccontextmanager
    async def _taken(self) -> AsyncIterator[Callable[[], None]]:
        """The runtime, until the block ends or says that it needs it no more."""
        await self._turn.acquire()
        is_mine = True

        def leave() -> None:
            nonlocal is_mine
            if is_mine:
                is_mine = False
                self._turn.release()

        try:
            yield leave
        finally:
            leave()

    async def _watched(self, job: "_Job") -> Any:
        """The answer to the job. Canceled before the runtime is done with it, it interrupts it first."""
        job.watch.begin()
        before, self._model = self._model, None
        polling = asyncio.create_task(self._poll(job.watch))

        def over(status: int) -> None:
            """The runtime may begin with another: what it tells of its progress is no longer about this one."""
            polling.cancel()
            if status == 200:
                self._model = job.leaves(before)
                if job.request.generates:
                    self._first_load.met()
            job.over.set()
            if not job.is_stopped.is_set():  # else an interrupt may be on its way, which the next one would get
                job.leave()

        asking = asyncio.create_task(self._asked(job, over))
        try:
            await asyncio.wait([asking])
            return asking.result()
        except asyncio.CancelledError:
            polling.cancel()  # its question would hold up the interrupts
            job.is_stopped.set()
            await self._leftovers.stop(asking, job.over)
            raise
        finally:
            await ended(polling)
            if not job.is_stopped.is_set():
                await ended(asking)

    async def _asked(self, job: "_Job", over: Callable[[int], None]) -> Any:
        """The answer to a job. over: told its status as soon as it begins. Raises: what a refusal or failure means."""
        answer = Answer()
        try:
            async with self._api.job(job.request.route, job.body) as response:
                over(response.status)
                await _others(_TURNS_TO_SEND)
                async with contextlib.aclosing(response.chunks()) as chunks:
                    async for chunk in chunks:
                        answer.take(chunk)
                        await _others()
        finally:
            answer.close()
        document = answer.document()
        if response.status == 200:
            return document
        if replies.is_without_words(document) and await self._has_failed_to_allocate():
            raise OutOfMemoryError("The GPU's memory is too small for it (the runtime does not say where).")
        raise replies.error_of(response.status, document)

    async def _poll(self, watch: Watch) -> None:
        while True:
            await self._sleep(POLL_S)
            with contextlib.suppress(AgentError):  # the job's own connection decides
                watch.take(await self._progress())

    async def _progress(self) -> Any:
        return await self._api.get("progress", NO_PREVIEW)

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


async def _others(turns: int = 1) -> None:
    """Let others do something: reading what has arrived already never pauses by itself."""
    for _ in range(turns):
        await asyncio.sleep(0)


@dataclass(frozen=True, slots=True)
class _Job:
    """model: title of the checkpoint that it runs on. leave: gives up its turn. over: set when the runtime is done.

    is_stopped: set when it is told to be.
    """

    request: Request
    body: Body
    watch: Watch
    model: str
    leave: Callable[[], None]
    over: asyncio.Event = field(default_factory=asyncio.Event)
    is_stopped: asyncio.Event = field(default_factory=asyncio.Event)

    def leaves(self, before: str | None) -> str | None:
        """The model in memory after it; one that switched models in its course leaves nobody knows which."""
        if not self.request.generates:
            return before
        return None if any(self.request.payload.get(name) for name in _OTHER_MODELS) else self.model
