"""`python -m agent.fetch_models`: models from S3 to the node's disk, in parallel, checked, and never twice.

The chart runs it before the runtime starts (`models.mode: copy`) and, when asked, beside it to look for new models.
A copied file whose checksum was right is noted with its ETag and not fetched again. Of one that was broken off there is
a beginning, since bytes arrive in their order; it bears the ETag in its name, and only the rest is fetched.
Exit codes: 0 all there; 1 something could not be copied; 2 the environment is wrong.
"""

import base64
import json
import os
import signal
import sys
import threading
import time
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
from awscrt.checksums import crc32c, crc64nvme  # type: ignore[import-untyped]  # it has no stubs
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from botocore.session import get_session
from s3transfer.crt import (
    BotocoreCRTCredentialsWrapper,
    BotocoreCRTRequestSerializer,
    CRTTransferManager,
    create_s3_crt_client,
)
from s3transfer.subscribers import BaseSubscriber

if TYPE_CHECKING:  # stubs only; the image does not carry them
    from mypy_boto3_s3 import S3Client

FILES_AT_ONCE = 4  # the CRT already fetches the parts of one file in parallel; more hides the gaps between files
PROGRESS_S = 5.0
READ_BYTES = 8 * 1024 * 1024
NOTES = ".copied.json"
PARTIAL = ".partial"

# How S3 writes each checksum: its function over (data, earlier value), and the value's bytes.
CHECKSUMS: Mapping[str, tuple[Callable[[bytes, int], int], int]] = {
    "ChecksumCRC64NVME": (crc64nvme, 8),
    "ChecksumCRC32C": (crc32c, 4),
    "ChecksumCRC32": (zlib.crc32, 4),
}


class CopyError(RuntimeError):
    """A model could not be copied; the message names it."""


@dataclass(frozen=True)
class Plan:
    """What to copy. folders, include: below the prefix. gbps: bandwidth to aim at. refresh_s: 0 to look once."""

    bucket: str
    prefix: str
    folders: tuple[str, ...]
    include: tuple[str, ...]
    target: Path
    region: str
    endpoint_url: str | None
    gbps: int
    refresh_s: int


@dataclass(frozen=True)
class Model:
    """One object. path: below the prefix, and below the target."""

    key: str
    path: str
    etag: str
    size_bytes: int


def plan_of(environment: Mapping[str, str]) -> Plan:
    """Raises: KeyError with the variable's name; ValueError for a number that is none."""
    return Plan(
        bucket=environment["SD_MODELS_BUCKET"],
        prefix=environment.get("SD_MODELS_PREFIX", ""),
        folders=_names(environment["SD_MODELS_FOLDERS"]),
        include=_names(environment.get("SD_MODELS_INCLUDE", "")),
        target=Path(environment["SD_MODELS_TARGET"]),
        region=environment["AWS_REGION"],
        endpoint_url=environment.get("AWS_ENDPOINT_URL") or None,
        gbps=int(environment.get("SD_MODELS_GBPS", "10")),
        refresh_s=int(environment.get("SD_MODELS_REFRESH_S", "0")),
    )


def _names(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def wanted(plan: Plan, path: str) -> bool:
    """Whether an object is one of the models: in a folder, of a wanted pattern, and under no path that leaves it."""
    if ".." in Path(path).parts or path.endswith("/"):
        return False
    in_folder = any(path.startswith(f"{folder}/") for folder in plan.folders)
    return in_folder and (not plan.include or any(fnmatchcase(path, pattern) for pattern in plan.include))


def listed(s3: "S3Client", plan: Plan) -> Iterator[Model]:
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=plan.bucket, Prefix=plan.prefix):
        for item in page.get("Contents", []):
            path = item["Key"].removeprefix(plan.prefix)
            if wanted(plan, path):
                yield Model(item["Key"], path, item["ETag"], item["Size"])


def checksum_of(path: Path, name: str) -> str:
    """Base64 as S3 writes it. name: a key of CHECKSUMS."""
    function, size = CHECKSUMS[name]
    value = 0
    with path.open("rb") as file:
        while block := file.read(READ_BYTES):
            value = function(block, value)
    return base64.b64encode(value.to_bytes(size, "big")).decode()


def verify(path: Path, model: Model, head: Mapping[str, Any]) -> str:
    """Name of the checksum that was compared, `size` when S3 keeps none of the whole object. Raises: CopyError."""
    if (size := path.stat().st_size) != model.size_bytes:
        raise CopyError(f"{model.key} has {model.size_bytes} bytes and {size} arrived; it is fetched again next time.")
    for name in CHECKSUMS:
        kept = head.get(name)
        if not kept or "-" in kept:  # of the parts, not of the whole
            continue
        if checksum_of(path, name) != kept:
            raise CopyError(f"{model.key} arrived with another {name} than S3 keeps; it is fetched again next time.")
        return name
    return "size"


def partial_of(path: Path, model: Model) -> Path:
    """Where a model's beginning lies until it is whole; another ETag has another."""
    etag = "".join(letter for letter in model.etag if letter.isalnum())
    return path.with_name(f".{path.name}.{etag}{PARTIAL}")


