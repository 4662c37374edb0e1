"""The HTTP and WebSocket routes of ComfyUI, each also under /api.

What ComfyUI answers with 500 and plain text (a body that is no JSON, a graph that is no object) raises here too, and
aiohttp makes the same answer of it.
"""

import asyncio
import contextlib
import threading
import uuid
from collections.abc import AsyncIterator
from typing import Any

from aiohttp import web

from local.painter import describe, files
from local.painter.access import refuse_foreign_origins
from local.painter.channel import Sockets
from local.painter.executor import Executor
from local.painter.folders import MODELS, Folders
from local.painter.nodes.spec import info
from local.painter.nodes.table import node_classes
from local.painter.pictures.example import write_example
from local.painter.queue import PromptQueue
from local.painter.settings import PainterSettings
from local.painter.validation import validate

STOP_WAIT_S = 3.0  # what ComfyUI takes to end after SIGINT; a node that computes longer is left behind


class Painter:
    """One server: its routes, queue and worker."""

    def __init__(self, settings: PainterSettings) -> None:
        self._settings = settings
        self._folders = Folders(settings)
        self._classes = node_classes(has_faults=settings.has_faults)
        self._features = {"supports_preview_metadata": True, "max_upload_size": settings.max_upload_bytes}
        self._sockets = Sockets(asyncio.get_running_loop(), self._features)
        self._queue = PromptQueue(self._announce)
        self._executor = Executor(
            classes=self._classes, folders=self._folders, settings=settings, channel=self._sockets
        )
        self._number = 0

    def app(self) -> web.Application:
        app = web.Application(client_max_size=self._settings.max_upload_bytes, middlewares=[refuse_foreign_origins])
        for prefix in ("", "/api"):
            app.add_routes(self._routes(prefix))
        app.router.add_get("/", describe.page)
        app.cleanup_ctx.append(self._serve)
        app.on_shutdown.append(self._disconnect)
        return app

    def _routes(self, prefix: str) -> list[web.RouteDef]:
        gets = {
            "/ws": self._ws,
            "/prompt": self._exec_info,
            "/queue": self._show_queue,
            "/history": self._show_history,
            "/history/{prompt_id}": self._show_entry,
            "/object_info": self._object_info,
            "/object_info/{name}": self._object_info,
            "/models": self._model_folders,
            "/models/{folder}": self._models,
            "/embeddings": self._nothing,
            "/extensions": self._nothing,
            "/features": self._show_features,
            "/system_stats": describe.system_stats,
        }
        posts = {
            "/prompt": self._submit,
            "/queue": self._change_queue,
            "/history": self._change_history,
            "/interrupt": self._interrupt,
            "/free": self._free,
        }
        rows = [web.get(prefix + path, handler) for path, handler in gets.items()]
        rows += [web.post(prefix + path, handler) for path, handler in posts.items()]
        return rows + files.routes(self._folders, prefix)

    async def _serve(self, app: web.Application) -> AsyncIterator[None]:
        del app
        self._folders.make()
        write_example(self._folders.inside("input", "example.png"))
        delivery = asyncio.create_task(self._sockets.deliver())
        worker = threading.Thread(target=self._executor.serve, args=(self._queue,), daemon=True, name="painter-worker")
        worker.start()
        yield
        self._queue.close()
        self._executor.interrupt.request()
        await asyncio.to_thread(worker.join, STOP_WAIT_S)
        delivery.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await delivery
        self._folders.wipe_temp()

    async def _disconnect(self, _: web.Application) -> None:
        await self._sockets.close()

    def _announce(self) -> None:
        self._sockets.send("status", self._status(), None)

    def _status(self) -> dict[str, Any]:
        return {"status": {"exec_info": {"queue_remaining": self._queue.remaining()}}}

    async def _ws(self, request: web.Request) -> web.StreamResponse:
        greeting = [("status", self._status())]
        current = self._executor.current
        if current is not None and current[0] == request.query.get("clientId"):
            greeting.append(("executing", {"node": current[1]}))
        return await self._sockets.serve(request, greeting)

    async def _exec_info(self, _: web.Request) -> web.Response:
        return web.json_response(self._status()["status"])

    async def _submit(self, request: web.Request) -> web.Response:
        body = await request.json()
        if "number" in body:
            number = float(body["number"])
        else:
            number = -self._number if body.get("front") else self._number
            self._number += 1
        if "prompt" not in body:
            error = {"type": "no_prompt", "message": "The body has no prompt", "details": "", "extra_info": {}}
            return web.json_response({"error": error, "node_errors": {}}, status=400)
        graph, prompt_id = body["prompt"], str(body.get("prompt_id", uuid.uuid4()))
        verdict = validate(graph, self._classes, self._folders, body.get("partial_execution_targets"))
        if not verdict.outputs:
            return web.json_response({"error": verdict.error, "node_errors": verdict.node_errors}, status=400)
        extra_data = dict(body.get("extra_data", {}))
        if "client_id" in body:
            extra_data["client_id"] = body["client_id"]
        self._queue.put((number, prompt_id, graph, extra_data, verdict.outputs))
        return web.json_response({"prompt_id": prompt_id, "number": number, "node_errors": verdict.node_errors})

    async def _show_queue(self, _: web.Request) -> web.Response:
        return web.json_response(self._queue.snapshot())

    async def _change_queue(self, request: web.Request) -> web.Response:
        body = await request.json()
        if body.get("clear"):
            self._queue.clear()
        for prompt_id in body.get("delete", []):
            self._queue.delete(prompt_id)
        return web.Response()

    async def _show_history(self, request: web.Request) -> web.Response:
        max_items = int(request.query["max_items"]) if "max_items" in request.query else None
        offset = int(request.query.get("offset", -1))
        return web.json_response(self._queue.history(max_items, offset))

    async def _show_entry(self, request: web.Request) -> web.Response:
        return web.json_response(self._queue.history_of(request.match_info["prompt_id"]))

    async def _change_history(self, request: web.Request) -> web.Response:
        body = await request.json()
        if body.get("clear"):
            self._queue.clear_history()
        for prompt_id in body.get("delete", []):
            self._queue.delete_history(prompt_id)
        return web.Response()

    async def _interrupt(self, request: web.Request) -> web.Response:
        try:
            body = await request.json()
        except ValueError:
            body = {}
        prompt_id = body.get("prompt_id")
        if not prompt_id or self._queue.is_running(prompt_id):
            self._executor.interrupt.request()
        return web.Response()

    async def _free(self, request: web.Request) -> web.Response:
        if (await request.json()).get("free_memory"):
            self._queue.request_free()
        return web.Response()

    async def _object_info(self, request: web.Request) -> web.Response:
        name = request.match_info.get("name")
        chosen = self._classes.values() if name is None else filter(None, [self._classes.get(name)])
        return web.json_response({row.name: info(row, self._folders) for row in chosen})

    async def _model_folders(self, _: web.Request) -> web.Response:
        return web.json_response(list(MODELS))

    async def _models(self, request: web.Request) -> web.Response:
        folder = request.match_info["folder"]
        return web.json_response(self._folders.models(folder)) if folder in MODELS else web.Response(status=404)

    async def _nothing(self, _: web.Request) -> web.Response:
        return web.json_response([])

    async def _show_features(self, _: web.Request) -> web.Response:
        return web.json_response(self._features)
