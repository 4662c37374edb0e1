"""Pictures that come over ComfyUI's socket and are kept nowhere else."""

import contextlib
import io
import json
import struct
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from agent.edges.comfyui import ComfyUI
from agent.edges.comfyui.sent import Receiver
from agent.edges.comfyui.socket import MAX_PICTURE_BYTES, Message
from agent.errors import NoOutputsError, OutputFormatError, RuntimeFaultError, TooManyOutputsError
from agent.ports import Artifact, Work
from local.painter.embedded import serving
from local.painter.settings import PainterSettings
from tests.agent.comfyui_client import backend_of, client
from tests.agent.comfyui_server import PICTURE, Script, succeeded
from tests.agent.scenario import JOB_ID, in_loop

SENDING = {
    "3": {"class_type": "KSampler", "inputs": {}},
    "7": {"class_type": "SaveImageWebsocket", "inputs": {"images": ["3", 0]}},
}
WORK = Work(JOB_ID, f"{JOB_ID}-1", SENDING, {})
SECOND_ID = str(uuid.uuid5(uuid.NAMESPACE_OID, f"{JOB_ID}/resent"))
IDS = (JOB_ID, SECOND_ID)
NOTHING = succeeded({})
Frame = dict[str, Any] | bytes


def executing(node: str | None, prompt_id: str = JOB_ID) -> Frame:
    return {"type": "executing", "data": {"node": node, "prompt_id": prompt_id}}


def success(prompt_id: str = JOB_ID) -> Frame:
    return {"type": "execution_success", "data": {"prompt_id": prompt_id}}


def plain(picture: bytes, kind: int = 2) -> bytes:
    return struct.pack(">II", 1, kind) + picture


def told(picture: bytes, node: str = "7", prompt_id: str = JOB_ID, kind: str = "image/png") -> bytes:
    about = json.dumps({"node_id": node, "prompt_id": prompt_id, "image_type": kind}).encode()
    return struct.pack(">II", 4, len(about)) + about + picture


async def delivered(script: Script, work: Work = WORK) -> dict[str, tuple[str, bytes]]:
    """Content type and bytes by name."""
    async with backend_of(script) as backend:
        return await read(backend, await backend.run(work, lambda _: None))


async def read(backend: ComfyUI, made: Any) -> dict[str, tuple[str, bytes]]:
    async def whole(artifact: Artifact) -> bytes:
        async with contextlib.aclosing(backend.read(artifact)) as chunks:
            return b"".join([chunk async for chunk in chunks])

    return {artifact.name: (artifact.content_type, await whole(artifact)) for artifact in made}


@in_loop
async def test_what_is_sent_while_the_node_runs_is_delivered_and_previews_of_others_are_not() -> None:
    frames = [
        plain(b"before all"),
        executing("3"),
        plain(b"a sampler's", 1),
        executing("7"),
        plain(b"one"),
        plain(b"two", 1),
        success(),
        plain(b"of somebody else"),
        executing(None),
    ]
    assert await delivered(Script(entry=NOTHING, frames=frames)) == {
        "websocket_7_00001.png": ("image/png", b"one"),
        "websocket_7_00002.jpg": ("image/jpeg", b"two"),
    }


@in_loop
async def test_what_names_its_node_is_taken_by_that_and_by_nothing_else() -> None:
    frames = [
        executing("7"),
        told(b"a preview", node="3"),
        told(b"another prompt's", prompt_id=str(uuid.uuid4())),
        told(b"no picture", kind="video/mp4"),
        executing("3"),
        told(b"late"),
        success(),
    ]
    assert await delivered(Script(entry=NOTHING, frames=frames)) == {"websocket_7_00001.png": ("image/png", b"late")}


@in_loop
async def test_the_runtime_is_told_first_of_all_that_pictures_may_name_their_node() -> None:
    script = Script(entry=NOTHING, frames=[executing("7"), plain(b"one"), success()])
    await delivered(script)
    assert json.loads(script.texts[0]) == {"type": "feature_flags", "data": {"supports_preview_metadata": True}}


@pytest.mark.parametrize(
    "frame",
    [
        b"",
        struct.pack(">II", 1, 2),
        struct.pack(">II", 1, 3) + b"of a format that is none",
        struct.pack(">II", 4, 0xFFFFFFFF) + b"{",
        struct.pack(">II", 4, 2) + b"{}x",
        b"\0\0\0\3text",
    ],
)
def test_a_frame_that_is_none_of_these_is_left_alone(frame: bytes) -> None:
    receiver = Receiver(SENDING)
    receiver.hear(Message("executing", {"node": "7"}))
    receiver.take(frame, IDS)
    assert receiver.pictures() == []


@in_loop
async def test_saved_files_are_delivered_beside_them_and_temporary_ones_are_not() -> None:
    graph = SENDING | {"9": {"class_type": "SaveImage", "inputs": {"images": ["3", 0]}}}
    outputs = PICTURE["outputs"] | {"3": {"images": [{"filename": "t.png", "type": "temp"}]}}
    frames = [executing("7"), plain(b"one"), success()]
    script = Script(entry=succeeded(outputs), frames=frames)
    found = await delivered(script, Work(JOB_ID, "x", graph, {}))
    assert list(found) == ["websocket_7_00001.png", "fox_00001_.png"], "in the graph's order"


