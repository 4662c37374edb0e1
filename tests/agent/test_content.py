"""Files are what the workflow takes them for, by their first bytes."""

from typing import Any

import pytest

from agent.core.content import Content, contents_of, expected
from sd_async.contract.states import Status
from tests.agent.scenario import Scenario, ended, in_loop, message_of

IMAGE, VIDEO, AUDIO = Content.IMAGE, Content.VIDEO, Content.AUDIO
PNG = b"\x89PNG\r\n\x1a\n" + bytes(16)
MP4 = b"\x00\x00\x00\x20ftypisom" + bytes(16)


@pytest.mark.parametrize(
    ("head", "contents"),
    [
        (PNG, {IMAGE}),
        (b"\xff\xd8\xff\xe0\x00\x10JFIF", {IMAGE}),
        (b"GIF89a" + bytes(8), {IMAGE, VIDEO}),
        (b"RIFF\x00\x00\x00\x00WEBPVP8 ", {IMAGE, VIDEO}),
        (b"II*\x00" + bytes(8), {IMAGE}),
        (b"\x00\x00\x00\x1cftypavif", {IMAGE}),
        (b"\x00\x00\x00\x18ftypheic", {IMAGE}),
        (MP4, {AUDIO, VIDEO}),
        (b"\x00\x00\x00\x14ftypqt  ", {AUDIO, VIDEO}),
        (b"\x1a\x45\xdf\xa3" + bytes(8), {AUDIO, VIDEO}),
        (b"RIFF\x00\x00\x00\x00AVI LIST", {VIDEO}),
        (b"RIFF\x00\x00\x00\x00WAVEfmt ", {AUDIO}),
        (b"fLaC" + bytes(8), {AUDIO}),
        (b"ID3\x04" + bytes(8), {AUDIO}),
        (b"<!DOCTYPE html><title>Sign in", set()),
        (b'{"error": "not found"}', set()),
        (b"PK\x03\x04" + bytes(8), set()),
        (b"\x80\x04\x95" + bytes(8), set()),
        (b"MZ" + bytes(16), set()),
        (b"<svg xmlns=", set()),
        (b"", set()),
        (b"\x89PN", set()),
    ],
)
def test_first_bytes_tell_what_a_file_is(head: bytes, contents: set[Content]) -> None:
    assert contents_of(head) == contents


@pytest.mark.parametrize(
    ("name", "place", "wanted"),
    [
        ("a.png", "image", {IMAGE}),
        ("a", "image", {IMAGE}),
        ("a.mp4", "image", {IMAGE}),
        ("a", "mask", {IMAGE}),
        ("a.gif", "video", {VIDEO}),
        ("a.mp4", "file", {VIDEO}),
        ("a.MP4", "file", {VIDEO}),
        ("a.mp3", "audio", {AUDIO}),
        ("a.latent", "latent", set()),
        ("a.glb", "model_file", set()),
        ("a.txt", "file", set()),
        ("a", "file", set()),
        ("a.png", "elsewhere", {IMAGE}),
    ],
)
def test_what_is_wanted_is_said_by_the_input_and_else_by_the_name(name: str, place: str, wanted: set[Content]) -> None:
    assert expected(name, {"1": {"class_type": "Load", "inputs": {place: name, "x": 1}}}) == wanted


@pytest.mark.parametrize(
    "workflow", [{}, {"a": 1}, {"1": {"inputs": []}}, {"1": {}}, {"1": {"inputs": {"image": ["2", 0]}}}]
)
def test_any_body_is_looked_through(workflow: Any) -> None:
    assert expected("a", workflow) == set()


@pytest.mark.parametrize(
    ("body", "status"),
    [(PNG, Status.SUCCEEDED), (MP4, Status.FAILED), (b"<html>Sign in</html>", Status.FAILED), (b"", Status.FAILED)],
)
@in_loop
async def test_a_page_in_place_of_a_picture_fails_the_job_and_says_so(body: bytes, status: Status) -> None:
    scene = Scenario()
    scene.web.at = {"https://example.com/a.png": body}
    await scene.submit(message_of(files={"a.png": "https://example.com/a.png"}))
    agent = scene.agent()
    await scene.clock.advance(12)
    job = scene.job()
    assert (job.status, len(scene.backend.started)) == (status, int(status is Status.SUCCEEDED))
    if status is Status.FAILED:
        assert job.error is not None
        assert job.error.code == "bad_file"
        assert job.error.message.startswith("files.a.png: It should be image, and by its first bytes it is")
    await ended([agent])
