"""What A1111 and Forge refuse, how their jobs fail, and how they themselves may end."""

import asyncio
import contextlib
from typing import Any

import pytest

from agent.edges.a1111 import A1111
from agent.errors import (
    AgentError,
    BadFileError,
    InvalidWorkflowError,
    NodeFailedError,
    OutOfMemoryError,
    RuntimeFaultError,
    RuntimeGoneError,
    RuntimeLostError,
)
from local.processes import free_port
from sd_async.contract.jobs import JobType
from tests.agent.a1111_server import PNG, WebUi, backend_of, begun, ignore, made, made_by, state, text_of, work_of
from tests.agent.scenario import in_loop
from tests.support.clock import FakeClock

OOM = "CUDA out of memory. Tried to allocate 4.00 GiB"


def raised_a(kind: str, words: str) -> dict[str, Any]:
    """As AUTOMATIC1111 tells what was raised while it generated."""
    return {"error": kind, "detail": "", "body": "", "errors": words}


def raised_f(kind: str, words: str) -> dict[str, Any]:
    """As Forge does."""
    return {"error": kind, "detail": "", "body": "", "message": words}


def refused_a(detail: str) -> dict[str, Any]:
    return {"error": "HTTPException", "detail": detail, "body": "", "errors": ""}


@pytest.mark.parametrize("shape", [raised_a, raised_f], ids=["a", "f"])
@pytest.mark.parametrize(
    ("kind", "words", "leaf"),
    [
        ("OutOfMemoryError", OOM, OutOfMemoryError),
        ("OutOfMemoryError", "Allocation on device", OutOfMemoryError),
        ("RuntimeError", OOM, OutOfMemoryError),
        ("MemoryError", "", OutOfMemoryError),
        ("RuntimeError", "[enforce fail at alloc_cpu.cpp:80] DefaultCPUAllocator: not enough", OutOfMemoryError),
        ("NansException", "A tensor with all NaNs was produced in Unet.", NodeFailedError),
        ("RuntimeError", "CUDA error: an illegal memory access was encountered", RuntimeGoneError),
        ("AcceleratorError", "device-side assert", RuntimeGoneError),
        ("AttributeError", "'NoneType' object has no attribute 'lowvram'", NodeFailedError),
        ("ValueError", "Failed to recognize model type!", NodeFailedError),
        ("KeyError", "'no_such'", NodeFailedError),
    ],
)
@in_loop
async def test_a_job_that_raised_is_told_by_what_it_raised(
    shape: Any, kind: str, words: str, leaf: type[AgentError]
) -> None:
    with pytest.raises(leaf) as failed:
        await made_by(WebUi(answer=(500, shape(kind, words))))
    if leaf is NodeFailedError:
        assert f"{kind}: {words}" in failed.value.message


@pytest.mark.parametrize("detail", ["Invalid encoded image", "Invalid image url", "Requests not allowed"])
@pytest.mark.parametrize("shape", [refused_a, lambda detail: {"detail": detail}], ids=["a", "f"])
@in_loop
async def test_a_picture_that_is_none_is_the_callers_fault_in_spite_of_the_500(detail: str, shape: Any) -> None:
    with pytest.raises(BadFileError, match=detail):
        await made_by(WebUi(answer=(500, shape(detail))))


@pytest.mark.parametrize(
    ("status", "document", "told"),
    [
        (422, {"detail": [{"loc": ["body", "steps"], "msg": "value is not a valid integer"}]}, "steps: value is not"),
        (422, {"detail": [{"type": "int_parsing", "loc": ["body", "x", 0], "msg": "no", "input": "?"}]}, "x.0: no"),
        (422, refused_a("always on script x not found"), "always on script x not found"),
        (404, {"detail": "Init image not found"}, "Init image not found"),
        (400, {"detail": "bad"}, "bad"),
    ],
)
@in_loop
async def test_a_refusal_comes_in_the_runtimes_own_words(status: int, document: Any, told: str) -> None:
    with pytest.raises(InvalidWorkflowError, match=told):
        await made_by(WebUi(answer=(status, document)))


