"""Colours from words: a hash decides, and words that have a colour of their own are given it."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from local.painter.pictures.brief import digest_of

Colour = NDArray[np.float32]  # red, green, blue, 0 to 1

# Hue in degrees of the OKLCH circle that people expect with a word.
_HUES = {
    45: ("sunset", "sunrise", "desert", "autumn", "fire", "fox", "amber", "gold", "orange", "canyon", "warm"),
    85: ("sun", "yellow", "sand", "wheat", "honey", "savanna", "lemon"),
    145: ("forest", "green", "grass", "meadow", "jungle", "spring", "leaf", "garden", "tree", "trees", "moss"),
    210: ("lake", "teal", "lagoon", "tropical", "aurora", "glacier", "turquoise"),
    245: ("ocean", "sea", "blue", "sky", "river", "rain", "winter", "snow", "ice", "water", "wave", "waves"),
    290: ("night", "galaxy", "space", "purple", "violet", "lavender", "nebula", "neon", "cyberpunk", "dusk"),
    350: ("rose", "pink", "blossom", "cherry", "candy", "flamingo", "flower", "flowers"),
    25: ("red", "mars", "lava", "volcano", "ruby", "blood"),
}
_HUE_OF = {word: hue for hue, words in _HUES.items() for word in words}

# Lightness and chroma of the ramp, from the deepest shade to the lightest, tuned by eye.
_RAMP = ((0.20, 0.045), (0.33, 0.085), (0.50, 0.125), (0.68, 0.135), (0.83, 0.095), (0.95, 0.035))


@dataclass(frozen=True, slots=True)
class Palette:
    """ramp: six colours from deep to light. accent: stands out from all of them."""

    ramp: NDArray[np.float32]
    accent: Colour

    def at(self, place: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
        """Colours for values 0 (deep) to 1 (light), of any shape."""
        stops = np.linspace(0, 1, len(self.ramp))
        return np.stack([np.interp(place, stops, channel) for channel in self.ramp.T], axis=-1).astype(np.float32)


def palette_of(prompt: str, negative: str) -> Palette:
    """The prompt's words decide hue and spread, the negative prompt's move the accent."""
    choice = digest_of("palette", prompt)
    hue, spread = choice % 360, ((choice >> 16) % 5 - 2) * 30 or 75
    hints = [_HUE_OF[word] for word in words_of(prompt) if word in _HUE_OF]
    if hints:
        hue = hints[0] + choice % 37 - 18
        spread = (hints[1] - hints[0] + 180) % 360 - 180 if len(hints) > 1 else spread // 2
    hues = np.linspace(hue, hue + spread, len(_RAMP))
    ramp = np.stack([_oklch(light, chroma, at) for (light, chroma), at in zip(_RAMP, hues, strict=True)])
    accent_hue = hue + spread + 140 + digest_of("accent", negative) % 80
    return Palette(ramp, _oklch(0.80, 0.15, accent_hue))


def words_of(text: str) -> list[str]:
    return "".join(char if char.isalnum() else " " for char in text.lower()).split()


def _oklch(lightness: float, chroma: float, hue_degrees: float) -> Colour:
    """Source of the numbers: Björn Ottosson, "A perceptual color space for image processing" (public domain)."""
    angle = np.deg2rad(hue_degrees)
    a, b = chroma * np.cos(angle), chroma * np.sin(angle)
    long, medium, short = (
        (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3,
        (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3,
        (lightness - 0.0894841775 * a - 1.2914855480 * b) ** 3,
    )
    linear = np.array(
        [
            4.0767416621 * long - 3.3077115913 * medium + 0.2309699292 * short,
            -1.2684380046 * long + 2.6097574011 * medium - 0.3413193965 * short,
            -0.0041960863 * long - 0.7034186147 * medium + 1.7076147010 * short,
        ]
    ).clip(0, 1)
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055).astype(np.float32)
