"""A job's inputs, checked and on disk before its turn comes."""

import asyncio
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Never

from agent.config import Config
from agent.core import limits
from agent.core.plan import check_message
from agent.errors import BadFileError, InvalidJobError, JobTimeoutError
from agent.outputs.account import InputFile, input_files
from agent.ports import Clock, Files, Source
from agent.race import first_of
from sd_async.contract.errors import ContractError
from sd_async.contract.jobs import Runtime
from sd_async.contract.messages import JobMessage, decode_message

_QUICK_BYTES = 1024 * 1024  # are read and hashed in a millisecond, less than a thread takes to say so


@dataclass(frozen=True, slots=True)
class Inputs:
    """message: whole, and allowed. files: its input files by name; digests: what is told of them afterwards."""

    message: JobMessage
    files: Mapping[str, Path]
    digests: Mapping[str, InputFile]


class Fetching:
    """Begins at once. What goes wrong is told to whoever asks for the result, who may do so more than once."""

    def __init__(
        self, config: Config, clock: Clock, files: Files, sources: Mapping[str, Source], message: JobMessage
    ) -> None:
        self.span_ns: tuple[int, int] | None = None
        self.took_s = 0.0
        self._config = config
        self._clock = clock
        self._files = files
        self._sources = sources
        self._message = message
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._task = asyncio.create_task(self._in_time())

    @property
    def is_over(self) -> bool:
        return self._task.done()

    def when_over(self, call: Callable[[], None]) -> None:
        self._task.add_done_callback(lambda _: call())

    async def result(self) -> Inputs:
        """Raises: JobError, TransientError, FatalError."""
        return await asyncio.shield(self._task)

    async def dropped(self) -> None:
        """Nothing of it is left, neither at work nor on disk."""
        self._task.cancel()
        await asyncio.wait([self._task])
        if not self._task.cancelled():
            self._task.exception()  # whoever had no use for the inputs has none for what went wrong either
        if self._folder is not None:
            self._folder.cleanup()

    async def _in_time(self) -> Inputs:
        began_s, began_ns = self._clock.monotonic_s(), self._clock.now_ns()
        try:
            return await first_of(self._fetched(), self._deadline()) if self._has_any() else await self._fetched()
        finally:
            self.took_s, self.span_ns = self._clock.monotonic_s() - began_s, (began_ns, self._clock.now_ns())

    def _has_any(self) -> bool:
        return bool(self._message.files) or self._message.input is None

    async def _fetched(self) -> Inputs:
        message = await self._whole()
        config = self._config
        check_message(
            message,
            config.runtime_name,
            Runtime(type=config.runtime_type, timeout_seconds=config.job_timeout_s),
            buckets=config.file_buckets,
            input_bucket=config.input_bucket,
        )
        files: dict[str, Path] = {}
        for index, (name, url) in enumerate(message.files.items()):
            target = self._place() / f"file-{index}"
            try:
                await self._sources[url.partition("://")[0].lower()].fetch(url, target, limits.MAX_FILE_BYTES)
            except BadFileError as error:
                raise BadFileError(f"files.{name}: {error.message}") from error
            files[name] = target
        return Inputs(message, files, await _digests(files))

    async def _whole(self) -> JobMessage:
        if self._message.input is not None or not self._message.input_ref:
            return self._message
        reference, target = self._message.input_ref, self._place() / "job.json"
        if not reference.startswith(f"s3://{self._config.input_bucket}/"):
            raise BadFileError(f"The job's input lies at `{reference}`, outside the input bucket.")
        await self._files.fetch(reference, target, limits.MAX_MESSAGE_BYTES)
        try:
            whole = decode_message(target.read_bytes())
        except ContractError as problem:
            raise InvalidJobError(problem) from problem
        if not isinstance(whole, JobMessage) or whole.id != self._message.id:
            raise BadFileError(f"The document at `{reference}` is not this job's.")
        return whole

    async def _deadline(self) -> Never:
        timeout_s = self._message.timeout_seconds
        await self._clock.sleep(timeout_s)
        raise JobTimeoutError(f"The job's files did not arrive within its {timeout_s} s.")

    def _place(self) -> Path:
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(prefix="sd-async-")
        return Path(self._folder.name)


async def _digests(files: Mapping[str, Path]) -> dict[str, InputFile]:
    is_quick = sum(path.stat().st_size for path in files.values()) <= _QUICK_BYTES
    return input_files(files) if is_quick else await asyncio.to_thread(input_files, files)
