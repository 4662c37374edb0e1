"""The buckets: input files out, outputs in."""

import asyncio
import base64
import contextlib
import zlib
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent.aws import call, error_code, translated
from agent.boto import BotoCoreError, ClientError
from agent.errors import AgentError, BadFileError
from agent.ports import NOTHING

if TYPE_CHECKING:  # stubs only; the image does not carry them
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import CompletedPartTypeDef

# What is smaller goes in one call. Each part is in memory once, for its checksum and for botocore's retries; all parts
# of an object are one buffer in turn, as one that grows is moved again and again and leaves holes behind.
PART_BYTES = 8 * 1024 * 1024
_LARGE_BYTES = 2 * 1024 * 1024  # most pictures are below it
_LARGE_AT_ONCE = 2  # what bounds the memory
_WAITING_BYTES = 256 * 1024  # what one holds that may be large, while others are that take their time
_CHUNK_BYTES = 256 * 1024
# Without the right to list a bucket, S3 says 403 about a key that is not there.
_NOT_THERE = frozenset({"403", "404", "AccessDenied", "NoSuchBucket", "NoSuchKey"})


class S3Files:
    def __init__(self, client: "S3Client", output_bucket: str) -> None:
        self._client = client
        self._bucket = output_bucket
        self._large = asyncio.Semaphore(_LARGE_AT_ONCE)

    async def fetch(self, url: str, target: Path, max_bytes: int) -> int:
        # A key may hold `?` and `#`, so this is no case for a URL parser.
        bucket, _, key = url.partition("://")[2].partition("/")
        try:
            return await asyncio.to_thread(self._fetch, bucket, key, target, max_bytes)
        except (BotoCoreError, ClientError) as error:
            if error_code(error) in _NOT_THERE:
                raise BadFileError(f"`{url}` is not there, or may not be read.") from error
            raise translated(error) from error

    async def put(
        self, key: str, chunks: AsyncIterator[bytes], content_type: str, metadata: Mapping[str, str] = NOTHING
    ) -> int:
        body = _Body(chunks)
        if not await body.has(_WAITING_BYTES if self._large.locked() else _LARGE_BYTES):
            return await self._put_whole(key, body.ahead, content_type, metadata)
        async with self._large:
            part = bytearray(PART_BYTES)
            if not await body.fills(part):
                return await self._put_whole(key, part, content_type, metadata)
            return await self._put_in_parts(key, part, body, content_type, metadata)

    async def _put_whole(self, key: str, body: bytearray, content_type: str, metadata: Mapping[str, str]) -> int:
        await call(
            _sent,
            self._client.put_object,
            body,
            _known_checksum(metadata),
            Bucket=self._bucket,
            Key=key,
            ContentType=content_type,
            Metadata=dict(metadata),
        )
        return len(body)

    async def _put_in_parts(
        self, key: str, part: bytearray, body: "_Body", content_type: str, metadata: Mapping[str, str]
    ) -> int:
        """part: the first one."""
        made = await call(
            self._client.create_multipart_upload,
            Bucket=self._bucket,
            Key=key,
            ContentType=content_type,
            Metadata=dict(metadata),
            ChecksumAlgorithm="CRC32",
        )
        upload = _Upload(self._client, self._bucket, key, made["UploadId"])
        try:
            while part:
                await upload.add(part)
                await body.fills(part)
            await upload.complete()
        except BaseException:
            # Parts of an upload that was left open are paid for, and in no listing.
            with contextlib.suppress(AgentError):
                await asyncio.shield(upload.abort())
            raise
        return upload.size_bytes

    def _fetch(self, bucket: str, key: str, target: Path, max_bytes: int) -> int:
        answer = self._client.get_object(Bucket=bucket, Key=key)
        _refuse_above(max_bytes, answer["ContentLength"])
        written_bytes = 0
        with target.open("wb") as file, contextlib.closing(answer["Body"]) as body:
            for chunk in body.iter_chunks(_CHUNK_BYTES):
                written_bytes += file.write(chunk)
        return written_bytes


class _Upload:
    """An object in the making, of parts in their order."""

    def __init__(self, client: "S3Client", bucket: str, key: str, upload_id: str) -> None:
        self._client = client
        self._bucket = bucket
        self._key = key
        self._id = upload_id
        self._parts: list[CompletedPartTypeDef] = []
        self.size_bytes = 0

    async def add(self, part: bytearray) -> None:
        number = len(self._parts) + 1
        answer, checksums = await call(
            _sent,
            self._client.upload_part,
            part,
            {},
            Bucket=self._bucket,
            Key=self._key,
            UploadId=self._id,
            PartNumber=number,
        )
        self._parts.append({"ETag": answer["ETag"], "PartNumber": number, "ChecksumCRC32": checksums["ChecksumCRC32"]})
        self.size_bytes += len(part)

    async def complete(self) -> None:
        await call(
            self._client.complete_multipart_upload,
            Bucket=self._bucket,
            Key=self._key,
            UploadId=self._id,
            MultipartUpload={"Parts": self._parts},
        )

    async def abort(self) -> None:
        await call(self._client.abort_multipart_upload, Bucket=self._bucket, Key=self._key, UploadId=self._id)


def _sent(
    method: Callable[..., Any], body: bytearray, known: Mapping[str, str], **named: Any
) -> tuple[Any, Mapping[str, str]]:
    """The call's answer, and the checksum that S3 compares: what is known of the body, else its CRC32.

    Over TLS botocore would else copy the body into a stream, as its own checksum comes behind what it is of.
    """
    checksums = known or {"ChecksumCRC32": base64.b64encode(zlib.crc32(body).to_bytes(4)).decode()}
    return method(Body=body, **checksums, **named), checksums


def _known_checksum(metadata: Mapping[str, str]) -> Mapping[str, str]:
    """What was worked out while the body came in, of an object that is sent whole."""
    digest = metadata.get("sha256")
    return {"ChecksumSHA256": base64.b64encode(bytes.fromhex(digest)).decode()} if digest else {}


class _Body:
    """An object as it comes in. ahead: what has come and is in no part."""

    def __init__(self, chunks: AsyncIterator[bytes]) -> None:
        self._chunks = chunks
        self.ahead = bytearray()

    async def has(self, size_bytes: int) -> bool:
        """Whether there is as much; then there may be more."""
        while len(self.ahead) < size_bytes:
            try:
                self.ahead += await anext(self._chunks)
            except StopAsyncIteration:
                return False
        return True

    async def fills(self, part: bytearray) -> bool:
        """Whether there is as much as it is long; else there is no more, and it is as long as what was left."""
        at = 0
        while at < len(part) and await self.has(1):
            taken = self.ahead[: len(part) - at]
            part[at : at + len(taken)] = taken
            del self.ahead[: len(taken)]
            at += len(taken)
        is_full = at == len(part)
        del part[at:]
        return is_full


def _refuse_above(max_bytes: int, size_bytes: int) -> None:
    if size_bytes > max_bytes:
        raise BadFileError(f"The file has {size_bytes} bytes; at most {max_bytes} are taken.")
