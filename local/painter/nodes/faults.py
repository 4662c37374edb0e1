"""Nodes that ComfyUI does not have: slow, failing on purpose, or saving what is no picture; with `--faults` only."""

import os

from local.painter.nodes.outputs import written
from local.painter.nodes.spec import Input, NodeClass, integer, number, one_image
from local.painter.values import Pixels
from local.painter.work import Result, Work


class OutOfMemoryError(RuntimeError):
    """Named as PyTorch names it, which is what clients of ComfyUI look for."""


OutOfMemoryError.__module__ = "torch"


def _sleep(work: Work, *, image: Pixels, seconds: float, steps: int) -> Result:
    for done in range(1, steps + 1):
        work.step(done, steps, seconds / steps)
    return Result(values=(image,))


def _raise(work: Work, *, image: Pixels, message: str) -> Result:
    del work, image
    raise RuntimeError(message)


def _out_of_memory(work: Work, *, image: Pixels) -> Result:
    del work, image
    raise OutOfMemoryError("Allocation on device 0 would exceed allowed memory. This is a painter's test fault.")


def _lose_worker(work: Work, *, image: Pixels, once: str = "") -> Result:
    seen = work.folders.inside("output", f"lost-worker-{once}")
    if once and seen.exists():
        return Result(values=(image,))
    if once:
        seen.touch()
    raise SystemExit("the worker thread ends, as asked")


def _exit(work: Work, *, image: Pixels) -> Result:
    del work, image
    os._exit(1)


def _file(work: Work, *, key: str, suffix: str, text: str, filename_prefix: str) -> Result:
    return Result(ui={key: [written(work, "output", filename_prefix, suffix, text.encode())]})


_IMAGE = Input("image", "IMAGE")


def _fault(name: str, description: str, function: object, *inputs: Input) -> NodeClass:
    assert callable(function)
    return NodeClass(
        name=name,
        display_name=name,
        category="painter/faults",
        inputs=(_IMAGE, *inputs),
        outputs=one_image(),
        module="painter.faults",
        description=description,
        function=function,
    )


ROWS = (
    _fault(
        "PainterSleep",
        "Passes the picture on after `seconds`, in `steps` steps with progress.",
        _sleep,
        number("seconds", 1.0, 0.0, 3600.0, 0.01),
        integer("steps", 10, 1, 10000),
    ),
    _fault("PainterRaise", "Raises RuntimeError.", _raise, Input("message", "STRING", {"default": "as asked"})),
    _fault("PainterOOM", "Raises torch.OutOfMemoryError.", _out_of_memory),
    _fault(
        "PainterLoseWorker",
        "Ends the worker thread: the prompt runs for ever. With a word in `once`, only the first of that word.",
        _lose_worker,
        Input("once", "STRING", {"default": ""}, is_required=False),
    ),
    _fault("PainterExit", "Ends the whole process at once.", _exit),
    NodeClass(
        name="PainterFile",
        display_name="PainterFile",
        category="painter/faults",
        inputs=(
            Input("key", ("images", "gifs", "audio", "3d", "latents", "files")),
            Input("suffix", "STRING", {"default": ".flac"}),
            Input("text", "STRING", {"default": "its bytes"}),
            Input("filename_prefix", "STRING", {"default": "file"}),
        ),
        is_output=True,
        module="painter.faults",
        description="Saves `text` as a file, told under `key` as the nodes for audio, video and meshes tell theirs.",
        function=_file,
    ),
)
