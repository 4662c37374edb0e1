"""Pictures as runtimes save them, and what stands in them."""

import io
import json
from typing import Any

from PIL import Image
from PIL.PngImagePlugin import PngInfo

PROMPT = {"9": {"class_type": "SaveImage", "inputs": {"text": "a fox, 狐"}}}
WORKFLOW = {"nodes": [{"id": 9}], "version": 0.4}
PARAMETERS = 'a red fox, "näive"\nNegative prompt: blurry 狐\nSteps: 20, Sampler: Euler, Seed: 17'


def picture(mode: str = "RGB", size: tuple[int, int] = (48, 32)) -> Image.Image:
    return Image.linear_gradient("L").resize(size).convert(mode)


def png(texts: dict[str, str] | None = None, image: Image.Image | None = None, **save: Any) -> bytes:
    chunks = PngInfo()
    for name, text in (texts or {}).items():
        chunks.add_text(name, text)
    return encoded(image or picture(), "PNG", pnginfo=chunks, **save)


def comfyui_png(image: Image.Image | None = None) -> bytes:
    """As SaveImage does it."""
    return png({"prompt": json.dumps(PROMPT), "workflow": json.dumps(WORKFLOW)}, image)


def encoded(image: Image.Image, kind: str, **save: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **save)
    return file.getvalue()


def opened(data: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(data))
    image.load()
    return image


def parameters_as_a1111_reads_them(image: Image.Image) -> str:
    """Its reader (piexif.helper.UserComment.load): eight bytes of encoding, then the text."""
    comment = image.getexif().get_ifd(0x8769)[0x9286]
    assert comment[:8] == b"UNICODE\0"
    return str(comment[8:].decode("utf-16-be"))


def texts_as_comfyui_reads_them(image: Image.Image) -> dict[str, Any]:
    """Its editor: every text of the first EXIF directory up to its first colon is a name, the rest JSON."""
    found = {}
    for value in dict(image.getexif()).values():
        if isinstance(value, str) and ":" in value:
            name, _, text = value.partition(":")
            found[name] = json.loads(text.encode("latin-1").decode())
    return found
