"""Nodes whose results a client gets: files, previews, text."""

import io
import json
import random
import string
import time
from typing import Any

from PIL import Image

from local.painter.folders import next_number
from local.painter.nodes.spec import Input, NodeClass, integer, number
from local.painter.pictures.png import save_png
from local.painter.values import Pixels
from local.painter.work import Result, Work


def _save(work: Work, *, images: Pixels, filename_prefix: str) -> Result:
    return _saved(work, images, "output", filename_prefix)


def _preview(work: Work, *, images: Pixels) -> Result:
    # A name of its own per preview, as ComfyUI makes it; it is no part of the picture, so it need not repeat.
    suffix = "".join(random.choices(string.ascii_lowercase, k=5))  # noqa: S311
    return _saved(work, images, "temp", f"ComfyUI_temp_{suffix}")


def _animation(work: Work, *, images: Pixels, filename_prefix: str, fps: float, **quality: Any) -> Result:
    frames = [Image.fromarray(picture) for picture in images]
    encoded = io.BytesIO()
    frames[0].save(
        encoded,
        "WEBP",
        save_all=True,
        append_images=frames[1:],
        duration=round(1000 / fps),
        lossless=quality["lossless"],
        quality=quality["quality"],
        method=_WEBP_METHODS[quality["method"]],
    )
    item = written(work, "output", filename_prefix, ".webp", encoded.getvalue())
    return Result(ui={"images": [item], "animated": [len(frames) > 1]})


def _combined(
    work: Work, *, images: Pixels, frame_rate: float, loop_count: int, filename_prefix: str, **options: Any
) -> Result:
    """VideoHelperSuite's node, as far as Pillow can write what it offers."""
    frames = [Image.fromarray(picture) for picture in images]
    if options["pingpong"]:
        frames += frames[-2:0:-1]
    suffix = options["format"].rpartition("/")[2]
    encoded = io.BytesIO()
    frames[0].save(
        encoded,
        suffix.upper(),
        save_all=True,
        append_images=frames[1:],
        duration=round(1000 / frame_rate),
        loop=loop_count,
    )
    kind = "output" if options["save_output"] else "temp"
    item = written(work, kind, filename_prefix, f".{suffix}", encoded.getvalue())
    more = {"format": options["format"], "frame_rate": frame_rate}
    return Result(values=((options["save_output"], [item["filename"]]),), ui={"gifs": [{**item, **more}]})


def _saved(work: Work, images: Pixels, kind: str, prefix: str) -> Result:
    """One PNG per picture."""
    height, width = images.shape[1:3]
    named = prefix.replace("%width%", str(width)).replace("%height%", str(height))
    items = []
    for index, picture in enumerate(images):
        data = save_png(Image.fromarray(picture), _texts(work))
        items.append(written(work, kind, named.replace("%batch_num%", str(index)), ".png", data))
    return Result(ui={"images": items})


def written(work: Work, kind: str, prefix: str, suffix: str, data: bytes) -> dict[str, str]:
    """Item of a new file, numbered over what is in the folder now. Raises: OutsideFolderError for such a prefix."""
    base = work.folders.inside(kind, prefix)
    base.parent.mkdir(parents=True, exist_ok=True)
    path = base.parent / f"{base.name}_{next_number(base.parent, base.name):05}_{suffix}"
    path.write_bytes(data)
    subfolder = str(base.parent.relative_to(work.folders.inside(kind)))
    return {"filename": path.name, "subfolder": "" if subfolder == "." else subfolder, "type": kind}


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
_PREFIX = Input("filename_prefix", "STRING", {"default": "ComfyUI"})
_WEBP_METHODS = {"default": 4, "fastest": 0, "slowest": 6}

ROWS = (
    NodeClass(
        name="SaveImage",
        display_name="Save Image",
        category="image",
        inputs=(_IMAGES, _PREFIX),
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
        name="SaveAnimatedWEBP",
        display_name="SaveAnimatedWEBP",
        category="image/animation",
        inputs=(
            _IMAGES,
            _PREFIX,
            number("fps", 6.0, 0.01, 1000.0, 0.01),
            Input("lossless", "BOOLEAN", {"default": True}),
            Input("quality", "INT", {"default": 80, "min": 0, "max": 100}),
            Input("method", tuple(_WEBP_METHODS)),
        ),
        is_output=True,
        has_hidden=True,
        module="comfy_extras.nodes_images",
        function=_animation,
    ),
    NodeClass(
        name="VHS_VideoCombine",
        display_name="Video Combine",
        category="Video Helper Suite",
        inputs=(
            _IMAGES,
            number("frame_rate", 8.0, 1.0, 240.0, 1.0),
            integer("loop_count", 0, 0, 100),
            Input("filename_prefix", "STRING", {"default": "AnimateDiff"}),
            Input("format", ("image/gif", "image/webp")),
            Input("pingpong", "BOOLEAN", {"default": False}),
            Input("save_output", "BOOLEAN", {"default": True}),
        ),
        outputs=(("VHS_FILENAMES", "Filenames"),),
        is_output=True,
        has_hidden=True,
        module="custom_nodes.ComfyUI-VideoHelperSuite",
        function=_combined,
    ),
    NodeClass(
        name="SaveImageWebsocket",
        display_name="SaveImageWebsocket",
        category="api/image",
        inputs=(_IMAGES,),
        is_output=True,
        module="custom_nodes.websocket_image_save",
        is_changed=lambda _folders, _inputs: str(time.time()),
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
