"""What of large outputs is in memory while they pass to S3."""

import asyncio
import tracemalloc
from collections.abc import AsyncIterator
from typing import Any

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
