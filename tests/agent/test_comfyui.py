"""The ComfyUI edge, against a server that says exactly what ComfyUI says."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from agent.edges.comfyui import ComfyUI
from agent.errors import (
    AgentError,
    BadFileError,
    InvalidWorkflowError,
    NodeFailedError,
    NoOutputsError,
    RuntimeFaultError,
    RuntimeGoneError,
    RuntimeLostError,
)
from agent.ports import Artifact, Work
from local.processes import free_port
from sd_async.contract.jobs import Progress
from tests.agent.comfyui_server import Script, comfyui, ended_with, succeeded
from tests.agent.scenario import JOB_ID, WORKFLOW, in_loop

WORK = Work(run_id=JOB_ID, label=f"{JOB_ID}-1", input=WORKFLOW, files={})


@contextlib.asynccontextmanager
async def backend_of(script: Script) -> AsyncIterator[ComfyUI]:
    async with comfyui(script) as url, contextlib.aclosing(client(url)) as backend:
        yield backend


def client(url: str) -> ComfyUI:
    return ComfyUI(url, "comfy-0", poll_s=0.01, reconnect_s=0.01)


async def made_by(script: Script, work: Work = WORK) -> list[Artifact]:
    async with backend_of(script) as backend:
        return list(await backend.run(work, lambda _: None))


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
    assert script.prompts[0]["prompt"]["1"]["inputs"] == {"image": name, "upload": "image", "n": 3}
    assert graph["1"]["inputs"] == {"image": "Pose & co.PNG", "upload": "image", "n": 3}, "the client's stays as it was"


@pytest.mark.parametrize(("status", "kind"), [(400, BadFileError), (413, BadFileError), (500, RuntimeFaultError)])
@in_loop
async def test_a_refused_upload_is_the_files_fault_and_a_failed_one_the_runtimes(
    tmp_path: Path, status: int, kind: type[AgentError]
) -> None:
    (tmp_path / "a").write_bytes(b"A")
    with pytest.raises(kind):
        await made_by(Script(upload=(status, {"no": 1})), Work(JOB_ID, "x", WORKFLOW, {"a.png": tmp_path / "a"}))


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
    assert seen == [
        Progress(
            value=0.75,
            nodes_done=0,
            nodes_total=1,
            current_node="9",
            current_node_class="SaveImage",
            step=3,
            steps=4,
        )
    ]


@in_loop
async def test_a_lost_socket_is_made_anew_under_another_id_and_the_history_decides() -> None:
    script = Script(after=20, drops_socket=True)
    [artifact] = await made_by(script)
    assert artifact.name == "fox_00001_.png"
    assert len(script.sockets) >= 2
    assert len(set(script.sockets)) == len(script.sockets), "two sockets with one id go deaf"


@in_loop
async def test_without_any_socket_the_job_is_done_all_the_same() -> None:
    assert len(await made_by(Script(after=3, has_socket=False))) == 1


@in_loop
async def test_a_finished_prompt_is_noticed_by_the_socket_long_before_the_next_poll() -> None:
    script = Script(after=1, late_frames=[{"type": "execution_success", "data": {"prompt_id": JOB_ID}}])
    async with comfyui(script) as url, contextlib.aclosing(ComfyUI(url, "a", poll_s=1000)) as backend:
        assert len(await backend.run(WORK, lambda _: None)) == 1


REASONS = {
    "3": {
        "errors": [{"type": "value_not_in_list", "message": "Value not in list", "details": "ckpt_name: 'x'"}],
        "dependent_outputs": ["9"],
        "class_type": "CheckpointLoaderSimple",
    }
}


@in_loop
async def test_a_refused_graph_fails_in_comfyuis_own_words() -> None:
    error = {"type": "prompt_outputs_failed_validation", "message": "Prompt outputs failed validation", "details": ""}
    script = Script(refusal=(400, {"error": error, "node_errors": REASONS}))
    with pytest.raises(InvalidWorkflowError) as refused:
        await made_by(script)
    assert refused.value.message == "Prompt outputs failed validation"
    assert (refused.value.node_id, refused.value.class_type) == ("3", "CheckpointLoaderSimple")
    assert refused.value.node_errors == REASONS


@in_loop
async def test_a_class_that_is_not_installed_is_named() -> None:
    error = {"type": "invalid_prompt", "message": "Cannot execute because node X does not exist.", "details": "#3"}
    with pytest.raises(InvalidWorkflowError, match=r"node X does not exist\.: #3"):
        await made_by(Script(refusal=(400, {"error": error, "node_errors": {}})))


@in_loop
async def test_a_graph_of_which_only_a_part_is_valid_is_withdrawn_and_fails() -> None:
    answer = {"prompt_id": JOB_ID, "number": 1, "node_errors": REASONS}
    script = Script(refusal=(200, answer))
    with pytest.raises(InvalidWorkflowError) as refused:
        await made_by(script)
    assert refused.value.node_errors == REASONS
    assert script.posts == [("/queue", {"delete": [JOB_ID]}), ("/interrupt", {"prompt_id": JOB_ID})]


@pytest.mark.parametrize(
    ("refusal", "kind"),
    [
        ((413, "Maximum request body size exceeded"), InvalidWorkflowError),
        ((500, "Internal Server Error"), RuntimeFaultError),
        ((409, {"error": "prompt_id already exists"}), RuntimeFaultError),
        ((400, {"error": "just words", "node_errors": {}}), InvalidWorkflowError),
        ((400, "not even JSON"), InvalidWorkflowError),
    ],
)
@in_loop
async def test_other_refusals_are_told_apart(refusal: tuple[int, Any], kind: type[AgentError]) -> None:
    with pytest.raises(kind):
        await made_by(Script(refusal=refusal))


@in_loop
async def test_reasons_that_no_table_could_hold_are_made_to_fit() -> None:
    choices = [f"model-{number}.safetensors" for number in range(20_000)]
    wide = {"errors": [{"extra_info": {"input_config": [choices], "received_value": 1e308}}], "class_type": "A"}
    script = Script(refusal=(400, {"error": {"message": "no"}, "node_errors": {"3": wide}}))
    with pytest.raises(InvalidWorkflowError) as refused:
        await made_by(script)
    assert refused.value.node_errors == {
        "3": {"errors": [{"extra_info": {"received_value": "1e+308"}}], "class_type": "A"}
    }


def failed(exception_type: str, message: str) -> dict[str, Any]:
    data = {
        "node_id": "3",
        "node_type": "KSampler",
        "exception_type": exception_type,
        "exception_message": message,
        "traceback": ["File /srv/secret.py"],
        "current_inputs": {"text": ["a private prompt"]},
    }
    return ended_with("execution_error", data)


@in_loop
async def test_a_node_that_fails_is_named_without_traceback_and_inputs() -> None:
    with pytest.raises(NodeFailedError) as error:
        await made_by(Script(entry=failed("torch.OutOfMemoryError", "Allocation on device\n")))
    assert error.value.message == "torch.OutOfMemoryError: Allocation on device"
    assert (error.value.node_id, error.value.class_type) == ("3", "KSampler")
    assert "private" not in str(error.value.detail)


@pytest.mark.parametrize(
    "entry", [failed("torch.AcceleratorError", "x"), failed("RuntimeError", "CUDA error: device-side assert")]
)
@in_loop
async def test_a_gpu_in_a_bad_state_makes_the_process_unfit(entry: dict[str, Any]) -> None:
    with pytest.raises(RuntimeGoneError):
        await made_by(Script(entry=entry))


@in_loop
async def test_an_interruption_by_somebody_else_is_no_failure_of_the_job() -> None:
    with pytest.raises(RuntimeFaultError):
        await made_by(Script(entry=ended_with("execution_interrupted", {"node_id": "3"})))


@in_loop
async def test_a_prompt_that_leaves_nothing_says_so() -> None:
    with pytest.raises(NoOutputsError):
        await made_by(Script(entry=succeeded({})))


@in_loop
async def test_a_result_that_comfyui_cannot_tell_is_removed_and_fails() -> None:
    script = Script(history_status=500)
    with pytest.raises(NodeFailedError):
        await made_by(script)
    assert ("/history", {"delete": [JOB_ID]}) in script.posts


@in_loop
async def test_a_canceled_run_is_taken_from_the_queue_and_interrupted() -> None:
    script = Script(after=10_000)
    async with backend_of(script) as backend:
        running = asyncio.create_task(backend.run(WORK, lambda _: None))
        await script.asked.wait()
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
    assert script.posts == [("/queue", {"delete": [JOB_ID]}), ("/interrupt", {"prompt_id": JOB_ID})]


@in_loop
async def test_a_runtime_that_forgot_the_prompt_was_restarted() -> None:
    with pytest.raises(RuntimeLostError, match="restarted"):
        await made_by(Script(forgets=True))


@in_loop
async def test_a_runtime_that_refuses_connections_is_lost() -> None:
    async with contextlib.aclosing(client(f"http://127.0.0.1:{free_port()}")) as backend:
        assert not await backend.ready()
        with pytest.raises(RuntimeLostError):
            await backend.run(WORK, lambda _: None)


@in_loop
async def test_a_file_that_is_named_and_not_there_is_the_runtimes_fault() -> None:
    async with backend_of(Script(view=(404, b""))) as backend:
        [artifact] = await backend.run(WORK, lambda _: None)
        with pytest.raises(RuntimeFaultError, match="404"):
            await anext(backend.read(artifact))


@in_loop
async def test_only_what_this_agent_left_behind_is_stopped() -> None:
    script = Script(
        queue_running=[
            [1, "mine", {}, {"sd_async_agent": "comfy-0"}, []],
            [2, "theirs", {}, {"sd_async_agent": "comfy-1"}, []],
            [3, "a person's", {}, {}, []],
        ]
    )
    async with backend_of(script) as backend:
        assert await backend.ready()
        await backend.reset()
    assert script.posts == [("/queue", {"delete": ["mine"]}), ("/interrupt", {"prompt_id": "mine"})]
