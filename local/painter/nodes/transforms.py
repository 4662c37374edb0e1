"""Nodes that change a picture's pixels or size."""

import numpy as np
from PIL import Image, ImageFilter

from local.painter.nodes.latents import CROPS
from local.painter.nodes.spec import MAX_RESOLUTION, Input, NodeClass, integer, number, one_image
from local.painter.pictures.caption import stamped
from local.painter.pictures.resample import blurred, resized, target_size
from local.painter.values import Pixels, UpscaleModel
from local.painter.work import Result, Work

METHODS = ("nearest-exact", "bilinear", "area", "bicubic", "lanczos")
TILE = 512  # ComfyUI upscales in tiles of this side and counts them as its steps


def _scale(work: Work, *, image: Pixels, upscale_method: str, width: int, height: int, crop: str) -> Result:
    del work
    new_width, new_height = target_size(image.shape[2], image.shape[1], width, height)
    return Result(values=(resized(image, new_width, new_height, upscale_method, crop=crop),))


def _scale_by(work: Work, *, image: Pixels, upscale_method: str, scale_by: float) -> Result:
    del work
    width, height = (max(1, round(side * scale_by)) for side in (image.shape[2], image.shape[1]))
    return Result(values=(resized(image, width, height, upscale_method, crop="disabled"),))


def _upscale_with_model(work: Work, *, upscale_model: UpscaleModel, image: Pixels) -> Result:
    batch, height, width, _ = image.shape
    tiles = batch * -(-height // TILE) * -(-width // TILE)
    for done in range(1, tiles + 1):
        work.step(done, tiles, work.settings.seconds_per_step)
    large = resized(image, width * upscale_model.scale, height * upscale_model.scale, "lanczos", crop="disabled")
    sharpen = ImageFilter.UnsharpMask(radius=upscale_model.scale, percent=60, threshold=2)
    sharp = [np.asarray(Image.fromarray(picture).filter(sharpen)) for picture in large]
    return Result(values=(np.stack([stamped(picture) for picture in sharp]),))


def _invert(work: Work, *, image: Pixels) -> Result:
    del work
    return Result(values=(255 - image,))


def _blur(work: Work, *, image: Pixels, blur_radius: int, sigma: float) -> Result:
    del work
    return Result(values=(blurred(image, blur_radius, sigma),))


ROWS = (
    NodeClass(
        name="ImageScale",
        display_name="Upscale Image",
        category="image/upscaling",
        inputs=(
            Input("image", "IMAGE"),
            Input("upscale_method", METHODS),
            integer("width", 512, 0, MAX_RESOLUTION),
            integer("height", 512, 0, MAX_RESOLUTION),
            Input("crop", CROPS),
        ),
        outputs=one_image(),
        function=_scale,
    ),
    NodeClass(
        name="ImageScaleBy",
        display_name="Upscale Image By",
        category="image/upscaling",
        inputs=(Input("image", "IMAGE"), Input("upscale_method", METHODS), number("scale_by", 1.0, 0.01, 8.0, 0.01)),
        outputs=one_image(),
        function=_scale_by,
    ),
    NodeClass(
        name="ImageUpscaleWithModel",
        display_name="Upscale Image (using Model)",
        category="image/upscaling",
        inputs=(Input("upscale_model", "UPSCALE_MODEL"), Input("image", "IMAGE")),
        outputs=one_image(),
        module="comfy_extras.nodes_upscale_model",
        function=_upscale_with_model,
    ),
    NodeClass(
        name="ImageInvert",
        display_name="Invert Image",
        category="image",
        inputs=(Input("image", "IMAGE"),),
        outputs=one_image(),
        function=_invert,
    ),
    NodeClass(
        name="ImageBlur",
        display_name="ImageBlur",
        category="image/postprocessing",
        inputs=(Input("image", "IMAGE"), integer("blur_radius", 1, 1, 31), number("sigma", 1.0, 0.1, 10.0, 0.1)),
        outputs=one_image(),
        module="comfy_extras.nodes_post_processing",
        function=_blur,
    ),
)
