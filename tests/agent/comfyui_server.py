"""A ComfyUI that does what a test tells it, over real HTTP and WebSocket."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from aiohttp import WSMsgType, web

Json = dict[str, Any]


def succeeded(outputs: Json) -> Json:
    return {"outputs": outputs, "status": {"status_str": "success", "completed": True, "messages": []}}


def ended_with(kind: str, data: Json) -> Json:
    status = {"status_str": "error", "completed": False, "messages": [["execution_start", {}], [kind, data]]}
    return {"outputs": {}, "status": status}


PICTURE = succeeded({"9": {"images": [{"filename": "fox_00001_.png", "subfolder": "s", "type": "output"}]}})


@dataclass
class Script:
    """What it answers, and what it was asked.

    entry: the prompt's history, given `after` as many questions. refusal: status, body and content type for /prompt.
    checks_prompt: until it is set, the prompt is not in the queue; `arrives` is set when it is on its way there.
    frames: sent to the prompt's own socket, late_frames once the history was asked in vain, tardy_frames when it has
    been told. drops_socket: after the frames of so many prompts. view: status and bytes.
    texts: what clients said over their sockets.
    """

    entry: Json = field(default_factory=lambda: PICTURE)
    after: int = 1
    refusal: tuple[int, Any] | None = None
    frames: list[Json | bytes] = field(default_factory=list)
    late_frames: list[Json] = field(default_factory=list)
    tardy_frames: list[Json | bytes] = field(default_factory=list)
    drops_socket: int = 0
    has_socket: bool = True
    socket_delay_s: float = 0.0
    forgets: bool = False
    history_status: int = 200
    view: tuple[int, bytes] = (200, b"pixels")
    upload: tuple[int, Any] = (200, None)
    queue_running: list[Any] = field(default_factory=list)
    stats: Any = field(default_factory=lambda: {"system": {}, "devices": []})
    checks_prompt: asyncio.Event | None = None

    prompts: list[Json] = field(default_factory=list)
    sockets: list[str] = field(default_factory=list)
    sockets_at_prompt: list[str] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    posts: list[tuple[str, Json]] = field(default_factory=list)
    uploads: dict[str, bytes] = field(default_factory=dict)
    questions: int = 0
    asked_for: list[str] = field(default_factory=list)
    asked: asyncio.Event = field(default_factory=asyncio.Event)
    arrives: asyncio.Event = field(default_factory=asyncio.Event)


class Server:
    def __init__(self, script: Script) -> None:
        self._script = script
        self._open: dict[str, web.WebSocketResponse] = {}
        self._tardy: asyncio.Task[None] | None = None
        self.url = ""

    def app(self) -> web.Application:
        app = web.Application()
        app.add_routes(
            [
                web.get("/ws", self._socket),
                web.get("/system_stats", self._stats),
                web.get("/queue", self._queue),
                web.get("/history/{id}", self._history),
                web.get("/view", self._view),
                web.post("/prompt", self._prompt),
                web.post("/upload/image", self._upload),
                web.post("/queue", self._post),
                web.post("/interrupt", self._post),
                web.post("/history", self._post),
            ]
        )
        return app

    async def _socket(self, request: web.Request) -> web.StreamResponse:
        if not self._script.has_socket:
            return web.Response(status=404)
        await asyncio.sleep(self._script.socket_delay_s)
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        name = request.query["clientId"]
        self._script.sockets.append(name)
        self._open[name] = socket
        async for message in socket:
            assert message.type is WSMsgType.TEXT
            self._script.texts.append(message.data)
        return socket

    async def _prompt(self, request: web.Request) -> web.Response:
        body = await request.json()
        self._script.arrives.set()
        if self._script.checks_prompt is not None:
            await self._script.checks_prompt.wait()
            self._script.posts.append(("/prompt", {"id": body["prompt_id"]}))
        self._script.prompts.append(body)
        self._script.sockets_at_prompt = list(self._script.sockets)
        socket = self._open.get(body["client_id"])
        for frame in self._script.frames if socket else ():
            assert socket is not None
            await _send(socket, frame)
        if socket and self._script.drops_socket:
            self._script.drops_socket -= 1
            await socket.close()
        if self._script.refusal is None:
            return web.json_response({"prompt_id": body["prompt_id"], "number": 1, "node_errors": {}})
        status, answer = self._script.refusal
        if isinstance(answer, bytes):
            return web.Response(status=status, body=answer, content_type="application/json")
        if isinstance(answer, str):
            return web.Response(status=status, text=answer)
        return web.json_response(answer, status=status)

    async def _history(self, request: web.Request) -> web.Response:
        self._script.questions += 1
        self._script.asked_for.append(request.match_info["id"])
        self._script.asked.set()
        if self._script.history_status != 200:
            return web.Response(status=self._script.history_status, text="Internal Server Error")
        if self._script.forgets or self._script.questions <= self._script.after:
            for frame in self._script.late_frames:
                await self._open[self._script.prompts[-1]["client_id"]].send_json(frame)
            return web.json_response({})
        if self._script.tardy_frames:
            self._tardy = asyncio.create_task(self._send_tardy())
        return web.json_response({request.match_info["id"]: self._script.entry})

    async def _send_tardy(self) -> None:
        await asyncio.sleep(0.1)  # long enough for the history to be read
        for frame in self._script.tardy_frames:
            await _send(self._open[self._script.prompts[-1]["client_id"]], frame)

    async def _queue(self, _: web.Request) -> web.Response:
        running = list(self._script.queue_running)
        if self._script.prompts and not self._script.forgets:
            running.append([1, self._prompt_id(), {}, {}, []])
        return web.json_response({"queue_running": running, "queue_pending": []})

    def _prompt_id(self) -> Any:
        _, answer = self._script.refusal or (200, None)
        given = answer.get("prompt_id") if isinstance(answer, dict) else None
        return given or self._script.prompts[-1]["prompt_id"]

    async def _view(self, request: web.Request) -> web.Response:
        self._script.posts.append(("/view", dict(request.query)))
        status, body = self._script.view
        return web.Response(status=status, body=body)

    async def _upload(self, request: web.Request) -> web.Response:
        form = await request.post()
        image = form["image"]
        assert isinstance(image, web.FileField)
        self._script.uploads[image.filename] = image.file.read()
        status, answer = self._script.upload
        return web.json_response(answer or {"name": image.filename, "subfolder": "", "type": "input"}, status=status)

    async def _post(self, request: web.Request) -> web.Response:
        self._script.posts.append((request.path, await request.json()))
        return web.Response()

    async def _stats(self, _: web.Request) -> web.Response:
        return web.json_response(self._script.stats)

    async def close_sockets(self) -> None:
        for socket in self._open.values():
            await socket.close()


async def _send(socket: web.WebSocketResponse, frame: Json | bytes) -> None:
    with contextlib.suppress(ConnectionError):  # as ComfyUI, which goes on without a client that has left
        await (socket.send_bytes(frame) if isinstance(frame, bytes) else socket.send_json(frame))


@contextlib.asynccontextmanager
async def comfyui(script: Script) -> AsyncIterator[str]:
    """Its URL, until the block ends."""
    server = Server(script)
    runner = web.AppRunner(server.app(), shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await server.close_sockets()
        await runner.cleanup()
