"""Upscaling of pictures that are there."""

from typing import Any

from local.painter.a1111 import codec, lists
from local.painter.a1111.errors import MistypedError, RaisedError
from local.painter.a1111.generate import Studio
from local.painter.a1111.payload import Extras
from local.painter.pictures.caption import stamped
from local.painter.pictures.resample import resized
from local.painter.values import Pixels

STEPS = 4  # what one picture takes


def checked(payload: Extras) -> None:
    """Raises: MistypedError."""
    if payload.upscaling_resize <= 0:
        raise MistypedError("upscaling_resize", "ensure this value is greater than 0")
    if min(payload.upscaling_resize_w, payload.upscaling_resize_h) < 1:
        raise MistypedError("upscaling_resize_w", "ensure this value is greater than or equal to 1")


def upscaled(studio: Studio, payload: Extras, pictures: list[str]) -> list[str]:
    """As many as were done when somebody interrupted. Raises: RefusedError."""
    decoded = [codec.pixels_of(text) for text in pictures]
    state = studio.state
    state.begin("extras")
    try:
        state.job_count, state.steps = len(decoded), STEPS
        done: list[str] = []
        for state.job_no, picture in enumerate(decoded):
            for state.step in range(STEPS):
                if not state.pause(studio.settings.seconds_per_step):
                    return done
            done.append(codec.text_of(_enlarged(picture, payload), "", studio.options["samples_format"]))
        return done
    finally:
        state.end()


def single(studio: Studio, payload: Extras) -> dict[str, Any]:
    done = upscaled(studio, payload, [payload.image])
    if not done:
        raise RaisedError("IndexError", "list index out of range")
    return {"html_info": "<div></div>", "image": done[0]}


def batch(studio: Studio, payload: Extras) -> dict[str, Any]:
    return {"html_info": "<div></div>", "images": upscaled(studio, payload, [item.data for item in payload.imageList])}


def _enlarged(picture: Pixels, payload: Extras) -> Pixels:
    if lists.UPSCALERS.get(payload.upscaler_1, 1) == 1:
        return picture  # none, or one that it does not know: the picture as it came
    height, width = picture.shape[:2]
    if payload.resize_mode == 1:
        size = payload.upscaling_resize_w, payload.upscaling_resize_h
        return stamped(
            resized(picture[None], *size, "lanczos", crop="center" if payload.upscaling_crop else "disabled")[0]
        )
    size = round(width * payload.upscaling_resize), round(height * payload.upscaling_resize)
    return stamped(resized(picture[None], *size, "lanczos", crop="disabled")[0])
