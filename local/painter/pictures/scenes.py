"""What is painted: each scene lays a whole picture on a canvas, composed by the canvas's random numbers."""

from collections.abc import Callable

import numpy as np

from local.painter.pictures.brief import digest_of
from local.painter.pictures.canvas import Canvas, Field
from local.painter.pictures.palette import Palette, words_of

Scene = Callable[[Canvas, Palette], None]

PINES = 32
STARS = 100  # drawn by number, shown by detail


def scene_for(prompt: str) -> Scene:
    """A word may ask for a scene; else a hash of the prompt decides."""
    for word in words_of(prompt):
        if word in _SCENE_OF:
            return _SCENE_OF[word]
    scenes = list(_WORDS)
    return scenes[digest_of("scene", prompt) % len(scenes)]


def ridges(canvas: Canvas, palette: Palette) -> None:
    """Mountains behind mountains, mist between them, pines in front."""
    horizon = _sky(canvas, palette)
    layers = 5 if canvas.detail > 2 else 4
    for index in range(layers):
        depth = (index + 1) / layers
        base = horizon - 0.10 + 0.44 * depth**1.25
        rough = canvas.line(2.0 + 3.5 * depth, canvas.detail)
        top = base - (0.13 - 0.05 * depth) * (rough + 0.35)
        mist = np.clip((canvas.y - top) / 0.34, 0, 1)
        tone = 0.66 * (1 - depth) ** 1.1 + 0.04
        canvas.lay(palette.at(np.clip(tone + mist * 0.30 * (1 - depth), 0, 1)), canvas.below(top))
    _pines(canvas, palette)


def waves(canvas: Canvas, palette: Palette) -> None:
    """A sea under a low sun, its light broken on the swell."""
    horizon = _sky(canvas, palette, low=0.42, high=0.52)
    sea = canvas.below(np.full((1, canvas.width), horizon, np.float32))
    deep = np.clip((canvas.y - horizon) / (1 - horizon), 0, 1)
    canvas.lay(palette.at(0.62 - 0.55 * deep**0.8 + 0 * canvas.x), sea)
    count = 5 + 4 * canvas.detail
    for index in range(count):
        depth = ((index + 0.5) / count) ** 1.7
        height = horizon + 0.01 + (1 - horizon) * depth
        size = 0.004 + 0.040 * depth
        crest = height - size * canvas.line(26 - 22 * depth, 3)
        band = np.clip(1 - np.abs(canvas.y - crest) / (size * 0.9), 0, 1) * (canvas.y > crest)
        canvas.lay(palette.at(np.full((1, 1), 0.70 - 0.38 * depth, np.float32)), band * 0.55)
        shade = np.clip(1 - (canvas.y - crest) / (size * 3.2), 0, 1) * canvas.below(crest)
        canvas.lay(palette.ramp[0], shade * 0.20 * depth)
    _reflection(canvas, palette, horizon)


def skyline(canvas: Canvas, palette: Palette) -> None:
    """A city in the evening, windows lit."""
    horizon = _sky(canvas, palette, low=0.60, high=0.70)
    layers = 2 + canvas.detail // 3
    for index in range(layers):
        depth = (index + 1) / layers
        tone = 0.50 * (1 - depth) + 0.05
        tops, edges = _blocks(canvas, depth, horizon)
        walls = canvas.below(tops)
        haze = np.clip((canvas.y - tops) / 0.6, 0, 1) * 0.22
        canvas.lay(palette.at(np.clip(tone + haze * (1.2 - depth), 0, 1)), walls)
        if canvas.detail > 2:
            _windows(canvas, palette, tops, edges, depth)


