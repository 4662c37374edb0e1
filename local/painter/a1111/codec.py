"""Pictures as text: base64 or a data URI in, bare base64 out."""

import base64
import binascii
import io

import numpy as np
from PIL import Image, UnidentifiedImageError

from local.painter.a1111.errors import RefusedError
from local.painter.pictures.png import save_png
from local.painter.values import Pixels


def opened(text: str) -> Image.Image:
    """Raises: RefusedError, also for an address: this server fetches nothing."""
    if text.startswith(("http://", "https://")):
        raise RefusedError(500, "Requests not allowed")
    plain = text.partition(",")[2] if text.startswith("data:image/") else text
    try:
        image = Image.open(io.BytesIO(base64.b64decode(plain)))
        image.load()
    except (binascii.Error, ValueError, UnidentifiedImageError, OSError) as error:
        raise RefusedError(500, "Invalid encoded image") from error
    return image


def pixels_of(text: str) -> Pixels:
    return np.asarray(opened(text).convert("RGB"))


def text_of(picture: Pixels, infotext: str, samples_format: str) -> str:
    """samples_format: png, jpg or webp; a PNG carries the infotext as the chunk `parameters`."""
    image = Image.fromarray(picture)
    if samples_format == "png":
        return base64.b64encode(save_png(image, {"parameters": infotext} if infotext else {})).decode()
    encoded = io.BytesIO()
    image.save(encoded, {"jpg": "JPEG", "jpeg": "JPEG"}.get(samples_format, "WEBP"), quality=80)
    return base64.b64encode(encoded.getvalue()).decode()
