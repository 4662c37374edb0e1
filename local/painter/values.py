"""What travels along a graph's links."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from local.painter.pictures.brief import Caption

Pixels = NDArray[np.uint8]  # [batch, height, width, 3]
Mask = NDArray[np.float32]  # [batch, height, width], 1 where it applies


@dataclass(frozen=True, slots=True)
class Model:
    """A checkpoint by name; there are no weights. loras: names and strengths applied on the way."""

    name: str
    loras: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True, slots=True)
class Clip:
    """The text encoder of a checkpoint. skip: layers left out at the end, as CLIPSetLastLayer sets."""

    name: str
    skip: int = -1


@dataclass(frozen=True, slots=True)
class Vae:
    name: str


@dataclass(frozen=True, slots=True)
class UpscaleModel:
    """scale: factor by which it enlarges, read from its name as everyone names these files."""

    name: str
    scale: int


@dataclass(frozen=True, slots=True)
class Conditioning:
    """The words a sampler is asked for, or asked to avoid."""

    text: str

    def joined(self, other: "Conditioning") -> "Conditioning":
        return replace(self, text=", ".join(part for part in (self.text, other.text) if part))


@dataclass(frozen=True, slots=True)
class Latent:
    """Pictures in the making. art: without captions, None while nothing was painted.

    mask: where a sampler may paint, None for everywhere. captions: one per picture, drawn when it is decoded.
    """

    width: int
    height: int
    batch: int
    art: Pixels | None = None
    mask: Mask | None = None
    captions: tuple[Caption, ...] = ()
