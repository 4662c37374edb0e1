"""Nodes that make, code and resize latents."""

from dataclasses import replace

import numpy as np

from local.painter.nodes.spec import MAX_RESOLUTION, Input, NodeClass, integer, number, one_image
from local.painter.pictures.caption import captioned
from local.painter.pictures.resample import grown, resized, resized_mask, target_size
from local.painter.values import Latent, Mask, Pixels, Vae
from local.painter.work import Result, Work

METHODS = ("nearest-exact", "bilinear", "area", "bicubic", "bislerp")
CROPS = ("disabled", "center")
MASKED_GREY = 128  # VAEEncodeForInpaint hides what is to be painted anew behind middle grey


def _empty(work: Work, *, width: int, height: int, batch_size: int) -> Result:
    del work
    return Result(values=(Latent(width // 8 * 8, height // 8 * 8, batch_size),))


def _decode(work: Work, *, samples: Latent, vae: Vae) -> Result:
    del vae
    work.interrupt.check()
    if samples.art is None:
        grey = np.full((samples.batch, samples.height, samples.width, 3), MASKED_GREY, np.uint8)
        return Result(values=(grey,))
    if not samples.captions:
        return Result(values=(samples.art,))
    pictures = [captioned(art, caption) for art, caption in zip(samples.art, samples.captions, strict=True)]
    return Result(values=(np.stack(pictures),))


def _latent_of(pixels: Pixels) -> Latent:
    """Sides become multiples of 8, as an encoder's do, cut at the edges."""
    batch, height, width, _ = pixels.shape
    cut = pixels[:, : max(8, height // 8 * 8), : max(8, width // 8 * 8)]
    return Latent(cut.shape[2], cut.shape[1], batch, cut)


def _encode(work: Work, *, pixels: Pixels, vae: Vae) -> Result:
    del work, vae
    return Result(values=(_latent_of(pixels),))


def _encode_for_inpaint(work: Work, *, pixels: Pixels, vae: Vae, mask: Mask, grow_mask_by: int) -> Result:
    del work, vae
    latent = _latent_of(pixels)
    assert latent.art is not None
    wanted = resized_mask(mask, latent.width, latent.height).round().astype(np.float32)
    hidden = np.where(wanted[..., None] > 0, np.uint8(MASKED_GREY), latent.art)
    return Result(values=(replace(latent, art=hidden, mask=grown(wanted, grow_mask_by)),))


def _set_mask(work: Work, *, samples: Latent, mask: Mask) -> Result:
    del work
    return Result(values=(replace(samples, mask=resized_mask(mask, samples.width, samples.height)),))


def _scaled(samples: Latent, width: int, height: int, method: str, crop: str) -> Latent:
    art = None if samples.art is None else resized(samples.art, width, height, method, crop=crop)
    mask = None if samples.mask is None else resized_mask(samples.mask, width, height)
    captions = tuple(replace(caption, mask=None) for caption in samples.captions)
    return Latent(width, height, samples.batch, art, mask, captions)


def _upscale(work: Work, *, samples: Latent, upscale_method: str, width: int, height: int, crop: str) -> Result:
    del work
    size = target_size(samples.width, samples.height, width, height)
    new_width, new_height = (max(64, side // 8 * 8) for side in size)
    return Result(values=(_scaled(samples, new_width, new_height, upscale_method, crop),))


def _upscale_by(work: Work, *, samples: Latent, upscale_method: str, scale_by: float) -> Result:
    del work
    width, height = (max(8, round(side / 8 * scale_by) * 8) for side in (samples.width, samples.height))
    return Result(values=(_scaled(samples, width, height, upscale_method, "disabled"),))


def _repeat(work: Work, *, samples: Latent, amount: int) -> Result:
    del work
    art = None if samples.art is None else np.tile(samples.art, (amount, 1, 1, 1))
    return Result(values=(replace(samples, batch=samples.batch * amount, art=art, captions=samples.captions * amount),))


_GIVES = (("LATENT", "LATENT"),)
_SIDE = (512, 16, MAX_RESOLUTION, 8)

ROWS = (
    NodeClass(
        name="EmptyLatentImage",
        display_name="Empty Latent Image",
        category="latent",
        inputs=(
            integer("width", *_SIDE),
            integer("height", *_SIDE),
            Input("batch_size", "INT", {"default": 1, "min": 1, "max": 4096}),
        ),
        outputs=_GIVES,
        function=_empty,
    ),
    NodeClass(
        name="EmptySD3LatentImage",
        display_name="EmptySD3LatentImage",
        category="latent/sd3",
        inputs=(
            integer("width", 1024, 16, MAX_RESOLUTION, 16),
            integer("height", 1024, 16, MAX_RESOLUTION, 16),
            Input("batch_size", "INT", {"default": 1, "min": 1, "max": 4096}),
        ),
        outputs=_GIVES,
        module="comfy_extras.nodes_sd3",
        function=_empty,
    ),
    NodeClass(
        name="VAEDecode",
        display_name="VAE Decode",
        category="latent",
        inputs=(Input("samples", "LATENT"), Input("vae", "VAE")),
        outputs=one_image(),
        function=_decode,
    ),
    NodeClass(
        name="VAEEncode",
        display_name="VAE Encode",
        category="latent",
        inputs=(Input("pixels", "IMAGE"), Input("vae", "VAE")),
        outputs=_GIVES,
        function=_encode,
    ),
    NodeClass(
        name="VAEEncodeForInpaint",
        display_name="VAE Encode (for Inpainting)",
        category="latent/inpaint",
        inputs=(
            Input("pixels", "IMAGE"),
            Input("vae", "VAE"),
            Input("mask", "MASK"),
            integer("grow_mask_by", 6, 0, 64),
        ),
        outputs=_GIVES,
        function=_encode_for_inpaint,
    ),
    NodeClass(
        name="SetLatentNoiseMask",
        display_name="Set Latent Noise Mask",
        category="latent/inpaint",
        inputs=(Input("samples", "LATENT"), Input("mask", "MASK")),
        outputs=_GIVES,
        function=_set_mask,
    ),
    NodeClass(
        name="LatentUpscale",
        display_name="Upscale Latent",
        category="latent",
        inputs=(
            Input("samples", "LATENT"),
            Input("upscale_method", METHODS),
            integer("width", 512, 0, MAX_RESOLUTION, 8),
            integer("height", 512, 0, MAX_RESOLUTION, 8),
            Input("crop", CROPS),
        ),
        outputs=_GIVES,
        function=_upscale,
    ),
    NodeClass(
        name="LatentUpscaleBy",
        display_name="Upscale Latent By",
        category="latent",
        inputs=(Input("samples", "LATENT"), Input("upscale_method", METHODS), number("scale_by", 1.5, 0.01, 8.0, 0.01)),
        outputs=_GIVES,
        function=_upscale_by,
    ),
    NodeClass(
        name="RepeatLatentBatch",
        display_name="Repeat Latent Batch",
        category="latent/batch",
        inputs=(Input("samples", "LATENT"), integer("amount", 1, 1, 64)),
        outputs=_GIVES,
        function=_repeat,
    ),
)
