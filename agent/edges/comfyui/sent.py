"""Pictures that a node sends over the socket and saves nowhere, as `SaveImageWebsocket` does.

They look like previews: `[4 bytes kind][4 bytes format][picture]`, or for those who said that they understand it
`[4 bytes kind][4 bytes length][JSON that names node and prompt][picture]` (facts, "WebSocket").
"""

import os
import tempfile
import weakref
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from agent.edges.comfyui.socket import MAX_PICTURE_BYTES, Message, may_have_ended
from agent.errors import OutputFormatError, TooManyOutputsError

CLASS = "SaveImageWebsocket"
MAX_PICTURES_BYTES = 2 * 1024 * 1024 * 1024  # of one job; the volume they lie on is the chart's `agent.scratchSize`
_PREVIEW, _PREVIEW_WITH_METADATA = 1, 4
_SUFFIX_BY_FORMAT = {1: "jpg", 2: "png"}
_SUFFIX_BY_TYPE = {"image/jpeg": "jpg", "image/png": "png"}
_HEAD_BYTES = 8
_CHUNK_BYTES = 256 * 1024


class Picture:
    """Bytes on disk, for as long as somebody refers to it. Raises: OSError."""

    def __init__(self, content: memoryview) -> None:
        file, path = tempfile.mkstemp(prefix="sd-async-")
        self._path = Path(path)
        weakref.finalize(self, self._path.unlink, missing_ok=True)
        with os.fdopen(file, "wb") as target:
            target.write(content)

    def chunks(self) -> Iterator[bytes]:
        with self._path.open("rb") as source:
            while chunk := source.read(_CHUNK_BYTES):
                yield chunk


@dataclass(frozen=True, slots=True)
class Sent:
    """node_id: as in the graph. name: of the file that it becomes."""

    node_id: str
    name: str
    picture: Picture


class _About(msgspec.Struct):
    node_id: str
    prompt_id: str
    image_type: str


class Receiver:
    """Of one prompt. is_over: its end was told, and whatever was sent before that has arrived.

    Takes what is sent while a node of the class runs, or names it; everything else is a preview.
    """

    def __init__(self, graph: Mapping[str, Any], *, max_bytes: int = MAX_PICTURES_BYTES) -> None:
        self._nodes = {key for key, node in graph.items() if isinstance(node, dict) and node.get("class_type") == CLASS}
        self._left_bytes = max_bytes
        self._running: str | None = None
        self._counts: dict[str, int] = {}
        self._problem: Exception | None = None
        self._sent: list[Sent] = []
        self.is_over = False

    @property
    def is_wanted(self) -> bool:
        """Whether the graph has such a node at all."""
        return bool(self._nodes)

    def hear(self, message: Message) -> None:
        """A message about the prompt. Never raises: any may come."""
        if may_have_ended(message):
            self._running, self.is_over = None, True
        elif message.type == "executing":
            node = message.data.get("node")
            self._running = node if node in self._nodes else None

    def take(self, frame: bytes | None, prompt_ids: Collection[str]) -> None:
        """None for one that was too large. prompt_ids: of the prompt at the runtime. Never raises: any may come."""
        if frame is None:
            self._problem = self._problem or OutputFormatError(
                f"A picture of `{CLASS}` is over {MAX_PICTURE_BYTES // 1024**2} MiB, the most that is taken over the "
                "socket; save it with `SaveImage`."
            )
        elif self._problem is None and (found := self._found(memoryview(frame), prompt_ids)) is not None:
            self._keep(*found)

    def pictures(self) -> list[Sent]:
        """Raises: OutputFormatError, TooManyOutputsError; OSError, when there was no place for them."""
        if self._problem is not None:
            raise self._problem
        return self._sent

    def _found(self, frame: memoryview, prompt_ids: Collection[str]) -> tuple[str, str, memoryview] | None:
        """Node, kind of file, and the picture itself."""
        if len(frame) <= _HEAD_BYTES:
            return None
        kind, number = int.from_bytes(frame[:4]), int.from_bytes(frame[4:_HEAD_BYTES])
        if kind == _PREVIEW and self._running is not None and number in _SUFFIX_BY_FORMAT:
            return self._running, _SUFFIX_BY_FORMAT[number], frame[_HEAD_BYTES:]
        if kind != _PREVIEW_WITH_METADATA:
            return None
        try:
            about = msgspec.json.decode(frame[_HEAD_BYTES : _HEAD_BYTES + number], type=_About)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return None
        suffix = _SUFFIX_BY_TYPE.get(about.image_type)
        if about.node_id not in self._nodes or about.prompt_id not in prompt_ids or suffix is None:
            return None
        return about.node_id, suffix, frame[_HEAD_BYTES + number :]

    def _keep(self, node_id: str, suffix: str, content: memoryview) -> None:
        self._left_bytes -= len(content)
        if self._left_bytes < 0:
            self._problem = TooManyOutputsError(f"The pictures of `{CLASS}` are too large together for the agent.")
            return
        count = self._counts[node_id] = self._counts.get(node_id, 0) + 1
        name = f"websocket_{node_id}_{count:05}.{suffix}".replace("/", "_")
        try:
            self._sent.append(Sent(node_id, name, Picture(content)))
        except OSError as error:
            self._problem = error
