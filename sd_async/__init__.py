"""Client of sd-async. Nothing is loaded until it is asked for (PEP 562)."""

from importlib import import_module
from typing import Any

_PLACES = {"Client": "sd_async.client", "ContractError": "sd_async.contract.errors"}

__version__ = "0.1.0"

__all__ = ["Client", "ContractError"]


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_PLACES[name]), name)
