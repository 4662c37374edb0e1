"""An A1111 that does what a test tells it, in this process: no socket, no clock."""

import asyncio
import base64
import contextlib
import json
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from agent.edges.a1111 import A1111
from agent.errors import RuntimeLostError
from agent.neighbour import Answer
from agent.ports import Artifact, Work
from sd_async.contract.jobs import JobType, Progress
from tests.agent.scenario import JOB_ID
from tests.support.clock import FakeClock

Json = dict[str, Any]
PNG = b"\x89PNG\r\n\x1a\n and pixels"
JPEG = b"\xff\xd8\xff and pixels"
V15, SDXL = "v1-5.safetensors [6ce0161689]", "xl/sdxl.safetensors [31e35c80fc]"


def _model(title: str, sha256: str | None) -> Json:
    name, _, mark = title.removesuffix("]").partition(" [")
    short = name.rpartition("/")[2].removesuffix(".safetensors")
    return {"title": title, "model_name": short, "hash": mark, "sha256": sha256, "filename": f"/m/{name}"}


POSTS = {"interrupt", "refresh-checkpoints", "unload-checkpoint", "reload-checkpoint"}
LISTS: Json = {
    "options": {"sd_model_checkpoint": V15, "samples_save": True, "grid_save": True, "sd_vae": "Automatic", "eta": 0},
    "samplers": [{"name": "Euler a", "aliases": ["k_euler_a"]}, {"name": "DPM++ 2M", "aliases": ["k_dpmpp_2m"]}],
    "schedulers": [{"name": "automatic", "label": "Automatic"}, {"name": "karras", "label": "Karras"}],
    "sd-models": [_model(V15, "6ce0161689b3"), _model(SDXL, None)],
    "sd-vae": [{"model_name": "ema.vae.pt", "filename": "/m/ema.vae.pt"}],
    "upscalers": [{"name": "None"}, {"name": "Lanczos"}, {"name": "R-ESRGAN 4x+"}],
    "latent-upscale-modes": [{"name": "Latent"}],
    "scripts": {"txt2img": ["controlnet", "x/y/z plot"], "img2img": ["controlnet", "sd upscale"]},
    "memory": {"ram": {}, "cuda": {"events": {"oom": 0, "retries": 0}}},
}  # fmt: skip


def text_of(picture: bytes) -> str:
    return base64.b64encode(picture).decode()


def made(*pictures: bytes, **info: Any) -> Json:
    told = {"all_seeds": list(range(len(pictures))), "index_of_first_image": 0, "sampler_name": "Euler a", **info}
    return {"images": [text_of(one) for one in pictures], "parameters": {"steps": 20}, "info": json.dumps(told)}


def state(**changes: Any) -> Json:
    values = {"interrupted": False, "job": "", "job_count": 0, "job_no": 0, "sampling_step": 0, "sampling_steps": 0}
    progress = changes.pop("progress", 0.0)
    return {"progress": progress, "eta_relative": 0, "state": values | changes, "current_image": None, "textinfo": None}


@dataclass(frozen=True)
class Pieces:
    """An answer as a socket gives it. arrives: until it is set, its body is still to come."""

    status: int
    body: bytes
    arrives: asyncio.Event | None

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        if self.arrives is not None:
            await self.arrives.wait()
        for at in range(0, len(self.body), 1000):
            yield self.body[at : at + 1000]


