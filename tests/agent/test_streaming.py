"""What of large outputs is in memory while they pass to S3."""

import asyncio
import base64
import hashlib
import tracemalloc
import zlib
from collections.abc import AsyncIterator
from typing import Any

import pytest
from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.compat import HTTPHeaders

from agent.aws import clients
from agent.edges.s3 import PART_BYTES, S3Files
from tests.agent.scenario import in_loop

MIB = 1024 * 1024
VIDEO_MIB = 20


class SlowBucket:
    """An S3 client whose parts take as long as the test wants. sizes: of each key's calls, in their order."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.sizes: dict[str, list[int]] = {}
        self._loop = asyncio.get_running_loop()

    def create_multipart_upload(self, **_: Any) -> dict[str, str]:
        return {"UploadId": "1"}

    def upload_part(self, **given: Any) -> dict[str, str]:
        asyncio.run_coroutine_threadsafe(self.open.wait(), self._loop).result()
        self.sizes.setdefault(given["Key"], []).append(len(given["Body"]))
        return {"ETag": "1"}

    def complete_multipart_upload(self, **_: Any) -> None: ...

    def put_object(self, **given: Any) -> None:
        self.sizes.setdefault(given["Key"], []).append(len(given["Body"]))


async def video(mib: int) -> AsyncIterator[bytes]:
    for _ in range(4 * mib):
        await asyncio.sleep(0)
        yield bytes(MIB // 4)


async def read_ahead() -> None:
    """Whatever may be read before a part is sent is read then."""
    for _ in range(8 * VIDEO_MIB):
        await asyncio.sleep(0)


def files(bucket: SlowBucket) -> S3Files:
    client: Any = bucket
    return S3Files(client, "outputs")


@in_loop
async def test_of_many_large_files_two_parts_are_in_memory_and_little_of_those_that_wait() -> None:
    bucket = SlowBucket()
    store = files(bucket)
    tracemalloc.start()
    try:
        puts = []
        for number in range(8):
            puts.append(asyncio.create_task(store.put(f"{number}.mp4", video(VIDEO_MIB), "video/mp4")))
            await read_ahead()
        bucket.open.set()
        sizes = await asyncio.gather(*puts)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert sizes == [VIDEO_MIB * MIB] * 8
    assert set(map(tuple, bucket.sizes.values())) == {(PART_BYTES, PART_BYTES, 4 * MIB)}
    assert peak < 2 * PART_BYTES + 5 * MIB


@in_loop
async def test_a_small_file_passes_by_large_ones_that_take_their_time() -> None:
    bucket = SlowBucket()
    store = files(bucket)
    large = [asyncio.create_task(store.put(name, video(VIDEO_MIB), "video/mp4")) for name in "ab"]
    await read_ahead()
    assert await store.put("small", video(0), "text/plain") == 0
    assert "small" in bucket.sizes
    bucket.open.set()
    await asyncio.gather(*large)


class Wire:
    """What botocore would send to AWS itself, over TLS: headers, and the body as the object that it is."""

    def __init__(self, client: Any) -> None:
        self.sent: list[tuple[str, dict[str, str], Any]] = []
        client.meta.events.register("before-send.s3", self._send)

    def _send(self, request: AWSPreparedRequest, **_: Any) -> AWSResponse:
        headers = {
            name.lower(): value.decode() if isinstance(value, bytes) else str(value)
            for name, value in request.headers.items()
        }
        self.sent.append((request.url, headers, request.body))
        answer = b"<Made><UploadId>1</UploadId></Made>" if request.url.endswith("uploads") else b""
        return AWSResponse(request.url, 200, HTTPHeaders.from_dict({"ETag": "tag"}), Raw(answer))


class Raw:
    def __init__(self, content: bytes) -> None:
        self._content = content

    def stream(self, *_: Any, **__: Any) -> Any:
        return iter([self._content])


@pytest.fixture
def wire_and_files(monkeypatch: pytest.MonkeyPatch) -> tuple[Wire, S3Files]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "not-a-secret")
    client = clients("us-west-2", None).s3
    return Wire(client), S3Files(client, "outputs")


def checksum(size_bytes: int) -> str:
    return base64.b64encode(zlib.crc32(bytes(size_bytes)).to_bytes(4)).decode()


def test_over_tls_a_picture_goes_as_the_bytes_that_it_is_with_its_checksum(
    wire_and_files: tuple[Wire, S3Files],
) -> None:
    wire, store = wire_and_files
    asyncio.run(store.put("a.png", video(1), "image/png", {"job-id": "1"}))
    [(url, headers, body)] = wire.sent
    assert url.startswith("https://")
    assert (type(body), len(body)) == (bytearray, MIB), "a stream around it would hold it a second time"
    assert headers["x-amz-checksum-crc32"] == checksum(MIB)
    assert "transfer-encoding" not in headers
    assert headers["x-amz-content-sha256"] == "UNSIGNED-PAYLOAD", "TLS and the checksum say as much"


def test_a_digest_that_is_known_already_is_the_checksum(wire_and_files: tuple[Wire, S3Files]) -> None:
    wire, store = wire_and_files
    digest = hashlib.sha256(bytes(MIB))
    asyncio.run(store.put("a.png", video(1), "image/png", {"sha256": digest.hexdigest()}))
    [(_, headers, _)] = wire.sent
    assert headers["x-amz-checksum-sha256"] == base64.b64encode(digest.digest()).decode()
    assert "x-amz-checksum-crc32" not in headers


def test_the_parts_of_a_large_file_and_its_whole_name_one_kind_of_checksum(
    wire_and_files: tuple[Wire, S3Files],
) -> None:
    """S3 refuses a part whose kind of checksum the upload was not created with, and a whole that leaves one out."""
    wire, store = wire_and_files
    asyncio.run(store.put("a.mp4", video(VIDEO_MIB), "video/mp4"))
    (_, created, _), *parts, (_, _, whole) = wire.sent
    expected = [checksum(size) for size in (PART_BYTES, PART_BYTES, 4 * MIB)]
    assert created["x-amz-checksum-algorithm"] == "CRC32"
    assert [headers["x-amz-checksum-crc32"] for _, headers, _ in parts] == expected
    assert {type(body) for _, _, body in parts} == {bytearray}
    assert [mark.partition(b"<")[0].decode() for mark in whole.split(b"<ChecksumCRC32>")[1:]] == expected
