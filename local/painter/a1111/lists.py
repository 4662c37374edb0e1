"""What the painter says it has: names as AUTOMATIC1111 1.10 has them, and models without weights."""

from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from local.painter.folders import MODELS
from local.painter.pictures.brief import digest_of

Json = dict[str, Any]

SAMPLERS = (
    "DPM++ 2M", "DPM++ SDE", "DPM++ 2M SDE", "DPM++ 2M SDE Heun", "DPM++ 2S a", "DPM++ 3M SDE", "Euler a", "Euler",
    "LMS", "Heun", "DPM2", "DPM2 a", "DPM fast", "DPM adaptive", "Restart", "DDIM", "DDIM CFG++", "PLMS", "UniPC",
    "LCM",
)  # fmt: skip
SCHEDULERS = {
    "automatic": "Automatic", "uniform": "Uniform", "karras": "Karras", "exponential": "Exponential",
    "polyexponential": "Polyexponential", "sgm_uniform": "SGM Uniform", "kl_optimal": "KL Optimal",
    "align_your_steps": "Align Your Steps", "simple": "Simple", "normal": "Normal", "ddim": "DDIM", "beta": "Beta",
}  # fmt: skip
UPSCALERS = {
    "None": 1, "Lanczos": 4, "Nearest": 4, "ESRGAN_4x": 4, "R-ESRGAN 4x+": 4, "R-ESRGAN 4x+ Anime6B": 4, "SwinIR_4x": 4,
}  # fmt: skip
LATENT_UPSCALERS = ("Latent", "Latent (antialiased)", "Latent (bicubic)", "Latent (nearest)", "Latent (nearest-exact)")
VAES = ("vae-ft-mse-840000-ema-pruned.safetensors", "sdxl_vae.safetensors")
LORAS = {PurePath(name).stem for name in MODELS["loras"]}
SELECTABLE = {"txt2img": ("prompt matrix", "x/y/z plot"), "img2img": ("loopback", "sd upscale", "x/y/z plot")}
ALWAYS_ON = ("controlnet", "extra options", "refiner", "seed")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """file: name below the folder of models. No weights: what makes two differ is their name."""

    file: str

    @property
    def name(self) -> str:
        return PurePath(self.file).stem

    @property
    def hash(self) -> str:
        return f"{digest_of('checkpoint', self.file):032x}"[:10]

    @property
    def title(self) -> str:
        return f"{self.file} [{self.hash}]"

    def told(self) -> Json:
        path = f"/painter/models/Stable-diffusion/{self.file}"
        own = {"title": self.title, "model_name": self.name, "hash": self.hash}
        return {**own, "sha256": None, "filename": path, "config": None}


DEFAULT = "v1-5-pruned-emaonly-fp16"
CHECKPOINTS = tuple(Checkpoint(file) for file in MODELS["checkpoints"])
_BY_NAME = {
    name: one for one in CHECKPOINTS for name in (one.title, one.name, one.file, one.hash, f"{one.name} [{one.hash}]")
}


def checkpoint_of(name: object) -> Checkpoint | None:
    """The one of exactly that title, name, file or hash."""
    return _BY_NAME.get(name) if isinstance(name, str) else None


def default_options() -> Json:
    return {
        "sd_model_checkpoint": next(one.title for one in CHECKPOINTS if one.name == DEFAULT),
        "sd_vae": "Automatic",
        "samples_format": "png",
        "samples_save": True,
        "grid_save": True,
        "return_grid": True,
        "show_progress_every_n_steps": 10,
        "CLIP_stop_at_last_layers": 1,
        "jpeg_quality": 80,
    }


def sampler_and_scheduler(name: str | None, scheduler: str | None) -> tuple[str, str]:
    """As the web UI understands them: `Euler Karras` names both, and what it does not know becomes its default."""
    sampler = name or SAMPLERS[0]
    labels = {**SCHEDULERS, **{label: label for label in SCHEDULERS.values()}}
    found = labels.get(scheduler or "", "Automatic")
    for end, label in labels.items():
        if sampler.endswith(f" {end}"):
            sampler, found = sampler.removesuffix(f" {end}"), label
            break
    return (sampler if sampler in SAMPLERS else SAMPLERS[0]), found


def listed() -> dict[str, Any]:
    """Answers of the routes that only list."""
    scripts = {route: [*ALWAYS_ON, *names] for route, names in SELECTABLE.items()}
    return {
        "samplers": [{"name": name, "aliases": [], "options": {}} for name in SAMPLERS],
        "schedulers": [
            {"name": name, "label": label, "aliases": None, "default_rho": -1, "need_inner_model": False}
            for name, label in SCHEDULERS.items()
        ],
        "sd-models": [one.told() for one in CHECKPOINTS],
        "sd-vae": [{"model_name": name, "filename": f"/painter/models/VAE/{name}"} for name in VAES],
        "upscalers": [
            {"name": name, "model_name": None, "model_path": None, "model_url": None, "scale": scale}
            for name, scale in UPSCALERS.items()
        ],
        "latent-upscale-modes": [{"name": name} for name in LATENT_UPSCALERS],
        "loras": [{"name": name, "alias": name, "path": f"/painter/Lora/{name}", "metadata": {}} for name in LORAS],
        "embeddings": {"loaded": {}, "skipped": {}},
        "extensions": [],
        "scripts": scripts,
        "script-info": [
            {"name": name, "is_alwayson": name in ALWAYS_ON, "is_img2img": route == "img2img", "args": []}
            for route, names in scripts.items()
            for name in names
        ],
    }
