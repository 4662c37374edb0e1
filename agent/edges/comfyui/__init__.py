"""ComfyUI over HTTP and WebSocket; `run` is the way of one prompt."""

import asyncio
import contextlib
import json
import uuid
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from agent.edges.comfyui.graph import folder_of, prepared, upload_name
from agent.edges.comfyui.memory import memory_of
from agent.edges.comfyui.outputs import File, artifacts
from agent.edges.comfyui.progress import Tracker
from agent.edges.comfyui.replies import check_accepted, outputs_of, runtime_notes
from agent.edges.comfyui.sent import CLASS, Picture, Receiver
from agent.edges.comfyui.socket import Following, Message, Socket
from agent.errors import (
    AgentError,
    BadFileError,
    NodeFailedError,
    NoOutputsError,
    RuntimeFaultError,
    RuntimeLostError,
)
from agent.neighbour import Answer, Form, Neighbour
from agent.ports import Artifact, GpuMemory, Report, Work

POLL_S = 1.0  # for a prompt whose end the socket will not tell; asking costs ComfyUI 1 ms
RECONNECT_S = 2.0
ANSWER_TIMEOUT_S = 60.0  # HTTP answers in ms while sampling, but loading a checkpoint can hold the interpreter
STOP_TIMEOUT_S = 5.0
ARRIVAL_S = 2.0  # a prompt is checked within milliseconds; the two calls that stop it need the rest of a pod's end
READY_TIMEOUT_S = 2.0
SOCKET_WAIT_S = 10.0  # for those who need it; it is made anew after 2 s
LAST_PICTURE_S = 60.0  # from a prompt's end until its pictures have passed the runtime's own line to its clients
_PATIENCE = 5  # polls that are left out while the socket is there to tell
_SHARED_CHUNK_BYTES = 1024 * 1024
_GONE_AFTER = 2  # a prompt that ends between two questions is in neither answer once


