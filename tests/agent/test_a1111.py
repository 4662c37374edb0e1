"""The A1111 edge: what it asks the runtime for, and what becomes of the answer."""

import asyncio
import base64
import contextlib
import gc
import json
from pathlib import Path
from typing import Any

import pytest

from agent.edges.a1111.answer import LONG_BYTES
from agent.edges.a1111.api import Api
from agent.errors import InvalidWorkflowError, NoOutputsError, RuntimeFaultError, RuntimeLostError
from agent.neighbour import Answer
from agent.ports import LOADING, Artifact, Backend
from sd_async.contract.jobs import JobType, Progress
from tests.agent.a1111_server import (
    JPEG,
    PNG,
    SDXL,
    WebUi,
    backend_of,
    begun,
    ignore,
    made,
    made_by,
    state,
    text_of,
    work_of,
)
from tests.agent.scenario import JOB_ID, in_loop
from tests.support.clock import FakeClock

IMAGE = {"init_images": ["aGk="]}
CASES: dict[JobType, tuple[str, dict[str, Any]]] = {
    JobType.TEXT_TO_IMAGE: ("txt2img", {}),
    JobType.IMAGE_TO_IMAGE: ("img2img", IMAGE),
    JobType.INPAINTING: ("img2img", IMAGE | {"mask": "aGk="}),
    JobType.EXTRA_SINGLE_IMAGE: ("extra-single-image", {"image": "aGk="}),
    JobType.EXTRA_BATCH_IMAGES: ("extra-batch-images", {"imageList": [{"data": "aGk=", "name": "a.png"}]}),
}


async def content(backend: Backend, artifact: Artifact) -> bytes:
    return b"".join([chunk async for chunk in backend.read(artifact)])


@pytest.mark.parametrize("kind", CASES)
@in_loop
async def test_each_job_type_has_its_route_and_gives_its_pictures(kind: JobType) -> None:
    route, payload = CASES[kind]
    extras: dict[str, Any] = {"html_info": "<p>", "image": text_of(PNG)}
    if kind is JobType.EXTRA_BATCH_IMAGES:
        extras = {"html_info": "<p>", "images": [text_of(PNG)]}
    webui = WebUi(answer=(200, extras if route.startswith("extra") else made(PNG)))
    async with backend_of(webui) as backend:
        picture, told = await backend.run(work_of(kind, **payload), ignore)
        assert await content(backend, picture) == PNG
        assert json.loads(await content(backend, told))
    assert webui.calls[-1] == route
    assert (picture.name, picture.type, picture.content_type) == ("image_00001.png", "image", "image/png")
    assert (told.name, told.type, told.content_type) == ("info.json", "text", "application/json")


@pytest.mark.parametrize("kind", [kind for kind in CASES if kind is not JobType.TEXT_TO_IMAGE])
@in_loop
async def test_a_job_without_the_picture_it_needs_is_refused_by_field(kind: JobType) -> None:
    webui = WebUi()
    with pytest.raises(InvalidWorkflowError, match=r"input\.(init_images|image|imageList) is missing"):
        await made_by(webui, work_of(kind))
    assert webui.payloads == []


@in_loop
async def test_the_payload_goes_on_as_it_is_with_the_runs_id_and_without_the_queues_keys() -> None:
    scripts = {"task": "text-to-image", "id_task": "t", "uid": "u", "save_dir": "d", "sd_model_checkpoint": "webui",
               "ControlNet": {"args": [{"weight": 0.5}]}}  # fmt: skip
    webui = WebUi()
    given: dict[str, Any] = {
        "prompt": "a fox <lora:fur:0.8>",
        "seed": 2**53 + 1,
        "alwayson_scripts": scripts,
        "send_images": False,
    }
    await made_by(webui, work_of(**given))
    assert webui.payloads == [
        {
            "prompt": "a fox <lora:fur:0.8>",
            "seed": 2**53 + 1,
            "alwayson_scripts": {"ControlNet": {"args": [{"weight": 0.5}]}},
            "send_images": True,
            "force_task_id": JOB_ID,
        }
    ], "a checkpoint that is only the queue's name is no model"


