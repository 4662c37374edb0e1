"""What each kind of AWS resource means on the emulator; a kind that is not here is refused by name."""

from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from secrets import token_hex
from typing import Any

from local.emulator import ACCOUNT, Emulator

Json = dict[str, Any]
Made = tuple[str, Json]


@dataclass
class Aws:
    """The emulator as the kinds see it. Clients are made once each."""

    emulator: Emulator
    _clients: dict[str, Any] = field(default_factory=dict)

    def client(self, service: str) -> Any:
        if service not in self._clients:
            self._clients[service] = self.emulator.client(service)
        return self._clients[service]

    def arn(self, service: str, rest: str, *, is_regional: bool = True) -> str:
        return f"arn:aws:{service}:{self.emulator.region if is_regional else ''}:{ACCOUNT}:{rest}"


Kind = Callable[[Aws, str, Json], Made]


def named(name: str, given: Json) -> str:
    """The name given, or one that is unique as Pulumi makes it: the logical name and seven hex digits."""
    return str(given.get("name") or f"{given.get('namePrefix') or f'{name}-'}{token_hex(4)[:7]}")


def whole_numbers(value: Any) -> Any:
    """Pulumi's wire knows only floats; AWS wants integers where there is no fraction."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, dict):
        return {name: whole_numbers(item) for name, item in value.items()}
    if isinstance(value, list):
        return [whole_numbers(item) for item in value]
    return value


def pascal(value: Any) -> Any:
    """Keys of a nested Pulumi input as AWS's APIs spell them: `minCapacity` -> `MinCapacity`."""
    if isinstance(value, dict):
        return {name[:1].upper() + name[1:]: pascal(item) for name, item in value.items()}
    if isinstance(value, list):
        return [pascal(item) for item in value]
    return float(value) if isinstance(value, Decimal) else value
