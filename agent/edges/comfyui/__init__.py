"""ComfyUI over HTTP and WebSocket; `run` is the way of one prompt."""

import asyncio
import contextlib
import json
import ssl
import uuid
from collections.abc import AsyncGenerator, Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx
from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException

from agent.edges.comfyui.graph import prepared, upload_name
from agent.edges.comfyui.outputs import File, artifacts
from agent.edges.comfyui.progress import Tracker
from agent.edges.comfyui.replies import check_accepted, outputs_of, runtime_notes
from agent.errors import (
    AgentError,
    BadFileError,
    NodeFailedError,
    NoOutputsError,
    RuntimeFaultError,
    RuntimeLostError,
)
from agent.ports import Artifact, Report, Work

POLL_S = 1.0  # beside the socket's hints; asking costs ComfyUI 1 ms
RECONNECT_S = 2.0
ANSWER_TIMEOUT_S = 60.0  # HTTP answers in ms while sampling, but loading a checkpoint can hold the interpreter
STOP_TIMEOUT_S = 5.0
READY_TIMEOUT_S = 2.0
_CHUNK_BYTES = 256 * 1024
_MAX_FRAME_BYTES = 4 * 1024 * 1024  # previews are about 65 kB; a larger frame ends the socket, not the job
_GONE_AFTER = 2  # a prompt that ends between two questions is in neither answer once


