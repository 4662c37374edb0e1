"""Words in a prompt that make a job slow or fail on purpose; with `--faults` only."""

import re

from local.painter.a1111.errors import RaisedError
from local.painter.a1111.state import State

_TAG = re.compile(r"<painter:(?P<what>sleep|raise):(?P<value>[^:>]+)(?::(?P<words>[^>]*))?>")
_PIECE_S = 0.1


def without_tags(prompt: str) -> str:
    return _TAG.sub("", prompt).strip()


def happen(prompt: str, state: State) -> None:
    """`<painter:sleep:3>` samples for three seconds more; `<painter:raise:KIND:words>` raises. Raises: RaisedError."""
    for tag in _TAG.finditer(prompt):
        if tag["what"] == "raise":
            raise RaisedError(tag["value"], tag["words"] or "")
        pieces = round(float(tag["value"]) / _PIECE_S)
        state.steps = max(pieces, 1)
        for state.step in range(pieces):
            if not state.pause(_PIECE_S):
                return
