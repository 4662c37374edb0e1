"""The painter's folders: names that clients give become paths inside them, never outside."""

import os
import re
import shutil
from pathlib import Path

from local.painter.settings import PainterSettings

# File names that a graph may ask for; the painter holds no weights, so names are all there is to a model.
MODELS: dict[str, tuple[str, ...]] = {
    "checkpoints": (
        "512-inpainting-ema.safetensors",
        "flux1-dev-fp8.safetensors",
        "flux1-schnell-fp8.safetensors",
        "sd_xl_base_1.0.safetensors",
        "sd_xl_refiner_1.0.safetensors",
        "sd_xl_turbo_1.0_fp16.safetensors",
        "v1-5-pruned-emaonly-fp16.safetensors",
        "v1-5-pruned-emaonly.safetensors",
    ),
    "clip_vision": (),
    "controlnet": (),
    "diffusion_models": (),
    "embeddings": (),
    "loras": ("lcm-lora-sdv1-5.safetensors", "sd_xl_offset_example-lora_1.0.safetensors"),
    "text_encoders": (),
    "upscale_models": ("4x-UltraSharp.pth", "RealESRGAN_x2plus.pth", "RealESRGAN_x4plus.pth"),
    "vae": ("ae.safetensors", "sdxl_vae.safetensors", "vae-ft-mse-840000-ema-pruned.safetensors"),
}

_ANNOTATED = re.compile(r"(?P<name>.*) \[(?P<kind>input|output|temp)\]")
_IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff"})


class OutsideFolderError(ValueError):
    """A name leads out of the folder it is meant for."""


def annotated(name: str) -> tuple[str, str | None]:
    """`("cat.png", "output")` of `cat.png [output]`; None where the name says no folder."""
    if match := _ANNOTATED.fullmatch(name):
        return match["name"], match["kind"]
    return name, None


class Folders:
    def __init__(self, settings: PainterSettings) -> None:
        self._data = settings.data.resolve()
        self._by_kind = {
            "input": settings.input.resolve() if settings.input else self._data / "input",
            "output": self._data / "output",
            "temp": self._data / "temp",
        }

    def make(self) -> None:
        """All folders; `temp` starts empty, as after every start of ComfyUI."""
        self.wipe_temp()
        for folder in self._by_kind.values():
            folder.mkdir(parents=True, exist_ok=True)

    def wipe_temp(self) -> None:
        shutil.rmtree(self._by_kind["temp"], ignore_errors=True)

    def of(self, kind: str) -> Path | None:
        """Folder of `input`, `output` or `temp`, None for anything else."""
        return self._by_kind.get(kind)

    def inside(self, kind: str, *parts: str) -> Path:
        """Path of `parts` below a folder. Raises: OutsideFolderError; KeyError for an unknown kind."""
        root = self._by_kind[kind]
        path = Path(os.path.normpath(root.joinpath(*parts)))
        if not path.is_relative_to(root):
            raise OutsideFolderError(f"{'/'.join(parts)} leads out of the {kind} folder; use a name inside it.")
        return path

    def input_file(self, name: str) -> Path:
        """File that LoadImage means by `name`, which may be annotated. Raises: OutsideFolderError."""
        plain, kind = annotated(name)
        return self.inside(kind or "input", plain)

    def input_images(self) -> list[str]:
        return sorted(path.name for path in self._by_kind["input"].glob("*") if path.suffix.lower() in _IMAGE_SUFFIXES)

    def models(self, folder: str) -> list[str]:
        """Model names of a folder: the built-in ones and whatever lies in `data/models/<folder>`."""
        found = (path.name for path in (self._data / "models" / folder).glob("*") if path.is_file())
        return sorted({*MODELS[folder], *found})


def next_number(folder: Path, prefix: str) -> int:
    """1 + the highest N over files named `<prefix>_N_…` in `folder` now, so numbers come back once files are gone."""
    pattern = re.compile(re.escape(prefix) + r"_(\d+)_.*", re.IGNORECASE)
    matches = (pattern.fullmatch(entry.name) for entry in folder.iterdir())
    return 1 + max((int(match[1]) for match in matches if match), default=0)
