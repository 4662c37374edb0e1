"""Nodes that cut pictures and masks and lay them over one another."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from local.painter.nodes.spec import MAX_RESOLUTION, Input, NodeClass, integer, one_image
from local.painter.pictures.resample import resized, resized_mask
from local.painter.values import Mask, Pixels
from local.painter.work import Result, Work

_OPERATIONS: dict[str, Callable[[Mask, Mask], NDArray[np.floating[Any]]]] = {
    "multiply": lambda below, above: below * above,
    "add": lambda below, above: below + above,
    "subtract": lambda below, above: below - above,
    "and": lambda below, above: (below.round() * above.round() > 0).astype(np.float32),
    "or": lambda below, above: (below.round() + above.round() > 0).astype(np.float32),
    "xor": lambda below, above: (below.round() != above.round()).astype(np.float32),
}


def _crop(work: Work, *, image: Pixels, width: int, height: int, x: int, y: int) -> Result:
    """A corner outside the picture is moved to its last pixel; what stands over the edge is cut."""
    del work
    left, top = min(x, image.shape[2] - 1), min(y, image.shape[1] - 1)
    return Result(values=(image[:, top : top + height, left : left + width],))


def _mask_composite(work: Work, *, destination: Mask, source: Mask, x: int, y: int, operation: str) -> Result:
    del work
    result = destination.copy()
    batch = len(destination)
    below = result[:, y : y + source.shape[1], x : x + source.shape[2]]
    above = np.resize(source, (batch, *source.shape[1:]))[:, : below.shape[1], : below.shape[2]]
    below[...] = np.clip(_OPERATIONS[operation](below, above), 0, 1)
    return Result(values=(result,))


def _image_composite(
    work: Work, *, destination: Pixels, source: Pixels, x: int, y: int, resize_source: bool, mask: Mask | None = None
) -> Result:
    del work
    batch, height, width, _ = destination.shape
    if resize_source:
        source = resized(source, width, height, "bilinear", crop="disabled")
    if mask is None:
        mask = np.ones(source.shape[:3], np.float32)
    weight = np.resize(resized_mask(mask, source.shape[2], source.shape[1]), (batch, *source.shape[1:3]))[..., None]
    above = np.resize(source, (batch, *source.shape[1:]))
    result = destination.copy()
    below = result[:, y : y + source.shape[1], x : x + source.shape[2]]
    rows, columns = below.shape[1:3]
    mixed = below + (above[:, :rows, :columns].astype(np.float32) - below) * weight[:, :rows, :columns]
    below[...] = np.rint(mixed)
    return Result(values=(result,))


_AT = (integer("x", 0, 0, MAX_RESOLUTION), integer("y", 0, 0, MAX_RESOLUTION))

ROWS = (
    NodeClass(
        name="ImageCrop",
        display_name="Image Crop",
        category="image/transform",
        inputs=(
            Input("image", "IMAGE"),
            integer("width", 512, 1, MAX_RESOLUTION),
            integer("height", 512, 1, MAX_RESOLUTION),
            *_AT,
        ),
        outputs=one_image(),
        module="comfy_extras.nodes_images",
        function=_crop,
    ),
    NodeClass(
        name="MaskComposite",
        display_name="MaskComposite",
        category="mask",
        inputs=(
            Input("destination", "MASK"),
            Input("source", "MASK"),
            *_AT,
            Input("operation", tuple(_OPERATIONS)),
        ),
        outputs=(("MASK", "MASK"),),
        module="comfy_extras.nodes_mask",
        function=_mask_composite,
    ),
    NodeClass(
        name="ImageCompositeMasked",
        display_name="ImageCompositeMasked",
        category="image",
        inputs=(
            Input("destination", "IMAGE"),
            Input("source", "IMAGE"),
            *_AT,
            Input("resize_source", "BOOLEAN", {"default": False}),
            Input("mask", "MASK", is_required=False),
        ),
        outputs=one_image(),
        module="comfy_extras.nodes_mask",
        function=_image_composite,
    ),
)
