"""Nodes that load and make pictures, and combine them."""

import hashlib

import numpy as np
from PIL import Image, ImageOps

from local.painter.folders import Folders, OutsideFolderError
from local.painter.nodes.spec import MAX_RESOLUTION, Input, NodeClass, integer, one_image
from local.painter.pictures.resample import resized
from local.painter.values import Mask, Pixels
from local.painter.work import Result, Work

# ComfyUI's mask of a picture without alpha: empty, of this size whatever the picture's.
NO_MASK_SIDE = 64


def load(work: Work, *, image: str) -> Result:
    with Image.open(work.folders.input_file(image)) as opened:
        upright = ImageOps.exif_transpose(opened)
        rgb = np.asarray(upright.convert("RGB"))
        return Result(values=(rgb[None], _mask_of(upright)))


def _mask_of(image: Image.Image) -> Mask:
    """1 where the picture is transparent."""
    if not image.has_transparency_data:
        return np.zeros((1, NO_MASK_SIDE, NO_MASK_SIDE), np.float32)
    alpha = np.asarray(image.convert("RGBA").getchannel("A"), np.float32)
    return np.asarray(1 - alpha[None] / 255, np.float32)


def _load_mask(work: Work, *, image: str, channel: str) -> Result:
    with Image.open(work.folders.input_file(image)) as opened:
        upright = ImageOps.exif_transpose(opened)
        if channel == "alpha":
            return Result(values=(_mask_of(upright),))
        level = np.asarray(upright.convert("RGB"), np.float32)[None, ..., ("red", "green", "blue").index(channel)]
        return Result(values=(np.asarray(level / 255, np.float32),))


def _content(folders: Folders, inputs: dict[str, object]) -> str:
    """Digest of the file, so that a changed one is loaded again under its old name."""
    return hashlib.sha256(folders.input_file(str(inputs["image"])).read_bytes()).hexdigest()


def _file_missing(folders: Folders, name: object) -> str | None:
    try:
        is_there = isinstance(name, str) and folders.input_file(name).is_file()
    except OutsideFolderError:
        is_there = False
    return None if is_there else f"image - Invalid image file: {name}"


def _empty(work: Work, *, width: int, height: int, batch_size: int, color: int) -> Result:
    del work
    rgb = [(color >> shift) & 0xFF for shift in (16, 8, 0)]
    return Result(values=(np.full((batch_size, height, width, 3), rgb, np.uint8),))


def _batch(work: Work, *, image1: Pixels, image2: Pixels) -> Result:
    """The second picture takes the first one's size."""
    del work
    height, width = image1.shape[1:3]
    second = (
        image2 if image2.shape[1:3] == (height, width) else resized(image2, width, height, "bilinear", crop="center")
    )
    return Result(values=(np.concatenate([image1, second]),))


def _pad_for_outpaint(work: Work, *, image: Pixels, **sides: int) -> Result:
    """Middle grey around the picture; the mask fades into it over `feathering` pixels at the grown sides."""
    del work
    left, top, right, bottom = (sides[name] for name in ("left", "top", "right", "bottom"))
    batch, height, width, _ = image.shape
    padded = np.full((batch, top + height + bottom, left + width + right, 3), 128, np.uint8)
    padded[:, top : top + height, left : left + width] = image
    mask = np.ones(padded.shape[1:3], np.float32)
    mask[top : top + height, left : left + width] = _feathered(height, width, sides)
    return Result(values=(padded, mask[None]))


def _feathered(height: int, width: int, sides: dict[str, int]) -> Mask:
    fade = sides["feathering"]
    if fade == 0 or fade * 2 >= min(height, width):
        return np.zeros((height, width), np.float32)
    rows, columns = np.arange(height)[:, None], np.arange(width)[None, :]
    reach = np.full((height, width), float(fade))
    distances = {"left": columns, "top": rows, "right": width - columns, "bottom": height - rows}
    for side, distance in distances.items():
        if sides[side]:
            reach = np.minimum(reach, distance)
    return np.asarray(((fade - reach) / fade) ** 2, np.float32)


_PADDING = tuple(integer(side, 0, 0, MAX_RESOLUTION, 8) for side in ("left", "top", "right", "bottom"))
_UPLOADED = Input("image", lambda folders: folders.input_images(), {"image_upload": True})
_SIDE = (512, 1, MAX_RESOLUTION)

ROWS = (
    NodeClass(
        name="LoadImage",
        display_name="Load Image",
        category="image",
        inputs=(_UPLOADED,),
        outputs=(("IMAGE", "IMAGE"), ("MASK", "MASK")),
        function=load,
        is_changed=_content,
        check={"image": _file_missing},
    ),
    NodeClass(
        name="LoadImageMask",
        display_name="Load Image (as Mask)",
        category="mask",
        inputs=(_UPLOADED, Input("channel", ("alpha", "red", "green", "blue"))),
        outputs=(("MASK", "MASK"),),
        function=_load_mask,
        is_changed=_content,
        check={"image": _file_missing},
    ),
    NodeClass(
        name="EmptyImage",
        display_name="EmptyImage",
        category="image",
        inputs=(
            integer("width", *_SIDE),
            integer("height", *_SIDE),
            Input("batch_size", "INT", {"default": 1, "min": 1, "max": 4096}),
            integer("color", 0, 0, 0xFFFFFF, display="color"),
        ),
        outputs=one_image(),
        function=_empty,
    ),
    NodeClass(
        name="ImageBatch",
        display_name="Batch Images",
        category="image",
        inputs=(Input("image1", "IMAGE"), Input("image2", "IMAGE")),
        outputs=one_image(),
        function=_batch,
    ),
    NodeClass(
        name="ImagePadForOutpaint",
        display_name="Pad Image for Outpainting",
        category="image",
        inputs=(Input("image", "IMAGE"), *_PADDING, integer("feathering", 40, 0, MAX_RESOLUTION)),
        outputs=(("IMAGE", "IMAGE"), ("MASK", "MASK")),
        function=_pad_for_outpaint,
    ),
)