@pytest.mark.parametrize("named", ["sdxl", SDXL, "xl/sdxl.safetensors", "31e35c80fc"])
@in_loop
async def test_a_checkpoint_among_the_queues_keys_is_the_model_that_the_job_runs_on(named: str) -> None:
    webui = WebUi()
    await made_by(webui, work_of(alwayson_scripts={"sd_model_checkpoint": named}))
    assert webui.payloads[0]["override_settings"] == {"sd_model_checkpoint": named}
    webui = WebUi()
    own = {"sd_model_checkpoint": "v1-5"}
    await made_by(webui, work_of(alwayson_scripts={"sd_model_checkpoint": named}, override_settings=own))
    assert webui.payloads[0]["override_settings"] == own, "a job's own setting comes first"


@in_loop
async def test_files_are_put_in_as_base64_wherever_their_name_stands(tmp_path: Path) -> None:
    large = bytes(range(256)) * 4096
    (tmp_path / "a").write_bytes(PNG)
    (tmp_path / "b").write_bytes(large)
    webui = WebUi()
    units = {"controlnet": {"args": [{"image": {"image": "b.png", "mask": None}, "text": "see b.png"}]}}
    payload = {"init_images": ["https://x/a.png"], "mask": "b.png", "alwayson_scripts": units}
    files = {"https://x/a.png": tmp_path / "a", "b.png": tmp_path / "b"}
    await made_by(webui, work_of(JobType.INPAINTING, files, **payload))
    [sent] = webui.payloads
    [unit] = sent["alwayson_scripts"]["controlnet"]["args"]
    assert base64.b64decode(sent["init_images"][0]) == PNG
    assert base64.b64decode(sent["mask"]) == base64.b64decode(unit["image"]["image"]) == large
    assert unit["text"] == "see b.png"
    assert payload["mask"] == "b.png", "the client's stays as it was"


@in_loop
async def test_the_grid_and_what_scripts_add_are_kept_beside_the_pictures() -> None:
    pictures = [PNG + b"grid", PNG + b"1", JPEG + b"2", b"RIFF    WEBP map"]
    webui = WebUi(answer=(200, made(*pictures, all_seeds=[5, 6], index_of_first_image=1)))
    async with backend_of(webui) as backend:
        artifacts = await backend.run(work_of(save_images=True, batch_size=2), ignore)
        found = {artifact.name: await content(backend, artifact) for artifact in artifacts}
    assert list(found) == ["image_00001.png", "image_00002.jpg", "grid.png", "extra_00001.webp", "info.json"]
    assert list(found.values())[:4] == [pictures[1], pictures[2], pictures[0], pictures[3]]
    told = json.loads(found["info.json"])
    assert (told["all_seeds"], told["parameters"]) == ([5, 6], {"steps": 20})
    assert webui.payloads[0]["override_settings"] == {"samples_save": False, "grid_save": False}, "no disk is filled"


@in_loop
async def test_what_the_runtime_drew_by_itself_is_noted_for_the_account() -> None:
    work = work_of(seed=-1)
    await made_by(WebUi(answer=(200, made(PNG, all_seeds=[77], sd_model_hash="6ce0161689", job_timestamp="1"))), work)
    assert work.notes == {"all_seeds": [77], "sd_model_hash": "6ce0161689", "sampler_name": "Euler a"}


@in_loop
async def test_large_pictures_pass_through_files_that_go_with_their_artifact() -> None:
    large = PNG + bytes(LONG_BYTES)
    webui = WebUi(answer=(200, made(large, large)))
    async with backend_of(webui) as backend:
        artifacts = list(await backend.run(work_of(batch_size=2), ignore))
        paths = [artifact.source.path for artifact in artifacts[:2]]
        assert all(path.exists() for path in paths)
        assert await content(backend, artifacts[1]) == large
        artifacts.clear()
        gc.collect()
    assert not any(path.exists() for path in paths)


@pytest.mark.parametrize(
    ("document", "kind"),
    [
        (made(), NoOutputsError),
        ({"images": None}, NoOutputsError),
        ([], RuntimeFaultError),
        (b"<html>", RuntimeFaultError),
        ({"images": ["no base64!"]}, RuntimeFaultError),
        ({"images": [7]}, RuntimeFaultError),
    ],
    ids=["none", "null", "list", "html", "text", "number"],
)
@in_loop
async def test_an_answer_without_pictures_is_no_success(document: Any, kind: type[Exception]) -> None:
    with pytest.raises(kind):
        await made_by(WebUi(answer=(200, document)))


