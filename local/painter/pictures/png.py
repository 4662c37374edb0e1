"""PNG files with the text chunks that ComfyUI's clients read."""

import io
from collections.abc import Mapping

from PIL import Image
from PIL.PngImagePlugin import PngImageFile, PngInfo

from local.painter.settings import NOTICE

COMPRESS_LEVEL = 4  # ComfyUI's: a good deal faster than Pillow's default, for a few per cent more bytes


def save_png(image: Image.Image, texts: Mapping[str, str]) -> bytes:
    """Bytes of a PNG with `texts` as chunks, and one that says who made it."""
    chunks = PngInfo()
    for name, text in {**texts, "Software": NOTICE}.items():
        chunks.add_text(name, text)
    encoded = io.BytesIO()
    image.save(encoded, "PNG", pnginfo=chunks, compress_level=COMPRESS_LEVEL)
    return encoded.getvalue()


def text_of(image: Image.Image) -> dict[str, str]:
    return {name: str(text) for name, text in image.text.items()} if isinstance(image, PngImageFile) else {}
