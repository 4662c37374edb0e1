"""The agent's side of the process that re-encodes pictures."""

import asyncio
import contextlib
import os
import sys
from asyncio.subprocess import PIPE, Process
from pathlib import Path
from weakref import WeakKeyDictionary

import msgspec

from agent.errors import OutputFormatError
from sd_async.contract.jobs import OutputOptions

ENCODER = (sys.executable, "-m", "agent.outputs.encoder")
# The largest picture that is taken, of noise, needs 20 s of one core; a busy node gives less than one.
TIMEOUT_S = 180.0

# Of every job in this process, by its loop: the memory of two pictures would add up.
_TURNS: "WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Lock]" = WeakKeyDictionary()


class Answer(msgspec.Struct, frozen=True):
    """is_kept: the file was left alone, since it moves. left_out: texts that the new format has no room for."""

    is_kept: bool = False
    left_out: list[str] = []
    error: str | None = None


class Encoder:
    """One process for one job's pictures, started with the first; `aclose` ends it, at whatever it is.

    command: what to start. timeout_s: of one picture, from when its turn comes.
    """

    def __init__(self, command: tuple[str, ...] = ENCODER, timeout_s: float = TIMEOUT_S) -> None:
        self._command = command
        self._timeout_s = timeout_s
        self._process: Process | None = None

    async def encoded(self, source: Path, target: Path, options: OutputOptions) -> Answer:
        """Raises: OutputFormatError with a sentence that does not name the picture."""
        order = msgspec.structs.asdict(options) | {"source": str(source), "target": str(target)}
        async with _TURNS.setdefault(asyncio.get_running_loop(), asyncio.Lock()):
            try:
                async with asyncio.timeout(self._timeout_s):
                    answer = await self._answer(msgspec.json.encode(order))
            except TimeoutError as error:
                await self.aclose()
                raise OutputFormatError(f"It was not encoded within {self._timeout_s:.0f} s.") from error
        if answer.error is not None:
            raise OutputFormatError(answer.error)
        return answer

    async def aclose(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()

    async def _answer(self, order: bytes) -> Answer:
        process = self._process or await self._started()
        assert process.stdin is not None
        assert process.stdout is not None
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            process.stdin.write(order + b"\n")
            await process.stdin.drain()
        line = await process.stdout.readline()
        if not line.endswith(b"\n"):
            await self.aclose()
            raise OutputFormatError("The encoder was ended by it; it is damaged, or takes too much memory.")
        return msgspec.json.decode(line, type=Answer)

    async def _started(self) -> Process:
        # Nothing of the agent's environment: what decodes strangers' pictures has no credentials to give away.
        path = os.pathsep.join(folder or str(Path.cwd()) for folder in sys.path)
        self._process = await asyncio.create_subprocess_exec(
            *self._command, stdin=PIPE, stdout=PIPE, stderr=asyncio.subprocess.DEVNULL, env={"PYTHONPATH": path}
        )
        return self._process
