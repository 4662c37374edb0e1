"""An answer as it arrives: pictures go to disk while they come, and only the rest is held in memory."""

import base64
import binascii
import json
import os
import re
import tempfile
import weakref
from pathlib import Path
from typing import IO, Any
from uuid import uuid4

from agent.errors import RuntimeFaultError, TooManyOutputsError

LONG_BYTES = 16 * 1024  # a text as long as this and all base64 is a picture; shorter ones cost no memory
MAX_TEXT_BYTES = 32 * 1024 * 1024  # of everything but pictures; `info` of a batch is some kB
MAX_PICTURES_BYTES = 2 * 1024 * 1024 * 1024  # of one job; the volume they lie on is the chart's `agent.scratchSize`
_BASE64 = re.compile(rb"[A-Za-z0-9+/]*")
_ENDS = re.compile(rb'["\\]')


class Picture:
    """Decoded bytes on disk, for as long as somebody refers to it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        weakref.finalize(self, path.unlink, missing_ok=True)

    def head(self) -> bytes:
        """Its first bytes, which tell its format."""
        with self.path.open("rb") as file:
            return file.read(16)


class Answer:
    """A JSON document, fed in pieces of any size. folder: of the pictures, None for the system's own."""

    def __init__(
        self,
        folder: Path | None = None,
        *,
        max_text_bytes: int = MAX_TEXT_BYTES,
        max_pictures_bytes: int = MAX_PICTURES_BYTES,
    ) -> None:
        self._folder = folder
        self._max_text_bytes = max_text_bytes
        self._max_pictures_bytes = max_pictures_bytes
        self._text = bytearray()
        self._start = -1  # where the present string begins in the text; below 0 outside of strings
        self._is_plain = True  # the present string may still be a picture
        self._is_escaped = False
        self._decoder: _Decoder | None = None
        self._pictures: dict[str, Picture] = {}
        self._pictures_bytes = 0
        self._mark = uuid4().hex

    def take(self, chunk: bytes) -> None:
        """Raises: RuntimeFaultError, TooManyOutputsError, when it becomes too large."""
        at = 0
        while at < len(chunk):
            if self._decoder is not None:
                at = self._decoded(self._decoder, chunk, at)
            elif self._start >= 0:
                at = self._in_string(chunk, at)
            else:
                at = self._between(chunk, at)
        if len(self._text) > self._max_text_bytes:
            raise RuntimeFaultError(f"The runtime's answer has over {self._max_text_bytes} bytes that are no picture.")

    def document(self) -> Any:
        """What came, long base64 texts as Pictures. None when it is no JSON."""
        try:
            return self._placed(json.loads(self._text))
        except (ValueError, RecursionError):
            return None

    def close(self) -> None:
        """Remove what is still half decoded."""
        if self._decoder is not None:
            self._decoder.discard()
            self._decoder = None

    def _between(self, chunk: bytes, at: int) -> int:
        end = chunk.find(b'"', at) + 1 or len(chunk)
        self._text += chunk[at:end]
        if chunk[end - 1 : end] == b'"':
            self._start, self._is_plain = len(self._text), True
        return end

    def _in_string(self, chunk: bytes, at: int) -> int:
        if self._is_escaped:
            self._text.append(chunk[at])
            self._is_escaped = False
            return at + 1
        found = _ENDS.search(chunk, at)
        end = found.end() if found else len(chunk)
        self._text += chunk[at:end]
        if found is None:
            self._decode_if_long()
        elif found.group() == b'"':
            self._start = -1
        else:
            self._is_plain, self._is_escaped = False, True
        return end

    def _decode_if_long(self) -> None:
        if self._is_plain and len(self._text) - self._start >= LONG_BYTES:
            begun = bytes(self._text[self._start :])
            self._is_plain = _BASE64.fullmatch(begun) is not None
            if self._is_plain:
                del self._text[self._start :]
                self._decoder = _Decoder(self._folder)
                self._decoder.take(begun)

    def _decoded(self, decoder: "_Decoder", chunk: bytes, at: int) -> int:
        end = chunk.find(b'"', at)
        piece = chunk[at:] if end < 0 else chunk[at:end]
        is_taken = decoder.take(piece)
        if not is_taken or (end >= 0 and not decoder.is_whole):
            self._decoder, self._is_plain = None, False
            self._text += decoder.undone()
            return end if is_taken else at  # and what follows is read as a text like any other
        if self._pictures_bytes + decoder.written_bytes > self._max_pictures_bytes:
            limit = self._max_pictures_bytes
            raise TooManyOutputsError(f"The job's pictures have over {limit} bytes; make fewer at once.")
        if end < 0:
            return len(chunk)
        name = f"{self._mark}:{len(self._pictures)}"
        self._pictures[name] = decoder.picture()
        self._pictures_bytes += decoder.written_bytes
        self._text += name.encode() + b'"'
        self._decoder, self._start = None, -1
        return end + 1

    def _placed(self, value: Any) -> Any:
        if isinstance(value, str):
            return self._pictures.get(value, value)
        if isinstance(value, dict):
            return {name: self._placed(inner) for name, inner in value.items()}
        return [self._placed(inner) for inner in value] if isinstance(value, list) else value


class _Decoder:
    """Base64 text into a file. written_bytes: decoded so far.

    Padding is kept as text until the end: several paddings decode to the same bytes, and it may all be undone.
    """

    def __init__(self, folder: Path | None) -> None:
        handle, name = tempfile.mkstemp(prefix="sd-async-", dir=folder)
        self._path = Path(name)
        self._file: IO[bytes] = os.fdopen(handle, "wb")
        self._rest = b""
        self._padded = b""
        self.written_bytes = 0

    @property
    def is_whole(self) -> bool:
        return not self._rest

    def take(self, piece: bytes) -> bool:
        """False when this is no base64; nothing of the piece is taken then."""
        text = self._rest + piece
        cut = len(text) - len(text) % 4
        if self._padded and piece:
            return False
        padded = text[cut - 4 : cut] if text[:cut].endswith(b"=") else b""
        try:
            data = binascii.a2b_base64(text[: cut - len(padded)], strict_mode=True)
            binascii.a2b_base64(padded, strict_mode=True)
        except binascii.Error:
            return False
        self._rest, self._padded = text[cut:], padded
        self.written_bytes += self._file.write(data)
        return True

    def undone(self) -> bytes:
        """The text that was taken; the file is gone."""
        self._file.close()
        try:
            return base64.b64encode(self._path.read_bytes()) + self._padded + self._rest
        finally:
            self._path.unlink()

    def discard(self) -> None:
        self._file.close()
        self._path.unlink(missing_ok=True)

    def picture(self) -> Picture:
        self._file.write(binascii.a2b_base64(self._padded))
        self._file.close()
        return Picture(self._path)
