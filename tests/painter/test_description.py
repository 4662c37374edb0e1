"""What the painter says about itself: nodes, models, features, machine."""

from typing import Any

import pytest

from local.painter.settings import NOTICE
from tests.painter.client import Comfy

# Interface of nodes as ComfyUI 0.3.64 shows it: inputs in order, and the types of the outputs.
KNOWN = {
    "CheckpointLoaderSimple": (["ckpt_name"], ["MODEL", "CLIP", "VAE"]),
    "CLIPTextEncode": (["text", "clip"], ["CONDITIONING"]),
    "EmptyLatentImage": (["width", "height", "batch_size"], ["LATENT"]),
    "KSampler": (
        [
            "model",
            "seed",
            "steps",
            "cfg",
            "sampler_name",
            "scheduler",
            "positive",
            "negative",
            "latent_image",
            "denoise",
        ],
        ["LATENT"],
    ),
    "KSamplerAdvanced": (
        [
            *("model", "add_noise", "noise_seed", "steps", "cfg", "sampler_name", "scheduler", "positive", "negative"),
            *("latent_image", "start_at_step", "end_at_step", "return_with_leftover_noise"),
        ],
        ["LATENT"],
    ),
    "VAEDecode": (["samples", "vae"], ["IMAGE"]),
    "VAEEncodeForInpaint": (["pixels", "vae", "mask", "grow_mask_by"], ["LATENT"]),
    "LoraLoader": (["model", "clip", "lora_name", "strength_model", "strength_clip"], ["MODEL", "CLIP"]),
    "LoadImage": (["image"], ["IMAGE", "MASK"]),
    "SaveImage": (["images", "filename_prefix"], []),
    "ImageScale": (["image", "upscale_method", "width", "height", "crop"], ["IMAGE"]),
    "ImagePadForOutpaint": (["image", "left", "top", "right", "bottom", "feathering"], ["IMAGE", "MASK"]),
    "PreviewAny": (["source"], []),
}
OTHERS = (
    "CLIPSetLastLayer", "VAEEncode", "SetLatentNoiseMask", "LatentUpscale", "LatentUpscaleBy", "VAELoader",
    "LoadImageMask", "PreviewImage", "ImageScaleBy", "ImageUpscaleWithModel", "UpscaleModelLoader", "ImageInvert",
    "ImageBlur", "ImageBatch", "EmptyImage", "ImageToMask", "MaskToImage", "SolidMask", "InvertMask",
    "ConditioningCombine",
)  # fmt: skip


def _info(comfy: Comfy, name: str) -> Any:
    return comfy.http.get(f"/object_info/{name}").json()[name]


@pytest.mark.parametrize("name", KNOWN)
def test_a_node_has_comfyui_s_inputs_and_outputs(comfy: Comfy, name: str) -> None:
    info = _info(comfy, name)
    assert (info["input_order"]["required"], info["output"]) == KNOWN[name]
    assert list(info["input"]["required"]) == info["input_order"]["required"]
    assert len(info["output"]) == len(info["output_name"]) == len(info["output_is_list"])


def test_object_info_lists_every_node_and_an_unknown_one_is_empty(comfy: Comfy) -> None:
    assert {*KNOWN, *OTHERS} <= set(comfy.http.get("/api/object_info").json())
    assert comfy.http.get("/object_info/NoSuchNode").json() == {}


def test_bounds_and_choices_are_in_the_schema(comfy: Comfy) -> None:
    required = _info(comfy, "KSampler")["input"]["required"]
    assert required["steps"] == ["INT", {"default": 20, "min": 1, "max": 10000}]
    assert required["seed"][1]["max"] == 2**64 - 1
    assert {"euler", "dpmpp_2m", "uni_pc"} <= set(required["sampler_name"][0])
    assert "karras" in required["scheduler"][0]
    assert _info(comfy, "SaveImage")["input"]["hidden"] == {"prompt": "PROMPT", "extra_pnginfo": "EXTRA_PNGINFO"}
    assert _info(comfy, "SaveImage")["output_node"] is True


def test_models_are_listed_by_folder_with_what_lies_in_the_data_folder(comfy: Comfy) -> None:
    own = comfy.data / "models" / "checkpoints" / "own.safetensors"
    own.parent.mkdir(parents=True)
    own.touch()
    names = comfy.http.get("/models/checkpoints").json()
    assert {"own.safetensors", "sd_xl_base_1.0.safetensors", "flux1-schnell-fp8.safetensors"} <= set(names)
    assert names == sorted(names)
    assert _info(comfy, "CheckpointLoaderSimple")["input"]["required"]["ckpt_name"][0] == names
    assert comfy.http.get("/models/nothing").status_code == 404
    assert "loras" in comfy.http.get("/models").json()


def test_features_and_machine_are_told(comfy: Comfy) -> None:
    assert comfy.http.get("/features").json() == {"supports_preview_metadata": True, "max_upload_size": 104857600}
    stats = comfy.http.get("/system_stats").json()
    assert stats["system"]["comfyui_version"] == "0.3.64"
    assert stats["system"]["pytorch_version"] == NOTICE
    assert stats["devices"][0]["vram_total"] > stats["devices"][0]["vram_free"] > 0


def test_a_person_who_opens_it_reads_what_it_is(comfy: Comfy) -> None:
    assert NOTICE in comfy.http.get("/").text


@pytest.mark.parametrize(
    ("host", "origin", "status"),
    [
        ("127.0.0.1", "http://evil.example", 403),
        ("127.0.0.1:8188", "http://127.0.0.1:9999", 403),
        ("localhost:8188", "http://localhost:8188", 200),
        ("comfy.example:8188", "http://evil.example", 200),
    ],
)
def test_a_foreign_origin_is_refused_on_loopback_only(comfy: Comfy, host: str, origin: str, status: int) -> None:
    assert comfy.http.get("/features", headers={"Host": host, "Origin": origin}).status_code == status


def test_newer_routes_are_not_there(comfy: Comfy) -> None:
    assert comfy.http.get("/api/jobs").status_code == 404
