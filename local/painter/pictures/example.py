"""The picture that lies in the input folder, as ComfyUI ships one under the same name."""

from pathlib import Path

from PIL import Image

from local.painter.pictures.brief import Brief
from local.painter.pictures.caption import stamped
from local.painter.pictures.paint import paint
from local.painter.pictures.png import save_png

EXAMPLE = Brief(
    prompt="a calm mountain lake at sunrise", negative="", seed=11, width=768, height=512, index=0, count=1,
    steps=24, cfg=7.0, denoise=1.0, sampler="euler", scheduler="normal", model="example",
)  # fmt: skip


def write_example(path: Path) -> None:
    """Leaves a file that is there already as it is."""
    if not path.exists():
        path.write_bytes(save_png(Image.fromarray(stamped(paint(EXAMPLE))), {}))
