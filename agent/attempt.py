"""One attempt at a job: fetch its files, have the runtime do it, store what came out."""

import asyncio
import contextlib
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Never

import msgspec

from agent.config import Config
from agent.core import keys, limits
from agent.core.plan import check_message
from agent.errors import (
    BadFileError,
    CanceledError,
    InvalidJobError,
    JobTimeoutError,
    StoppedError,
)
from agent.heartbeat import Heartbeat
from agent.outputs.account import InputFile, Run, input_files
from agent.ports import Artifact, Backend, Claim, Clock, Delivery, Files, Queue, Source, Store, Topic, Work
from agent.race import first_of
from agent.storing import stored
from sd_async.contract.errors import ContractError
from sd_async.contract.jobs import Progress, Runtime
from sd_async.contract.messages import JobMessage, decode_message
from sd_async.contract.records import Phases, Record, StoredOutput
from sd_async.contract.states import Status


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """The world, as `__main__` or a test wires it. sources: where input files come from, by URL scheme."""

    queue: Queue
    store: Store
    topic: Topic
    files: Files
    sources: Mapping[str, Source]
    backend: Backend
    clock: Clock


class Attempt:
    """A claimed job. problem: what was found wrong with it before it could be claimed.

    Its public attributes are what there is to tell about it, however it ends.
    """

    def __init__(
        self,
        config: Config,
        ports: Ports,
        delivery: Delivery,
        message: JobMessage,
        record: Record,
        problem: ContractError | None = None,
    ) -> None:
        self.delivery = delivery
        self.record = record
        self.claim = Claim(record.id, record.attempt)
        self.claimed_s = ports.clock.monotonic_s()
        self.progress = Progress()
        self.outputs: list[StoredOutput] = []
        self._config = config
        self._ports = ports
        self._message = message
        self._problem = problem
        self._phases_s: dict[str, float] = {}
        self._inputs: Mapping[str, InputFile] = {}
        self._notes: dict[str, Any] = {}

    @property
    def phases(self) -> Phases:
        return Phases(**{f"{name}_ms": round(seconds * 1000) for name, seconds in self._phases_s.items()})

    async def run(self, stop: asyncio.Event) -> None:
        """Raises: whatever ends the attempt without a result; nothing of it is at work any more then."""
        if self.record.status is Status.CANCELING:
            raise CanceledError("The client canceled the job.")
        if self._problem is not None:
            raise InvalidJobError(self._problem)
        heartbeat = Heartbeat(
            self._ports.queue,
            self._ports.store,
            self._ports.clock,
            heartbeat_s=self._config.heartbeat_s,
            lease_s=self._config.lease_s,
            visibility_s=self._config.visibility_s,
        )
        await first_of(
            self._work(),
            heartbeat.run(self.claim, self.delivery, self.claimed_s, lambda: self.progress),
            self._drained(stop),
        )

    async def _work(self) -> None:
        with tempfile.TemporaryDirectory(prefix="sd-async-") as folder:
            # Storing is outside the deadline: what the GPU has done by then is not thrown away.
            made = await first_of(self._make(Path(folder)), self._deadline())
        with self._phase("store", "uploading"):
            folder_key = keys.output_folder(self.record.output_key, self.record.id, self.record.attempt)
            self.outputs = await stored(
                made, folder_key, self._ports.backend, self._ports.files, run=self._run(), clock=self._ports.clock
            )

    async def _make(self, folder: Path) -> Sequence[Artifact]:
        with self._phase("fetch", "fetching"):
            message = await self._whole_message(folder)
            runtime = Runtime(type=self._config.runtime_type, timeout_seconds=self._config.job_timeout_s)
            config = self._config
            check_message(
                message,
                config.runtime_name,
                runtime,
                buckets=config.file_buckets,
                input_bucket=config.input_bucket,
            )
            files = await self._fetched(message, folder)
        self._inputs = await asyncio.to_thread(input_files, files)
        self._message = message
        work = Work(
            run_id=keys.run_id(self.record.id, self.record.attempt),
            label=f"{self.record.id}-{self.record.attempt}",
            input=message.input or {},
            files=files,
            notes=self._notes,
        )
        with self._phase("execution", "running"):
            return await self._ports.backend.run(work, self._report)

    def _run(self) -> Run:
        return Run(
            message=self._message,
            record=self.record,
            agent_id=self._config.agent_id,
            phases=self.phases,
            inputs=self._inputs,
            notes=self._notes,
        )

    async def _whole_message(self, folder: Path) -> JobMessage:
        if self._message.input is not None or not self._message.input_ref:
            return self._message
        reference, target = self._message.input_ref, folder / "job.json"
        if not reference.startswith(f"s3://{self._config.input_bucket}/"):
            raise BadFileError(f"The job's input lies at `{reference}`, outside the input bucket.")
        await self._ports.files.fetch(reference, target, limits.MAX_MESSAGE_BYTES)
        try:
            whole = decode_message(target.read_bytes())
        except ContractError as problem:
            raise InvalidJobError(problem) from problem
        if not isinstance(whole, JobMessage) or whole.id != self.record.id:
            raise BadFileError(f"The document at `{reference}` is not this job's.")
        return whole

    async def _fetched(self, message: JobMessage, folder: Path) -> dict[str, Path]:
        files: dict[str, Path] = {}
        for index, (name, url) in enumerate(message.files.items()):
            target = folder / f"file-{index}"
            source = self._ports.sources[url.partition("://")[0].lower()]
            try:
                await source.fetch(url, target, limits.MAX_FILE_BYTES)
            except BadFileError as error:
                raise BadFileError(f"files.{name}: {error.message}") from error
            files[name] = target
        return files

    def _report(self, progress: Progress) -> None:
        self.progress = msgspec.structs.replace(progress, message="running")

    async def _deadline(self) -> Never:
        timeout_s = self.record.timeout_seconds
        await self._ports.clock.sleep(timeout_s)
        raise JobTimeoutError(f"The job did not finish within its {timeout_s} s; ask for more with `timeout_seconds`.")

    async def _drained(self, stop: asyncio.Event) -> Never:
        await stop.wait()
        drain_s = limits.drain_s(self._config.grace_period_s)
        await self._ports.clock.sleep(drain_s)
        raise StoppedError("The agent was stopped; the job goes on elsewhere.")

    @contextlib.contextmanager
    def _phase(self, name: str, message: str) -> Iterator[None]:
        self.progress = msgspec.structs.replace(self.progress, message=message)
        began_s = self._ports.clock.monotonic_s()
        try:
            yield
        finally:
            self._phases_s[name] = self._ports.clock.monotonic_s() - began_s
