"""`python -m agent.outputs.encoder`: re-encodes pictures, in a process that may fail without harm to anything else.

One JSON object per line in, one out. Pillow and its decoders are loaded here and nowhere else. Limits are set before
that, so that a picture made to exhaust memory ends this process and no other.
"""

import contextlib
import json
import resource
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

# Pillow holds 4 bytes a pixel, and twice that while it takes alpha away; libwebp takes up to 18 more for a picture of
# noise (measured: 36 million pixels, 950 MB). Each bound keeps within MEMORY_BYTES.
MAX_PIXELS = {"png": 8192 * 8192, "jpeg": 8192 * 8192, "webp": 25_000_000}
MAX_SIDE = {"png": 2**31 - 1, "jpeg": 65_500, "webp": 16_383}  # of the format, or of its usual library
MEMORY_BYTES = 704 * 1024 * 1024  # the agent's container has 1 GiB by default (chart, agent.resources)
AGENT_BYTES = 192 * 1024 * 1024  # left to the agent, which takes 80, and to what the kernel counts as its own
LEAST_BYTES = 96 * 1024 * 1024  # Python, Pillow and a small picture
# What the container may take, by cgroup version. Beyond it the kernel ends all that is in the container, not one.
CONTAINER_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
MAX_FILE_BYTES = 512 * 1024 * 1024
DEFAULT_QUALITY = 90
PNG_LEVEL = 4  # ComfyUI's own
_LEFT_OUT_TOLD = 32  # a picture may have any number of texts, and an answer is one line
SOURCES = ("PNG", "JPEG", "WEBP", "BMP", "TIFF", "GIF", "AVIF")


class RefusedError(ValueError):
    """A sentence about the picture, for the client."""


def main() -> None:
    """Until stdin ends."""
    _limit()
    for line in sys.stdin:
        print(json.dumps(answer(json.loads(line))), flush=True)  # noqa: T201 - the answer to who started this


def answer(order: dict[str, Any]) -> dict[str, Any]:
    """{"is_kept": bool, "left_out": [names of texts]}, or {"error": sentence}. is_kept: nothing was written."""
    try:
        return _encoded(Path(order["source"]), Path(order["target"]), order)
    except RefusedError as error:
        return {"error": str(error)}
    except MemoryError:
        return {"error": f"It takes more than {memory_bytes() // 1024**2} MB of memory."}
    except Exception as error:  # noqa: BLE001 - the process boundary: decoders raise anything
        return {"error": f"It cannot be read or written ({type(error).__name__}: {str(error)[:200]})."}


def memory_bytes(limits: Sequence[Path] = CONTAINER_LIMITS) -> int:
    """What this process may take: MEMORY_BYTES, or less in a smaller container."""
    for limit in limits:
        with contextlib.suppress(OSError, ValueError):  # not there, or `max`
            return min(MEMORY_BYTES, max(int(limit.read_text(encoding="ascii")) - AGENT_BYTES, LEAST_BYTES))
    return MEMORY_BYTES


def _limit() -> None:
    limits = {
        resource.RLIMIT_AS: memory_bytes(),
        resource.RLIMIT_FSIZE: MAX_FILE_BYTES,
        resource.RLIMIT_CORE: 0,
    }
    for kind, most in limits.items():
        with contextlib.suppress(ValueError, OSError):  # macOS, where agents run locally only, has no RLIMIT_AS
            resource.setrlimit(kind, (most, most))
    with contextlib.suppress(OSError):  # Linux: whoever has to make room takes this process and not its parent
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")


def _encoded(source: Path, target: Path, order: dict[str, Any]) -> dict[str, Any]:
    from PIL import Image, ImageOps  # noqa: PLC0415 - under the limits

    from agent.outputs import embedded  # noqa: PLC0415

    Image.MAX_IMAGE_PIXELS = None  # its own check warns first and counts for no format
    kind: str = order["format"]
    with Image.open(source, formats=SOURCES) as image:
        if getattr(image, "is_animated", False):
            return {"is_kept": True, "left_out": []}
        _refuse_too_large(*image.size, kind)
        image.load()
        texts = embedded.texts_of(image) if order["metadata"] != "strip" else {}
        profile = image.info.get("icc_profile")
        ImageOps.exif_transpose(image, in_place=True)
        upright = fitting(image, kind)
    upright.info.clear()  # what is written is what is said here
    save: dict[str, Any] = {"icc_profile": profile} if profile else {}
    left_out: list[str] = []
    if kind == "png":
        save |= {"pnginfo": embedded.chunks_of(texts), "compress_level": PNG_LEVEL}
    else:
        limit = embedded.MAX_JPEG_EXIF_BYTES if kind == "jpeg" else None
        exif, left_out = embedded.exif_of(texts, limit)
        save |= {"quality": order["quality"] or DEFAULT_QUALITY} | ({"exif": exif} if exif else {})
    upright.save(target, kind.upper(), **save)
    return {"is_kept": False, "left_out": left_out[:_LEFT_OUT_TOLD]}


def _refuse_too_large(width: int, height: int, kind: str) -> None:
    name = kind.upper()
    if max(width, height) > MAX_SIDE[kind]:
        raise RefusedError(f"It is {width} x {height} pixels; {name} holds at most {MAX_SIDE[kind]} a side.")
    if width * height > MAX_PIXELS[kind]:
        raise RefusedError(
            f"It has {width * height} pixels ({width} x {height}); at most {MAX_PIXELS[kind]} are made {name}."
        )


def fitting(image: Any, kind: str) -> Any:
    """The picture in a mode that the format has; JPEG has no alpha, so there it lies on white."""
    if kind == "png" and image.mode in {"1", "L", "LA", "P", "RGB", "RGBA", "I;16"}:
        return image
    if image.mode.startswith("I;16"):
        image = image.point(lambda value: value / 257).convert("L")
    if not image.has_transparency_data:
        return image if image.mode == "RGB" or (kind == "jpeg" and image.mode == "L") else image.convert("RGB")
    # converting to the mode that it has would be a second picture in memory
    alpha = image if image.mode == "RGBA" else image.convert("RGBA")
    if kind != "jpeg":
        return alpha
    from PIL import Image  # noqa: PLC0415 - under the limits

    ground = Image.new("RGB", alpha.size, "white")
    ground.paste(alpha, mask=alpha.getchannel("A"))
    return ground


if __name__ == "__main__":
    main()
