"""Pictures: the same brief gives the same pixels, and every part of a brief shows."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from local.painter.pictures.brief import Brief
from local.painter.pictures.caption import band_height, captioned, stamped
from local.painter.pictures.paint import caption_of, paint
from local.painter.pictures.typography import block_in, drawable

BRIEF = Brief(
    prompt="a red fox in a misty forest", negative="blurry", seed=1, width=128, height=128, index=0, count=1,
    steps=20, cfg=7.0, denoise=1.0, sampler="euler", scheduler="normal", model="v1-5.safetensors",
)  # fmt: skip


def _whole(brief: Brief) -> NDArray[np.uint8]:
    return captioned(paint(brief), caption_of(brief, None))


def test_the_same_brief_gives_the_same_picture() -> None:
    assert np.array_equal(_whole(BRIEF), _whole(BRIEF))


@pytest.mark.parametrize(
    "change",
    [
        {"prompt": "a blue whale in the ocean"},
        {"negative": "watermark"},
        {"seed": 2},
        {"index": 1},
        {"steps": 3},
        {"cfg": 1.5},
        {"model": "sd_xl_base_1.0.safetensors"},
    ],
    ids=str,
)
def test_every_part_of_a_brief_changes_the_picture(change: dict[str, Any]) -> None:
    assert not np.array_equal(paint(replace(BRIEF, **change)), paint(BRIEF))


def test_a_different_prompt_changes_most_of_the_picture() -> None:
    other = paint(replace(BRIEF, prompt="a blue whale in the ocean"))
    assert np.abs(other.astype(int) - paint(BRIEF)).mean() > 20


@pytest.mark.parametrize(
    "prompt", ["mountain", "ocean", "city", "abstract", "", "\U0001f98a 狐", "x" * 4000, "a b " * 999]
)
@pytest.mark.parametrize("size", [(16, 16), (24, 160), (300, 64), (128, 96)])
def test_any_words_and_any_size_give_a_picture(prompt: str, size: tuple[int, int]) -> None:
    width, height = size
    assert _whole(replace(BRIEF, prompt=prompt, width=width, height=height)).shape == (height, width, 3)


def test_more_steps_leave_less_grain() -> None:
    def grain(steps: int) -> float:
        picture = paint(replace(BRIEF, steps=steps)).astype(float)
        return float(np.abs(np.diff(picture, axis=1)).mean())

    assert grain(1) > grain(6) > grain(30)


def test_a_higher_cfg_gives_stronger_colours() -> None:
    def strength(cfg: float) -> float:
        picture = paint(replace(BRIEF, cfg=cfg)).astype(float)
        return float((picture.max(axis=-1) - picture.min(axis=-1)).mean())

    assert strength(1) < strength(7) < strength(14)


def test_a_picture_looks_the_same_in_another_size() -> None:
    small, large = paint(BRIEF).astype(float), paint(replace(BRIEF, width=256, height=256)).astype(float)
    halved = large.reshape(128, 2, 128, 2, 3).mean(axis=(1, 3))
    assert np.abs(halved - small).mean() < 8


def test_fewer_steps_show_the_same_composition_with_less_detail() -> None:
    brief = replace(BRIEF, width=256, height=256)
    rough, fine = (paint(replace(brief, steps=steps)).astype(float) for steps in (10, 40))
    assert np.abs(rough - fine).mean() < 5


def test_the_line_that_says_painter_is_at_the_bottom_of_every_picture() -> None:
    picture = _whole(BRIEF)
    band = picture[-band_height(128, 128) :]
    assert band.min() < 20
    assert band.max() > 200, "white letters on a dark band"


def test_a_second_stamp_covers_the_first() -> None:
    once = stamped(paint(BRIEF))
    assert np.array_equal(stamped(once), once)


def test_a_repaint_writes_only_inside_its_mask() -> None:
    art = paint(BRIEF)
    mask = np.zeros((128, 128), np.float32)
    mask[20:100, 30:110] = 1
    result = captioned(art, caption_of(BRIEF, mask))
    changed = (result != art).any(axis=-1)
    assert changed.any()
    assert not changed[mask == 0].any()
    assert np.array_equal(captioned(art, caption_of(BRIEF, np.zeros_like(mask))), art)


def test_a_repaint_in_a_shape_that_is_no_rectangle_does_not_write_over_its_edge() -> None:
    art = paint(BRIEF)
    rows, columns = np.mgrid[:128, :128]
    diamond = (np.abs(rows - 64) + np.abs(columns - 64) < 60).astype(np.float32)
    changed = (captioned(art, caption_of(BRIEF, diamond)) != art).any(axis=-1)
    assert changed.any()
    assert not changed[diamond == 0].any()


def test_text_is_made_smaller_and_then_cut_to_fit() -> None:
    short = block_in("fox", 200, 60, largest=40, smallest=10, lines=2)
    assert (short.size, short.lines) == (40, ("fox",))
    long = block_in("word " * 100, 200, 60, largest=40, smallest=10, lines=2)
    assert (long.size, len(long.lines)) == (10, 2)
    assert long.lines[-1].endswith("...")


def test_letters_that_the_font_lacks_are_left_out() -> None:
    assert drawable("fox \U0001f98a 狐 fox") == "fox fox"
