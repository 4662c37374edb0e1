"""txt2img and img2img: steps that take their time, then pictures painted as for ComfyUI."""

import json
import random
import re
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image, ImageFilter

from local.painter.a1111 import codec, faults, lists
from local.painter.a1111.errors import RaisedError, RefusedError
from local.painter.a1111.lists import Checkpoint, checkpoint_of
from local.painter.a1111.payload import Generate, echo
from local.painter.a1111.state import State
from local.painter.pictures.brief import Brief
from local.painter.pictures.caption import captioned
from local.painter.pictures.paint import blended, caption_of, paint
from local.painter.pictures.resample import resized
from local.painter.settings import PainterSettings
from local.painter.values import Mask, Pixels

LOADING_STEPS = 10  # what reading a model takes, in steps
MAX_PIXELS = 4096 * 4096  # of one picture; a GPU's memory ends there too
_LORA = re.compile(r"<lora:([^:>]+)[^>]*>")


@dataclass
class Studio:
    """options: the server's own. loaded: the checkpoint in memory, none before the first job."""

    settings: PainterSettings
    options: dict[str, Any]
    state: State
    loaded: Checkpoint | None = None

    def load(self, checkpoint: Checkpoint) -> None:
        """Takes its time, and cannot be interrupted."""
        if checkpoint != self.loaded:
            for _ in range(LOADING_STEPS):
                self.state.pause(self.settings.seconds_per_step)
            self.loaded = checkpoint


def checked(payload: Generate, route: str) -> None:
    """What is refused before the job has a place in the line. Raises: RefusedError."""
    selectable, always_on = lists.SELECTABLE[route], lists.ALWAYS_ON
    if payload.script_name and payload.script_name.lower() not in selectable:
        raise RefusedError(422, f"Script '{payload.script_name}' not found")
    for name in payload.alwayson_scripts:
        if name.lower() in selectable:
            raise RefusedError(422, "Cannot have a selectable script in the always on scripts params")
        if name.lower() not in always_on:
            raise RefusedError(422, f"always on script {name} not found")
    if route == "img2img" and payload.init_images is None:
        raise RefusedError(404, "Init image not found")


def generated(studio: Studio, payload: Generate, route: str) -> dict[str, Any]:
    """The whole answer of one job. Raises: RefusedError, RaisedError."""
    studio.state.begin(f"scripts_{route}")
    try:
        job = _Job(studio, payload, route)
        return job.answer(job.pictures())
    finally:
        studio.state.end()


