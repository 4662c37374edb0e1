"""Nodes that turn words into what a sampler is asked for."""

from dataclasses import replace

from local.painter.nodes.spec import Input, NodeClass, integer, number
from local.painter.values import Clip, Conditioning
from local.painter.work import Result, Work


def _encode(work: Work, *, text: str, clip: Clip) -> Result:
    del work
    return Result(values=(Conditioning(" ".join(text.split()) if clip.name else ""),))


def _last_layer(work: Work, *, clip: Clip, stop_at_clip_layer: int) -> Result:
    del work
    return Result(values=(replace(clip, skip=stop_at_clip_layer),))


def _combine(work: Work, *, conditioning_1: Conditioning, conditioning_2: Conditioning) -> Result:
    del work
    return Result(values=(conditioning_1.joined(conditioning_2),))


def _concat(work: Work, *, conditioning_to: Conditioning, conditioning_from: Conditioning) -> Result:
    del work
    return Result(values=(conditioning_to.joined(conditioning_from),))


def _average(
    work: Work, *, conditioning_to: Conditioning, conditioning_from: Conditioning, conditioning_to_strength: float
) -> Result:
    del work
    if conditioning_to_strength in (0.0, 1.0):
        return Result(values=(conditioning_to if conditioning_to_strength else conditioning_from,))
    return Result(values=(conditioning_to.joined(conditioning_from),))


def _zero_out(work: Work, *, conditioning: Conditioning) -> Result:
    del work
    return Result(values=(replace(conditioning, text=""),))


def _flux_guidance(work: Work, *, conditioning: Conditioning, guidance: float) -> Result:
    del work, guidance
    return Result(values=(conditioning,))


_GIVES = (("CONDITIONING", "CONDITIONING"),)

ROWS = (
    NodeClass(
        name="CLIPTextEncode",
        display_name="CLIP Text Encode (Prompt)",
        category="conditioning",
        inputs=(Input("text", "STRING", {"multiline": True, "dynamicPrompts": True}), Input("clip", "CLIP")),
        outputs=_GIVES,
        function=_encode,
    ),
    NodeClass(
        name="CLIPSetLastLayer",
        display_name="CLIP Set Last Layer",
        category="conditioning",
        inputs=(Input("clip", "CLIP"), integer("stop_at_clip_layer", -1, -24, -1)),
        outputs=(("CLIP", "CLIP"),),
        function=_last_layer,
    ),
    NodeClass(
        name="ConditioningCombine",
        display_name="Conditioning (Combine)",
        category="conditioning",
        inputs=(Input("conditioning_1", "CONDITIONING"), Input("conditioning_2", "CONDITIONING")),
        outputs=_GIVES,
        function=_combine,
    ),
    NodeClass(
        name="ConditioningConcat",
        display_name="Conditioning (Concat)",
        category="conditioning",
        inputs=(Input("conditioning_to", "CONDITIONING"), Input("conditioning_from", "CONDITIONING")),
        outputs=_GIVES,
        function=_concat,
    ),
    NodeClass(
        name="ConditioningAverage",
        display_name="ConditioningAverage",
        category="conditioning",
        inputs=(
            Input("conditioning_to", "CONDITIONING"),
            Input("conditioning_from", "CONDITIONING"),
            number("conditioning_to_strength", 1.0, 0.0, 1.0, 0.01),
        ),
        outputs=_GIVES,
        function=_average,
    ),
    NodeClass(
        name="ConditioningZeroOut",
        display_name="ConditioningZeroOut",
        category="advanced/conditioning",
        inputs=(Input("conditioning", "CONDITIONING"),),
        outputs=_GIVES,
        function=_zero_out,
    ),
    NodeClass(
        name="FluxGuidance",
        display_name="FluxGuidance",
        category="advanced/conditioning/flux",
        inputs=(Input("conditioning", "CONDITIONING"), number("guidance", 3.5, 0.0, 100.0, 0.1)),
        outputs=_GIVES,
        module="comfy_extras.nodes_flux",
        function=_flux_guidance,
    ),
)
