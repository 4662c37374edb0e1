"""Takes what describes a picture out of its file and leaves every pixel as it is: PNG, JPEG and WebP.

Colour profiles stay, since without them the same pixels are other colours. Nothing is decoded, so no picture, however
it was made, costs more than its own bytes once.
"""

import os
import struct
from typing import BinaryIO

_PNG = b"\x89PNG\r\n\x1a\n"
_PNG_DROPPED = frozenset({b"tEXt", b"zTXt", b"iTXt", b"eXIf", b"tIME"})
_JPEG = b"\xff\xd8"
_JPEG_DROPPED = frozenset({0xE1, 0xED, 0xFE})  # APP1: EXIF and XMP; APP13: IPTC; COM
_JPEG_SCAN = 0xDA
_JPEG_ALONE = frozenset({0x01, *range(0xD0, 0xD8)})  # markers without a length
_WEBP_DROPPED = frozenset({b"EXIF", b"XMP "})
_WEBP_FLAGS = 0x08 | 0x04  # EXIF, XMP (WebP container specification, "Extended File Format")
_COPY_BYTES = 256 * 1024


class DamagedError(ValueError):
    """The file is none of the three, or ends where it should not."""


def strip(source: BinaryIO, target: BinaryIO) -> None:
    """Both seekable, source at its start. Raises: DamagedError."""
    head = source.read(12)
    source.seek(0)
    if head.startswith(_PNG):
        _strip_png(source, target)
    elif head.startswith(_JPEG):
        _strip_jpeg(source, target)
    elif head[:4] == b"RIFF" and head[8:] == b"WEBP":
        _strip_webp(source, target)
    else:
        raise DamagedError("it is no PNG, JPEG or WebP file")


def _strip_png(source: BinaryIO, target: BinaryIO) -> None:
    target.write(source.read(len(_PNG)))
    kind = b""
    while kind != b"IEND":
        head = _exactly(source, 8)
        size, kind = struct.unpack(">I4s", head)
        if kind in _PNG_DROPPED:
            _skip(source, size + 4)
            continue
        target.write(head)
        _copy(source, target, size + 4)


def _strip_jpeg(source: BinaryIO, target: BinaryIO) -> None:
    target.write(source.read(len(_JPEG)))
    marker = 0
    while marker != _JPEG_SCAN:
        marker = _next_marker(source)
        if marker in _JPEG_ALONE:
            target.write(bytes((0xFF, marker)))
            continue
        length = _exactly(source, 2)
        size = struct.unpack(">H", length)[0] - 2
        if size < 0:
            raise DamagedError("a segment of it has a negative length")
        if marker in _JPEG_DROPPED:
            _skip(source, size)
            continue
        target.write(bytes((0xFF, marker)) + length)
        _copy(source, target, size)
    while chunk := source.read(_COPY_BYTES):
        target.write(chunk)


def _next_marker(source: BinaryIO) -> int:
    if _exactly(source, 1) != b"\xff":
        raise DamagedError("a segment of it does not begin with a marker")
    marker = b"\xff"
    while marker == b"\xff":  # any number of these may stand before a marker
        marker = _exactly(source, 1)
    return marker[0]


def _strip_webp(source: BinaryIO, target: BinaryIO) -> None:
    end = 8 + struct.unpack("<I", _exactly(source, 8)[4:])[0]
    target.write(b"RIFF\0\0\0\0" + _exactly(source, 4))
    while source.tell() + 8 <= end:
        head = _exactly(source, 8)
        kind, size = struct.unpack("<4sI", head)
        padded = size + size % 2
        if kind in _WEBP_DROPPED:
            _skip(source, padded)
        elif kind == b"VP8X" and size:
            target.write(head + bytes((_exactly(source, 1)[0] & ~_WEBP_FLAGS,)))
            _copy(source, target, padded - 1)
        else:
            target.write(head)
            _copy(source, target, padded)
    written = target.tell()
    target.seek(4)
    target.write(struct.pack("<I", written - 8))
    target.seek(written)


def _exactly(source: BinaryIO, size: int) -> bytes:
    data = source.read(size)
    if len(data) < size:
        raise DamagedError("it ends too early")
    return data


def _skip(source: BinaryIO, size: int) -> None:
    if source.tell() + size > _size_of(source):
        raise DamagedError("it ends too early")
    source.seek(size, os.SEEK_CUR)


def _size_of(source: BinaryIO) -> int:
    here = source.tell()
    end = source.seek(0, os.SEEK_END)
    source.seek(here)
    return end


def _copy(source: BinaryIO, target: BinaryIO, size: int) -> None:
    while size:
        data = _exactly(source, min(size, _COPY_BYTES))
        target.write(data)
        size -= len(data)
