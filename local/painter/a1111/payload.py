"""Bodies of the routes that make pictures: any field may be left out or null, unknown ones are ignored."""

from typing import Any, TypeVar

import msgspec

from local.painter.a1111.errors import MistypedError
from sd_async.contract.codec import decode
from sd_async.contract.errors import ContractError

T = TypeVar("T", bound=msgspec.Struct)


class Generate(msgspec.Struct, kw_only=True):
    """txt2img and img2img together; sizes in pixels."""

    prompt: str = ""
    negative_prompt: str = ""
    seed: int = -1
    steps: int = 50
    cfg_scale: float = 7.0
    width: int = 512
    height: int = 512
    batch_size: int = 1
    n_iter: int = 1
    sampler_name: str | None = None
    sampler_index: str | None = None
    scheduler: str | None = None
    denoising_strength: float = 0.75
    enable_hr: bool = False
    hr_scale: float = 2.0
    hr_resize_x: int = 0
    hr_resize_y: int = 0
    hr_upscaler: str | None = None
    hr_second_pass_steps: int = 0
    init_images: list[str] | None = None
    mask: str | None = None
    mask_blur: int = 4
    inpainting_fill: int = 0
    inpainting_mask_invert: int = 0
    include_init_images: bool = False
    override_settings: dict[str, Any] = {}
    script_name: str | None = None
    script_args: list[Any] = []
    alwayson_scripts: dict[str, Any] = {}
    send_images: bool = True
    save_images: bool = False
    force_task_id: str | None = None


class Listed(msgspec.Struct):
    data: str
    name: str


class Extras(msgspec.Struct, kw_only=True):
    """image: of the single one, imageList: of a batch."""

    resize_mode: int = 0
    upscaling_resize: float = 2.0
    upscaling_resize_w: int = 512
    upscaling_resize_h: int = 512
    upscaling_crop: bool = True
    upscaler_1: str = "None"
    upscaler_2: str = "None"
    image: str = ""
    imageList: list[Listed] = []  # noqa: N815 - the name of the field


def read(body: bytes, kind: type[T], *needed: str) -> T:
    """Raises: MistypedError."""
    try:
        document = decode(body, dict[str, Any])
        given = {name: value for name, value in document.items() if value is not None}
        payload = msgspec.convert(given, kind, strict=False)
    except ContractError as error:
        raise MistypedError("", error.message) from error
    except msgspec.ValidationError as error:
        words, _, place = str(error).partition(" - at `$.")
        raise MistypedError(place.rstrip("`"), words) from error
    for name in needed:
        if name not in given:
            raise MistypedError(name, "field required")
    return payload


def echo(payload: Generate) -> dict[str, Any]:
    """`parameters` of the answer."""
    parameters: dict[str, Any] = msgspec.to_builtins(payload)
    if not payload.include_init_images:
        parameters |= {"init_images": None, "mask": None}
    return parameters
