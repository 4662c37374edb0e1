"""GPU memory as `/system_stats` tells it."""

from collections.abc import Mapping, Sequence
from typing import Any

from agent.ports import GpuMemory


def memory_of(document: Any) -> Sequence[GpuMemory]:
    """document: `{"devices": [{name, type, index, vram_total, vram_free, …}]}`, in bytes; a CPU is no GPU."""
    devices = document.get("devices") if isinstance(document, Mapping) else None
    found = [_device(device) for device in devices or () if isinstance(device, Mapping)]
    return [device for device in found if device is not None]


def _device(device: Mapping[str, Any]) -> GpuMemory | None:
    total, free = device.get("vram_total"), device.get("vram_free")
    if device.get("type") == "cpu" or not isinstance(total, int) or not isinstance(free, int):
        return None
    # Its name has the allocator's settings in it, which change between versions.
    return GpuMemory(f"{device.get('type', 'gpu')}:{device.get('index', 0)}", total, total - free)
