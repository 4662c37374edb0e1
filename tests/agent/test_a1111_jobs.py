"""A1111 jobs on their way through the worker: pictures by address, the type, the time a model takes."""

from dataclasses import replace

from sd_async.contract.jobs import JobType, RuntimeType
from sd_async.contract.states import Status
from tests.agent.scenario import CONFIG, Scenario, ended, in_loop, message_of

URL = "https://pictures.example/a.png?X-Amz-Signature=s"
A1111 = replace(CONFIG, runtime_type=RuntimeType.A1111)
PNG = b"\x89PNG\r\n\x1a\n"


@in_loop
async def test_pictures_named_by_address_are_fetched_and_go_to_the_runtime_with_the_jobs_type() -> None:
    scene = Scenario(A1111)
    scene.web.at[URL], scene.files.at["s3://team/m.png"] = PNG + b"picture", PNG + b"mask"
    payload = {"init_images": [URL], "mask": "s3://team/m.png", "prompt": "a fox"}
    await scene.submit(message_of(type=JobType.INPAINTING, input=payload))
    agent = scene.agent()
    await scene.clock.advance(11)
    assert scene.job().status is Status.SUCCEEDED
    [work] = scene.backend.started
    assert (work.type, work.input) == (JobType.INPAINTING, payload)
    assert scene.backend.received == {URL: PNG + b"picture", "s3://team/m.png": PNG + b"mask"}
    await ended([agent])


@in_loop
async def test_a_picture_that_is_not_there_fails_the_job() -> None:
    scene = Scenario(A1111)
    await scene.submit(message_of(type=JobType.EXTRA_SINGLE_IMAGE, input={"image": URL}))
    agent = scene.agent()
    await scene.clock.advance(1)
    job = scene.job()
    assert job.error is not None
    assert (job.status, job.error.code) == (Status.FAILED, "bad_file")
    assert "Signature" not in job.error.message.partition(":")[0]
    assert scene.backend.started == []
    await ended([agent])


@in_loop
async def test_the_time_a_model_takes_is_told_while_it_loads_and_afterwards() -> None:
    scene = Scenario(A1111)
    scene.backend.load_s = 30
    await scene.submit(message_of(type=JobType.TEXT_TO_IMAGE, input={"prompt": "a fox"}))
    agent = scene.agent()
    await scene.clock.advance(6)
    assert scene.job().progress.message == "loading model"
    await scene.clock.advance(30)
    assert scene.job().progress.message == "running"
    await scene.clock.advance(10)
    job = scene.job()
    assert (job.phases.load_ms, job.phases.execution_ms) == (30_000, 40_000)
    await ended([agent])


@in_loop
async def test_an_addresss_query_is_in_no_account_of_the_job() -> None:
    scene = Scenario(A1111)
    scene.web.at[URL] = PNG + b"picture"
    await scene.submit(message_of(type=JobType.EXTRA_SINGLE_IMAGE, input={"image": URL}))
    agent = scene.agent()
    await scene.clock.advance(11)
    body, _ = scene.files.stored[f"{scene.job().output_key}/1/result.json"]
    assert b"https://pictures.example/a.png" in body
    assert b"Signature" not in body
    await ended([agent])
