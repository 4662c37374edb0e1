"""The emulator as the kinds of resources see it, and what a kind is."""

from collections.abc import Callable
from dataclasses import dataclass, field
from secrets import token_hex
from typing import Any

from local.deploy.inputs import Inputs
from local.emulator import ACCOUNT, Emulator

Json = dict[str, Any]
Made = tuple[str, Json]


@dataclass
class Aws:
    """Clients of the emulator, made once each."""

    emulator: Emulator
    _clients: dict[str, Any] = field(default_factory=dict)

    def client(self, service: str) -> Any:
        if service not in self._clients:
            self._clients[service] = self.emulator.client(service)
        return self._clients[service]

    def arn(self, service: str, rest: str) -> str:
        return f"arn:aws:{service}:{self.emulator.region}:{ACCOUNT}:{rest}"


# Creates a resource from its logical name and inputs; gives its id and its outputs beside the inputs.
Kind = Callable[[Aws, str, Inputs], Made]


def named(name: str, given: Inputs) -> str:
    """The name given, or one that is unique as Pulumi makes it: the logical name and seven hex digits."""
    return str(given.get("name") or f"{given.get('namePrefix') or f'{name}-'}{token_hex(4)[:7]}")
