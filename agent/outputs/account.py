"""`result.json`: what a person needs to make a job's outputs again, beside them in the bucket.

It lies where the client's colleagues may read it, so it holds no query of a URL (presigned ones end in a signature),
no user in one, and nothing of the client's `context`.
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from agent.core.version import VERSION
from sd_async.contract.codec import encode
from sd_async.contract.messages import JobMessage
from sd_async.contract.records import Phases, Record, StoredOutput
from sd_async.contract.times import rfc3339

NAME = "result.json"
_FORM_VERSION = 1
# A picture in an A1111 body is base64 of megabytes; a prompt of so many characters, unbroken, is none.
_LONG_CHARS = 32 * 1024
_KEY_CHARS = 64

# JSON text is shortened string by string: a walk over a value of the contract's depth would pass Python's own limit.
# No pattern may look at a byte more than a few times, since the text is the client's.
_STRING = re.compile(rb'"((?:[^"\\]++|\\.)*+)"(:?)')
_URL = re.compile(rb"(://)(?:[^\s\\/?#@]*+@)?([^\s\\?#]*+)(?:[?#][^\s\\]*+)?")
_SECRET = re.compile(rb"(?:.*[_ -])?(?:api_?key|secret|password|token)", re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class InputFile:
    sha256: str
    size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What is known of a job when its outputs are there.

    record: as claimed. inputs: its files by name. notes: what the runtime said about how it did it.
    """

    message: JobMessage
    record: Record
    agent_id: str
    phases: Phases = field(default_factory=Phases)
    inputs: Mapping[str, InputFile] = field(default_factory=dict)
    notes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """A stored output. made_from: the runtime's own name of it, where that is another."""

    output: StoredOutput
    sha256: str
    made_from: str | None = None
    left_out: Sequence[str] = ()


def input_files(files: Mapping[str, Path]) -> dict[str, InputFile]:
    """Blocks while it reads them, 64 MiB in about 0.1 s."""
    found = {}
    for name, path in files.items():
        with path.open("rb") as file:
            found[name] = InputFile(hashlib.file_digest(file, "sha256").hexdigest(), path.stat().st_size)
    return found


def account(run: Run, outputs: Sequence[Told], now_ms: int) -> bytes:
    """The document, for people as well as programs."""
    record, message = run.record, run.message
    return msgspec.json.format(
        encode(
            {
                "version": _FORM_VERSION,
                "id": record.id,
                "attempt": record.attempt,
                "runtime": record.runtime,
                "type": record.type,
                "form": record.form,
                "client_id": record.client_id,
                "created_at": rfc3339(record.created_at_ms),
                "started_at": rfc3339(record.started_at_ms or record.created_at_ms),
                "completed_at": rfc3339(now_ms),
                "timeout_seconds": record.timeout_seconds,
                "phases": run.phases,
                "agent": {"id": run.agent_id, "version": VERSION},
                "runtime_notes": _shortened(run.notes),
                "input": _shortened(message.input or {}),
                "files": {name: _file(file, message.files.get(name, "")) for name, file in run.inputs.items()},
                "output": message.output,
                "outputs": [_told(told) for told in outputs],
            }
        ),
        indent=2,
    )


def _shortened(value: Any) -> msgspec.Raw:
    text, parts, copied = encode(value), list[bytes](), 0
    secret_at = -1  # where a value would begin that is a secret by its name
    for found in _STRING.finditer(text):
        inside, colon = found.groups()
        parts += [
            text[copied : found.start()],
            b'"',
            _told_of(inside, is_secret=found.start() == secret_at),
            b'"',
            colon,
        ]
        copied = found.end()
        secret_at = copied if colon and _SECRET.fullmatch(inside[-_KEY_CHARS:]) else -1
    return msgspec.Raw(b"".join([*parts, text[copied:]]))


def _told_of(text: bytes, *, is_secret: bool) -> bytes:
    if is_secret:
        return b"(left out)"
    if len(text) > _LONG_CHARS and b" " not in text:
        return b"(%d characters, sha256 %s)" % (len(text), hashlib.sha256(text).hexdigest().encode())
    return _URL.sub(rb"\1\2", text)


def _file(file: InputFile, url: str) -> dict[str, Any]:
    known: dict[str, Any] = {"sha256": file.sha256, "size_bytes": file.size_bytes}
    # A key of S3 may hold `?` and `#`; an https address may be a secret in all of its parts.
    return known | ({"s3_uri": url} if url.lower().startswith("s3://") else {})


def _told(told: Told) -> dict[str, Any]:
    output = told.output
    known: dict[str, Any] = {
        "name": output.name,
        "type": output.type,
        "content_type": output.content_type,
        "size_bytes": output.size_bytes,
        "sha256": told.sha256,
        "node_id": output.node_id,
    }
    if told.made_from:
        known["made_from"] = told.made_from
    if told.left_out:
        known["metadata_left_out"] = list(told.left_out)
    return known