@in_loop
async def test_a_picture_larger_than_any_preview_arrives_and_then_previews_are_bounded_again() -> None:
    large = bytes(5 * 1024 * 1024)
    script = Script(entry=NOTHING, frames=[executing("7"), plain(large), success()])
    async with backend_of(script) as backend:
        found = await read(backend, await backend.run(WORK, lambda _: None))
        assert [len(content) for _, content in found.values()] == [len(large)]
        assert len(script.sockets) == 1
        script.entry, script.after, script.frames = PICTURE, 20, [plain(large)]
        await backend.run(Work(SECOND_ID, "x", {"9": {"class_type": "SaveImage", "inputs": {}}}, {}), lambda _: None)
    assert len(script.sockets) == 2, "a frame as large as that was nobody's, and ended the socket"


@in_loop
async def test_a_picture_too_large_for_the_socket_fails_the_job_in_a_sentence() -> None:
    frames = [executing("7"), plain(bytes(MAX_PICTURE_BYTES)), success()]
    with pytest.raises(OutputFormatError, match=r"over 32 MiB.*save it with `SaveImage`"):
        await delivered(Script(entry=NOTHING, after=3, frames=frames))


def test_pictures_lie_on_disk_for_as_long_as_they_are_wanted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    receiver = Receiver(SENDING)
    receiver.hear(Message("executing", {"node": "7"}))
    receiver.take(plain(b"pixels"), IDS)
    [one] = receiver.pictures()
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"pixels"]
    assert b"".join(one.picture.chunks()) == b"pixels"
    del receiver, one
    assert list(tmp_path.iterdir()) == []


def test_pictures_are_bounded_together() -> None:
    receiver = Receiver(SENDING, max_bytes=6)
    receiver.hear(Message("executing", {"node": "7"}))
    for picture in (b"123", b"456"):
        receiver.take(plain(picture), IDS)
    assert len(receiver.pictures()) == 2, "just as much as may be"
    receiver.take(plain(b"7"), IDS)
    with pytest.raises(TooManyOutputsError):
        receiver.pictures()


@in_loop
async def test_a_socket_lost_before_the_end_has_the_prompt_run_once_more_as_another() -> None:
    frames = [frame for run_id in IDS for frame in (executing("7", run_id), told(b"one", prompt_id=run_id))]
    script = Script(entry=NOTHING, frames=[*frames, success(SECOND_ID)], drops_socket=1)
    assert await delivered(script) == {"websocket_7_00001.png": ("image/png", b"one")}
    assert [prompt["prompt_id"] for prompt in script.prompts] == list(IDS)
    marks = [prompt["prompt"]["7"]["inputs"]["sd_async"] for prompt in script.prompts]
    assert marks == [f"{JOB_ID}-1", f"{JOB_ID}-1-resent"], "so that nothing comes from the runtime's cache"
    assert script.prompts[1]["client_id"] == script.sockets[1]


@in_loop
async def test_a_socket_lost_twice_is_the_runtimes_fault_and_the_job_is_never_called_done() -> None:
    frames = [frame for run_id in IDS for frame in (executing("7", run_id), told(b"one", prompt_id=run_id))]
    script = Script(entry=PICTURE, frames=frames, drops_socket=2)
    with pytest.raises(RuntimeFaultError, match="lost twice"):
        await delivered(script)
    assert len(script.prompts) == 2


@in_loop
async def test_an_end_that_was_told_before_the_socket_was_lost_is_an_end() -> None:
    script = Script(entry=NOTHING, frames=[executing("7"), plain(b"one"), success()], drops_socket=1)
    assert list(await delivered(script)) == ["websocket_7_00001.png"]
    assert len(script.prompts) == 1


@in_loop
async def test_the_history_may_be_there_before_the_pictures_have_arrived() -> None:
    script = Script(entry=NOTHING, after=0, tardy_frames=[executing("7"), plain(b"one"), success()])
    assert list(await delivered(script)) == ["websocket_7_00001.png"]


@in_loop
async def test_without_a_socket_the_prompt_is_not_even_sent() -> None:
    script = Script(has_socket=False)
    with pytest.raises(RuntimeFaultError, match="socket cannot be opened"):
        await delivered(script)
    assert script.prompts == []


@in_loop
async def test_a_node_that_had_nothing_to_send_is_a_job_without_outputs() -> None:
    with pytest.raises(NoOutputsError):
        await delivered(Script(entry=NOTHING, frames=[success()]))


@pytest.fixture
def painter(tmp_path: Path) -> Iterator[str]:
    with serving(PainterSettings(data=tmp_path, seconds_per_step=0, has_previews=True)) as url:
        yield url


@pytest.mark.parametrize("repeats", [1, 2])
@in_loop
async def test_a_batch_is_as_many_pictures_each_time_and_no_preview_is_among_them(painter: str, repeats: int) -> None:
    example = Path(__file__).parents[2] / "examples" / "comfyui" / "websocket.json"
    graph = json.loads(example.read_text())
    async with contextlib.aclosing(client(painter)) as backend:
        for _ in range(repeats):
            job_id = str(uuid.uuid4())
            found = await read(backend, await backend.run(Work(job_id, f"{job_id}-1", graph, {}), lambda _: None))
    assert list(found) == ["websocket_9_00001.png", "websocket_9_00002.png"]
    for _, content in found.values():
        with Image.open(io.BytesIO(content)) as picture:
            assert (picture.format, np.asarray(picture).shape) == ("PNG", (512, 512, 3))
