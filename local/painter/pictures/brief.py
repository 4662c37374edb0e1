"""What decides a picture."""

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Brief:
    """One picture as a sampler was asked for it. index: 0-based place in a batch of `count`. Sizes in pixels."""

    prompt: str
    negative: str
    seed: int
    width: int
    height: int
    index: int
    count: int
    steps: int
    cfg: float
    denoise: float
    sampler: str
    scheduler: str
    model: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Caption:
    """What is written on a picture. mask: [height, width], where a repaint was allowed, None for everywhere."""

    title: str
    negative: str
    facts: str
    accent: tuple[int, int, int]
    mask: NDArray[np.float32] | None = None


def digest_of(*parts: object) -> int:
    """128 bits that depend on every part and on nothing else, unlike `hash`."""
    text = "\x1f".join(str(part) for part in parts)
    return int.from_bytes(hashlib.sha256(text.encode(errors="surrogatepass")).digest()[:16], "big")


def random_of(*parts: object) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(digest_of(*parts)))