def silk(canvas: Canvas, palette: Palette) -> None:
    """Folds of light: noise that is bent by noise, shaded as if it were cloth, and a few rings on it."""
    flow, across = canvas.noise(1.4, 2), canvas.noise(1.4, 2)
    angle = canvas.random.uniform(0, np.pi)
    along = (canvas.x * canvas.aspect * np.cos(angle) + canvas.y * np.sin(angle)).astype(np.float32)
    folds = 2.2 + 0.5 * canvas.detail
    phase = (along * folds + 3.4 * flow + 1.4 * across) * np.pi
    height = 0.5 + 0.5 * np.sin(phase)
    slope_y, slope_x = np.gradient(height * canvas.height / 26)
    light = np.clip(0.5 + 0.9 * (slope_x * 0.7 - slope_y * 0.7), 0, 1)
    canvas.lay(palette.at(np.clip(0.12 + 0.46 * flow + 0.30 * height + 0.30 * (light - 0.5), 0, 1)))
    canvas.glow(palette.ramp[5], np.clip(light - 0.80, 0, 1) * 1.4)
    for _ in range(2 + canvas.detail // 2):
        _ring(canvas, palette)


def _sky(canvas: Canvas, palette: Palette, low: float = 0.46, high: float = 0.58) -> float:
    """Gradient, clouds, stars, and a sun with its glow. Returns the height of the horizon."""
    random = canvas.random
    horizon = float(random.uniform(low, high))
    clouds = canvas.noise(2.2, canvas.detail) - 0.5
    streaks = canvas.noise(7.0, min(2, canvas.detail)) - 0.5
    down = np.clip(canvas.y / horizon, 0, 1)
    canvas.lay(palette.at(np.clip(0.16 + 0.74 * down**1.5 + 0.20 * clouds + 0.05 * streaks * down, 0, 1)))
    _stars(canvas, palette, horizon)
    x, y = float(random.uniform(0.18, 0.82)), float(horizon - random.uniform(0.06, 0.30))
    radius = float(random.uniform(0.055, 0.105))
    distance = np.hypot((canvas.x - x) * canvas.aspect, canvas.y - y)
    canvas.glow(palette.ramp[4], np.exp(-distance / 0.20).astype(np.float32) * 0.55)
    canvas.lay(0.10 * palette.accent + 0.90 * palette.ramp[5], canvas.disc(x, y, radius))
    canvas.sun = (x, y, radius)
    return horizon


def _stars(canvas: Canvas, palette: Palette, horizon: float) -> None:
    count = 14 * canvas.detail
    columns = (canvas.random.random(STARS)[:count] * canvas.width).astype(int)
    rows = (canvas.random.random(STARS)[:count] ** 2 * horizon * 0.8 * canvas.height).astype(int)
    strength = canvas.random.uniform(0.15, 0.8, STARS)[:count].astype(np.float32)
    size = max(1, canvas.height // 512)
    for dy in range(size):
        for dx in range(size):
            at = np.minimum(rows + dy, canvas.height - 1), np.minimum(columns + dx, canvas.width - 1)
            canvas.rgb[at] += (palette.ramp[5] - canvas.rgb[at]) * strength[:, None]


def _pines(canvas: Canvas, palette: Palette) -> None:
    """A dark edge of trees at the bottom, each a stack of jagged branches."""
    line = np.full((1, canvas.width), 1.2, np.float32)
    ground = 0.93 + 0.03 * canvas.line(3, 2)
    count = 5 * canvas.detail
    centres = canvas.random.random(PINES)[:count]
    heights = canvas.random.uniform(0.05, 0.17, PINES)[:count]
    for centre, height in zip(centres, heights, strict=True):
        off = np.abs(canvas.x - centre) * canvas.aspect / (height * 0.27)
        jag = 0.10 * np.abs(np.sin(off * 7.5))
        line = np.minimum(line, np.where(off < 1, ground - height * (1 - off - jag).clip(0), 1.2))
    canvas.lay(palette.ramp[0] * 0.72, canvas.below(np.minimum(line, ground)))


def _reflection(canvas: Canvas, palette: Palette, horizon: float) -> None:
    x, _, radius = canvas.sun
    depth = np.clip((canvas.y - horizon) / (1 - horizon), 0, 1)
    sway = (canvas.noise(30, 2) - 0.5) * (0.05 + 0.25 * depth)
    width = radius * (0.7 + 1.6 * depth)
    column = np.clip(1 - np.abs((canvas.x - x) * canvas.aspect + sway) / width, 0, 1)
    ripples = np.clip(np.sin(depth**0.6 * 90 + 6 * canvas.noise(9, 1)) * 0.8 + 0.35, 0, 1)
    canvas.glow(
        0.5 * palette.accent + 0.5 * palette.ramp[5], column * ripples * (canvas.y > horizon) * (1 - 0.6 * depth)
    )


def _blocks(canvas: Canvas, depth: float, horizon: float) -> tuple[Field, Field]:
    """Line of roofs, and per column the distance to its building's left edge in heights."""
    count = max(4, round((15 - 5 * depth) * canvas.aspect))
    edges = np.sort(canvas.random.random(count - 1))
    which = np.searchsorted(edges, canvas.x[0])
    peak = 0.24 + 0.10 * depth
    roofs = horizon + 0.10 + 0.10 * depth - peak * canvas.random.random(count) ** 1.4
    lefts = np.concatenate([[0.0], edges])
    offset = (canvas.x[0] - lefts[which]) * canvas.aspect
    return roofs[which][None].astype(np.float32), offset[None].astype(np.float32)


def _windows(canvas: Canvas, palette: Palette, tops: Field, offsets: Field, depth: float) -> None:
    pitch = 0.018 + 0.010 * depth
    row = np.floor((canvas.y - tops) / pitch)
    column = np.floor(offsets / pitch)
    inside = ((canvas.y - tops) % pitch > pitch * 0.45) & (offsets % pitch > pitch * 0.45) & (row >= 1)
    salt = float(canvas.random.random()) * 100
    lit = np.modf(np.abs(np.sin(row * 12.9898 + column * 78.233 + tops * 311.7 + salt) * 43758.5453))[0]
    canvas.lay(0.45 * palette.accent + 0.55 * palette.ramp[5], (inside & (lit > 0.66)) * (0.25 + 0.6 * depth))


def _ring(canvas: Canvas, palette: Palette) -> None:
    random = canvas.random
    x, y, radius = random.uniform(0.1, 0.9), random.uniform(0.08, 0.62), random.uniform(0.05, 0.24)
    inner, outer = canvas.disc(x, y, radius * 0.97), canvas.disc(x, y, radius)
    canvas.lay(palette.accent if random.random() < 0.4 else palette.ramp[5], inner * 0.16)
    canvas.lay(palette.ramp[5], (outer - inner) * 0.85)


_WORDS: dict[Scene, tuple[str, ...]] = {
    ridges: ("mountain", "mountains", "forest", "landscape", "valley", "canyon", "hill", "hills", "snow", "winter"),
    waves: ("ocean", "sea", "lake", "river", "water", "wave", "waves", "beach", "ship", "boat", "lighthouse", "island"),
    skyline: ("city", "street", "building", "skyline", "tower", "cyberpunk", "town", "house", "castle", "neon"),
    silk: ("abstract", "portrait", "pattern", "bottle", "galaxy", "flower", "texture", "logo", "fractal"),
}
_SCENE_OF = {word: scene for scene, words in _WORDS.items() for word in words}
