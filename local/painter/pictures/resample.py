"""Sizes: pictures and masks made larger, smaller, cut, grown and blurred."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

Pixels = NDArray[np.uint8]
Mask = NDArray[np.float32]

_FILTERS = {
    "nearest-exact": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "area": Image.Resampling.BOX,
    "bicubic": Image.Resampling.BICUBIC,
    "bislerp": Image.Resampling.BICUBIC,  # differs only for latents with channels that have a direction
    "lanczos": Image.Resampling.LANCZOS,
}


def target_size(width: int, height: int, wanted_width: int, wanted_height: int) -> tuple[int, int]:
    """Size asked for; a 0 keeps the proportions, and two keep the size."""
    if not wanted_width and not wanted_height:
        return width, height
    if not wanted_width:
        return max(1, round(width * wanted_height / height)), wanted_height
    if not wanted_height:
        return wanted_width, max(1, round(height * wanted_width / width))
    return wanted_width, wanted_height


def resized(pictures: Pixels, width: int, height: int, method: str, *, crop: str) -> Pixels:
    """crop: `center` keeps the proportions and cuts what stands over, `disabled` stretches."""
    box = _centred(pictures.shape[2], pictures.shape[1], width, height) if crop == "center" else None
    return np.stack(
        [np.asarray(Image.fromarray(one).resize((width, height), _FILTERS[method], box=box)) for one in pictures]
    )


def _centred(width: int, height: int, wanted_width: int, wanted_height: int) -> tuple[float, float, float, float]:
    scale = min(width / wanted_width, height / wanted_height)
    kept_width, kept_height = wanted_width * scale, wanted_height * scale
    left, top = (width - kept_width) / 2, (height - kept_height) / 2
    return left, top, left + kept_width, top + kept_height


def resized_field(field: NDArray[np.float32], width: int, height: int, method: Image.Resampling) -> NDArray[np.float32]:
    """One plane of floats, [height, width]."""
    return np.asarray(Image.fromarray(field).resize((width, height), method), np.float32)


def resized_mask(mask: Mask, width: int, height: int) -> Mask:
    planes = [resized_field(plane, width, height, Image.Resampling.BILINEAR) for plane in mask.astype(np.float32)]
    return np.clip(np.stack(planes), 0, 1)


def grown(mask: Mask, pixels: int) -> Mask:
    """A mask reaching `pixels` further, with square corners."""
    if pixels <= 0:
        return mask
    size = 2 * pixels + 1
    planes = []
    for plane in mask:
        padded = np.pad(plane, pixels)
        rows = np.lib.stride_tricks.sliding_window_view(padded, size, axis=0).max(axis=-1)
        planes.append(np.lib.stride_tricks.sliding_window_view(rows, size, axis=1).max(axis=-1))
    return np.asarray(np.stack(planes), np.float32)


def blurred(pictures: Pixels, radius: int, sigma: float) -> Pixels:
    """Gaussian over 2 * radius + 1 pixels, mirrored at the edges."""
    offsets = np.arange(-radius, radius + 1)
    kernel = np.exp(-(offsets**2) / (2 * sigma**2)).astype(np.float32)
    kernel /= kernel.sum()
    result = pictures.astype(np.float32)
    for axis in (1, 2):
        padding = [(radius, radius) if at == axis else (0, 0) for at in range(4)]
        padded = np.pad(result, padding, mode="reflect" if pictures.shape[axis] > radius else "edge")
        length = pictures.shape[axis]
        result = sum(
            (weight * np.take(padded, range(at, at + length), axis=axis) for at, weight in enumerate(kernel)),
            np.zeros_like(result),
        )
    return np.rint(result).astype(np.uint8)


def frosted(picture: Pixels, radius: float) -> Pixels:
    """One picture, [height, width, 3], blurred beyond recognition of its details."""
    return np.asarray(Image.fromarray(picture).filter(ImageFilter.GaussianBlur(radius)))
