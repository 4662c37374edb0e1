"""Nodes about masks."""

import numpy as np

from local.painter.nodes.spec import MAX_RESOLUTION, Input, NodeClass, integer, number, one_image
from local.painter.pictures.resample import grown
from local.painter.values import Mask, Pixels
from local.painter.work import Result, Work

CHANNELS = ("red", "green", "blue", "alpha")


def _from_image(work: Work, *, image: Pixels, channel: str) -> Result:
    del work
    return Result(values=(np.asarray(image[..., CHANNELS.index(channel)] / 255, np.float32),))


def _to_image(work: Work, *, mask: Mask) -> Result:
    del work
    grey = np.rint(mask * 255).astype(np.uint8)
    return Result(values=(np.repeat(grey[..., None], 3, axis=-1),))


def _solid(work: Work, *, value: float, width: int, height: int) -> Result:
    del work
    return Result(values=(np.full((1, height, width), value, np.float32),))


def _invert(work: Work, *, mask: Mask) -> Result:
    del work
    return Result(values=(1 - mask,))


def _grow(work: Work, *, mask: Mask, expand: int, tapered_corners: bool) -> Result:
    del work, tapered_corners
    return Result(values=(grown(mask, expand) if expand >= 0 else 1 - grown(1 - mask, -expand),))


_GIVES = (("MASK", "MASK"),)

ROWS = (
    NodeClass(
        name="ImageToMask",
        display_name="Convert Image to Mask",
        category="mask",
        inputs=(Input("image", "IMAGE"), Input("channel", CHANNELS)),
        outputs=_GIVES,
        module="comfy_extras.nodes_mask",
        function=_from_image,
    ),
    NodeClass(
        name="MaskToImage",
        display_name="Convert Mask to Image",
        category="mask",
        inputs=(Input("mask", "MASK"),),
        outputs=one_image(),
        module="comfy_extras.nodes_mask",
        function=_to_image,
    ),
    NodeClass(
        name="SolidMask",
        display_name="SolidMask",
        category="mask",
        inputs=(
            number("value", 1.0, 0.0, 1.0, 0.01),
            integer("width", 512, 1, MAX_RESOLUTION),
            integer("height", 512, 1, MAX_RESOLUTION),
        ),
        outputs=_GIVES,
        module="comfy_extras.nodes_mask",
        function=_solid,
    ),
    NodeClass(
        name="InvertMask",
        display_name="InvertMask",
        category="mask",
        inputs=(Input("mask", "MASK"),),
        outputs=_GIVES,
        module="comfy_extras.nodes_mask",
        function=_invert,
    ),
    NodeClass(
        name="GrowMask",
        display_name="GrowMask",
        category="mask",
        inputs=(
            Input("mask", "MASK"),
            integer("expand", 0, -MAX_RESOLUTION, MAX_RESOLUTION),
            Input("tapered_corners", "BOOLEAN", {"default": True}),
        ),
        outputs=_GIVES,
        module="comfy_extras.nodes_mask",
        function=_grow,
    ),
)
