"""GPU memory as `/sdapi/v1/memory` tells it."""

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
