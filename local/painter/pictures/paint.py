"""From a brief to a picture."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from local.painter.pictures.brief import Brief, Caption, random_of
from local.painter.pictures.canvas import Canvas
from local.painter.pictures.palette import palette_of
from local.painter.pictures.scenes import scene_for

Pixels = NDArray[np.uint8]
PREVIEW_SIDE = 256
MAX_DETAIL = 6


def paint(brief: Brief) -> Pixels:
    """[height, width, 3] pixels.

    Words choose scene and palette, seed and index the composition, steps the finish, cfg how strong the colours are.
    """
    palette = palette_of(brief.prompt, brief.negative)
    random = random_of("composition", brief.prompt, brief.negative, brief.seed, brief.index, brief.model)
    canvas = Canvas(brief.width, brief.height, random, detail=min(MAX_DETAIL, 1 + brief.steps // 3))
    scene_for(brief.prompt)(canvas, palette)
    _vignette(canvas)
    _tone(canvas, brief.cfg)
    _grain(canvas, brief)
    return np.rint(np.clip(canvas.rgb, 0, 1) * 255).astype(np.uint8)


def blended(source: Pixels | None, painted: Pixels, denoise: float, mask: NDArray[np.float32] | None) -> Pixels:
    """Painted over the source by `denoise`, inside the mask only; without a source all is painted."""
    if source is None:
        return painted
    weight = np.float32(denoise) if mask is None else denoise * mask[..., None]
    mixed = source + (painted.astype(np.float32) - source) * weight
    return np.rint(mixed).astype(np.uint8)


def preview_of(brief: Brief) -> Callable[[int], Pixels]:
    """The picture as it looks after so many steps, small: noise at first, then more and more itself."""
    scale = min(1.0, PREVIEW_SIDE / max(brief.width, brief.height))
    small = replace(brief, width=max(16, round(brief.width * scale)), height=max(16, round(brief.height * scale)))
    done = paint(small).astype(np.float32)
    noise = random_of("preview", brief.seed).integers(0, 256, done.shape).astype(np.float32)

    def after(step: int) -> Pixels:
        share = min(1.0, step / brief.steps)
        return (noise + (done - noise) * share).astype(np.uint8)

    return after


def caption_of(brief: Brief, mask: NDArray[np.float32] | None) -> Caption:
    palette = palette_of(brief.prompt, brief.negative)
    red, green, blue = (int(value) for value in np.rint(palette.accent * 255))
    facts = [f"seed {brief.seed}", f"{brief.steps} steps", f"cfg {brief.cfg:g}", f"{brief.sampler} {brief.scheduler}"]
    if brief.denoise < 1:
        facts.append(f"denoise {brief.denoise:g}")
    if brief.count > 1:
        facts.append(f"{brief.index + 1} of {brief.count}")
    facts += [f"{brief.width} x {brief.height}", brief.model.rsplit(".", 1)[0]]
    return Caption(
        title=brief.prompt, negative=brief.negative, facts="  /  ".join(facts), accent=(red, green, blue), mask=mask
    )


def _vignette(canvas: Canvas) -> None:
    away = np.hypot((canvas.x - 0.5) * 1.1, canvas.y - 0.5)
    canvas.rgb *= (1 - 0.42 * np.clip(away - 0.30, 0, 1))[..., None]


def _tone(canvas: Canvas, cfg: float) -> None:
    """Colours fade below cfg 7; above it they and the contrast grow."""
    strength = np.float32(np.clip(0.55 + 0.45 * cfg / 7, 0.5, 1.7))
    grey = canvas.rgb.mean(axis=-1, keepdims=True)
    canvas.rgb = grey + (canvas.rgb - grey) * strength
    canvas.rgb = np.clip(0.5 + (canvas.rgb - 0.5) * (0.9 + 0.1 * strength), 0, 1)


def _grain(canvas: Canvas, brief: Brief) -> None:
    """What few steps leave unfinished; after twenty it is the grain of a photograph."""
    amount = np.float32(0.012 + 0.16 * np.exp(-brief.steps / 4))
    grain = random_of("grain", brief.seed, brief.index).standard_normal(canvas.rgb.shape[:2], np.float32)
    canvas.rgb += amount * grain[..., None]
