"""The samplers: they take their time, report each step, and paint at the end."""

from typing import Any

import numpy as np

from local.painter.nodes.spec import MAX_SEED, Input, NodeClass, integer, number
from local.painter.pictures.brief import Brief
from local.painter.pictures.paint import blended, caption_of, paint, preview_of
from local.painter.values import Latent
from local.painter.work import Result, Work

SAMPLERS = (
    "euler", "euler_cfg_pp", "euler_ancestral", "euler_ancestral_cfg_pp", "heun", "heunpp2", "dpm_2",
    "dpm_2_ancestral", "lms", "dpm_fast", "dpm_adaptive", "dpmpp_2s_ancestral", "dpmpp_2s_ancestral_cfg_pp",
    "dpmpp_sde", "dpmpp_sde_gpu", "dpmpp_2m", "dpmpp_2m_cfg_pp", "dpmpp_2m_sde", "dpmpp_2m_sde_gpu",
    "dpmpp_3m_sde", "dpmpp_3m_sde_gpu", "ddpm", "lcm", "ipndm", "ipndm_v", "deis", "res_multistep",
    "res_multistep_cfg_pp", "res_multistep_ancestral", "res_multistep_ancestral_cfg_pp", "gradient_estimation",
    "gradient_estimation_cfg_pp", "er_sde", "seeds_2", "seeds_3", "sa_solver", "sa_solver_pece", "ddim", "uni_pc",
    "uni_pc_bh2",
)  # fmt: skip
SCHEDULERS = (
    "simple", "sgm_uniform", "karras", "exponential", "ddim_uniform", "beta", "normal", "linear_quadratic",
    "kl_optimal",
)  # fmt: skip


def _briefs(latent: Latent, inputs: dict[str, Any], seed: int, denoise: float) -> list[Brief]:
    loras = "".join(f" + {name}" for name, _ in inputs["model"].loras)
    return [
        Brief(
            prompt=inputs["positive"].text,
            negative=inputs["negative"].text,
            seed=seed,
            width=latent.width,
            height=latent.height,
            index=index,
            count=latent.batch,
            steps=inputs["steps"],
            cfg=inputs["cfg"],
            denoise=denoise,
            sampler=inputs["sampler_name"],
            scheduler=inputs["scheduler"],
            model=inputs["model"].name + loras,
        )
        for index in range(latent.batch)
    ]


def _sampled(work: Work, latent: Latent, inputs: dict[str, Any], seed: int, steps: range, denoise: float) -> Latent:
    """steps: those of the whole that are done here. denoise: share of the picture painted anew."""
    briefs = _briefs(latent, inputs, seed, denoise)
    mask = None if latent.mask is None else np.resize(latent.mask, (latent.batch, *latent.mask.shape[1:]))
    preview = preview_of(briefs[0]) if work.settings.has_previews else None
    for done, step in enumerate(steps, 1):
        shown = preview(step + 1) if preview else None
        work.step(done, len(steps), work.settings.seconds_per_step, shown)
    if denoise == 0 and latent.art is not None:
        return latent
    art = []
    for index, brief in enumerate(briefs):
        work.interrupt.check()
        source = None if latent.art is None else latent.art[index]
        art.append(blended(source, paint(brief), denoise, None if mask is None else mask[index]))
    captions = tuple(
        caption_of(brief, None if mask is None or latent.art is None else mask[index])
        for index, brief in enumerate(briefs)
    )
    return Latent(latent.width, latent.height, latent.batch, np.stack(art), latent.mask, captions)


def _ksampler(work: Work, **inputs: Any) -> Result:
    latent, steps, denoise = inputs["latent_image"], inputs["steps"], inputs["denoise"]
    count = 0 if denoise == 0 else steps
    return Result(values=(_sampled(work, latent, inputs, inputs["seed"], range(count), denoise),))


def _ksampler_advanced(work: Work, **inputs: Any) -> Result:
    latent, total = inputs["latent_image"], inputs["steps"]
    steps = range(min(inputs["start_at_step"], total), min(inputs["end_at_step"], total))
    denoise = len(steps) / total
    if latent.art is None or steps.start == 0:
        denoise = 1.0 if steps else 0.0
    return Result(values=(_sampled(work, latent, inputs, inputs["noise_seed"], steps, denoise),))


_MODEL = Input("model", "MODEL")
_HOW = (
    Input("steps", "INT", {"default": 20, "min": 1, "max": 10000}),
    number("cfg", 8.0, 0.0, 100.0, 0.1, round=0.01),
    Input("sampler_name", SAMPLERS),
    Input("scheduler", SCHEDULERS),
    Input("positive", "CONDITIONING"),
    Input("negative", "CONDITIONING"),
    Input("latent_image", "LATENT"),
)


def _seed(name: str) -> Input:
    return Input(name, "INT", {"default": 0, "min": 0, "max": MAX_SEED, "control_after_generate": True})


ROWS = (
    NodeClass(
        name="KSampler",
        display_name="KSampler",
        category="sampling",
        inputs=(_MODEL, _seed("seed"), *_HOW, number("denoise", 1.0, 0.0, 1.0, 0.01)),
        outputs=(("LATENT", "LATENT"),),
        function=_ksampler,
    ),
    NodeClass(
        name="KSamplerAdvanced",
        display_name="KSampler (Advanced)",
        category="sampling",
        inputs=(
            _MODEL,
            Input("add_noise", ("enable", "disable")),
            _seed("noise_seed"),
            *_HOW,
            integer("start_at_step", 0, 0, 10000),
            integer("end_at_step", 10000, 0, 10000),
            Input("return_with_leftover_noise", ("disable", "enable")),
        ),
        outputs=(("LATENT", "LATENT"),),
        function=_ksampler_advanced,
    ),
)
