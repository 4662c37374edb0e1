"""The ComfyUI edge, against a server that says exactly what ComfyUI says."""

import contextlib
import uuid
from pathlib import Path

import pytest

from agent.edges.comfyui import ComfyUI
from agent.errors import (
    AgentError,
    BadFileError,
    RuntimeFaultError,
)
from agent.ports import Work
from sd_async.contract.jobs import Progress
from tests.agent.comfyui_client import WORK, backend_of, made_by
from tests.agent.comfyui_server import Script, comfyui, succeeded
from tests.agent.scenario import JOB_ID, WORKFLOW, in_loop


@in_loop
async def test_a_finished_prompts_files_can_be_read() -> None:
    script = Script()
    async with backend_of(script) as backend:
        [artifact] = await backend.run(WORK, lambda _: None)
        assert b"".join([chunk async for chunk in backend.read(artifact)]) == b"pixels"
    assert (artifact.name, artifact.type, artifact.content_type, artifact.node_id) == (
        "fox_00001_.png",
        "image",
        "image/png",
        "9",
    )
    assert ("/view", {"filename": "fox_00001_.png", "subfolder": "s", "type": "output"}) in script.posts


@in_loop
async def test_the_socket_is_there_before_the_prompt_and_has_its_client_id() -> None:
    script = Script(socket_delay_s=0.1)  # a prompt sent meanwhile would be there long before the socket
    await made_by(script)
    [prompt] = script.prompts
    assert script.sockets_at_prompt == [prompt["client_id"]]
    assert prompt["prompt_id"] == JOB_ID
    assert prompt["extra_data"] == {"sd_async_agent": "comfy-0"}
    assert prompt["prompt"]["9"]["inputs"]["filename_prefix"] == f"sd-async/{JOB_ID}-1/ComfyUI"


@in_loop
async def test_input_files_are_uploaded_under_names_of_this_attempt_and_the_graph_names_those(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"A")
    graph = {"1": {"class_type": "LoadImage", "inputs": {"image": "Pose & co.PNG", "upload": "image", "n": 3}}}
    script = Script()
    await made_by(script, Work(JOB_ID, f"{JOB_ID}-1", graph, {"Pose & co.PNG": tmp_path / "a"}))
    name = f"sd-async-{JOB_ID}-1-0.png"
    assert script.uploads == {name: b"A"}
    sent = script.prompts[0]["prompt"]["1"]["inputs"]
    assert sent == {"image": name, "upload": "image", "n": 3, "sd_async": f"{JOB_ID}-1"}
    assert graph["1"]["inputs"] == {"image": "Pose & co.PNG", "upload": "image", "n": 3}, "the client's stays as it was"


@in_loop
async def test_a_file_that_the_runtime_puts_into_a_folder_is_named_with_it(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"A")
    graph = {"1": {"class_type": "LoadImage", "inputs": {"image": "a.png"}}}
    script = Script(upload=(200, {"name": "b (1).png", "subfolder": "c/d", "type": "input"}))
    await made_by(script, Work(JOB_ID, "x", graph, {"a.png": tmp_path / "a"}))
    assert script.prompts[0]["prompt"]["1"]["inputs"]["image"] == "c/d/b (1).png"


@pytest.mark.parametrize(("status", "kind"), [(400, BadFileError), (413, BadFileError), (500, RuntimeFaultError)])
@in_loop
async def test_a_refused_upload_is_the_files_fault_and_a_failed_one_the_runtimes(
    tmp_path: Path, status: int, kind: type[AgentError]
) -> None:
    (tmp_path / "a").write_bytes(b"A")
    with pytest.raises(kind):
        await made_by(Script(upload=(status, {"no": 1})), Work(JOB_ID, "x", WORKFLOW, {"a.png": tmp_path / "a"}))


@in_loop
async def test_a_prompt_is_followed_under_the_id_that_the_runtime_gave_it() -> None:
    seen: list[Progress] = []
    script = Script(
        after=2,
        refusal=(200, {"prompt_id": "its-own", "number": 1, "node_errors": {}}),
        late_frames=[{"type": "executing", "data": {"prompt_id": "its-own", "node": "9"}}],
    )
    async with backend_of(script) as backend:
        assert len(await backend.run(WORK, seen.append)) == 1
    assert set(script.asked_for) == {"its-own"}
    assert [progress.current_node for progress in seen][:1] == ["9"]


@in_loop
async def test_what_the_runtime_says_of_itself_is_noted_for_the_account() -> None:
    system = {"comfyui_version": "0.3.64", "pytorch_version": "2.13", "argv": ["main.py", "--secret"], "os": "posix"}
    script = Script(stats={"system": system, "devices": [{"name": "cuda:0 NVIDIA L4", "vram_total": 1}]})
    work = Work(JOB_ID, "x", WORKFLOW, {})
    async with backend_of(script) as backend:
        assert await backend.ready()
        await backend.run(work, lambda _: None)
    assert work.notes == {
        "comfyui_version": "0.3.64",
        "pytorch_version": "2.13",
        "devices": ["cuda:0 NVIDIA L4"],
    }


