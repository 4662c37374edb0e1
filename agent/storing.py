"""What a runtime made, into the output bucket: each file as it was asked for, and last an account of them all."""

import asyncio
import contextlib
import hashlib
import tempfile
from collections.abc import AsyncIterator, Coroutine, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

from agent.core import limits
from agent.errors import OutputFormatError, TooManyOutputsError
from agent.outputs import account
from agent.outputs.account import Run, Told
from agent.outputs.encoding import Encoder
from agent.outputs.stripping import DamagedError, strip
from agent.ports import Artifact, Backend, Clock, Files, unique_name
from sd_async.contract.jobs import OutputOptions
from sd_async.contract.records import StoredOutput

# What one process decodes of the pictures that runtimes make; vector and floating-point ones stay as they are.
ENCODED = frozenset(f"image/{kind}" for kind in ("png", "jpeg", "webp", "bmp", "tiff", "gif", "avif"))
STRIPPED = frozenset(f"image/{kind}" for kind in ("png", "jpeg", "webp"))
_AT_ONCE = 3  # AWS's connections are four, and the heartbeat needs one
_SUFFIX = {"png": "png", "jpeg": "jpg", "webp": "webp"}
_CHUNK_BYTES = 256 * 1024
_NODE_ID_CHARS = 256  # all of an object's metadata is at most 2 KB (S3 guide, "Working with object metadata")


@dataclass(frozen=True, slots=True)
class _Plan:
    """name: as stored. encoded_name: as stored in the format that was asked for, None when nothing needs encoding."""

    artifact: Artifact
    name: str
    encoded_name: str | None


async def stored(
    made: Sequence[Artifact], folder: str, backend: Backend, files: Files, *, run: Run, clock: Clock
) -> list[StoredOutput]:
    """The files in the output bucket, in the order of `made`; `result.json` lies beside them and is none of them.

    folder: of this attempt, without a closing slash. Raises: TooManyOutputsError, OutputFormatError, and what the two
    ports raise.
    """
    plans = _planned(made, run.message.output or OutputOptions())
    _refuse_too_many([plan.encoded_name or plan.name for plan in plans], folder)
    turns = asyncio.Semaphore(_AT_ONCE)
    async with contextlib.aclosing(Encoder()) as encoder:
        storing = _Storing(folder, backend, files, run, encoder)

        async def in_turn(plan: _Plan) -> Told:
            async with turns:
                return await storing.stored(plan)

        told = await _all_of([in_turn(plan) for plan in plans])
    document = account.account(run, told, clock.now_ms())
    await files.put(f"{folder}/{account.NAME}", _whole(document), "application/json", _metadata(run))
    return [one.output for one in told]