@dataclass
class WebUi:
    """A Channel. answer: to jobs, with its status. goes_on: until it is set, a job that began does not end.

    has_loaded: until it is set, `reload` is not answered. interrupts_are_answered: until it is set, they only act.
    calls: what was asked, in order, jobs by their route. beside: the most questions at once beside a job.
    """

    answer: tuple[int, Any] = field(default_factory=lambda: (200, made(PNG)))
    lists: Json = field(default_factory=lambda: json.loads(json.dumps(LISTS)))
    progress: Json = field(default_factory=state)
    goes_on: asyncio.Event | None = None
    ends_when_interrupted: bool = True
    interrupts_are_answered: asyncio.Event | None = None
    arrives: asyncio.Event | None = None
    is_lost: bool = False
    is_gone: bool = False
    has_api: bool = True
    appears: Json = field(default_factory=dict)
    has_loaded: asyncio.Event | None = None
    reload: tuple[int, Any] = (200, {})

    calls: list[str] = field(default_factory=list)
    payloads: list[Json] = field(default_factory=list)
    began: asyncio.Event = field(default_factory=asyncio.Event)
    beside: int = 0
    _asking: int = 0

    async def ask(
        self, method: str, path: str, *, query: Mapping[str, str] | None = None, document: Any = None, timeout_s: float
    ) -> Answer:
        route = path.removeprefix("/sdapi/v1/")
        self.calls.append(route)
        assert (method == "POST") == (route in POSTS)
        assert (query is None) == (route != "progress"), "a preview costs the job time"
        if self.is_gone:
            raise RuntimeLostError("The runtime does not answer (ConnectionRefusedError).")
        self._asking += 1
        self.beside = max(self.beside, self._asking)
        await asyncio.sleep(0)
        self._asking -= 1
        if route == "reload-checkpoint" and self.has_loaded is not None:
            await self.has_loaded.wait()
        status, told = self._told(route) if self.has_api else (404, {"detail": "Not Found"})
        if route == "interrupt" and self.interrupts_are_answered is not None:
            await self.interrupts_are_answered.wait()
        return Answer(status, "application/json", json.dumps(told).encode())

    @contextlib.asynccontextmanager
    async def job(self, path: str, size_bytes: int, body: AsyncIterator[bytes]) -> AsyncIterator["Pieces"]:
        self.calls.append(path.removeprefix("/sdapi/v1/"))
        sent = b"".join([piece async for piece in body])
        assert len(sent) == size_bytes
        self.payloads.append(json.loads(sent))
        self.began.set()
        if self.goes_on is not None:
            await self.goes_on.wait()
        if self.is_lost:
            raise RuntimeLostError("The runtime does not answer (ConnectionResetError).")
        status, document = self.answer
        yield Pieces(status, document if isinstance(document, bytes) else json.dumps(document).encode(), self.arrives)

    def close(self) -> None:
        return

    def _told(self, route: str) -> tuple[int, Any]:
        match route:
            case "progress":
                return 200, self.progress
            case "interrupt":
                self.progress = state()
                if self.goes_on is not None and self.ends_when_interrupted:
                    self.goes_on.set()
            case "reload-checkpoint":
                return self.reload
            case "refresh-checkpoints":
                self.lists |= self.appears
            case _ if route not in POSTS:
                return (200, self.lists[route]) if route in self.lists else (404, {"detail": "Not Found"})
        return 200, {}

    def asked(self, *routes: str) -> list[str]:
        return [call for call in self.calls if call in routes]


@contextlib.asynccontextmanager
async def backend_of(webui: WebUi, clock: FakeClock | None = None) -> AsyncIterator[A1111]:
    sleep = (clock or FakeClock()).sleep
    async with contextlib.aclosing(A1111("http://127.0.0.1:1", "webui", channel=webui, sleep=sleep)) as backend:
        yield backend


def work_of(kind: JobType = JobType.TEXT_TO_IMAGE, files: Any = None, **payload: Any) -> Work:
    return Work(JOB_ID, f"{JOB_ID}-1", {"prompt": "a fox", **payload}, files or {}, kind)


async def begun(webui: WebUi, backend: A1111) -> "asyncio.Task[Sequence[Artifact]]":
    """A job of which the runtime has heard; where `goes_on` holds it, it is at work."""
    running = asyncio.create_task(backend.run(work_of(), ignore))
    await webui.began.wait()
    return running


async def made_by(webui: WebUi, work: Work | None = None) -> list[Artifact]:
    async with backend_of(webui) as backend:
        return list(await backend.run(work or work_of(), lambda _: None))


def ignore(_: Progress) -> None:
    return
