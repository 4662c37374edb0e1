"""A runtime that only waits: ComfyUI's and A1111's protocols as far as an agent uses them, and its own busy times.

`python -m bench.agent_runtime PORT RUN_S STEPS FILES BYTES`. It does as little as it can, so that what is measured is
the agent: HTTP is parsed by hand, pictures are the same bytes again and again, steps are sleeps to the moment they end.
`GET /bench/spans` tells from when to when each job ran, in monotonic seconds.
"""

import asyncio
import base64
import hashlib
import json
import struct
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

Json = dict[str, Any]
_CLOSE = 0x8
_NOT_FOUND = b"HTTP/1.1 404 Not Found\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
_MAGIC = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, 1.3


@dataclass(frozen=True)
class Work:
    """run_s: seconds of one job. files, size_bytes: what it makes."""

    run_s: float
    steps: int
    files: int
    size_bytes: int


@dataclass
class Runtime:
    """One job at a time, in the order in which they came."""

    work: Work
    spans: list[tuple[str, float, float]] = field(default_factory=list)
    sockets: dict[str, asyncio.StreamWriter] = field(default_factory=dict)
    history: dict[str, Json] = field(default_factory=dict)
    waiting: list[tuple[str, Json, str]] = field(default_factory=list)
    running: str | None = None
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    step: int = 0
    gpu: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def prompts(self) -> None:
        while True:
            await self.arrived.wait()
            self.arrived.clear()
            while self.waiting:
                self.running, graph, client = self.waiting.pop(0)
                await self._prompt(self.running, graph, self.sockets.get(client))
                self.running = None

    async def _prompt(self, prompt_id: str, graph: Json, socket: asyncio.StreamWriter | None) -> None:
        def tell(kind: str, **data: Any) -> None:
            if socket is not None:
                socket.write(_frame(json.dumps({"type": kind, "data": {**data, "prompt_id": prompt_id}})))

        tell("execution_start")
        tell("execution_cached", nodes=[])
        sampler = next(iter(graph))

        def step(number: int) -> None:
            state = {"value": number, "max": self.work.steps, "state": "running", "node_id": sampler}
            tell("progress_state", nodes={sampler: state})
            tell("progress", value=number, max=self.work.steps, node=sampler)

        for node in graph:
            tell("executing", node=node, display_node=node)
        await self.busy(prompt_id, step)
        prefix = graph[list(graph)[-1]]["inputs"]["filename_prefix"]
        folder, _, name = prefix.rpartition("/")
        images = [
            {"filename": f"{name}_{number:05}_.png", "subfolder": folder, "type": "output"}
            for number in range(1, self.work.files + 1)
        ]
        outputs = {list(graph)[-1]: {"images": images}}
        self.history[prompt_id] = {
            "prompt": [1, prompt_id, graph, {}, []],
            "outputs": outputs,
            "status": {"status_str": "success", "completed": True, "messages": [["execution_success", {}]]},
        }
        tell("executed", node=list(graph)[-1], output=outputs[list(graph)[-1]])
        tell("execution_success")
        tell("executing", node=None)

    async def busy(self, job: str, step: Callable[[int], None]) -> None:
        began_s = time.monotonic()
        for number in range(1, self.work.steps + 1):
            await asyncio.sleep(max(began_s + self.work.run_s * number / self.work.steps - time.monotonic(), 0))
            step(number)
        self.spans.append((job, began_s, time.monotonic()))


