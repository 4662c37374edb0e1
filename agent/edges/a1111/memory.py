"""Memory as `/sdapi/v1/memory` tells it, of the GPU and of the host."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from agent.ports import GpuMemory


def memory_of(document: Any) -> Sequence[GpuMemory]:
    """document: `{"cuda": {"system": {"free", "used", "total"}, …}}`, in bytes; without a GPU `cuda` holds an error."""
    cuda = document.get("cuda") if isinstance(document, Mapping) else None
    system = cuda.get("system") if isinstance(cuda, Mapping) else None
    if not isinstance(system, Mapping):
        return []
    total, used = system.get("total"), system.get("used")
    # it tells of one device, the one that it works on, and not which that is
    return [GpuMemory("cuda:0", total, used)] if isinstance(total, int) and isinstance(used, int) else []


def free_host_bytes_of(document: Any) -> int | None:
    """document: `{"ram": {"free", "used", "total"}, …}`; None where `ram` holds an error.

    Its `free` is the host's memory less the runtime's own share, whatever else is in use, and no whole number.
    """
    ram = document.get("ram") if isinstance(document, Mapping) else None
    free = ram.get("free") if isinstance(ram, Mapping) else None
    if isinstance(free, bool) or not isinstance(free, int | float) or not math.isfinite(free):
        return None
    return int(free)
