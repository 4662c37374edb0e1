"""Child processes that are always ended, by their own ids, with everything they started themselves."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

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
    """What any child needs of this machine: no secrets of the person who runs it, temporary files in `scratch`."""
    kept = ("PATH", "HOME", "LANG", "LC_ALL", "SYSTEMROOT", "LD_LIBRARY_PATH", "SSL_CERT_FILE")
    return {name: os.environ[name] for name in kept if name in os.environ} | {
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
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                command,
                env=dict(environment),
                cwd=cwd,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C reaches only the parent, which then stops its children in order
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    def exit_code(self) -> int | None:
        """None while it runs, negative for a signal."""
        return self._process.poll()

    def terminate(self) -> None:
        """Ask it to end; `stop` waits for it."""
        if self.exit_code() is None:
            self._process.terminate()

    def kill(self) -> None:
        """End the process, and what it started, as a lost machine would: without a word."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def stop(self, wait_s: float = STOP_WAIT_S) -> None:
        """SIGTERM, then SIGKILL for whatever of its group is left."""
        self.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(wait_s)
        self.kill()

    def last_lines(self, count: int = 5) -> str:
        lines = self.log.read_text(errors="replace").splitlines()[-count:]
        return "\n".join(f"  {line}" for line in lines)


def python_module(name: str, *arguments: str) -> list[str]:
    return [sys.executable, "-m", name, *arguments]
