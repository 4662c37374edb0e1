"""Writing on pictures: the words that were asked for, and the line that says who painted."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from local.painter.pictures.brief import Caption
from local.painter.pictures.resample import frosted
from local.painter.pictures.typography import Block, block_in, drawable
from local.painter.settings import NOTICE

Pixels = NDArray[np.uint8]
Box = tuple[int, int, int, int]  # left, top, right, bottom in pixels

SMALLEST_WITH_WORDS = 96  # below this side no letter of a card would be readable
INK, SOFT_INK, BAND = (255, 255, 255), (214, 218, 226), (12, 13, 17)


def captioned(art: Pixels, caption: Caption) -> Pixels:
    """One picture with its words; where only a part was painted anew, only inside that part."""
    if caption.mask is None:
        return stamped(_with_words(art, caption))
    box = _inner_box(caption.mask)
    if box is None:
        return art
    written = _with_note(art, box, caption)
    weight = caption.mask[..., None]
    return np.rint(art + (written.astype(np.float32) - art) * weight).astype(np.uint8)


def stamped(picture: Pixels) -> Pixels:
    """The line at the bottom, always at the same place, so that a second stamp covers the first."""
    height, width = picture.shape[:2]
    band = band_height(width, height)
    image = Image.fromarray(picture)
    ImageDraw.Draw(image).rectangle((0, height - band, width, height), fill=BAND)
    block = block_in(NOTICE, width * 0.94, band * 0.78, largest=band * 0.52, smallest=5, lines=2)
    block.draw(image, (width - block.width) / 2, height - band + (band - block.height) / 2, INK)
    return np.asarray(image)


def band_height(width: int, height: int) -> int:
    return min(max(16, round(min(width, height) * 0.062)), max(1, height // 3))


def _with_words(art: Pixels, caption: Caption) -> Pixels:
    height, width = art.shape[:2]
    side = min(width, height)
    if side < SMALLEST_WITH_WORDS:
        return art
    margin, padding = side * 0.04, side * 0.034
    inner = width - 2 * (margin + padding) - side * 0.02
    title, notes = _blocks(caption, side, inner, height * 0.26)
    gap = side * 0.016
    tall = title.height + sum(note.height + gap for note in notes)
    bottom = height - band_height(width, height) - margin
    wide = max(block.width for block in (title, *notes)) + 2 * padding + side * 0.02
    card = (round(margin), round(bottom - tall - 2 * padding), round(margin + wide), round(bottom))
    image = _card(art, card, radius=round(side * 0.022))
    draw = ImageDraw.Draw(image)
    left, top = card[0] + padding, card[1] + padding
    draw.rectangle((left, top + title.size * 0.1, left + side * 0.006, top + title.height), fill=caption.accent)
    _write(image, (left + side * 0.02, top), [title, *notes], gap)
    return np.asarray(image)


def _blocks(caption: Caption, side: int, width: float, height: float) -> tuple[Block, list[Block]]:
    words = drawable(caption.title) or "(no words that can be drawn)"
    title = block_in(words, width, height, largest=side * 0.060, smallest=side * 0.028, lines=4)
    small = max(8, side * 0.0215)
    notes = [f"without  {negative}"] if (negative := drawable(caption.negative)) else []
    return title, [
        block_in(note, width, small * 2.8, largest=small, smallest=6, lines=2) for note in (*notes, caption.facts)
    ]


def _write(image: Image.Image, at: tuple[float, float], blocks: list[Block], gap: float) -> None:
    left, top = at
    for index, block in enumerate(blocks):
        block.draw(image, left, top, INK if index == 0 else SOFT_INK, is_heavy=index == 0)
        top += block.height + gap


def _card(art: Pixels, box: Box, radius: int) -> Image.Image:
    """Frosted glass, dark enough that white letters stand out from any picture."""
    image = Image.fromarray(art)
    glass = np.asarray(frosted(art, max(4.0, radius * 1.2)), np.float32)
    dark = Image.fromarray(np.rint(glass * 0.34 + 8).astype(np.uint8))
    shape = Image.new("L", image.size, 0)
    ImageDraw.Draw(shape).rounded_rectangle(box, radius, fill=240)
    return Image.composite(dark, image, shape)


def _inner_box(mask: NDArray[np.float32]) -> Box | None:
    """Rectangle well inside the painted part, None when there is none."""
    rows, columns = np.flatnonzero(mask.max(axis=1) > 0.5), np.flatnonzero(mask.max(axis=0) > 0.5)
    if not rows.size or not columns.size:
        return None
    left, right, top, bottom = columns[0], columns[-1] + 1, rows[0], rows[-1] + 1
    inset_x, inset_y = (right - left) * 0.12, (bottom - top) * 0.12
    return round(left + inset_x), round(top + inset_y), round(right - inset_x), round(bottom - inset_y)


def _with_note(art: Pixels, box: Box, caption: Caption) -> Pixels:
    """Words and line at the bottom of `box`, on a card no wider than they are."""
    left, top, right, bottom = box
    side, width, height = min(art.shape[:2]), (right - left) * 0.94, bottom - top
    line = block_in(NOTICE, width, height * 0.4, largest=side * 0.026, smallest=5, lines=3)
    words = drawable(caption.title)
    blocks = [block_in(words, width, height * 0.45, largest=side * 0.042, smallest=6, lines=3)] if words else []
    blocks.append(line)
    pad = line.line_height * 0.45
    wide, tall = max(block.width for block in blocks), sum(block.height for block in blocks)
    start = (left + right - wide) / 2, bottom - pad - tall
    frame = (round(start[0] - pad), round(start[1] - pad), round(start[0] + wide + pad), round(bottom))
    image = _card(art, frame, radius=round(pad))
    _write(image, start, blocks, 0)
    return np.asarray(image)
