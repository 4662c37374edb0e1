"""What describes a picture inside its file, as the runtimes write it: text chunks in PNG, EXIF in JPEG and WebP.

ComfyUI writes `prompt:{…}` into EXIF's Model and each further text below it, from Make down (SaveAnimatedWEBP);
AUTOMATIC1111 writes its parameters into the UserComment, in UTF-16 (modules/images.py). Their own readers, and others',
look there.
"""

import re

from PIL import Image
from PIL.PngImagePlugin import PngImageFile, PngInfo

MAX_JPEG_EXIF_BYTES = 65_533 - 6  # one segment with its length, and `Exif\0\0` before (EXIF 2.32, 4.7.2)

_PARAMETERS, _PROMPT, _WORKFLOW = "parameters", "prompt", "workflow"
_MODEL, _EXIF_IFD, _USER_COMMENT, _ORIENTATION = 0x0110, 0x8769, 0x9286, 0x0112
_FREE_TAGS = (0x010F, 0x010E, 0x010D)  # Make, ImageDescription, DocumentName: texts, which those below are not
_NAMED = re.compile(r"([\w.-]{1,64}):(?=[\[{\"])", re.ASCII)
_UTF16 = b"UNICODE\0"
_ASCII = b"ASCII\0\0\0"


def texts_of(image: Image.Image) -> dict[str, str]:
    """By name, in the order in which they are kept when not all fit. image: loaded, as PNG has texts at its end too."""
    found = _of_png(image) if isinstance(image, PngImageFile) else _of_exif(image.getexif())
    first = [name for name in (_PARAMETERS, _PROMPT, _WORKFLOW) if name in found]
    return {name: found[name] for name in [*first, *(name for name in found if name not in first)]}


def chunks_of(texts: dict[str, str]) -> PngInfo:
    chunks = PngInfo()
    for name, text in texts.items():
        chunks.add_text(name, text)
    return chunks


def exif_of(texts: dict[str, str], max_bytes: int | None = None) -> tuple[bytes, list[str]]:
    """EXIF that holds the texts, empty for none, and the names of those that it cannot hold."""
    kept, left_out = dict(texts), list[str]()
    for name in [name for name in texts if name not in {_PARAMETERS, _PROMPT}][len(_FREE_TAGS) :]:
        del kept[name]
        left_out.append(name)
    while kept:
        data = _exif(kept).tobytes()
        if max_bytes is None or len(data) <= max_bytes:
            return data, left_out
        left_out.insert(0, kept.popitem()[0])
    return b"", left_out


def _exif(texts: dict[str, str]) -> Image.Exif:
    exif, free = Image.Exif(), iter(_FREE_TAGS)
    for name, text in texts.items():
        if name == _PARAMETERS:
            exif.get_ifd(_EXIF_IFD)[_USER_COMMENT] = _UTF16 + text.encode("utf-16-be", "replace")
        else:
            # UTF-8 where ASCII is meant: Pillow would write question marks
            exif[_MODEL if name == _PROMPT else next(free)] = f"{name}:{text}".encode(errors="replace")
    return exif


def _of_png(image: PngImageFile) -> dict[str, str]:
    return {name: str(text) for name, text in image.text.items() if not name.startswith(("XML:", "Raw profile"))}


def _of_exif(exif: Image.Exif) -> dict[str, str]:
    found = {}
    for tag in (_MODEL, *_FREE_TAGS):
        value = exif.get(tag)
        # Pillow reads these as Latin-1, whatever was written
        text = _utf8(value.encode("latin-1", "replace") if isinstance(value, str) else value)
        if match := _NAMED.match(text):
            found[match[1]] = text[match.end() :].rstrip("\0")
    comment = exif.get_ifd(_EXIF_IFD).get(_USER_COMMENT)
    if isinstance(comment, bytes) and (parameters := _comment(comment)):
        found[_PARAMETERS] = parameters
    return found


def _utf8(data: object) -> str:
    return data.decode(errors="replace") if isinstance(data, bytes) else ""


def _comment(data: bytes) -> str:
    if data.startswith(_UTF16):
        return data[len(_UTF16) :].decode("utf-16-be", "replace")
    return data.removeprefix(_ASCII).decode(errors="replace").strip("\0 ")
