"""Models into the models bucket: only what changed, in parallel, each part checked by S3, resumed after a break.

S3 keeps SHA-256 sums of what it got, so that "changed" is decided by content and nothing is downloaded to compare. Of
an object sent in parts it keeps the sum over the parts' sums, which is why parts are cut the same way every time.
"""

import base64
import hashlib
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from botocore.exceptions import BotoCoreError, ClientError
from mypy_boto3_s3 import S3Client
from mypy_boto3_s3.type_defs import CompletedPartTypeDef

from ops.errors import OpsError

PART_BYTES = 64 * 1024 * 1024  # 10,000 parts of it are 640 GB, more than any model
MIN_PART_BYTES = 5 * 1024 * 1024  # S3's lower bound of all parts but the last
WORKERS = 8  # parts in flight: 0.5 GB of memory, and more than one connection's speed

Told = Callable[[str, int], None]  # key, bytes that are now there


@dataclass(frozen=True)
class Model:
    """One file below the folder that is pushed. key: in the bucket."""

    path: Path
    key: str
    size_bytes: int


@dataclass(frozen=True)
class Plan:
    """changed: to send. same: there already, by content. extra: keys in the bucket that the folder has not; kept."""

    changed: tuple[Model, ...]
    same: tuple[Model, ...]
    extra: tuple[str, ...]


@dataclass(frozen=True)
class Part:
    """Bytes of a file. number: from 1. sum: SHA-256 in Base64, as S3 writes it."""

    number: int
    start: int
    size_bytes: int
    sum: str


def files(folder: Path, prefix: str) -> list[Model]:
    """Every file below a folder, hidden ones left out. Raises: OpsError when there is none."""
    if not folder.is_dir():
        raise OpsError(f"{folder} is no folder; name the one that holds Stable-diffusion, Lora, VAE and so on.")
    found = []
    for path in sorted(folder.rglob("*")):
        inside = path.relative_to(folder)
        if path.is_file() and not any(part.startswith(".") for part in inside.parts):
            found.append(Model(path, f"{prefix}{inside.as_posix()}", path.stat().st_size))
    if not found:
        raise OpsError(f"{folder} holds no file to push.")
    return found


def parts(path: Path, part_bytes: int = PART_BYTES) -> Iterator[Part]:
    """The parts of a file with their sums, in order; an empty file has one empty part."""
    start = 0
    with path.open("rb") as file:
        while (data := file.read(part_bytes)) or start == 0:
            yield Part(start // part_bytes + 1, start, len(data), sum_of(data))
            start += part_bytes


def sum_of(data: bytes) -> str:
    return base64.b64encode(hashlib.sha256(data).digest()).decode()


def whole_sum(cut: list[Part]) -> str:
    """What S3 keeps of the whole object: one part's own sum, or the sum of the parts' sums and their number."""
    if len(cut) == 1:
        return cut[0].sum
    return f"{sum_of(b''.join(base64.b64decode(part.sum) for part in cut))}-{len(cut)}"


class Bucket:
    """The models bucket as this file needs it."""

    def __init__(self, client: S3Client, name: str, part_bytes: int = PART_BYTES) -> None:
        self._client, self._name, self._part_bytes = client, name, part_bytes

    def plan(self, models: list[Model], prefix: str) -> Plan:
        """What a push would do. Raises: OpsError when the bucket can't be read."""
        try:
            there = self._listing(prefix)
            same = tuple(model for model in models if self._is_same(model, there))
        except (ClientError, BotoCoreError) as error:
            raise OpsError(f"The bucket {self._name} can't be read: {error}") from error
        keys = {model.key for model in models}
        changed = tuple(model for model in models if model not in same)
        return Plan(changed, same, tuple(sorted(there.keys() - keys)))

    def push(self, model: Model, tell: Told) -> None:
        """Send one file, going on where an earlier push of the same file ended.

        Raises: OpsError, also when S3 got other bytes than were read; what was sent is kept for the next push.
        """
        cut = list(parts(model.path, self._part_bytes))
        try:
            if len(cut) == 1:
                self._put(model, cut[0])
                tell(model.key, model.size_bytes)
            else:
                self._put_in_parts(model, cut, tell)
        except (ClientError, BotoCoreError, OSError) as error:
            raise OpsError(f"{model.path} was not sent whole: {error} The same command goes on from there.") from error

    def _listing(self, prefix: str) -> Mapping[str, int]:
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self._name, Prefix=prefix)
        return {each["Key"]: each["Size"] for page in pages for each in page.get("Contents", [])}

    def _is_same(self, model: Model, there: Mapping[str, int]) -> bool:
        if there.get(model.key) != model.size_bytes:
            return False
        head = self._client.head_object(Bucket=self._name, Key=model.key, ChecksumMode="ENABLED")
        return head.get("ChecksumSHA256") == whole_sum(list(parts(model.path, self._part_bytes)))

    def _put(self, model: Model, part: Part) -> None:
        body = model.path.read_bytes()
        self._client.put_object(Bucket=self._name, Key=model.key, Body=body, ChecksumSHA256=part.sum)

    def _put_in_parts(self, model: Model, cut: list[Part], tell: Told) -> None:
        upload = self._unfinished(model.key) or self._begun(model.key)
        kept = self._kept(model.key, upload)

        def send(part: Part) -> CompletedPartTypeDef:
            tag = kept.get((part.number, part.sum)) or self._send(model, upload, part)
            tell(model.key, part.size_bytes)
            return {"PartNumber": part.number, "ETag": tag, "ChecksumSHA256": part.sum}

        with ThreadPoolExecutor(WORKERS) as pool:
            sent = list(pool.map(send, cut))
        self._client.complete_multipart_upload(
            Bucket=self._name, Key=model.key, UploadId=upload, MultipartUpload={"Parts": sent}
        )

    def _send(self, model: Model, upload: str, part: Part) -> str:
        with model.path.open("rb") as file:
            file.seek(part.start)
            body = file.read(part.size_bytes)
        return self._client.upload_part(
            Bucket=self._name,
            Key=model.key,
            UploadId=upload,
            PartNumber=part.number,
            Body=body,
            ChecksumSHA256=part.sum,
        )["ETag"]

    def _begun(self, key: str) -> str:
        made = self._client.create_multipart_upload(Bucket=self._name, Key=key, ChecksumAlgorithm="SHA256")
        return made["UploadId"]

    def _unfinished(self, key: str) -> str | None:
        """The last upload of the key that was begun and not completed."""
        pages = self._client.get_paginator("list_multipart_uploads").paginate(Bucket=self._name, Prefix=key)
        found = [each for page in pages for each in page.get("Uploads", []) if each["Key"] == key]
        newest = max(found, key=lambda each: each["Initiated"], default=None)
        return newest["UploadId"] if newest else None

    def _kept(self, key: str, upload: str) -> dict[tuple[int, str], str]:
        """Tags of the parts that S3 has, by number and sum: parts of another content do not count."""
        pages = self._client.get_paginator("list_parts").paginate(Bucket=self._name, Key=key, UploadId=upload)
        return {
            (each["PartNumber"], each.get("ChecksumSHA256", "")): each["ETag"]
            for page in pages
            for each in page.get("Parts", [])
        }
