"""Nodes that load models, by name: the painter has no weights."""

import re
from dataclasses import replace

from local.painter.nodes.spec import Input, NodeClass, number
from local.painter.values import Clip, Model, UpscaleModel, Vae
from local.painter.work import Result, Work


def _checkpoint(work: Work, *, ckpt_name: str) -> Result:
    del work
    return Result(values=(Model(ckpt_name), Clip(ckpt_name), Vae(ckpt_name)))


def _vae(work: Work, *, vae_name: str) -> Result:
    del work
    return Result(values=(Vae(vae_name),))


def _lora(
    work: Work, *, model: Model, clip: Clip, lora_name: str, strength_model: float, strength_clip: float
) -> Result:
    del work, strength_clip
    if strength_model == 0:
        return Result(values=(model, clip))
    return Result(values=(replace(model, loras=(*model.loras, (lora_name, strength_model))), clip))


def _lora_model_only(work: Work, *, model: Model, lora_name: str, strength_model: float) -> Result:
    del work
    return Result(values=(replace(model, loras=(*model.loras, (lora_name, strength_model))),))


def _upscale_model(work: Work, *, model_name: str) -> Result:
    del work
    factor = re.search(r"(?:^|[_-])x?(\d)x?(?:plus|[_.-])", model_name, re.IGNORECASE)
    return Result(values=(UpscaleModel(model_name, int(factor[1]) if factor else 4),))


_STRENGTH = (1.0, -100.0, 100.0, 0.01)
_LORAS = Input("lora_name", lambda folders: folders.models("loras"))

ROWS = (
    NodeClass(
        name="CheckpointLoaderSimple",
        display_name="Load Checkpoint",
        category="loaders",
        inputs=(Input("ckpt_name", lambda folders: folders.models("checkpoints")),),
        outputs=(("MODEL", "MODEL"), ("CLIP", "CLIP"), ("VAE", "VAE")),
        function=_checkpoint,
    ),
    NodeClass(
        name="VAELoader",
        display_name="Load VAE",
        category="loaders",
        inputs=(Input("vae_name", lambda folders: folders.models("vae")),),
        outputs=(("VAE", "VAE"),),
        function=_vae,
    ),
    NodeClass(
        name="LoraLoader",
        display_name="Load LoRA",
        category="loaders",
        inputs=(
            Input("model", "MODEL"),
            Input("clip", "CLIP"),
            _LORAS,
            number("strength_model", *_STRENGTH),
            number("strength_clip", *_STRENGTH),
        ),
        outputs=(("MODEL", "MODEL"), ("CLIP", "CLIP")),
        function=_lora,
    ),
    NodeClass(
        name="LoraLoaderModelOnly",
        display_name="LoraLoaderModelOnly",
        category="loaders",
        inputs=(Input("model", "MODEL"), _LORAS, number("strength_model", *_STRENGTH)),
        outputs=(("MODEL", "MODEL"),),
        function=_lora_model_only,
    ),
    NodeClass(
        name="UpscaleModelLoader",
        display_name="Load Upscale Model",
        category="loaders",
        inputs=(Input("model_name", lambda folders: folders.models("upscale_models")),),
        outputs=(("UPSCALE_MODEL", "UPSCALE_MODEL"),),
        module="comfy_extras.nodes_upscale_model",
        function=_upscale_model,
    ),
)
