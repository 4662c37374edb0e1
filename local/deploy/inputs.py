"""A resource's inputs that know which of them were read: what nobody read was not created."""

from collections.abc import Iterator, Mapping
from typing import Any


class MissingInputError(KeyError):
    """The program leaves out an input without which local mode does not create this kind."""

    def __str__(self) -> str:
        return f"it has no {self.args[0]}, without which local mode does not create this kind"


class Inputs(Mapping[str, Any]):
    """Names to values, nested ones watched too; an input that is None was not given."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = {name: _watched(value) for name, value in values.items() if value is not None}
        self._read: set[str] = set()

    def __getitem__(self, name: str) -> Any:
        if name not in self._values:
            raise MissingInputError(name)
        self._read.add(name)
        return self._values[name]

    def __contains__(self, name: object) -> bool:
        return name in self._values  # whoever asks whether it is there has not used it yet

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def unread(self) -> set[str]:
        """What was not read, as `ttl.enabled`, `rules[].id`."""
        found = {name for name in self._values if name not in self._read}
        return found.union(*(_unread_in(self._values[name], name) for name in self._read))


def plain(value: Any) -> Any:
    """The value as dictionaries and lists; all of it counts as read."""
    if isinstance(value, Inputs):
        return {name: plain(item) for name, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return value


def pascal(value: Any) -> Any:
    """As `plain`, with the keys as AWS's APIs spell them: `minCapacity` -> `MinCapacity`."""
    if isinstance(value, Inputs):
        return {name[:1].upper() + name[1:]: pascal(item) for name, item in value.items()}
    if isinstance(value, list):
        return [pascal(item) for item in value]
    return value


def whole_numbers(value: Any) -> Any:
    """Pulumi's wire knows only floats; AWS wants integers where there is no fraction."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, dict):
        return {name: whole_numbers(item) for name, item in value.items()}
    if isinstance(value, list):
        return [whole_numbers(item) for item in value]
    return value


def _watched(value: Any) -> Any:
    if isinstance(value, dict):
        return Inputs(value)
    if isinstance(value, list):
        return [_watched(item) for item in value]
    return value


def _unread_in(value: Any, path: str) -> set[str]:
    if isinstance(value, Inputs):
        return {f"{path}.{name}" for name in value.unread()}
    if isinstance(value, list):
        return set[str]().union(*(_unread_in(item, f"{path}[]") for item in value))
    return set()
