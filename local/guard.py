"""Ends what this process started and removes its folders, also when it is killed and cannot do so itself.

A process of its own is told over a pipe what there is, and acts when the pipe ends. On Linux a child could ask the
kernel for a signal instead (`PR_SET_PDEATHSIG`), but that comes when the *thread* that started it ends, and only there.
"""

import atexit
import contextlib
import functools
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable
from pathlib import Path

REMOVE_WAIT_S = 5.0  # a killed process may write for a moment longer

_GROUP, _PATH = "group", "path"


class Guard:
    """Remembers process groups and paths until they are forgotten. It never fails: without it, all goes on."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            env={name: os.environ[name] for name in ("LD_LIBRARY_PATH",) if name in os.environ},
            start_new_session=True,
        )

    def watch_group(self, group: int) -> None:
        self._tell("+", _GROUP, group)

    def forget_group(self, group: int) -> None:
        self._tell("-", _GROUP, group)

    def watch_path(self, path: Path) -> None:
        self._tell("+", _PATH, path.absolute())

    def forget_path(self, path: Path) -> None:
        self._tell("-", _PATH, path.absolute())

    def close(self) -> None:
        """Let it end whatever is still watched, and wait for it."""
        with self._lock, contextlib.suppress(OSError):
            assert self._process.stdin is not None
            self._process.stdin.close()
        self._process.wait()

    def _tell(self, sign: str, kind: str, what: object) -> None:
        with self._lock, contextlib.suppress(OSError, ValueError):
            assert self._process.stdin is not None
            self._process.stdin.write(os.fsencode(f"{sign} {kind} {what}\n"))
            self._process.stdin.flush()


@functools.cache
def guard() -> Guard:
    """This process's guard, started when it is first asked for."""
    started = Guard()
    atexit.register(started.close)
    return started


def _watched(lines: Iterable[bytes]) -> list[tuple[str, str]]:
    watched: dict[tuple[str, str], None] = {}
    for line in lines:
        sign, kind, what = os.fsdecode(line).rstrip("\n").split(" ", 2)
        if sign == "+":
            watched[kind, what] = None
        else:
            watched.pop((kind, what), None)
    return list(watched)


def _remove(path: Path) -> None:
    deadline = time.monotonic() + REMOVE_WAIT_S
    while path.exists() and time.monotonic() < deadline:
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
        time.sleep(0.02)


def main() -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # it ends with its parent and not before
    watched = _watched(sys.stdin.buffer)
    for kind, what in watched:
        if kind == _GROUP:
            with contextlib.suppress(OSError):
                os.killpg(int(what), signal.SIGKILL)
    for kind, what in watched:
        if kind == _PATH:
            _remove(Path(what))


if __name__ == "__main__":
    main()
