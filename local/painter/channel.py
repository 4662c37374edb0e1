"""WebSocket clients: who is connected under which id, and one line of messages to all of them."""

import asyncio
import io
import json
import logging
import struct
import uuid
from typing import Any

from aiohttp import WSMsgType, web
from PIL import Image

from local.painter.progress import Channel
from local.painter.values import Pixels

_log = logging.getLogger(__name__)

# Kinds of binary frames and picture formats, as measured on ComfyUI.
PREVIEW, PREVIEW_WITH_METADATA = 1, 4
JPEG, PNG = 1, 2
FORMATS = {JPEG: ("JPEG", "image/jpeg"), PNG: ("PNG", "image/png")}


class Sockets(Channel):
    """features: what the server tells a client that opens with its own feature flags."""

    def __init__(self, loop: asyncio.AbstractEventLoop, features: dict[str, Any]) -> None:
        self._loop = loop
        self._features = features
        self._sockets: dict[str, web.WebSocketResponse] = {}
        self._wants_metadata: set[str] = set()
        self._messages: asyncio.Queue[tuple[str | bytes, str | None]] = asyncio.Queue()

    def send(self, kind: str, data: dict[str, Any], to: str | None) -> None:
        self._enqueue(json.dumps({"type": kind, "data": data}), to)

    def send_preview(self, picture: Pixels, data: dict[str, Any], to: str | None) -> None:
        self._send_picture(picture, JPEG, data, to)

    def send_result(self, picture: Pixels, data: dict[str, Any], to: str | None) -> None:
        self._send_picture(picture, PNG, data, to)

    def _send_picture(self, picture: Pixels, form: int, data: dict[str, Any], to: str | None) -> None:
        name, content_type = FORMATS[form]
        encoded = io.BytesIO()
        Image.fromarray(picture).save(encoded, name, quality=85)
        if to in self._wants_metadata:
            meta = json.dumps({**data, "image_type": content_type}).encode()
            frame = struct.pack(">II", PREVIEW_WITH_METADATA, len(meta)) + meta + encoded.getvalue()
        else:
            frame = struct.pack(">II", PREVIEW, form) + encoded.getvalue()
        self._enqueue(frame, to)

    def _enqueue(self, frame: str | bytes, to: str | None) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._messages.put_nowait, (frame, to))

    async def deliver(self) -> None:
        """Never returns. One line for all: a client that stops reading holds up the others, as in ComfyUI."""
        while True:
            frame, to = await self._messages.get()
            clients = list(self._sockets.values()) if to is None else [self._sockets.get(to)]
            for client in clients:
                if client is not None:
                    await _send(client, frame)

    async def close(self) -> None:
        for client in list(self._sockets.values()):
            await client.close()

    async def serve(self, request: web.Request, greeting: list[tuple[str, dict[str, Any]]]) -> web.WebSocketResponse:
        """One client from its arrival to its end. greeting: messages that it gets first, sid is added to `status`.

        A second client with the same id takes the id over; when the first one leaves, the id is gone, and the second
        hears nothing more. That is how ComfyUI behaves.
        """
        client = web.WebSocketResponse()
        await client.prepare(request)
        client_id = request.query.get("clientId") or uuid.uuid4().hex
        self._sockets[client_id] = client
        try:
            for kind, data in greeting:
                await _send(
                    client,
                    json.dumps({"type": kind, "data": {**data, "sid": client_id} if kind == "status" else data}),
                )
            await self._listen(client, client_id)
        finally:
            self._sockets.pop(client_id, None)
            self._wants_metadata.discard(client_id)
        return client

    async def _listen(self, client: web.WebSocketResponse, client_id: str) -> None:
        is_first = True
        async for message in client:
            if is_first and message.type is WSMsgType.TEXT:
                await self._take_features(client, client_id, message.data)
            is_first = False

    async def _take_features(self, client: web.WebSocketResponse, client_id: str, text: str) -> None:
        try:
            message = json.loads(text)
            if message["type"] != "feature_flags":
                return
            wants_metadata = bool(message["data"].get("supports_preview_metadata"))
        except (ValueError, TypeError, KeyError, AttributeError):
            _log.warning("client %s sent a frame that is no message", client_id)
            return
        if wants_metadata:
            self._wants_metadata.add(client_id)
        await _send(client, json.dumps({"type": "feature_flags", "data": self._features}))


async def _send(client: web.WebSocketResponse, frame: str | bytes) -> None:
    try:
        if isinstance(frame, bytes):
            await client.send_bytes(frame)
        else:
            await client.send_str(frame)
    except (ConnectionError, RuntimeError) as error:
        _log.info("a client left while a message was on its way: %s", error)