class _Storing:
    """One job's outputs. encoder: started when the first picture needs it."""

    def __init__(self, folder: str, backend: Backend, files: Files, run: Run, encoder: Encoder) -> None:
        self._folder = folder
        self._backend = backend
        self._files = files
        self._run = run
        self._encoder = encoder
        self._options = run.message.output or OutputOptions()

    async def stored(self, plan: _Plan) -> Told:
        artifact = plan.artifact
        is_stripped = self._options.metadata == "strip" and artifact.content_type in STRIPPED
        async with contextlib.aclosing(self._backend.read(artifact)) as chunks:
            if plan.encoded_name is None and not is_stripped:
                return await self._put(artifact, plan.name, artifact.content_type, chunks)
            with tempfile.TemporaryDirectory(prefix="sd-async-") as place:
                source, target = Path(place, "source"), Path(place, "target")
                await _write(chunks, source)
                return await self._changed(plan, source, target, is_stripped=is_stripped)

    async def _changed(self, plan: _Plan, source: Path, target: Path, *, is_stripped: bool) -> Told:
        artifact = plan.artifact
        try:
            if plan.encoded_name is not None:
                answer = await self._encoder.encoded(source, target, self._options)
                if not answer.is_kept:
                    kind = f"image/{self._options.format}"
                    told = await self._put(artifact, plan.encoded_name, kind, _chunks_of(target))
                    return replace(told, left_out=answer.left_out)
            if is_stripped:
                await asyncio.to_thread(_strip, source, target)
        except (OutputFormatError, DamagedError) as error:
            raise OutputFormatError(f"`{artifact.name}` cannot be delivered as asked. {_sentence(error)}") from error
        return await self._put(
            artifact, plan.name, artifact.content_type, _chunks_of(target if is_stripped else source)
        )

    async def _put(self, artifact: Artifact, name: str, content_type: str, chunks: AsyncIterator[bytes]) -> Told:
        key, digest, metadata = f"{self._folder}/{name}", hashlib.sha256(), _metadata(self._run, artifact.node_id)

        async def counted() -> AsyncIterator[bytes]:
            async for chunk in chunks:
                digest.update(chunk)
                yield chunk
            metadata["sha256"] = digest.hexdigest()

        size_bytes = await self._files.put(key, counted(), content_type, metadata)
        output = StoredOutput(
            key=key,
            name=name,
            type=artifact.type,
            content_type=content_type,
            size_bytes=size_bytes,
            node_id=artifact.node_id,
        )
        return Told(
            output=output, sha256=digest.hexdigest(), made_from=None if name == artifact.name else artifact.name
        )


def _planned(made: Sequence[Artifact], options: OutputOptions) -> list[_Plan]:
    taken = {account.NAME}
    plans = []
    for artifact in made:
        name, encoded_name = unique_name(artifact.name, taken), None
        if _is_encoded(artifact, options):
            wanted = f"{artifact.name.rpartition('.')[0] or artifact.name}.{_SUFFIX[str(options.format)]}"
            encoded_name = name if wanted == artifact.name else unique_name(wanted, taken)
        plans.append(_Plan(artifact, name, encoded_name))
    return plans


def _is_encoded(artifact: Artifact, options: OutputOptions) -> bool:
    if options.format is None or artifact.content_type not in ENCODED:
        return False
    return artifact.content_type != f"image/{options.format}" or options.quality is not None


def _metadata(run: Run, node_id: str | None = None) -> dict[str, str]:
    known = {"job-id": run.record.id, "attempt": str(run.record.attempt)}
    # A node's id is the client's text, and this is a header.
    return known if node_id is None else known | {"node-id": quote(node_id, safe=" :")[:_NODE_ID_CHARS]}


async def _all_of(works: Sequence[Coroutine[Any, Any, Told]]) -> list[Told]:
    """Their results in order; when one fails, the others are over too."""
    tasks = [asyncio.create_task(work) for work in works]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _whole(data: bytes) -> AsyncIterator[bytes]:
    yield data


async def _write(chunks: AsyncIterator[bytes], target: Path) -> None:
    with target.open("wb") as file:
        async for chunk in chunks:
            await asyncio.to_thread(file.write, chunk)


async def _chunks_of(path: Path) -> AsyncIterator[bytes]:
    with path.open("rb") as file:
        while chunk := await asyncio.to_thread(file.read, _CHUNK_BYTES):
            yield chunk


def _strip(source: Path, target: Path) -> None:
    with source.open("rb") as read, target.open("wb") as written:
        strip(read, written)


def _sentence(error: Exception) -> str:
    return str(error) if isinstance(error, OutputFormatError) else f"The file is damaged: {error}."


def _refuse_too_many(names: Sequence[str], folder: str) -> None:
    named_bytes = sum(limits.OUTPUT_FIELDS_BYTES + len(folder.encode()) + 2 * len(name.encode()) for name in names)
    if named_bytes > limits.MAX_OUTPUTS_BYTES:
        raise TooManyOutputsError(
            f"The job made {len(names)} files, whose names take {named_bytes} bytes; a job's record holds "
            f"{limits.MAX_OUTPUTS_BYTES}. Save them as a video or in several jobs."
        )
