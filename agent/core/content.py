"""What a file is by its first bytes, and what is expected of it by where its name stands."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

HEAD_BYTES = 32


class Content(StrEnum):
    IMAGE = "image"
    VIDEO = "video"
    AUDIO = "audio"


_IMAGE, _VIDEO, _AUDIO = Content.IMAGE, Content.VIDEO, Content.AUDIO
_SOUND = frozenset({_AUDIO, _VIDEO})  # a film has a sound track, and some containers hold either

# Where in the file, which bytes, and what that is. An entry further up goes before one below.
_SIGNATURES: tuple[tuple[int, bytes, frozenset[Content]], ...] = (
    (0, b"\x89PNG\r\n\x1a\n", frozenset({_IMAGE})),
    (0, b"\xff\xd8\xff", frozenset({_IMAGE})),  # JPEG
    (0, b"GIF87a", frozenset({_IMAGE, _VIDEO})),
    (0, b"GIF89a", frozenset({_IMAGE, _VIDEO})),
    (8, b"WEBP", frozenset({_IMAGE, _VIDEO})),
    (0, b"BM", frozenset({_IMAGE})),
    (0, b"II*\x00", frozenset({_IMAGE})),  # TIFF, of either byte order
    (0, b"MM\x00*", frozenset({_IMAGE})),
    (0, b"\x76\x2f\x31\x01", frozenset({_IMAGE})),  # OpenEXR
    (0, b"#?RADIANCE", frozenset({_IMAGE})),
    (0, b"8BPS", frozenset({_IMAGE})),  # Photoshop
    (0, b"qoif", frozenset({_IMAGE})),
    (0, b"\xff\x0a", frozenset({_IMAGE})),  # JPEG XL, bare and in its box
    (0, b"\x00\x00\x00\x0cJXL ", frozenset({_IMAGE})),
    (0, b"\x00\x00\x00\x0cjP  ", frozenset({_IMAGE})),  # JPEG 2000
    (4, b"ftypavif", frozenset({_IMAGE})),
    (4, b"ftypavis", frozenset({_IMAGE, _VIDEO})),
    (4, b"ftyphei", frozenset({_IMAGE})),
    (4, b"ftypmif1", frozenset({_IMAGE})),
    (4, b"ftypM4A", frozenset({_AUDIO})),
    (4, b"ftyp", _SOUND),  # MP4, QuickTime
    (4, b"moov", _SOUND),
    (4, b"mdat", _SOUND),
    (0, b"\x1a\x45\xdf\xa3", _SOUND),  # Matroska, WebM
    (0, b"OggS", _SOUND),
    (8, b"AVI ", frozenset({_VIDEO})),
    (0, b"FLV\x01", frozenset({_VIDEO})),
    (0, b"\x00\x00\x01\xba", frozenset({_VIDEO})),  # MPEG program stream
    (0, b"\x00\x00\x01\xb3", frozenset({_VIDEO})),
    (0, b"\x30\x26\xb2\x75", _SOUND),  # Windows Media
    (0, b"\x47\x40", frozenset({_VIDEO})),  # MPEG transport stream
    (8, b"WAVE", frozenset({_AUDIO})),
    (8, b"AIFF", frozenset({_AUDIO})),
    (0, b"fLaC", frozenset({_AUDIO})),
    (0, b"ID3", frozenset({_AUDIO})),
    (0, b"\xff\xfb", frozenset({_AUDIO})),  # MP3 without a tag, AAC
    (0, b"\xff\xf3", frozenset({_AUDIO})),
    (0, b"\xff\xf2", frozenset({_AUDIO})),
    (0, b"\xff\xf1", frozenset({_AUDIO})),
    (0, b"\xff\xf9", frozenset({_AUDIO})),
)

_INPUTS = {"image": _IMAGE, "mask": _IMAGE, "video": _VIDEO, "audio": _AUDIO}
_SUFFIXES = {
    **dict.fromkeys(("png", "jpg", "jpeg", "webp", "bmp", "tif", "tiff", "gif", "avif", "heic", "jxl"), _IMAGE),
    **dict.fromkeys(("mp4", "mov", "webm", "mkv", "avi", "m4v", "mpg", "mpeg"), _VIDEO),
    **dict.fromkeys(("mp3", "wav", "flac", "ogg", "opus", "m4a", "aac", "aiff"), _AUDIO),
}


def contents_of(head: bytes) -> frozenset[Content]:
    """What a file may be taken for. head: its first HEAD_BYTES, or all of it."""
    for offset, signature, contents in _SIGNATURES:
        if head[offset : offset + len(signature)] == signature:
            return contents
    return frozenset()


def expected(name: str, workflow: Mapping[str, Any]) -> frozenset[Content]:
    """What a file has to be, one of these; empty for anything, as a latent, a mesh or a text.

    By the inputs in which its name stands, and if these say nothing by the name itself.
    """
    nodes = [node.get("inputs") for node in workflow.values() if isinstance(node, Mapping)]
    places = [key for inputs in nodes if isinstance(inputs, Mapping) for key, value in inputs.items() if value == name]
    if found := frozenset(_INPUTS[key] for key in places if key in _INPUTS):
        return found
    by_name = _SUFFIXES.get(name.rpartition(".")[2].lower()) if "." in name else None
    return frozenset({by_name}) if by_name else frozenset()