class ComfyUI:
    """A Backend. agent_id: marks prompts as this agent's, whatever process of it sent them.

    transport: for tests. poll_s, reconnect_s: seconds between two questions, and before a lost socket is made anew.
    """

    depth = 1  # ComfyUI would hold more

    def __init__(
        self,
        url: str,
        agent_id: str,
        *,
        transport: httpx.AsyncBaseTransport | None = None,
        poll_s: float = POLL_S,
        reconnect_s: float = RECONNECT_S,
    ) -> None:
        self._agent_id = agent_id
        self._socket_url = f"ws{url.removeprefix('http')}/ws"
        self._poll_s = poll_s
        self._reconnect_s = reconnect_s
        self._notes: dict[str, Any] = {}
        self._http = httpx.AsyncClient(
            base_url=url,
            timeout=ANSWER_TIMEOUT_S,
            transport=transport,
            trust_env=False,  # the runtime is a neighbour, never behind a proxy
            verify=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT),  # plain HTTP: no certificate store in memory
        )

    async def ready(self) -> bool:
        try:
            answer = await self._ask("GET", "/system_stats", timeout=READY_TIMEOUT_S)
        except RuntimeLostError:
            return False
        self._notes = runtime_notes(_json(answer))
        return answer.status_code == 200

    async def reset(self) -> None:
        with contextlib.suppress(RuntimeLostError, RuntimeFaultError):
            for item in await self._queued():
                if item[3:4] and isinstance(item[3], dict) and item[3].get("sd_async_agent") == self._agent_id:
                    await self._stop(str(item[1]))

    async def free(self) -> None:
        await self._ask("POST", "/free", json={"unload_models": True, "free_memory": True})

    async def run(self, work: Work, report: Report) -> Sequence[Artifact]:
        graph = prepared(work.input, work.label, await self._uploaded(work))
        tracker = Tracker(work.run_id, graph, report)
        work.notes.update(self._notes)
        prompt_id = work.run_id
        client_id, opened, hint = uuid.uuid4().hex, asyncio.Event(), asyncio.Event()
        listener = asyncio.create_task(self._listen(client_id, tracker, opened, hint))
        is_over = False
        try:
            await opened.wait()  # messages sent before the socket is there are never repeated
            # Not every version takes an id from its client.
            prompt_id = tracker.run_id = await self._submit(prompt_id, graph, client_id)
            entry = await self._ended(prompt_id, hint)
            is_over = True
        finally:
            listener.cancel()
            await asyncio.wait([listener])
            if not is_over:
                await self._stop(prompt_id)
        if made := artifacts(outputs_of(entry), list(graph)):
            return made
        raise NoOutputsError("The workflow ran and saved nothing: no output node wrote a file or a text.")

    async def read(self, artifact: Artifact) -> AsyncGenerator[bytes, None]:
        if not isinstance(artifact.source, File):
            yield str(artifact.source).encode()
            return
        file = artifact.source
        where = {"filename": file.filename, "subfolder": file.subfolder, "type": file.type}
        try:
            async with self._http.stream("GET", "/view", params=where) as answer:
                if answer.status_code != 200:
                    raise RuntimeFaultError(f"The runtime answers {answer.status_code} for `{file.filename}`.")
                async for chunk in answer.aiter_bytes(_CHUNK_BYTES):
                    yield chunk
        except httpx.TransportError as error:
            raise _lost(error) from error

    async def aclose(self) -> None:
        await self._http.aclose()

    async def _uploaded(self, work: Work) -> dict[str, str]:
        return {
            name: await self._upload(path, upload_name(work.label, index, name))
            for index, (name, path) in enumerate(work.files.items())
        }

    async def _upload(self, path: Path, name: str) -> str:
        with path.open("rb") as file:
            answer = await self._ask(
                "POST", "/upload/image", files={"image": (name, file)}, data={"type": "input", "overwrite": "true"}
            )
        if answer.status_code >= 500:
            raise RuntimeFaultError(f"The runtime answers {answer.status_code} to an upload.")
        stored = _json(answer)
        if answer.status_code != 200 or not isinstance(stored, dict) or not isinstance(stored.get("name"), str):
            raise BadFileError(f"The runtime refuses an input file with {answer.status_code}.")
        return f"{stored['subfolder']}/{stored['name']}" if stored.get("subfolder") else str(stored["name"])

    async def _submit(self, run_id: str, graph: Mapping[str, Any], client_id: str) -> str:
        """The prompt's id at the runtime: the one that was asked for, where it may be."""
        answer = await self._ask(
            "POST",
            "/prompt",
            json={
                "prompt": graph,
                "prompt_id": run_id,
                "client_id": client_id,
                "extra_data": {"sd_async_agent": self._agent_id},
            },
        )
        return check_accepted(answer.status_code, _json(answer)) or run_id

    async def _ended(self, run_id: str, hint: asyncio.Event) -> Mapping[str, Any]:
        """History entry of the prompt, once there is one; the caller bounds how long that may take."""
        missing = 0
        while missing < _GONE_AFTER:
            hint.clear()
            if entry := await self._history(run_id):
                return entry
            missing = 0 if any(item[1:2] == [run_id] for item in await self._queued()) else missing + 1
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(hint.wait(), self._poll_s)
        raise RuntimeLostError("The runtime was restarted and no longer knows the job.")

    async def _history(self, run_id: str) -> Mapping[str, Any] | None:
        answer = await self._ask("GET", f"/history/{run_id}")
        if answer.status_code == 500:
            # One output that JSON cannot express breaks the history of everything until it is removed.
            await self._ask("POST", "/history", json={"delete": [run_id]})
            raise NodeFailedError("A node's output cannot be expressed as JSON, so the runtime cannot tell the result.")
        document = _json(answer)
        entry = document.get(run_id) if isinstance(document, dict) else None
        return entry if isinstance(entry, dict) else None

    async def _queued(self) -> list[list[Any]]:
        """Items of the runtime's queue, running ones first: [number, prompt id, graph, extra data, outputs]."""
        answer = await self._ask("GET", "/queue")
        document = _json(answer)
        if answer.status_code != 200 or not isinstance(document, dict):
            raise RuntimeFaultError(f"The runtime answers {answer.status_code} for its queue.")
        items = [*document.get("queue_running", []), *document.get("queue_pending", [])]
        return [item for item in items if isinstance(item, list)]

    async def _stop(self, run_id: str) -> None:
        """Neither waiting nor running any more, if the runtime still listens."""
        with contextlib.suppress(AgentError):
            # In this order nothing can slip from waiting to running in between.
            await self._ask("POST", "/queue", json={"delete": [run_id]}, timeout=STOP_TIMEOUT_S)
            await self._ask("POST", "/interrupt", json={"prompt_id": run_id}, timeout=STOP_TIMEOUT_S)

    async def _listen(self, client_id: str, tracker: Tracker, opened: asyncio.Event, hint: asyncio.Event) -> None:
        """Progress until canceled. A lost socket is made anew under another id, as two with one id go deaf.

        The prompt's own messages go to the first id only; the others still hint that the queue has changed.
        """
        while True:
            try:
                async with connect(
                    f"{self._socket_url}?clientId={client_id}",
                    proxy=None,
                    compression=None,
                    max_size=_MAX_FRAME_BYTES,
                ) as socket:
                    opened.set()
                    async for frame in socket:
                        if tracker.take(frame):
                            hint.set()
            except (OSError, WebSocketException):
                pass  # the history decides; a runtime that is gone shows there
            finally:
                opened.set()
                hint.set()
            await asyncio.sleep(self._reconnect_s)
            client_id = uuid.uuid4().hex

    async def _ask(self, method: str, path: str, **named: Any) -> httpx.Response:
        try:
            return await self._http.request(method, path, **named)
        except httpx.TransportError as error:
            raise _lost(error) from error


def _json(answer: httpx.Response) -> Any:
    """ComfyUI's own failures are text/plain, so an answer is JSON only if it says so."""
    if "json" not in answer.headers.get("Content-Type", ""):
        return None
    try:
        document = answer.json()
        if b"\\ud" not in answer.content.lower():
            return document
        # Half of a surrogate pair, as of a file name that is no UTF-8, could be neither recorded nor announced.
        return json.loads(json.dumps(document, ensure_ascii=False).encode(errors="replace"))
    except (ValueError, RecursionError):  # no JSON, no text, or a number of over 4,300 digits
        return None


def _lost(error: httpx.TransportError) -> RuntimeLostError:
    return RuntimeLostError(f"The runtime does not answer ({type(error).__name__}).")