@in_loop
async def test_between_two_jobs_there_is_nothing_but_the_job() -> None:
    webui = WebUi()
    async with backend_of(webui) as backend:
        await backend.run(work_of(sampler_name="Euler a", scheduler="Karras"), ignore)
        asked = len(webui.calls)
        assert await backend.ready(), "who has just answered is not asked"
        await backend.run(work_of(sampler_name="DPM++ 2M", override_settings={"sd_model_checkpoint": "sdxl"}), ignore)
        assert webui.calls[asked:] == ["txt2img"]


@in_loop
async def test_progress_is_polled_with_one_question_at_a_time() -> None:
    webui, clock, seen = WebUi(goes_on=asyncio.Event()), FakeClock(), list[Progress]()
    assert webui.goes_on is not None
    async with backend_of(webui, clock) as backend:
        running = asyncio.create_task(backend.run(work_of(), seen.append))
        await webui.began.wait()
        webui.progress = state(progress=0.01, job_count=-1)
        await clock.advance(0.5)
        webui.progress = state(progress=0.35, job_count=1, sampling_step=7, sampling_steps=20)
        await asyncio.gather(clock.advance(5), backend.ready(), backend.ready())
        webui.goes_on.set()
        await running
    assert [(one.value, one.step, one.steps, one.message) for one in seen[:3]] == [
        (0.0, 0, 0, LOADING),
        (0.01, 0, 0, LOADING),
        (0.35, 7, 20, ""),
    ]
    assert webui.beside == 1


@in_loop
async def test_whoever_asks_at_once_is_answered_one_after_the_other() -> None:
    webui = WebUi()
    api = Api(webui)
    await asyncio.gather(*(api.get("memory") for _ in range(5)))
    assert (webui.beside, len(webui.calls)) == (1, 5)


async def messages(backend: Backend, webui: WebUi, clock: FakeClock, **settings: str) -> list[str]:
    """What a job's progress says, from its beginning and while it samples."""
    seen = list[Progress]()
    webui.goes_on, webui.began = asyncio.Event(), asyncio.Event()
    webui.progress = state(progress=0.5, job_count=1, sampling_step=1, sampling_steps=2)
    running = asyncio.create_task(backend.run(work_of(override_settings=settings), seen.append))
    await webui.began.wait()
    await clock.advance(0.5)
    webui.goes_on.set()
    await running
    return [seen[0].message, seen[-1].message]


@in_loop
async def test_a_model_switch_is_a_phase_and_the_same_model_again_is_none() -> None:
    webui, clock = WebUi(), FakeClock()
    async with backend_of(webui, clock) as backend:
        assert await messages(backend, webui, clock) == [LOADING, ""], "nobody knows what is loaded at first"
        assert await messages(backend, webui, clock) == ["", ""]
        assert await messages(backend, webui, clock, sd_model_checkpoint="v1-5") == ["", ""], "the default by its name"
        assert await messages(backend, webui, clock, sd_model_checkpoint="sdxl") == [LOADING, ""]
        assert await messages(backend, webui, clock) == [LOADING, ""], "it swaps back"


@in_loop
async def test_a_canceled_job_is_interrupted_until_it_ends() -> None:
    webui, clock = WebUi(goes_on=asyncio.Event(), ends_when_interrupted=False), FakeClock()
    assert webui.goes_on is not None
    async with backend_of(webui, clock) as backend:
        running = await begun(webui, backend)
        running.cancel()
        await clock.advance(1.1)
        assert len(webui.asked("interrupt")) == 3, "a job that has not begun forgets an interrupt"
        webui.goes_on.set()
        with contextlib.suppress(asyncio.CancelledError):
            await running
        assert running.cancelled(), "its unfinished picture is no result"
        asked = len(webui.calls)
        await backend.run(work_of(), ignore)
        assert webui.calls[asked:] == ["txt2img"], "it ended, and the next one needs to ask for nothing"


