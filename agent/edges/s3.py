"""The buckets: input files out, outputs in."""

import asyncio
import contextlib
import tempfile
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from agent.aws import call, error_code, translated
from agent.errors import BadFileError
from agent.ports import NOTHING

if TYPE_CHECKING:  # stubs only; the image does not carry them
    from mypy_boto3_s3 import S3Client

_IN_MEMORY_BYTES = 4 * 1024 * 1024  # a 1024² PNG is 1.5 MB and never touches the disk; a video does
_CHUNK_BYTES = 256 * 1024
# Without the right to list a bucket, S3 says 403 about a key that is not there.
_NOT_THERE = frozenset({"403", "404", "AccessDenied", "NoSuchBucket", "NoSuchKey"})


class S3Files:
    def __init__(self, client: "S3Client", output_bucket: str) -> None:
        self._client = client
        self._bucket = output_bucket

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
        with tempfile.SpooledTemporaryFile(_IN_MEMORY_BYTES) as body:
            async for chunk in chunks:
                if len(chunk) + body.tell() > _IN_MEMORY_BYTES:
                    await asyncio.to_thread(body.write, chunk)
                else:
                    body.write(chunk)
            size_bytes = body.tell()
            body.seek(0)
            await call(self._put, key, body, content_type, metadata)
            return size_bytes

    def _put(self, key: str, body: IO[bytes], content_type: str, metadata: Mapping[str, str]) -> None:
        self._client.put_object(
            Bucket=self._bucket, Key=key, Body=body, ContentType=content_type, Metadata=dict(metadata)
        )

    def _fetch(self, bucket: str, key: str, target: Path, max_bytes: int) -> int:
        answer = self._client.get_object(Bucket=bucket, Key=key)
        _refuse_above(max_bytes, answer["ContentLength"])
        written_bytes = 0
        with target.open("wb") as file, contextlib.closing(answer["Body"]) as body:
            for chunk in body.iter_chunks(_CHUNK_BYTES):
                written_bytes += file.write(chunk)
        return written_bytes


def _refuse_above(max_bytes: int, size_bytes: int) -> None:
    if size_bytes > max_bytes:
        raise BadFileError(f"The file has {size_bytes} bytes; at most {max_bytes} are taken.")
