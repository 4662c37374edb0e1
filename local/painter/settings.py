"""What a painter is told when it starts."""

from dataclasses import dataclass
from pathlib import Path

from sd_async.contract.jobs import RuntimeType

# ComfyUI's own default of --max-upload-size.
MAX_UPLOAD_BYTES = 100 * 1024 * 1024

NOTICE = "painter \N{EN DASH} not a diffusion model"


@dataclass(frozen=True, slots=True, kw_only=True)
class PainterSettings:
    """data: folder that holds everything the painter writes. type: whose protocol it speaks.

    input: where LoadImage looks, `data/input` unless given.
    seconds_per_step: time one sampling step takes. has_faults: offer the nodes that fail on purpose.
    first_load_s: as A1111, read the first checkpoint for so long from the start on, behind the API, and let the first
    job wait for it; at 0 it is read with the first job, as with --skip-load-model-at-start.
    has_previews: send a preview frame after each step, as ComfyUI does with a preview method.
    """

    data: Path
    type: RuntimeType = RuntimeType.COMFYUI
    input: Path | None = None
    seconds_per_step: float = 0.05
    first_load_s: float = 0.0
    has_faults: bool = False
    has_previews: bool = False
    max_upload_bytes: int = MAX_UPLOAD_BYTES
