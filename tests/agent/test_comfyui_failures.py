"""What ComfyUI refuses, and how its prompts and it itself may end."""

import asyncio
import contextlib
from typing import Any

import pytest

from agent.errors import (
    AgentError,
    InvalidWorkflowError,
    NodeFailedError,
    NoOutputsError,
    OutOfMemoryError,
    RuntimeFaultError,
    RuntimeGoneError,
    RuntimeLostError,
)
from local.processes import free_port
from sd_async.contract.codec import encode
from tests.agent.comfyui_client import WORK, backend_of, client, made_by
from tests.agent.comfyui_server import Script, ended_with, succeeded
from tests.agent.scenario import JOB_ID, in_loop

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
        await made_by(Script(entry=failed("ValueError", "no such sampler\n")))
    assert error.value.message == "ValueError: no such sampler"
    assert (error.value.node_id, error.value.class_type) == ("3", "KSampler")
    assert "private" not in str(error.value.detail)


@pytest.mark.parametrize(
    ("exception_type", "message"),
    [
        ("torch.OutOfMemoryError", "Allocation on device 0 would exceed allowed memory."),
        ("torch.cuda.OutOfMemoryError", "CUDA out of memory. Tried to allocate 2.00 GiB."),
        ("torch.AcceleratorError", "CUDA error: out of memory"),
        ("RuntimeError", "CUDA error: out of memory"),
        ("RuntimeError", "HIP out of memory. Tried to allocate 2.00 GiB."),
        ("RuntimeError", "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        ("RuntimeError", "[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes."),
        ("MemoryError", ""),
        ("numpy._core._exceptions._ArrayMemoryError", "Unable to allocate 9 GiB for an array"),
    ],
)
@in_loop
async def test_memory_that_does_not_suffice_is_told_from_other_failures(exception_type: str, message: str) -> None:
    with pytest.raises(OutOfMemoryError) as error:
        await made_by(Script(entry=failed(exception_type, message)))
    assert error.value.message.startswith(exception_type)
    assert (error.value.node_id, error.value.class_type) == ("3", "KSampler")


@pytest.mark.parametrize(
    ("exception_type", "message"),
    [("ValueError", "the story is out of memory"), ("RuntimeError", "shapes do not match"), ("", "out of memory")],
)
@in_loop
async def test_words_about_memory_alone_are_no_lack_of_it(exception_type: str, message: str) -> None:
    with pytest.raises(NodeFailedError):
        await made_by(Script(entry=failed(exception_type, message)))


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
async def test_a_run_that_is_canceled_while_its_prompt_is_on_its_way_is_stopped_when_it_has_arrived() -> None:
    checked = asyncio.Event()
    script = Script(after=10_000, checks_prompt=checked)
    async with backend_of(script) as backend:
        running = asyncio.create_task(backend.run(WORK, lambda _: None))
        await script.arrives.wait()
        running.cancel()
        await asyncio.wait([running], timeout=0.05)
        checked.set()
        with pytest.raises(asyncio.CancelledError):
            await running
    assert [path for path, _ in script.posts] == ["/prompt", "/queue", "/interrupt"]


@in_loop
async def test_a_prompt_that_does_not_arrive_keeps_nobody_from_stopping_for_long() -> None:
    checked = asyncio.Event()
    script = Script(after=10_000, checks_prompt=checked)
    async with backend_of(script) as backend:
        running = asyncio.create_task(backend.run(WORK, lambda _: None))
        await script.arrives.wait()
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert [path for path, _ in script.posts] == ["/queue", "/interrupt"]
        checked.set()


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


@in_loop
async def test_half_a_surrogate_pair_in_an_answer_keeps_no_failure_from_being_told() -> None:
    data = {"exception_type": "FileNotFoundError", "exception_message": "no \udcff.png", "node_id": "\ud800"}
    with pytest.raises(NodeFailedError) as failed:
        await made_by(Script(entry=ended_with("execution_error", data)))
    assert failed.value.message == "FileNotFoundError: no ?.png"
    encode(failed.value.detail)


@in_loop
async def test_an_answer_whose_numbers_python_will_not_read_is_none() -> None:
    with pytest.raises(InvalidWorkflowError, match="refuses the workflow"):
        await made_by(Script(refusal=(400, f'{{"error": {"9" * 5000}}}'.encode())))
