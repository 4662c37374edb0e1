"""One suite over the fake buckets and S3, and one over the fake topic and SNS."""

import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from agent.aws import Clients
from agent.edges.s3 import S3Files
from agent.errors import BadFileError
from tests.agent.ports import FilesUnderTest, TopicUnderTest
from tests.agent.scenario import in_loop

DIGEST = hashlib.sha256(b"12").hexdigest()


async def chunks(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


@pytest.mark.parametrize("key", ["a.png", "folder/with space/ü?#%20.png"])
@in_loop
async def test_an_object_is_fetched_whatever_its_key(files: FilesUnderTest, tmp_path: Path, key: str) -> None:
    url = files.place(key, b"12345")
    assert await files.port.fetch(url, tmp_path / "a", 5) == 5
    assert (tmp_path / "a").read_bytes() == b"12345"


@in_loop
async def test_an_object_over_the_limit_is_refused_with_both_sizes(files: FilesUnderTest, tmp_path: Path) -> None:
    with pytest.raises(BadFileError, match=r"5 bytes.*at most 4"):
        await files.port.fetch(files.place("a.png", b"12345"), tmp_path / "a", 4)


@in_loop
async def test_an_object_that_is_not_there_is_a_bad_file(files: FilesUnderTest, tmp_path: Path) -> None:
    url = files.place("a.png", b"12345").replace("a.png", "b.png")
    with pytest.raises(BadFileError, match=r"b\.png"):
        await files.port.fetch(url, tmp_path / "a", 5)


@in_loop
async def test_what_is_put_is_stored_with_its_type_and_counted(files: FilesUnderTest) -> None:
    assert await files.port.put("x/1/a.png", chunks(b"12", b"", b"345"), "image/png") == 5
    assert files.stored("x/1/a.png") == (b"12345", "image/png")


@in_loop
async def test_metadata_are_stored_with_what_the_chunks_have_added_to_them(files: FilesUnderTest) -> None:
    metadata = {"job-id": "j", "node-id": "%D1%83 9:1"}

    async def told() -> AsyncIterator[bytes]:
        yield b"12"
        metadata["sha256"] = DIGEST

    await files.port.put("x/1/a.png", told(), "image/png", metadata)
    assert files.metadata("x/1/a.png") == {"job-id": "j", "node-id": "%D1%83 9:1", "sha256": DIGEST}


@in_loop
async def test_what_does_not_fit_in_memory_is_stored_all_the_same(files: FilesUnderTest) -> None:
    parts = [bytes([number]) * 1024 * 1024 for number in range(6)]
    assert await files.port.put("film.mp4", chunks(*parts), "video/mp4") == 6 * 1024 * 1024
    assert files.stored("film.mp4")[0] == b"".join(parts)


@in_loop
async def test_a_film_goes_in_parts_and_comes_out_whole(files: FilesUnderTest) -> None:
    parts = [bytes([number]) * 1024 * 1024 for number in range(20)]
    assert await files.port.put("film.mp4", chunks(*parts), "video/mp4") == 20 * 1024 * 1024
    assert files.stored("film.mp4") == (b"".join(parts), "video/mp4")


@in_loop
async def test_a_film_that_breaks_off_leaves_neither_an_object_nor_parts(clients: Clients, bucket: str) -> None:
    async def broken() -> AsyncIterator[bytes]:
        for _ in range(9):
            yield bytes(1024 * 1024)
        raise ConnectionError

    with pytest.raises(ConnectionError):
        await S3Files(clients.s3, bucket).put("half.mp4", broken(), "video/mp4")
    assert "Contents" not in clients.s3.list_objects_v2(Bucket=bucket)
    assert "Uploads" not in clients.s3.list_multipart_uploads(Bucket=bucket), "they would be paid for unseen"


@in_loop
async def test_a_runtime_that_fails_while_it_is_read_leaves_no_object(files: FilesUnderTest) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b"12"
        raise ConnectionError

    with pytest.raises(ConnectionError):
        await files.port.put("half.png", broken(), "image/png")
    with pytest.raises(Exception, match=r"half\.png|NoSuchKey"):
        files.stored("half.png")


@in_loop
async def test_a_result_arrives_with_its_attributes(topic: TopicUnderTest) -> None:
    await topic.port.publish('{"ü": 1}'.encode(), {"runtime": "comfy", "status": "failed"})
    assert topic.arrived() == [('{"ü": 1}', {"runtime": "comfy", "status": "failed"})]
