"""Nodes whose results a client gets: files, previews, text."""

import json
import random
import string
from typing import Any

from PIL import Image

from local.painter.folders import next_number
from local.painter.nodes.spec import Input, NodeClass
from local.painter.pictures.png import save_png
from local.painter.values import Pixels
from local.painter.work import Result, Work


def _save(work: Work, *, images: Pixels, filename_prefix: str) -> Result:
    return _saved(work, images, "output", filename_prefix)


def _preview(work: Work, *, images: Pixels) -> Result:
    # A name of its own per preview, as ComfyUI makes it; it is no part of the picture, so it need not repeat.
    suffix = "".join(random.choices(string.ascii_lowercase, k=5))  # noqa: S311
    return _saved(work, images, "temp", f"ComfyUI_temp_{suffix}")


def _saved(work: Work, images: Pixels, kind: str, prefix: str) -> Result:
    """One PNG per picture, numbered over what is in the folder now. Raises: OutsideFolderError for such a prefix."""
    height, width = images.shape[1:3]
    named = prefix.replace("%width%", str(width)).replace("%height%", str(height))
    base = work.folders.inside(kind, named)
    base.parent.mkdir(parents=True, exist_ok=True)
    subfolder = str(base.parent.relative_to(work.folders.inside(kind)))
    items = []
    for index, picture in enumerate(images):
        name = base.name.replace("%batch_num%", str(index))
        path = base.parent / f"{name}_{next_number(base.parent, name):05}_.png"
        path.write_bytes(save_png(Image.fromarray(picture), _texts(work)))
        items.append({"filename": path.name, "subfolder": "" if subfolder == "." else subfolder, "type": kind})
    return Result(ui={"images": items})


def _texts(work: Work) -> dict[str, str]:
    extra = work.extra_data.get("extra_pnginfo") or {}
    return {name: json.dumps(value) for name, value in {"prompt": work.prompt, **extra}.items()}


def _send(work: Work, *, images: Pixels) -> Result:
    for done, picture in enumerate(images, 1):
        work.deliver(picture, done, len(images))
    return Result()


def _text(work: Work, *, source: Any = None) -> Result:
    del work
    if isinstance(source, str):
        return Result(ui={"text": [source]})
    try:
        return Result(ui={"text": [json.dumps(source)]})
    except TypeError:
        return Result(ui={"text": [str(source)]})


_IMAGES = Input("images", "IMAGE")

ROWS = (
    NodeClass(
        name="SaveImage",
        display_name="Save Image",
        category="image",
        inputs=(_IMAGES, Input("filename_prefix", "STRING", {"default": "ComfyUI"})),
        is_output=True,
        has_hidden=True,
        function=_save,
    ),
    NodeClass(
        name="PreviewImage",
        display_name="Preview Image",
        category="image",
        inputs=(_IMAGES,),
        is_output=True,
        has_hidden=True,
        function=_preview,
    ),
    NodeClass(
        name="SaveImageWebsocket",
        display_name="SaveImageWebsocket",
        category="api/image",
        inputs=(_IMAGES,),
        is_output=True,
        module="custom_nodes.websocket_image_save",
        function=_send,
    ),
    NodeClass(
        name="PreviewAny",
        display_name="Preview Any",
        category="utils",
        inputs=(Input("source", "*"),),
        is_output=True,
        module="comfy_extras.nodes_preview_any",
        function=_text,
    ),
)