class Server:
    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._picture = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * (runtime.work.size_bytes // 256)
        self._answers: dict[str, Callable[[Json, Json], Awaitable[bytes] | bytes]] = {
            "/system_stats": lambda _q, _b: _json({"system": {}, "devices": []}),
            "/queue": lambda _q, _b: _json(self._queue()),
            "/prompt": lambda _q, body: self._prompt(body),
            "/view": lambda _q, _b: _response(b"image/png", self._picture),
            "/bench/spans": lambda _q, _b: _json(self._runtime.spans),
            "/sdapi/v1/options": lambda _q, _b: _json({"sd_model_checkpoint": "sd15.safetensors"}),
            "/sdapi/v1/sd-models": lambda _q, _b: _json([{"title": "sd15.safetensors", "model_name": "sd15"}]),
            "/sdapi/v1/samplers": lambda _q, _b: _json([{"name": "Euler", "aliases": []}]),
            "/sdapi/v1/progress": lambda _q, _b: _json(self._progress()),
            "/sdapi/v1/txt2img": lambda _q, _b: self._txt2img(),
        }
        images = [base64.b64encode(self._picture).decode()] * runtime.work.files
        self._made = _json({"images": images, "parameters": {}, "info": "{}"})

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                lines = head.split(b"\r\n")
                target = lines[0].split(b" ")[1].decode()
                headers = {name.lower(): value.strip() for name, _, value in (line.partition(b":") for line in lines)}
                if b"sec-websocket-key" in headers:
                    await self._socket(reader, writer, headers[b"sec-websocket-key"], target)
                    return
                body = await reader.readexactly(int(headers.get(b"content-length", 0)))
                writer.write(await self._answer(target, body))
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _answer(self, target: str, body: bytes) -> bytes:
        url = urlsplit(target)
        if url.path.startswith("/history/"):
            run_id = url.path.rpartition("/")[2]
            entry = self._runtime.history.get(run_id)
            return _json({run_id: entry} if entry else {})
        answer = self._answers.get(url.path)
        if answer is None:
            return _NOT_FOUND
        given = answer(parse_qs(url.query), json.loads(body) if body[:1] == b"{" else {})
        return given if isinstance(given, bytes) else await given

    def _queue(self) -> Json:
        running = [[1, self._runtime.running, {}, {}, []]] if self._runtime.running else []
        return {
            "queue_running": running,
            "queue_pending": [[1, name, {}, {}, []] for name, *_ in self._runtime.waiting],
        }

    async def _txt2img(self) -> bytes:
        async with self._runtime.gpu:
            number = len(self._runtime.spans)

            def step(done: int) -> None:
                self._runtime.step = done

            await self._runtime.busy(str(number), step)
            self._runtime.step = 0
        return self._made

    def _progress(self) -> Json:
        state = {
            "job": "",
            "job_count": int(self._runtime.gpu.locked()),
            "job_no": 0,
            "sampling_step": self._runtime.step,
            "sampling_steps": self._runtime.work.steps,
        }
        return {"progress": self._runtime.step / self._runtime.work.steps, "eta_relative": 0.0, "state": state}

    def _prompt(self, body: Json) -> bytes:
        self._runtime.waiting.append((body["prompt_id"], body["prompt"], body.get("client_id", "")))
        self._runtime.arrived.set()
        return _json({"prompt_id": body["prompt_id"], "number": 1, "node_errors": {}})

    async def _socket(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, key: bytes, target: str
    ) -> None:
        accept = base64.b64encode(hashlib.sha1(key + _MAGIC, usedforsecurity=False).digest())
        writer.write(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
        )
        [name] = parse_qs(urlsplit(target).query)["clientId"]
        self._runtime.sockets[name] = writer
        writer.write(_frame(json.dumps({"type": "status", "data": {"status": {}, "sid": name}})))
        while heard := await reader.read(4096):
            if heard[0] & 0x0F == _CLOSE:
                return


def _frame(text: str) -> bytes:
    body = text.encode()
    if len(body) < 126:
        return struct.pack("!BB", 0x81, len(body)) + body
    return struct.pack("!BBH", 0x81, 126, len(body)) + body


def _json(document: Any) -> bytes:
    return _response(b"application/json", json.dumps(document).encode())


def _response(kind: bytes, body: bytes) -> bytes:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: " + kind + b"\r\nContent-Length: " + str(len(body)).encode()
    return head + b"\r\n\r\n" + body


async def main(port: int, work: Work) -> None:
    runtime = Runtime(work)
    server = await asyncio.start_server(Server(runtime).serve, "127.0.0.1", port, limit=64 * 1024 * 1024)
    async with server:
        await runtime.prompts()


if __name__ == "__main__":
    given = sys.argv[1:]
    asyncio.run(main(int(given[0]), Work(float(given[1]), int(given[2]), int(given[3]), int(given[4]))))
