"""The ComfyUI edge, joined to a server that a test tells what to do."""

import contextlib
from collections.abc import AsyncIterator

from agent.edges.comfyui import ComfyUI
from agent.ports import Artifact, Work
from tests.agent.comfyui_server import Script, comfyui
from tests.agent.scenario import JOB_ID, WORKFLOW

WORK = Work(run_id=JOB_ID, label=f"{JOB_ID}-1", input=WORKFLOW, files={})


@contextlib.asynccontextmanager
async def backend_of(script: Script) -> AsyncIterator[ComfyUI]:
    async with comfyui(script) as url, contextlib.aclosing(client(url)) as backend:
        yield backend


def client(url: str) -> ComfyUI:
    return ComfyUI(url, "comfy-0", poll_s=0.01, reconnect_s=0.01, socket_wait_s=0.5)


async def made_by(script: Script, work: Work = WORK) -> list[Artifact]:
    async with backend_of(script) as backend:
        return list(await backend.run(work, lambda _: None))