class _Job:
    def __init__(self, studio: Studio, payload: Generate, route: str) -> None:
        for name in payload.override_settings:
            if name not in studio.options:
                raise RaisedError("KeyError", repr(name))
        self._studio, self._payload, self._route = studio, payload, route
        self._options = {**studio.options, **payload.override_settings}
        # An unknown one leaves the server's own, in silence.
        self._model = checkpoint_of(self._options["sd_model_checkpoint"]) or _default(studio)
        self._sampler = lists.sampler_and_scheduler(payload.sampler_name or payload.sampler_index, payload.scheduler)
        self._seed = payload.seed if payload.seed >= 0 else random.randrange(2**32)  # noqa: S311 - a picture's
        self._prompt = _LORA.sub("", faults.without_tags(payload.prompt)).strip()
        if payload.width * payload.height > MAX_PIXELS:
            raise RaisedError("OutOfMemoryError", "CUDA out of memory. Tried to allocate more than there is.")
        self._source = self._sources() if route == "img2img" else None
        self._mask = self._masks() if route == "img2img" and payload.mask else None

    def pictures(self) -> list[Pixels]:
        """Those that were finished, or nearly, when somebody interrupted."""
        studio, payload, state = self._studio, self._payload, self._studio.state
        studio.load(self._model)
        has_second_pass = payload.enable_hr and self._route == "txt2img"
        state.job_count = payload.n_iter * (2 if has_second_pass else 1)
        if studio.settings.has_faults:
            faults.happen(payload.prompt, state)
        made: list[Pixels] = []
        for batch in range(payload.n_iter):
            steps = self._sampled(self._steps())
            if steps:
                made += [
                    self._painted(batch * payload.batch_size + index, steps) for index in range(payload.batch_size)
                ]
            if has_second_pass and not state.is_interrupted:
                self._sampled(payload.hr_second_pass_steps or payload.steps)
                made[-payload.batch_size :] = [self._enlarged(one) for one in made[-payload.batch_size :]]
            if state.is_interrupted:
                break
        return made

    def answer(self, made: list[Pixels]) -> dict[str, Any]:
        payload = self._payload
        info = self._info(len(made))
        images = [
            codec.text_of(one, text, self._options["samples_format"])
            for one, text in zip(made, info["infotexts"], strict=True)
        ]
        if payload.save_images and self._options["return_grid"] and len(made) > 1:
            images.insert(0, codec.text_of(_grid(made), info["infotexts"][0], self._options["samples_format"]))
            info["index_of_first_image"] = 1
        images += [codec.text_of(one, "", "png") for one in self._control_maps()]
        return {
            "images": images if payload.send_images else [],
            "parameters": echo(payload),
            "info": json.dumps(info),
        }

    def _steps(self) -> int:
        share = self._payload.denoising_strength if self._route == "img2img" else 1.0
        return max(int(self._payload.steps * min(share, 0.999)) + 1, 1) if share < 1 else self._payload.steps

    def _sampled(self, steps: int) -> int:
        """How many steps were made before somebody interrupted."""
        state = self._studio.state
        state.steps = steps
        for state.step in range(steps):
            if not state.pause(self._studio.settings.seconds_per_step):
                return state.step
        state.job_no += 1
        state.step = 0
        return steps

    def _painted(self, index: int, steps: int) -> Pixels:
        payload = self._payload
        loras = "".join(f" + {name}" for name in _LORA.findall(payload.prompt) if name in lists.LORAS)
        brief = Brief(
            prompt=self._prompt,
            negative=payload.negative_prompt,
            seed=self._seed + index,
            width=payload.width // 8 * 8,
            height=payload.height // 8 * 8,
            index=0,
            count=1,
            steps=payload.steps if steps == self._steps() else steps,
            cfg=payload.cfg_scale,
            denoise=payload.denoising_strength if self._source is not None else 1.0,
            sampler=self._sampler[0],
            scheduler=self._sampler[1],
            model=self._model.file.removesuffix(".safetensors") + loras,
        )
        source = None if self._source is None else self._source[index % len(self._source)]
        art = blended(source, paint(brief), brief.denoise, self._mask)
        return captioned(art, caption_of(brief, self._mask if source is not None else None))

    def _enlarged(self, picture: Pixels) -> Pixels:
        payload = self._payload
        height, width = picture.shape[:2]
        wide = payload.hr_resize_x or round(width * payload.hr_scale)
        high = payload.hr_resize_y or round(height * payload.hr_scale)
        enlarged: Pixels = resized(picture[None], wide, high, "lanczos", crop="disabled")[0]
        return enlarged

    def _sources(self) -> list[Pixels]:
        payload = self._payload
        given = payload.init_images or []
        if not given or len(given) > payload.batch_size:
            raise RaisedError("RuntimeError", f"bad number of images passed: {len(given)}")
        size = payload.width // 8 * 8, payload.height // 8 * 8
        return [resized(codec.pixels_of(text)[None], *size, "lanczos", crop="disabled")[0] for text in given]

    def _masks(self) -> Mask:
        """1 where it is painted anew: where the mask is white, or black with `inpainting_mask_invert`."""
        payload = self._payload
        image = codec.opened(payload.mask or "").convert("L")
        image = image.resize((payload.width // 8 * 8, payload.height // 8 * 8), Image.Resampling.BILINEAR)
        plane = np.asarray(image.filter(ImageFilter.GaussianBlur(payload.mask_blur)), np.float32) / np.float32(255)
        return np.float32(1) - plane if payload.inpainting_mask_invert else plane

    def _control_maps(self) -> list[Pixels]:
        """What ControlNet saw in its pictures, which comes back after the others."""
        scripts = {name.lower(): script for name, script in self._payload.alwayson_scripts.items()}
        units = (scripts.get("controlnet") or {}).get("args") or []
        shown = [unit.get("image") for unit in units if isinstance(unit, dict) and unit.get("enabled", True)]
        edges = (codec.opened(text).convert("L").filter(ImageFilter.FIND_EDGES) for text in shown if text)
        return [np.asarray(image.convert("RGB")) for image in edges]

    def _info(self, count: int) -> dict[str, Any]:
        payload, seeds = self._payload, [self._seed + index for index in range(count)]
        sampler, scheduler = self._sampler
        facts = f"Sampler: {sampler}, Schedule type: {scheduler}, CFG scale: {payload.cfg_scale:g}"
        size = f"Size: {payload.width}x{payload.height}, Model hash: {self._model.hash}, Model: {self._model.name}"
        text = f"{payload.prompt}\nNegative prompt: {payload.negative_prompt}\nSteps: {payload.steps}, {facts}"
        return {
            "prompt": payload.prompt,
            "all_prompts": [payload.prompt] * count,
            "negative_prompt": payload.negative_prompt,
            "all_negative_prompts": [payload.negative_prompt] * count,
            "seed": self._seed,
            "all_seeds": seeds,
            "width": payload.width,
            "height": payload.height,
            "sampler_name": sampler,
            "cfg_scale": payload.cfg_scale,
            "steps": payload.steps,
            "batch_size": payload.batch_size,
            "sd_model_name": self._model.name,
            "sd_model_hash": self._model.hash,
            "denoising_strength": payload.denoising_strength if self._route == "img2img" else None,
            "extra_generation_params": {"Schedule type": scheduler},
            "index_of_first_image": 0,
            "infotexts": [f"{text}, Seed: {seed}, {size}" for seed in seeds],
            "version": "painter",
        }


def _default(studio: Studio) -> Checkpoint:
    found = checkpoint_of(studio.options["sd_model_checkpoint"])
    assert found is not None, "the server's own option is always one of the list"
    return found


def _grid(pictures: list[Pixels]) -> Pixels:
    columns = max(1, round(len(pictures) ** 0.5))
    rows = -(-len(pictures) // columns)
    height, width = pictures[0].shape[:2]
    whole = np.zeros((rows * height, columns * width, 3), np.uint8)
    for index, picture in enumerate(pictures):
        top, left = index // columns * height, index % columns * width
        whole[top : top + height, left : left + width] = picture
    return whole
