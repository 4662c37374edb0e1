"""Child processes that are always ended, by their own ids, with everything they started themselves."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from local.guard import guard

STOP_WAIT_S = 5.0


class ProcessFailedError(RuntimeError):
    """A process of the pipeline ended or did not become ready; the message is one sentence with the way out."""


def free_port(host: str = "127.0.0.1") -> int:
    """A TCP port that nothing listens on now. Raises: ProcessFailedError, when the address has none."""
    try:
        with socket.socket() as probe:
            probe.bind((host, 0))
            return int(probe.getsockname()[1])
    except OSError as error:
        raise ProcessFailedError(f"No free port on {host}: {error}. Close programs that hold ports.") from error


def base_environment(scratch: Path) -> dict[str, str]:
    """What any child needs of this machine: no secrets of the person who runs it, all that it writes in `scratch`."""
    kept = ("PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "SSL_CERT_FILE")
    return {name: os.environ[name] for name in kept if name in os.environ} | {
        "HOME": str(scratch),  # the person's own holds AWS's configuration, which an SDK would read
        "TMPDIR": str(scratch),
        "PYTHONUNBUFFERED": "1",
    }


class Child:
    """One running process in a group of its own, its output in a file."""

    def __init__(
        self, name: str, command: Sequence[str], *, environment: Mapping[str, str], log: Path, cwd: Path
    ) -> None:
        self.name = name
        self.log = log
        self._lock = threading.Lock()
        self._is_cleared = False

        def start() -> subprocess.Popen[bytes]:
            with log.open("ab") as output:
                process = subprocess.Popen(
                    command,
                    env=dict(environment),
                    cwd=cwd,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,  # Ctrl-C reaches only the parent, which then stops its children in order
                )
            guard().watch_group(process.pid)
            return process

        with ThreadPoolExecutor(1) as pool:  # a Ctrl-C here would leave a process that nobody knows
            self._process = pool.submit(start).result()

    @property
    def pid(self) -> int:
        return self._process.pid

    def exit_code(self) -> int | None:
        """None while it runs, negative for a signal. What it leaves of its group does not outlive it."""
        with self._lock:
            code = self._process.poll()
            if code is not None and not self._is_cleared:
                self._is_cleared = True  # its group's number may be another's from now on
                self._kill_group()
                guard().forget_group(self.pid)
            return code

    def terminate(self) -> None:
        """Ask it to end; `stop` waits for it."""
        if self.exit_code() is None:
            self._process.terminate()

    def kill(self) -> None:
        """End the process, and what it started, as a lost machine would: without a word."""
        if self.exit_code() is None:
            self._kill_group()
            self._process.wait()
            self.exit_code()

    def stop(self, wait_s: float = STOP_WAIT_S) -> None:
        """SIGTERM, then SIGKILL for whatever of its group is left."""
        self.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(wait_s)
        self.kill()

    def _kill_group(self) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):  # macOS: nothing but zombies is not permitted
            os.killpg(self.pid, signal.SIGKILL)

    def last_lines(self, count: int = 5) -> str:
        lines = self.log.read_text(errors="replace").splitlines()[-count:]
        return "\n".join(f"  {line}" for line in lines)


def python_module(name: str, *arguments: str) -> list[str]:
    return [sys.executable, "-m", name, *arguments]
