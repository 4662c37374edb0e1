"""Tiny processes for tests of what starts and ends processes."""

import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

WAIT_S = 20.0

_READY = "import os, signal, sys, time, pathlib\n"
_FOREVER = "\nwhile True:\n    time.sleep(60)"


@dataclass
class Clock:
    now_s: float = 1000.0

    def __call__(self) -> float:
        return self.now_s


def python(code: str) -> list[str]:
    """A Python that starts fast: no site packages."""
    return [sys.executable, "-I", "-S", "-c", code]


def sleeper(ready: Path | None = None, *, is_deaf: bool = False) -> list[str]:
    """Sleeps until it is ended. ready: appears when it does, with its pid. is_deaf: it takes no SIGTERM."""
    deaf = "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" if is_deaf else ""
    return python(_READY + deaf + (_says(ready) if ready else "") + _FOREVER)


def parent_of_a_deaf_child(ready: Path, *, stays: bool = True) -> list[str]:
    """Starts a child in its own group that takes no SIGTERM. ready: appears with the child's pid."""
    return python(
        _READY
        + "if os.fork() == 0:\n    signal.signal(signal.SIGTERM, signal.SIG_IGN)\n    "
        + _says(ready).replace("\n", "\n    ")
        + _FOREVER.replace("\n", "\n    ")
        + f"\nwhile not os.path.exists({str(ready)!r}):\n    time.sleep(0.01)\n"
        + (_FOREVER if stays else "sys.exit(3)")
    )


def _says(ready: Path) -> str:
    """Written elsewhere and moved, so that whoever finds the file finds all of it."""
    return (
        f"part = pathlib.Path({str(ready)!r} + str(os.getpid()))\n"
        "part.write_text(str(os.getpid()))\n"
        f"part.rename({str(ready)!r})\n"
    )


def pid_in(ready: Path) -> int:
    until(ready.exists, f"{ready.name} to appear")
    return int(ready.read_text())


def is_running(pid: int) -> bool:
    """A zombie, which nobody has asked for yet, runs no more."""
    try:
        os.kill(pid, 0)
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (ProcessLookupError, FileNotFoundError):
        return False
    return state not in {"Z", "X"}


def until(condition: Callable[[], bool], what: str, wait_s: float = WAIT_S) -> None:
    deadline = time.monotonic() + wait_s
    while not condition():
        assert time.monotonic() < deadline, f"waited {wait_s:.0f} s for {what}"
        time.sleep(0.01)