class ComfyUI:
    """A Backend. agent_id: marks prompts as this agent's, whatever process of it sent them.

    output_folder: the runtime's own, where it is shared with the agent. poll_s, reconnect_s: seconds between two
    questions, and before a lost socket is made anew. socket_wait_s: how long a prompt that needs it waits for it.
    """

    depth = 3  # one runs, one waits, and one is on its way while the agent hears that the first has ended

    def __init__(
        self,
        url: str,
        agent_id: str,
        *,
        output_folder: Path | None = None,
        poll_s: float = POLL_S,
        reconnect_s: float = RECONNECT_S,
        socket_wait_s: float = SOCKET_WAIT_S,
    ) -> None:
        self._agent_id = agent_id
        self._output_folder = output_folder
        self._poll_s = poll_s
        self._socket_wait_s = socket_wait_s
        self._http = Neighbour(url)
        self._notes: dict[str, Any] = {}
        self._socket = Socket(self._http, reconnect_s)

    async def ready(self) -> bool:
        try:
            answer = await self._ask("GET", "/system_stats", timeout_s=READY_TIMEOUT_S)
        except RuntimeLostError:
            return False
        self._notes = runtime_notes(_json(answer))
        return answer.status == 200

    async def reset(self) -> None:
        with contextlib.suppress(RuntimeLostError, RuntimeFaultError):
            for item in await self._queued():
                if self._is_own(item):
                    await self._stop(str(item[1]))

    async def has_work(self) -> bool:
        return any(self._is_own(item) for item in await self._queued())

    async def free_host_bytes(self) -> int | None:
        document = _json(await self._ask("GET", "/system_stats", timeout_s=READY_TIMEOUT_S))
        system = document.get("system") if isinstance(document, dict) else None
        free = system.get("ram_free") if isinstance(system, dict) else None
        return free if isinstance(free, int) else None

    async def free(self) -> None:
        await self._ask("POST", "/free", document={"unload_models": True, "free_memory": True})

    async def gpu_memory(self) -> Sequence[GpuMemory]:
        return memory_of(_json(await self._ask("GET", "/system_stats", timeout_s=READY_TIMEOUT_S)))

    async def run(self, work: Work, report: Report) -> Sequence[Artifact]:
        uploaded = await self._uploaded(work)
        work.notes.update(self._notes)
        made = await self._ran(work, uploaded, report)
        if made is None:  # what only the socket had is gone with it; nothing keeps a picture that was sent
            run_id = str(uuid.uuid5(uuid.NAMESPACE_OID, f"{work.run_id}/resent"))
            made = await self._ran(replace(work, run_id=run_id, label=f"{work.label}-resent"), uploaded, report)
        if made is None:
            raise RuntimeFaultError(f"The runtime's socket was lost twice, over which `{CLASS}` sends its pictures.")
        if made:
            return made
        raise NoOutputsError("The workflow ran and saved nothing: no output node wrote a file or a text.")

    async def _ran(self, work: Work, uploaded: Mapping[str, str], report: Report) -> list[Artifact] | None:
        """What the prompt made; None when pictures were sent and are lost."""
        await self._socket.opened()  # messages sent before the socket is there are never repeated
        graph, run_id = prepared(work.input, work.label, uploaded), work.run_id
        receiver, prompt_id = Receiver(graph), run_id
        prompt = _Prompt(Tracker(graph, report), receiver)
        if receiver.is_wanted:
            await self._socket_is_there()

        def show(frame: bytes | None) -> None:
            receiver.take(frame, (run_id, prompt_id))

        with self._socket.following(run_id, prompt, show if receiver.is_wanted else None) as following:
            submitting = asyncio.create_task(self._submit(run_id, graph, following.client_id))
            try:
                prompt_id = await asyncio.shield(submitting)
                if prompt_id != run_id:  # not every version takes an id from its client
                    self._socket.follow_also(prompt_id, following)
                outputs = outputs_of(await self._ended(prompt_id, following))
            except BaseException:
                await self._withdraw(submitting, prompt_id)
                raise
            if receiver.is_wanted and not await self._is_all_sent(receiver, following):
                receiver.pictures()
                return None
        return artifacts(outputs, list(graph), folder_of(work.label), receiver.pictures())

    async def read(self, artifact: Artifact) -> AsyncGenerator[bytes, None]:
        if isinstance(artifact.source, Picture):
            for chunk in artifact.source.chunks():
                yield chunk
            return
        if not isinstance(artifact.source, File):
            yield str(artifact.source).encode()
            return
        file = artifact.source
        if (path := self._shared(file)) is not None:
            with path.open("rb") as content:
                while chunk := await asyncio.to_thread(content.read, _SHARED_CHUNK_BYTES):
                    yield chunk
            return
        where = {"filename": file.filename, "subfolder": file.subfolder, "type": file.type}
        async with self._http.read("/view", where, ANSWER_TIMEOUT_S) as answer:
            if answer.status != 200:
                raise RuntimeFaultError(f"The runtime answers {answer.status} for `{file.filename}`.")
            async with contextlib.aclosing(answer.chunks()) as chunks:
                async for chunk in chunks:
                    yield chunk

    async def aclose(self) -> None:
        await self._socket.close()
        self._http.close()

    def _is_own(self, item: Sequence[Any]) -> bool:
        return len(item) > 3 and isinstance(item[3], dict) and item[3].get("sd_async_agent") == self._agent_id

    async def _uploaded(self, work: Work) -> dict[str, str]:
        return {
            name: await self._upload(path, upload_name(work.label, index, name))
            for index, (name, path) in enumerate(work.files.items())
        }

    async def _upload(self, path: Path, name: str) -> str:
        content = await asyncio.to_thread(path.read_bytes)
        form = Form("image", name, content, {"type": "input", "overwrite": "true"})
        answer = await self._ask("POST", "/upload/image", form=form)
        if answer.status >= 500:
            raise RuntimeFaultError(f"The runtime answers {answer.status} to an upload.")
        stored = _json(answer)
        if answer.status != 200 or not isinstance(stored, dict) or not isinstance(stored.get("name"), str):
            raise BadFileError(f"The runtime refuses an input file with {answer.status}.")
        return f"{stored['subfolder']}/{stored['name']}" if stored.get("subfolder") else str(stored["name"])

    async def _submit(self, run_id: str, graph: Mapping[str, Any], client_id: str) -> str:
        """The prompt's id at the runtime: the one that was asked for, where it may be."""
        answer = await self._ask(
            "POST",
            "/prompt",
            document={
                "prompt": graph,
                "prompt_id": run_id,
                "client_id": client_id,
                "extra_data": {"sd_async_agent": self._agent_id},
            },
        )
        return check_accepted(answer.status, _json(answer)) or run_id

    async def _withdraw(self, submitting: "asyncio.Task[str]", prompt_id: str) -> None:
        """Stop it once it has arrived: what arrives later would run to its end, and the next job wait for it."""
        await asyncio.wait([submitting], timeout=ARRIVAL_S)
        submitting.cancel()
        [arrived] = await asyncio.gather(submitting, return_exceptions=True)
        await self._stop(arrived if isinstance(arrived, str) else prompt_id)

    async def _ended(self, run_id: str, following: Following) -> Mapping[str, Any]:
        """History entry of the prompt, once there is one; the caller bounds how long that may take.

        Asked for when the socket says that it has ended, and now and then where the socket may not say so.
        """
        missing = 0
        while missing < _GONE_AFTER:
            pause_s = self._poll_s * (_PATIENCE if self._socket.hears(following) and not missing else 1)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause_s):
                    await following.heard.wait()
            following.heard.clear()
            if entry := await self._history(run_id):
                return entry
            missing = 0 if any(item[1:2] == [run_id] for item in await self._queued()) else missing + 1
        raise RuntimeLostError("The runtime was restarted and no longer knows the job.")

    async def _socket_is_there(self) -> None:
        """Raises: RuntimeFaultError."""
        try:
            async with asyncio.timeout(self._socket_wait_s):
                await self._socket.there()
        except TimeoutError as error:
            message = f"The runtime's socket cannot be opened, over which `{CLASS}` sends its pictures."
            raise RuntimeFaultError(message) from error

    async def _is_all_sent(self, receiver: Receiver, following: Following) -> bool:
        """Whether what was sent has arrived: the end was told by the very connection that told the beginning."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LAST_PICTURE_S):
                while not receiver.is_over and self._socket.hears(following):
                    await following.heard.wait()
                    following.heard.clear()
        return receiver.is_over

    async def _history(self, run_id: str) -> Mapping[str, Any] | None:
        answer = await self._ask("GET", f"/history/{run_id}")
        if answer.status == 500:
            # One output that JSON cannot express breaks the history of everything until it is removed.
            await self._ask("POST", "/history", document={"delete": [run_id]})
            raise NodeFailedError("A node's output cannot be expressed as JSON, so the runtime cannot tell the result.")
        document = _json(answer)
        entry = document.get(run_id) if isinstance(document, dict) else None
        return entry if isinstance(entry, dict) else None

    async def _queued(self) -> list[list[Any]]:
        """Items of the runtime's queue, running ones first: [number, prompt id, graph, extra data, outputs]."""
        answer = await self._ask("GET", "/queue")
        document = _json(answer)
        if answer.status != 200 or not isinstance(document, dict):
            raise RuntimeFaultError(f"The runtime answers {answer.status} for its queue.")
        items = [*document.get("queue_running", []), *document.get("queue_pending", [])]
        return [item for item in items if isinstance(item, list)]

    async def _stop(self, run_id: str) -> None:
        """Neither waiting nor running any more, if the runtime still listens."""
        with contextlib.suppress(AgentError):
            # In this order nothing can slip from waiting to running in between.
            await self._ask("POST", "/queue", document={"delete": [run_id]}, timeout_s=STOP_TIMEOUT_S)
            await self._ask("POST", "/interrupt", document={"prompt_id": run_id}, timeout_s=STOP_TIMEOUT_S)

    def _shared(self, file: File) -> Path | None:
        """The file itself, where the runtime's folder is ours too; None when it is to be asked for."""
        if self._output_folder is None or file.type != "output":
            return None
        path = (self._output_folder / file.subfolder / file.filename).resolve()
        is_inside = path.is_relative_to(self._output_folder.resolve())
        return path if is_inside and path.is_file() else None

    async def _ask(self, method: str, path: str, *, timeout_s: float = ANSWER_TIMEOUT_S, **named: Any) -> Answer:
        return await self._http.ask(method, path, timeout_s=timeout_s, **named)


@dataclass(frozen=True)
class _Prompt:
    """What follows one prompt: how far it is, and the pictures that it sends."""

    tracker: Tracker
    receiver: Receiver

    def take(self, message: Message) -> bool:
        self.receiver.hear(message)
        return self.tracker.take(message)

    def tell(self) -> None:
        self.tracker.tell()

    @property
    def quiet_s(self) -> float:
        return self.tracker.quiet_s


def _json(answer: Answer) -> Any:
    """ComfyUI's own failures are text/plain, so an answer is JSON only if it says so."""
    if "json" not in answer.content_type:
        return None
    try:
        document = json.loads(answer.body)
        if b"\\ud" not in answer.body.lower():
            return document
        # Half of a surrogate pair, as of a file name that is no UTF-8, could be neither recorded nor announced.
        return json.loads(json.dumps(document, ensure_ascii=False).encode(errors="replace"))
    except (ValueError, RecursionError):  # no JSON, no text, or a number of over 4,300 digits
        return None
