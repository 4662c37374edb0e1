"""What a node sees while it runs: its prompt, the folders, and a way to report progress and be interrupted."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from local.painter.folders import Folders
from local.painter.settings import PainterSettings
from local.painter.values import Pixels


class InterruptedRunError(Exception):
    """The prompt was interrupted; the executor ends it without calling that a fault."""


class Interrupt:
    """One flag for whatever runs now; a prompt clears it when it starts, so an idle interrupt is forgotten."""

    def __init__(self) -> None:
        self._flag = threading.Event()

    def request(self) -> None:
        self._flag.set()

    def clear(self) -> None:
        self._flag.clear()

    def check(self) -> None:
        """Raises: InterruptedRunError."""
        if self._flag.is_set():
            raise InterruptedRunError

    def pause(self, seconds: float) -> None:
        """Time that a step takes. Raises: InterruptedRunError, as soon as one is asked for."""
        if self._flag.wait(seconds):
            raise InterruptedRunError


ProgressSink = Callable[[float, float, Pixels | None], None]
ResultSink = Callable[[Pixels, float, float], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """progress: takes value, maximum and, where previews are on, a small picture of the state.

    deliver: sends a finished picture over the WebSocket, with value and maximum of the progress.
    """

    node_id: str
    prompt: dict[str, Any]
    extra_data: dict[str, Any]
    folders: Folders
    settings: PainterSettings
    interrupt: Interrupt
    progress: ProgressSink
    deliver: ResultSink

    def step(self, done: int, total: int, seconds: float, preview: Pixels | None = None) -> None:
        """One step: it takes `seconds`, then counts. Raises: InterruptedRunError."""
        self.interrupt.pause(seconds)
        self.progress(done, total, preview)


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What a node gives: `values` in the order of its output slots, `ui` for the history."""

    values: tuple[Any, ...] = ()
    ui: dict[str, list[Any]] = field(default_factory=dict)