class _Transfers(CRTTransferManager):
    """Of an object the rest too, and only while it is the one that was listed."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.ALLOWED_DOWNLOAD_ARGS = [*CRTTransferManager.ALLOWED_DOWNLOAD_ARGS, "IfMatch", "Range"]


class _Arrived(BaseSubscriber):
    """Set when a transfer has ended, well or not, and nothing more is written."""

    def __init__(self) -> None:
        self.done = threading.Event()

    def on_done(self, future: Any, **_kwargs: Any) -> None:  # noqa: ARG002 - the library's signature
        self.done.set()


class Copier:
    """Copies what is missing. clock: seconds."""

    def __init__(self, plan: Plan, clock: Callable[[], float] = time.monotonic) -> None:
        self._plan = plan
        self._clock = clock
        session = boto3.session.Session(region_name=plan.region)
        style = Config(s3={"addressing_style": "path"}) if plan.endpoint_url else None
        self._s3: S3Client = session.client("s3", endpoint_url=plan.endpoint_url, config=style)
        credentials = BotocoreCRTCredentialsWrapper(session.get_credentials())
        client = create_s3_crt_client(
            plan.region,
            credentials.to_crt_credentials_provider(),
            target_throughput=plan.gbps * 1_000_000_000 // 8,
            use_ssl=not (plan.endpoint_url or "").startswith("http://"),
        )
        options = {"region_name": plan.region, "endpoint_url": plan.endpoint_url, "config": style}
        self._transfers = _Transfers(client, BotocoreCRTRequestSerializer(get_session(), options))

    def copy(self) -> int:
        """Copy all that is wanted and not there; the number of files copied. Raises: CopyError, AWS's errors."""
        for folder in self._plan.folders:  # A1111 makes missing ones, which it may not
            (self._plan.target / folder).mkdir(parents=True, exist_ok=True)
        notes = self._read_notes()
        models = [model for model in listed(self._s3, self._plan) if not self._is_there(model, notes)]
        self._drop_partials(models)
        total = sum(model.size_bytes for model in models)
        log("models to copy", files=len(models), total_bytes=total)
        started, shown, done = self._clock(), self._clock(), 0
        with ThreadPoolExecutor(FILES_AT_ONCE) as pool:
            for model, compared in pool.map(self._fetch, models):
                notes[model.path] = model.etag
                self._write_notes(notes)
                done += model.size_bytes
                if self._clock() - shown >= PROGRESS_S or done == total:
                    shown = self._clock()
                    rate = done / max(shown - started, 0.001) / 1e6
                    line = {"bytes": done, "total_bytes": total, "mb_per_s": round(rate), "compared": compared}
                    log("models copied", **line, last=model.path)
        return len(models)

    def _fetch(self, model: Model) -> tuple[Model, str]:
        path = self._plan.target / model.path
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = partial_of(path, model)
        head = self._s3.head_object(Bucket=self._plan.bucket, Key=model.key, ChecksumMode="ENABLED")
        self._fetch_rest(model, partial)
        try:
            compared = verify(partial, model, head)
        except CopyError:
            partial.unlink()
            raise
        partial.replace(path)  # a runtime that lists the folder meanwhile never sees half a model
        return model, compared

    def _fetch_rest(self, model: Model, partial: Path) -> None:
        """Whatever of the object is not yet in the file."""
        had = partial.stat().st_size if partial.exists() else 0
        if had:
            log("model is resumed", path=model.path, bytes=had, total_bytes=model.size_bytes)
        if had >= model.size_bytes > 0:
            return
        arguments = {"IfMatch": model.etag} | ({"Range": f"bytes={had}-"} if had else {})
        arrived = _Arrived()
        with partial.open("ab") as file:
            transfer = self._transfers.download(self._plan.bucket, model.key, file, arguments, [arrived])
            arrived.done.wait()
            transfer.result()

    def _drop_partials(self, models: Sequence[Model]) -> None:
        """Beginnings of files that nobody wants any more, or that have changed since."""
        wanted_now = {partial_of(self._plan.target / model.path, model) for model in models}
        for folder in self._plan.folders:
            for partial in (self._plan.target / folder).rglob(f".*{PARTIAL}"):
                if partial not in wanted_now:
                    partial.unlink()

    def _is_there(self, model: Model, notes: Mapping[str, str]) -> bool:
        path = self._plan.target / model.path
        return notes.get(model.path) == model.etag and path.exists() and path.stat().st_size == model.size_bytes

    def _read_notes(self) -> dict[str, str]:
        try:
            notes: dict[str, str] = json.loads((self._plan.target / NOTES).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return notes

    def _write_notes(self, notes: Mapping[str, str]) -> None:
        partial = self._plan.target / f"{NOTES}.partial"
        partial.write_text(json.dumps(notes), encoding="utf-8")
        partial.replace(self._plan.target / NOTES)


def log(message: str, **fields: object) -> None:
    line = {"level": "INFO", "message": message, **fields}
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


def main(environment: Mapping[str, str] = os.environ) -> int:
    try:
        plan = plan_of(environment)
    except (KeyError, ValueError) as error:
        log("configuration error", error=f"{error} is not set or no number")
        return 2
    copier = Copier(plan)
    while True:
        try:
            copier.copy()
        except (CopyError, BotoCoreError, ClientError, OSError) as error:
            log("models are missing", error=str(error))
            if not plan.refresh_s:
                return 1
        if not plan.refresh_s:
            return 0
        time.sleep(plan.refresh_s)


if __name__ == "__main__":
    # The first process of a container ignores a signal that it does not handle, and the pod would wait for it.
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    sys.exit(main())
