"""A canvas of floats, and the few brushes that all scenes use. Coordinates: x and y from 0 to 1, y downwards."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from local.painter.pictures.resample import resized_field

Field = NDArray[np.floating[Any]]


class Canvas:
    """rgb: [height, width, 3], 0 to 1. detail: 1 coarse to 6 fine, how much a scene may show.

    sun: x, y and radius of the light, once a sky was painted.
    """

    def __init__(self, width: int, height: int, random: np.random.Generator, detail: int) -> None:
        self.width, self.height, self.random, self.detail = width, height, random, detail
        self.x = ((np.arange(width, dtype=np.float32) + 0.5) / width)[None, :]
        self.y = ((np.arange(height, dtype=np.float32) + 0.5) / height)[:, None]
        self.aspect = width / height
        self.rgb = np.zeros((height, width, 3), np.float32)
        self.sun = (0.5, 0.3, 0.08)

    def lay(self, colour: Field, alpha: Field | float = 1.0) -> None:
        """Paint over everything, `alpha` [height, width] deciding how much."""
        weight = np.asarray(alpha, np.float32)
        self.rgb += (colour - self.rgb) * (weight[..., None] if weight.ndim else weight)

    def glow(self, colour: Field, alpha: Field) -> None:
        """Light added to what is there; never brighter than white."""
        self.rgb += (1 - self.rgb) * colour * alpha[..., None]

    def disc(self, x: float, y: float, radius: float, softness: float = 0.0) -> Field:
        """Alpha of a circle; radius and softness in heights, edges one pixel soft at least."""
        distance = np.hypot((self.x - x) * self.aspect, self.y - y)
        return np.clip((radius - distance) / max(softness, 1 / self.height) + 0.5, 0, 1)

    def below(self, line: Field) -> Field:
        """Alpha of everything below a line [1, width] of heights."""
        return np.clip((self.y - line) * self.height + 0.5, 0, 1)

    def noise(self, cells: float, octaves: int) -> Field:
        """Clouds, about 0 to 1; cells: how many there are from top to bottom in the coarsest octave."""
        random = self._own_random()
        total = np.zeros((self.height, self.width), np.float32)
        weight, weights = 1.0, 0.0
        for octave in range(octaves):
            rows = max(2, round(cells * 2**octave) + 1)
            columns = max(2, round(cells * self.aspect * 2**octave) + 1)
            if rows > self.height or columns > self.width:
                break
            grid = random.random((rows, columns), np.float32)
            total += weight * resized_field(grid, self.width, self.height, Image.Resampling.BICUBIC)
            weights += weight
            weight /= 2
        return total / weights if weights else total + 0.5

    def _own_random(self) -> np.random.Generator:
        """Numbers of its own for each brush, so that size and detail do not move what is painted later."""
        return self.random.spawn(1)[0]

    def line(self, cells: float, octaves: int) -> Field:
        """A rough line [1, width], about -1 to 1; cells: how many bumps the coarsest octave has."""
        random = self._own_random()
        total = np.zeros((1, self.width), np.float32)
        weight, weights = 1.0, 0.0
        for octave in range(octaves):
            knots = max(4, round(cells * 2**octave) + 3)
            heights = random.random(knots) * 2 - 1
            at = self.x[0] * (knots - 1)
            left = np.minimum(at.astype(int), knots - 2)
            part = at - left
            ease = part * part * (3 - 2 * part)
            total += weight * (heights[left] * (1 - ease) + heights[left + 1] * ease).astype(np.float32)
            weights += weight
            weight *= 0.5
        return total / weights
