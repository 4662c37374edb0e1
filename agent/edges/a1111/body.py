"""A payload on its way to the runtime: JSON with files put in as base64, piece by piece."""

import base64
import re
import uuid
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

from agent.errors import BadFileError
from sd_async.contract.codec import encode

_CHUNK_BYTES = 3 * 64 * 1024  # base64 turns three bytes into four characters, and pieces must not need padding
# Four 16-bit 4K pictures; the runtime holds all of it in memory as text, as pixels, and as tensors.
MAX_PLACED_BYTES = 256 * 1024 * 1024


class Body:
    """The document with every text that names a file replaced by that file's content.

    files: name -> local file. Raises: BadFileError, when the files are too large together.
    """

    def __init__(
        self, document: Mapping[str, Any], files: Mapping[str, Path], *, max_placed_bytes: int = MAX_PLACED_BYTES
    ) -> None:
        self._mark = uuid.uuid4().hex
        self._paths: list[Path] = []
        text = encode(self._marked(document, files))
        # Texts between marks at even places, numbers of paths at odd ones.
        self._parts = re.split(rb"%s:(\d+):" % self._mark.encode(), text)
        sizes = [path.stat().st_size for path in self._paths]
        if sum(sizes) > max_placed_bytes:
            raise BadFileError(f"The files have {sum(sizes)} bytes together; at most {max_placed_bytes} are taken.")
        self.size_bytes = sum(map(len, self._parts[::2])) + sum(-(-size // 3) * 4 for size in sizes)

    async def chunks(self) -> AsyncIterator[bytes]:
        for index, part in enumerate(self._parts):
            if index % 2 == 0:
                yield part
                continue
            with self._paths[int(part)].open("rb") as file:
                while chunk := file.read(_CHUNK_BYTES):
                    yield base64.b64encode(chunk)

    def _marked(self, value: Any, files: Mapping[str, Path]) -> Any:
        if isinstance(value, str) and value in files:
            self._paths.append(files[value])
            return f"{self._mark}:{len(self._paths) - 1}:"
        if isinstance(value, Mapping):
            return {name: self._marked(inner, files) for name, inner in value.items()}
        return [self._marked(inner, files) for inner in value] if isinstance(value, list) else value