@pytest.mark.parametrize(
    "answer",
    [(404, {"detail": "Not Found"}), (405, {"detail": "Method Not Allowed"}), (401, {"detail": "Incorrect"}),
     (500, b"Internal Server Error"), (502, b""), (500, [])],
    ids=str,
)  # fmt: skip
@in_loop
async def test_what_is_no_word_about_the_job_is_the_runtimes_fault(answer: tuple[int, Any]) -> None:
    with pytest.raises(RuntimeFaultError):
        await made_by(WebUi(answer=answer))


@in_loop
async def test_a_failure_without_words_is_out_of_memory_when_an_allocation_failed_meanwhile() -> None:
    webui = WebUi(answer=(500, raised_a("ExceptionGroup", "")), goes_on=asyncio.Event())
    assert webui.goes_on is not None
    webui.lists["memory"]["cuda"]["events"]["oom"] = 3
    async with backend_of(webui) as backend:
        running = await begun(webui, backend)
        webui.lists["memory"]["cuda"]["events"]["oom"] = 4
        webui.goes_on.set()
        with pytest.raises(OutOfMemoryError):
            await running
        with pytest.raises(NodeFailedError):
            await backend.run(work_of(), ignore)


@in_loop
async def test_a_connection_that_ends_in_mid_job_means_that_the_runtime_was_restarted() -> None:
    webui = WebUi(is_lost=True)
    async with backend_of(webui) as backend:
        assert await backend.ready()
        with pytest.raises(RuntimeLostError):
            await backend.run(work_of(), ignore)
        asked = len(webui.calls)
        assert await backend.ready()
        assert webui.calls[asked] == "progress", "after a loss it is asked anew"


@in_loop
async def test_a_question_without_an_answer_means_that_the_runtime_is_asked_anew() -> None:
    webui = WebUi()
    async with backend_of(webui) as backend:
        await backend.run(work_of(), ignore)
        webui.is_gone = True
        assert await backend.ready(), "it answered a moment ago"
        with pytest.raises(RuntimeLostError):
            await backend.free()
        assert not await backend.ready()


@in_loop
async def test_a_runtime_that_refuses_connections_is_lost() -> None:
    async with contextlib.aclosing(A1111(f"http://127.0.0.1:{free_port()}", "webui")) as backend:
        assert not await backend.ready()
        with pytest.raises(RuntimeLostError):
            await backend.run(work_of(), ignore)


@in_loop
async def test_a_server_that_is_up_without_its_api_is_not_ready() -> None:
    async with backend_of(WebUi(has_api=False)) as backend:
        assert not await backend.ready()
        assert not await backend.ready(), "a refusal is no sign of it either"


@in_loop
async def test_an_interruption_by_somebody_else_is_no_success_though_it_looks_like_one() -> None:
    webui, clock = WebUi(goes_on=asyncio.Event()), FakeClock()
    assert webui.goes_on is not None
    async with backend_of(webui, clock) as backend:
        running = await begun(webui, backend)
        webui.progress = state(job_count=1, interrupted=True)
        await clock.advance(0.5)
        webui.goes_on.set()
        with pytest.raises(RuntimeFaultError, match="interrupted"):
            await running


@pytest.mark.parametrize(
    ("kind", "payload", "answer"),
    [
        (JobType.TEXT_TO_IMAGE, {"batch_size": 2, "n_iter": 2}, made(PNG, PNG, PNG)),
        (
            JobType.EXTRA_BATCH_IMAGES,
            {"imageList": [{"data": "aGk=", "name": "a"}, {"data": "aGk=", "name": "b"}]},
            {"html_info": "", "images": [text_of(PNG)]},
        ),
    ],
)
@in_loop
async def test_fewer_pictures_than_asked_for_are_an_interrupted_job(kind: JobType, payload: Any, answer: Any) -> None:
    with pytest.raises(RuntimeFaultError, match=r"after \d of \d pictures"):
        await made_by(WebUi(answer=(200, answer)), work_of(kind, **payload))


@in_loop
async def test_a_script_alone_decides_how_many_pictures_it_makes() -> None:
    webui = WebUi(answer=(200, made(PNG)))
    assert len(await made_by(webui, work_of(script_name="x/y/z plot", batch_size=4))) == 2
