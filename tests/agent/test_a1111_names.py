"""Names that the runtime would replace in silence are refused before the run, with close ones."""

from typing import Any

import pytest

from agent.errors import InvalidWorkflowError
from sd_async.contract.jobs import JobType
from tests.agent.a1111_server import SDXL, WebUi, backend_of, ignore, made_by, work_of
from tests.agent.scenario import in_loop

HIRES = {"enable_hr": True, "hr_upscaler": "Latent"}
SMALL = {"image": "aGk="}


@pytest.mark.parametrize(
    ("payload", "told"),
    [
        ({"sampler_name": "euler a"}, r"input\.sampler_name: `euler a` is none of .* samplers; close to it: `Euler a`"),
        ({"sampler_index": "Eular a"}, r"input\.sampler_index: .*`Euler a`"),
        ({"sampler_name": "k_euler_a"}, r"input\.sampler_name: .*`Euler a`"),
        ({"sampler_name": "DPM++ 2M Karas"}, r"input\.sampler_name: .*`DPM\+\+ 2M`"),
        ({"scheduler": "Caras"}, r"input\.scheduler: `Caras` is none of .* schedulers; .*`Karras`"),
        ({"override_settings": {"sd_model_checkpoint": "v1-4"}}, r"override_settings\.sd_model_checkpoint: .*`v1-5`"),
        ({"override_settings": {"sd_vea": "x"}}, r"override_settings\.sd_vea: `sd_vea` is none .*settings; .*`sd_vae`"),
        ({"override_settings": {"sd_vae": "eva.vae.pt"}}, r"override_settings\.sd_vae: .*VAEs; .*`ema\.vae\.pt`"),
        ({"alwayson_scripts": {"sd_model_checkpoint": "sdlx"}}, r"alwayson_scripts\.sd_model_checkpoint: .*`sdxl`"),
        ({"alwayson_scripts": {"ControlNets": {}}}, r"input\.alwayson_scripts\.ControlNets: .*scripts; .*`controlnet`"),
        ({"refiner_checkpoint": "sdlx"}, r"input\.refiner_checkpoint: .*`sdxl`"),
        ({"script_name": "sd upscale"}, r"input\.script_name: `sd upscale` is none of .* scripts"),
        (HIRES | {"hr_sampler_name": "Euler b"}, r"input\.hr_sampler_name: .*`Euler a`"),
        (HIRES | {"hr_scheduler": "Carras"}, r"input\.hr_scheduler: .*`Karras`"),
        (HIRES | {"hr_checkpoint_name": "sdlx"}, r"input\.hr_checkpoint_name: .*`sdxl`"),
        (HIRES | {"hr_upscaler": "Latents"}, r"input\.hr_upscaler: .* upscalers; .*`Latent`"),
        ({"sampler_name": 7}, r"input\.sampler_name is no text"),
        ({"scheduler": ["Karras"]}, r"input\.scheduler is no text"),
        ({"override_settings": [1]}, r"input\.override_settings is no object"),
        ({"alwayson_scripts": [1]}, r"input\.alwayson_scripts is no object"),
    ],
    ids=str,
)
@in_loop
async def test_an_unknown_name_is_told_with_field_value_and_close_names(payload: dict[str, Any], told: str) -> None:
    webui = WebUi()
    with pytest.raises(InvalidWorkflowError, match=told):
        await made_by(webui, work_of(save_images="override_settings" in payload, **payload))
    assert webui.payloads == [], "nothing was run"


@pytest.mark.parametrize(
    "payload",
    [
        {"sampler_name": "DPM++ 2M Karras"},
        {"sampler_name": "Euler a", "scheduler": "karras"},
        {"sampler_name": None, "scheduler": "", "script_name": None, "override_settings": None},
        {"override_settings": {"sd_vae": "Automatic", "eta": 0.5}},
        {"alwayson_scripts": {"ControlNet": {"args": []}}, "script_name": "X/Y/Z plot"},
        HIRES | {"hr_sampler_name": "Use same sampler", "hr_checkpoint_name": "Use same checkpoint"},
        {"enable_hr": False, "hr_upscaler": "what was never asked for"},
    ],
    ids=str,
)
@in_loop
async def test_what_the_runtime_knows_passes(payload: dict[str, Any]) -> None:
    webui = WebUi()
    await made_by(webui, work_of(**payload))
    assert len(webui.payloads) == 1


@pytest.mark.parametrize("kind", [JobType.EXTRA_SINGLE_IMAGE, JobType.EXTRA_BATCH_IMAGES])
@in_loop
async def test_upscalers_are_checked_too(kind: JobType) -> None:
    payload = SMALL | {"imageList": [{"data": "aGk=", "name": "a"}], "upscaler_1": "Lanczos", "upscaler_2": "Lancos"}
    with pytest.raises(InvalidWorkflowError, match=r"input\.upscaler_2: `Lancos` .*`Lanczos`"):
        await made_by(WebUi(), work_of(kind, **payload))


@in_loop
async def test_a_checkpoint_that_came_since_is_found_and_only_a_miss_asks_again() -> None:
    webui = WebUi()
    webui.appears = {"sd-models": [*webui.lists["sd-models"], {"title": "new.safetensors", "model_name": "new"}]}
    new = {"sd_model_checkpoint": "new"}
    async with backend_of(webui) as backend:
        await backend.run(work_of(override_settings={"sd_model_checkpoint": "sdxl"}), ignore)
        assert webui.asked("refresh-checkpoints") == []
        await backend.run(work_of(override_settings=new), ignore)
        assert len(webui.asked("refresh-checkpoints")) == 1
        asked = len(webui.calls)
        await backend.run(work_of(override_settings=new), ignore)
        assert webui.calls[asked:] == ["txt2img"]


@in_loop
async def test_lists_that_an_older_version_does_not_have_check_nothing() -> None:
    webui = WebUi()
    for name in ("schedulers", "sd-vae", "latent-upscale-modes", "memory"):
        del webui.lists[name]
    await made_by(webui, work_of(scheduler="whatever", override_settings={"sd_vae": "some.pt"}))
    assert len(webui.payloads) == 1


@in_loop
async def test_the_queues_own_name_is_looked_for_without_a_question_more() -> None:
    webui = WebUi()
    async with backend_of(webui) as backend:
        for _ in range(2):
            await backend.run(work_of(alwayson_scripts={"sd_model_checkpoint": "webui"}), ignore)
        assert webui.asked("refresh-checkpoints") == []
    webui.lists["sd-models"].append({"title": SDXL, "model_name": "webui", "filename": "/m/webui.safetensors"})
    await made_by(webui, work_of(alwayson_scripts={"sd_model_checkpoint": "webui"}))
    assert webui.payloads[-1]["override_settings"] == {"sd_model_checkpoint": "webui"}
