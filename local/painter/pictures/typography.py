"""Lines of text that fit a box, in the one font that Pillow brings along."""

import functools
import re
from dataclasses import dataclass

from PIL import Image, ImageDraw, ImageFont

Font = ImageFont.FreeTypeFont
Colour = tuple[int, int, int]

FINENESS = 3  # letters are drawn so many times larger and made small, which keeps their distances even

# The font has no such dash, so one is drawn; widths in shares of the size.
DASH = "\N{EN DASH}"
DASH_WIDTH, DASH_THICKNESS = 0.52, 0.075

# A private-use character: no font of the common ones draws it, so it shows what "no such letter" looks like.
_MISSING = "\ue000"


@functools.cache
def font_of(size: int) -> Font:
    font = ImageFont.load_default(size=size)
    assert isinstance(font, ImageFont.FreeTypeFont)
    return font


@functools.cache
def _is_drawable(char: str) -> bool:
    font = font_of(24)
    return char.isspace() or char == DASH or bytes(font.getmask(char)) != bytes(font.getmask(_MISSING))


def drawable(text: str) -> str:
    """Text in letters that the font has, others left out, blanks joined."""
    return " ".join("".join(char for char in text if char == " " or _is_drawable(char)).split())


@dataclass(frozen=True, slots=True)
class Block:
    """Lines of one size. Sizes in pixels."""

    lines: tuple[str, ...]
    size: int

    @property
    def line_height(self) -> float:
        return self.size * 1.22

    @property
    def height(self) -> float:
        return self.line_height * len(self.lines)

    @property
    def width(self) -> float:
        return max((_length(line, self.size) for line in self.lines), default=0.0)

    def draw(self, image: Image.Image, left: float, top: float, colour: Colour, *, is_heavy: bool = False) -> None:
        """is_heavy: strokes as thick as a semi-bold's, which the font does not have."""
        size = self.size * FINENESS
        letters = Image.new("L", (round(self.width * FINENESS) + size, round(self.height * FINENESS) + size), 0)
        draw = ImageDraw.Draw(letters)
        for index, line in enumerate(self.lines):
            _draw_line(draw, line, size, (index + 0.5) * self.line_height * FINENESS, 0.016 if is_heavy else 0)
        small = letters.resize((letters.width // FINENESS, letters.height // FINENESS), Image.Resampling.BOX)
        image.paste(colour, (round(left), round(top)), small)


def _length(text: str, size: int) -> float:
    dashes = text.count(DASH)
    return font_of(size * FINENESS).getlength(text.replace(DASH, "")) / FINENESS + dashes * DASH_WIDTH * size


def _draw_line(draw: ImageDraw.ImageDraw, line: str, size: int, middle: float, stroke: float) -> None:
    x = 0.0
    font = font_of(size)
    for part in re.split(f"({DASH})", line):
        if part == DASH:
            low = middle + size * 0.06  # the middle of small letters lies below the middle of the line
            half = DASH_THICKNESS * size / 2
            draw.rectangle((x, low - half, x + DASH_WIDTH * size, low + half), fill=255)
            x += DASH_WIDTH * size
        else:
            draw.text((x, middle), part, 255, font, anchor="lm", stroke_width=stroke * size, stroke_fill=255)
            x += font.getlength(part)


def block_in(text: str, width: float, height: float, *, largest: float, smallest: float, lines: int) -> Block:
    """The largest lines that fit; at the smallest size the rest of the text is cut, with three points."""
    size = max(int(largest), int(smallest), 1)
    while True:
        wrapped = _wrapped(text, size, width)
        block = Block(tuple(wrapped), size)
        if len(wrapped) <= lines and block.height <= height and block.width <= width:
            return block
        if size <= max(int(smallest), 1):
            break
        size = max(int(smallest), 1, min(size - 1, int(size * 0.94)))
    kept = max(1, min(lines, int(height / block.line_height)))
    if len(wrapped) > kept:
        wrapped = [*wrapped[: kept - 1], wrapped[kept - 1].rstrip(" ,.;") + " ..."]
    return Block(tuple(wrapped), size)


def _wrapped(text: str, size: int, width: float) -> list[str]:
    lines: list[str] = []
    for word in text.split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and _length(longer, size) <= width:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines
