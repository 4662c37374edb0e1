"""What a runtime made, into the output bucket."""

import contextlib
from collections.abc import Sequence

from agent.core import limits
from agent.errors import TooManyOutputsError
from agent.ports import Artifact, Backend, Files
from sd_async.contract.records import StoredOutput


async def stored(made: Sequence[Artifact], folder: str, backend: Backend, files: Files) -> list[StoredOutput]:
    """The files in the output bucket, in the order of `made`.

    folder: of this attempt, without a closing slash. Raises: TooManyOutputsError, and what the two ports raise.
    """
    _refuse_too_many(made, folder)
    return [await _stored(artifact, folder, backend, files) for artifact in made]


async def _stored(artifact: Artifact, folder: str, backend: Backend, files: Files) -> StoredOutput:
    key = f"{folder}/{artifact.name}"
    async with contextlib.aclosing(backend.read(artifact)) as chunks:
        size_bytes = await files.put(key, chunks, artifact.content_type)
    return StoredOutput(
        key=key,
        name=artifact.name,
        type=artifact.type,
        content_type=artifact.content_type,
        size_bytes=size_bytes,
        node_id=artifact.node_id,
    )


def _refuse_too_many(made: Sequence[Artifact], folder: str) -> None:
    named_bytes = sum(
        limits.OUTPUT_FIELDS_BYTES + len(folder.encode()) + 2 * len(artifact.name.encode()) for artifact in made
    )
    if named_bytes > limits.MAX_OUTPUTS_BYTES:
        raise TooManyOutputsError(
            f"The job made {len(made)} files, whose names take {named_bytes} bytes; a job's record holds "
            f"{limits.MAX_OUTPUTS_BYTES}. Save them as a video or in several jobs."
        )
