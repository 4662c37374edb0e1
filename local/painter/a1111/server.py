"""The routes under `/sdapi/v1`. Jobs wait for one lock in the order they came; the rest answers meanwhile."""

import asyncio
import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from aiohttp import web

from local.painter import describe
from local.painter.a1111 import codec, extras, lists
from local.painter.a1111.errors import MistypedError, RaisedError, RefusedError
from local.painter.a1111.generate import Studio, checked, generated
from local.painter.a1111.payload import Extras, Generate, read
from local.painter.a1111.state import State
from local.painter.pictures.png import text_of
from local.painter.settings import PainterSettings

MAX_BODY_BYTES = 1024 * 1024 * 1024  # it has no bound of its own
ROOT = "/sdapi/v1"
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class WebUi:
    """One server: its options, its lock and the checkpoint that is loaded."""

    def __init__(self, settings: PainterSettings) -> None:
        self._options = lists.default_options()
        self._studio = Studio(settings, self._options, State())
        self._lock = asyncio.Lock()
        self._first_load_s = settings.first_load_s
        self._has_loaded = asyncio.Event()

    def app(self) -> web.Application:
        app = web.Application(client_max_size=MAX_BODY_BYTES, middlewares=[_told])
        app.router.add_get("/", describe.page)
        for name in lists.listed():
            app.router.add_get(f"{ROOT}/{name}", self._list)
        gets: dict[str, Handler] = {
            "progress": self._progress,
            "options": self._show_options,
            "memory": self._memory,
            "cmd-flags": self._flags,
        }
        posts: dict[str, Handler] = {
            "txt2img": self._generate,
            "img2img": self._generate,
            "extra-single-image": self._upscale_one,
            "extra-batch-images": self._upscale_several,
            "png-info": self._png_info,
            "interrupt": self._interrupt,
            "skip": self._interrupt,
            "options": self._set_options,
            "refresh-checkpoints": self._refresh,
            "refresh-loras": self._refresh,
            "refresh-vae": self._refresh,
            "unload-checkpoint": self._unload,
            "reload-checkpoint": self._reload,
        }
        app.add_routes([web.get(f"{ROOT}/{name}", handler) for name, handler in gets.items()])
        app.add_routes([web.post(f"{ROOT}/{name}", handler) for name, handler in posts.items()])
        app.cleanup_ctx.append(self._serve)
        return app

    async def _serve(self, _: web.Application) -> AsyncIterator[None]:
        reading = asyncio.create_task(self._read_first())
        yield
        reading.cancel()
        self._studio.state.interrupt()

    async def _read_first(self) -> None:
        if self._first_load_s:
            await asyncio.sleep(self._first_load_s)
            self._studio.loaded = lists.checkpoint_of(self._options["sd_model_checkpoint"])
        self._has_loaded.set()

    async def _generate(self, request: web.Request) -> web.Response:
        route = request.path.rpartition("/")[2]
        payload = read(await request.read(), Generate)
        checked(payload, route)
        return await self._in_turn(lambda: generated(self._studio, payload, route), self._has_loaded)

    async def _upscale_one(self, request: web.Request) -> web.Response:
        payload = read(await request.read(), Extras)
        extras.checked(payload)
        return await self._in_turn(lambda: extras.single(self._studio, payload))

    async def _upscale_several(self, request: web.Request) -> web.Response:
        payload = read(await request.read(), Extras, "imageList")
        extras.checked(payload)
        return await self._in_turn(lambda: extras.batch(self._studio, payload))

    async def _in_turn(self, work: Callable[[], Any], may_begin: asyncio.Event | None = None) -> web.Response:
        """A client that leaves does not stop its job. may_begin: waited for in its turn, before it shows anywhere."""
        async with self._lock:
            if may_begin is not None:
                await may_begin.wait()
            return _json(await asyncio.to_thread(work))

    async def _list(self, request: web.Request) -> web.Response:
        return _json(lists.listed()[request.path.rpartition("/")[2]])

    async def _progress(self, _: web.Request) -> web.Response:
        return _json(self._studio.state.told())

    async def _interrupt(self, _: web.Request) -> web.Response:
        self._studio.state.interrupt()
        return _json({})

    async def _show_options(self, _: web.Request) -> web.Response:
        return _json(self._options)

    async def _set_options(self, request: web.Request) -> web.Response:
        given = json.loads(await request.read())
        if "sd_model_checkpoint" in given:
            checkpoint = lists.checkpoint_of(given["sd_model_checkpoint"])
            if checkpoint is None:
                raise RaisedError("RuntimeError", f"model {given['sd_model_checkpoint']!r} not found")
            given["sd_model_checkpoint"] = checkpoint.title
            async with self._lock:
                await asyncio.to_thread(self._studio.load, checkpoint)
        self._options |= given
        return _json(None)

    async def _refresh(self, _: web.Request) -> web.Response:
        async with self._lock:
            return _json(None)

    async def _unload(self, _: web.Request) -> web.Response:
        self._studio.loaded = None
        return _json({})

    async def _reload(self, _: web.Request) -> web.Response:
        """Without the lock, but it takes the model, for which it waits."""
        await self._has_loaded.wait()
        return _json({})

    async def _png_info(self, request: web.Request) -> web.Response:
        image = codec.opened(json.loads(await request.read())["image"].strip())
        items = text_of(image)
        return _json({"info": items.get("parameters", ""), "items": items, "parameters": {}})

    async def _memory(self, _: web.Request) -> web.Response:
        page_bytes = os.sysconf("SC_PAGE_SIZE")
        total, free = (page_bytes * os.sysconf(name) for name in ("SC_PHYS_PAGES", "SC_AVPHYS_PAGES"))
        ram = {"free": free, "used": total - free, "total": total}
        return _json({"ram": ram, "cuda": {"error": "CUDA unavailable"}})

    async def _flags(self, _: web.Request) -> web.Response:
        flags = {"api": True, "nowebui": True, "listen": True}
        return _json({**flags, "skip_load_model_at_start": not self._first_load_s})


@web.middleware
async def _told(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except (RefusedError, RaisedError, MistypedError) as error:
        return web.json_response(error.body, status=error.status)
    except web.HTTPNotFound:
        return web.json_response({"detail": "Not Found"}, status=404)
    except web.HTTPMethodNotAllowed:
        return web.json_response({"detail": "Method Not Allowed"}, status=405)


def _json(document: Any) -> web.Response:
    return web.Response(body=json.dumps(document, separators=(",", ":")).encode(), content_type="application/json")