@pytest.mark.parametrize("stats", [[], {"system": 1}, {"devices": None}, {"system": {}, "devices": [1]}])
@in_loop
async def test_a_runtime_that_says_something_else_of_itself_is_ready_all_the_same(stats: object) -> None:
    async with backend_of(Script(stats=stats)) as backend:
        assert await backend.ready()


@in_loop
async def test_progress_comes_from_the_socket() -> None:
    seen: list[Progress] = []
    state = {"9": {"state": "running", "value": 3, "max": 4}}
    script = Script(
        after=3,
        frames=[
            {"type": "status", "data": {"status": {"exec_info": {"queue_remaining": 1}}}},
            b"\0\0\0\1preview",
            {"type": "execution_start", "data": {"prompt_id": JOB_ID}},
            {"type": "progress_state", "data": {"prompt_id": JOB_ID, "nodes": state}},
            {"type": "progress_state", "data": {"prompt_id": "another", "nodes": {"9": {"state": "finished"}}}},
            {"type": "execution_success", "data": {"prompt_id": JOB_ID}},
        ],
    )
    async with backend_of(script) as backend:
        await backend.run(WORK, seen.append)
    assert seen[:-1] in ([], [Progress(nodes_total=1)])  # it has begun, where that was read by itself
    assert seen[-1:] == [
        Progress(
            value=0.75,
            nodes_done=0,
            nodes_total=1,
            current_node="9",
            current_node_class="SaveImage",
            step=3,
            steps=4,
        ),
    ]


@in_loop
async def test_a_lost_socket_is_made_anew_under_another_id_and_the_history_decides() -> None:
    script = Script(after=20, drops_socket=1)
    [artifact] = await made_by(script)
    assert artifact.name == "fox_00001_.png"
    assert len(script.sockets) >= 2
    assert len(set(script.sockets)) == len(script.sockets), "two sockets with one id go deaf"


@in_loop
async def test_all_prompts_share_one_socket_and_each_hears_its_own() -> None:
    ids = [str(uuid.UUID(int=number)) for number in range(1, 4)]
    script = Script(after=0)
    async with comfyui(script) as url, contextlib.aclosing(ComfyUI(url, "a", poll_s=1000)) as backend:
        for run_id in ids:
            script.frames = [{"type": "execution_success", "data": {"prompt_id": run_id}}]
            assert len(await backend.run(Work(run_id, f"{run_id}-1", WORKFLOW, {}), lambda _: None)) == 1
    assert len(script.sockets) == 1
    assert {prompt["client_id"] for prompt in script.prompts} == set(script.sockets)
    assert script.questions == 3, "one for each prompt"


@in_loop
async def test_a_file_in_a_shared_folder_is_read_there(tmp_path: Path) -> None:
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / "fox_00001_.png").write_bytes(b"from the folder")
    script = Script()
    async with (
        comfyui(script) as url,
        contextlib.aclosing(ComfyUI(url, "a", poll_s=0.01, output_folder=tmp_path)) as backend,
    ):
        [artifact] = await backend.run(WORK, lambda _: None)
        assert b"".join([chunk async for chunk in backend.read(artifact)]) == b"from the folder"
    assert "/view" not in [path for path, _ in script.posts]


@pytest.mark.parametrize(
    ("subfolder", "name"), [("..", "secret"), ("s", "../../secret"), ("link", "secret"), ("", "no")]
)
@in_loop
async def test_what_is_not_in_the_shared_folder_is_asked_for(tmp_path: Path, subfolder: str, name: str) -> None:
    (tmp_path / "secret").write_bytes(b"not yours")
    shared = tmp_path / "output"
    (shared / "s").mkdir(parents=True)
    (shared / "link").symlink_to(tmp_path)
    entry = succeeded({"9": {"images": [{"filename": name, "subfolder": subfolder, "type": "output"}]}})
    async with (
        comfyui(Script(entry=entry)) as url,
        contextlib.aclosing(ComfyUI(url, "a", poll_s=0.01, output_folder=shared)) as backend,
    ):
        [artifact] = await backend.run(WORK, lambda _: None)
        assert b"".join([chunk async for chunk in backend.read(artifact)]) == b"pixels"


@in_loop
async def test_without_any_socket_the_job_is_done_all_the_same() -> None:
    assert len(await made_by(Script(after=3, has_socket=False))) == 1


@in_loop
async def test_a_finished_prompt_is_noticed_by_the_socket_long_before_the_next_poll() -> None:
    script = Script(after=0, frames=[{"type": "execution_success", "data": {"prompt_id": JOB_ID}}])
    async with comfyui(script) as url, contextlib.aclosing(ComfyUI(url, "a", poll_s=1000)) as backend:
        assert len(await backend.run(WORK, lambda _: None)) == 1