@in_loop
async def test_a_job_that_does_not_end_is_waited_for_before_the_next() -> None:
    webui, clock = WebUi(goes_on=asyncio.Event(), ends_when_interrupted=False), FakeClock()
    async with backend_of(webui, clock) as backend:
        running = await begun(webui, backend)
        running.cancel()
        await clock.advance(60)
        assert running.cancelled()
        assert await backend.has_work(), "though `progress` tells of none, as before it begins"
        again = asyncio.create_task(backend.run(work_of(), ignore))
        await clock.advance(1)
        assert webui.asked("txt2img") == ["txt2img"]
        asked = len(webui.calls)
        assert webui.goes_on is not None
        webui.goes_on.set()
        await clock.advance(1)
        await again
    assert webui.calls[asked:] == ["progress", "txt2img"]


@in_loop
async def test_a_stop_that_is_still_asked_for_is_answered_before_the_next_job_is_sent() -> None:
    """One that came late would meet the next job, and end it with an unfinished picture."""
    webui = WebUi(goes_on=asyncio.Event(), interrupts_are_answered=asyncio.Event())
    assert webui.interrupts_are_answered is not None
    async with backend_of(webui) as backend:
        first = await begun(webui, backend)
        second = asyncio.create_task(backend.run(work_of(), ignore))
        first.cancel()
        await FakeClock().settle()
        assert webui.goes_on is not None
        assert webui.goes_on.is_set(), "the first is over, and the answer to its interrupt is still to come"
        assert webui.asked("txt2img") == ["txt2img"]
        webui.interrupts_are_answered.set()
        await second
    assert webui.asked("txt2img", "interrupt") == ["txt2img", "interrupt", "txt2img"]


class HardOfHearing(WebUi):
    """It takes the third interrupt."""

    async def ask(self, method: str, path: str, **named: Any) -> Answer:
        if path.endswith("interrupt") and len(self.asked("interrupt")) < 2:
            self.calls.append("interrupt")
            raise RuntimeLostError("The runtime does not answer (TimeoutError).")
        return await super().ask(method, path, **named)


@in_loop
async def test_an_interrupt_that_is_not_answered_is_not_the_last() -> None:
    webui, clock = HardOfHearing(goes_on=asyncio.Event()), FakeClock()
    async with backend_of(webui, clock) as backend:
        running = await begun(webui, backend)
        running.cancel()
        await clock.advance(1.1)
        assert running.cancelled()
    assert len(webui.asked("interrupt")) == 3


@in_loop
async def test_a_stopped_job_whose_connection_is_lost_may_go_on() -> None:
    webui, clock = WebUi(goes_on=asyncio.Event(), is_lost=True), FakeClock()
    async with backend_of(webui, clock) as backend:
        running = await begun(webui, backend)
        running.cancel()
        await clock.advance(1)
        assert running.cancelled()
        webui.is_lost, webui.progress, asked = False, state(job_count=1), len(webui.calls)
        again = asyncio.create_task(backend.run(work_of(), ignore))
        await clock.advance(1)
        await again
    assert webui.calls[asked:] == ["progress", "interrupt", "progress", "txt2img"]


@in_loop
async def test_a_job_that_goes_on_after_its_stop_outlives_no_agent() -> None:
    webui, clock = WebUi(goes_on=asyncio.Event(), ends_when_interrupted=False), FakeClock()
    async with backend_of(webui, clock) as backend:
        running = await begun(webui, backend)
        running.cancel()
        await clock.advance(60)
        before = len(webui.asked("interrupt"))
        assert before > 100, "it is interrupted for as long as it goes on"
    await clock.advance(60)
    assert len(webui.asked("interrupt")) == before


@in_loop
async def test_memory_is_not_given_back_during_a_job_that_was_stopped_and_goes_on() -> None:
    webui, clock = WebUi(goes_on=asyncio.Event(), ends_when_interrupted=False), FakeClock()
    async with backend_of(webui, clock) as backend:
        running = await begun(webui, backend)
        running.cancel()
        await clock.advance(10)
        freeing = asyncio.create_task(backend.free())
        await clock.advance(60)
        with pytest.raises(RuntimeFaultError, match="earlier job"):
            await freeing
    assert webui.asked("unload-checkpoint") == []


@in_loop
async def test_what_an_earlier_process_left_running_is_stopped() -> None:
    webui, clock = WebUi(progress=state(job_count=1)), FakeClock()
    async with backend_of(webui, clock) as backend:
        resetting = asyncio.create_task(backend.reset())
        await clock.advance(1)
        await resetting
    assert webui.calls == ["progress", "interrupt", "progress"]
