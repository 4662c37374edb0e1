"""What a job left behind, as artifacts: its pictures, the grid, what scripts added, and `info.json`."""

import base64
import binascii
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from agent.edges.a1111.answer import Picture
from agent.edges.a1111.request import Request
from agent.errors import NoOutputsError, RuntimeFaultError
from agent.ports import Artifact
from sd_async.contract.codec import encode

_MAGIC = (
    (0, b"\x89PNG\r\n\x1a\n", "png", "image/png"),
    (0, b"\xff\xd8\xff", "jpg", "image/jpeg"),
    (8, b"WEBP", "webp", "image/webp"),
    (4, b"ftypavif", "avif", "image/avif"),
    (0, b"GIF8", "gif", "image/gif"),
)
_DATA = "data:"
_NOTED = (
    "version", "sd_model_name", "sd_model_hash", "sd_vae_name", "sd_vae_hash", "sampler_name", "all_seeds",
    "all_subseeds", "infotexts",
)  # fmt: skip
_LONG_BASE64 = re.compile(r"[A-Za-z0-9+/]{256,}={0,2}")  # no prompt is as long without a blank


def artifacts(document: Any, request: Request) -> list[Artifact]:
    """document: the answer with status 200. Pictures as they were asked for come first.

    Raises: RuntimeFaultError, when it is no such answer or fewer pictures than were asked for; NoOutputsError.
    """
    if not isinstance(document, dict):
        raise RuntimeFaultError("The runtime's answer to the job is no JSON object.")
    images = document.get("images", [document["image"]] if "image" in document else [])
    pictures = [_picture(image) for image in images] if isinstance(images, list) else []
    info = _info(document.get("info"))
    named = list(_named(pictures, info if request.generates else {}))
    if not named:
        raise NoOutputsError("The runtime made no picture.")
    _refuse_unfinished(request, sum(name.startswith("image_") for name, _ in named))
    return [*(_artifact(name, picture) for name, picture in named), _told(document, info)]


def notes(document: Any) -> dict[str, Any]:
    """What it takes to make the pictures again, beside the payload: seeds that were drawn, the model that was used."""
    info = _info(document.get("info")) if isinstance(document, dict) else {}
    return {name: info[name] for name in _NOTED if name in info}


def _named(pictures: list[Picture | bytes], info: Mapping[str, Any]) -> Iterator[tuple[str, Picture | bytes]]:
    """A grid comes before the pictures of which it is made, and what scripts add comes after them."""
    first, seeds = info.get("index_of_first_image"), info.get("all_seeds")
    begin = first if isinstance(first, int) and 0 <= first < len(pictures) else 0
    end = begin + len(seeds) if isinstance(seeds, list) and seeds else len(pictures)
    for number, picture in enumerate(pictures[begin:end], 1):
        yield f"image_{number:05}", picture
    for number, picture in enumerate(pictures[:begin], 1):
        yield "grid" if number == 1 else f"grid_{number}", picture
    for number, picture in enumerate(pictures[end:], 1):
        yield f"extra_{number:05}", picture


def _refuse_unfinished(request: Request, made: int) -> None:
    """An interrupted batch is a success with fewer pictures; a script alone decides how many it makes."""
    payload = request.payload
    if request.route == "extra-batch-images":
        wanted = len(payload.get("imageList") or ())
    elif request.generates and not payload.get("script_name"):
        wanted = _count(payload.get("batch_size")) * _count(payload.get("n_iter"))
    else:
        return
    if made < wanted:
        raise RuntimeFaultError(f"The runtime ended the job after {made} of {wanted} pictures, as when interrupted.")


def _count(value: Any) -> int:
    return value if isinstance(value, int) and value > 0 else 1


def _picture(image: Any) -> Picture | bytes:
    if isinstance(image, Picture):
        return image
    text = image.partition(",")[2] if isinstance(image, str) and image.startswith(_DATA) else image
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError, TypeError) as error:
        raise RuntimeFaultError("The runtime's answer holds a picture that is no base64.") from error


def _artifact(name: str, picture: Picture | bytes) -> Artifact:
    head = picture.head() if isinstance(picture, Picture) else picture[:16]
    for offset, magic, suffix, content_type in _MAGIC:
        if head[offset:].startswith(magic):
            return Artifact(f"{name}.{suffix}", "image", content_type, None, picture)
    return Artifact(f"{name}.bin", "file", "application/octet-stream", None, picture)


def _info(text: Any) -> dict[str, Any]:
    try:
        info = json.loads(text) if isinstance(text, str) else {}
    except (ValueError, RecursionError):
        return {}
    return info if isinstance(info, dict) else {}


def _told(document: Mapping[str, Any], info: Mapping[str, Any]) -> Artifact:
    """All that came beside the pictures: what the runtime says it made, and with which parameters."""
    others = {name: value for name, value in document.items() if name not in {"images", "image", "info"}}
    told = encode(_without_pictures({**info, **others}))
    return Artifact("info.json", "text", "application/json", None, told)


def _without_pictures(value: Any) -> Any:
    """A payload's own pictures come back in `parameters`."""
    if isinstance(value, Picture) or (isinstance(value, str) and _LONG_BASE64.fullmatch(value)):
        return None
    if isinstance(value, dict):
        return {name: _without_pictures(inner) for name, inner in value.items()}
    return [_without_pictures(inner) for inner in value] if isinstance(value, list) else value
