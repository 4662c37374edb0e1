"""Every A1111 job type through the whole system: API, topic, queue, agent, the painter's A1111, S3, results."""

import io
import json
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from sd_async.contract.jobs import Job, JobRequest, JobType
from sd_async.contract.states import Status
from sd_async.jobfile import Overrides, request_of
from tests.journeys import graphs
from tests.journeys.conftest import Stage
from tests.journeys.test_faults import until

EXAMPLES = graphs.EXAMPLES / "a1111"
WAIT_S = 90.0


def example(name: str) -> JobRequest:
    return request_of((EXAMPLES / f"{name}.json").read_bytes(), Overrides(), None)


def job_of(stage: Stage, request: JobRequest) -> Job:
    return stage.client.wait(stage.client.submit(request).id, timeout_s=WAIT_S)


def done(stage: Stage, request: JobRequest, folder: Path) -> tuple[Job, dict[str, Path]]:
    """A job that succeeded and its files by name."""
    job = job_of(stage, request)
    assert job.status is Status.SUCCEEDED, job.error
    return job, {path.name: path for path in stage.client.download(job, folder)}


def pixels(path: Path) -> NDArray[np.int16]:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"), np.int16)


SIZES = {
    "text-to-image": {"image_00001.png": (512, 512)},
    "image-to-image": {"image_00001.png": (512, 512)},
    "inpainting": {"image_00001.png": (512, 512)},
    "extra-single-image": {"image_00001.png": (1024, 1024)},
    "extra-batch-images": {"image_00001.png": (512, 512), "image_00002.png": (512, 512)},
    "batch-with-grid": {
        **{f"image_0000{number}.png": (512, 512) for number in (1, 2, 3, 4)},
        "grid.png": (1024, 1024),
        "extra_00001.png": (256, 256),
    },
}


def test_every_job_type_and_every_example_has_its_journey() -> None:
    assert {path.stem for path in EXAMPLES.glob("*.json")} == set(SIZES)
    assert {example(name).type for name in SIZES} == set(JobType) - {JobType.WORKFLOW}


@pytest.mark.parametrize("name", SIZES)
def test_an_example_goes_from_post_to_its_pictures(stage: Stage, tmp_path: Path, name: str) -> None:
    request = example(name)
    job, files = done(stage, request, tmp_path)
    assert job.type is request.type
    assert list(files) == [*SIZES[name], "info.json"]
    for file, size in SIZES[name].items():
        with Image.open(files[file]) as image:
            assert (image.format, image.size) == ("PNG", size)
    info = json.loads(files["info.json"].read_text())
    if name in {"text-to-image", "image-to-image", "inpainting", "batch-with-grid"}:
        assert info["sampler_name"] == request.input["sampler_name"]
        assert info["parameters"]["steps"] == request.input["steps"]
    [told] = [output for output in job.outputs if output.name == "info.json"]
    assert (told.type, told.content_type) == ("text", "application/json")


def test_a_picture_by_address_is_fetched_by_the_agent(stage: Stage, tmp_path: Path) -> None:
    bucket, key = stage.names.input_bucket, f"mine/{uuid4()}.png"
    picture = io.BytesIO()
    Image.new("RGB", (48, 32), (10, 200, 30)).save(picture, "PNG")
    stage.system.emulator.client("s3").put_object(Bucket=bucket, Key=key, Body=picture.getvalue())
    payload = {"image": f"s3://{bucket}/{key}"}
    request = JobRequest(runtime="webui", type=JobType.EXTRA_SINGLE_IMAGE, input=payload)
    _, files = done(stage, request, tmp_path)
    assert pixels(files["image_00001.png"])[5, 5].tolist() == [10, 200, 30]


def test_inpainting_changes_the_masked_part_and_nothing_else(stage: Stage, tmp_path: Path) -> None:
    request = example("inpainting")
    original = example("image-to-image")
    original.input["denoising_strength"] = 0
    _, before = done(stage, original, tmp_path / "before")
    _, after = done(stage, request, tmp_path / "after")
    distance = np.abs(pixels(after["image_00001.png"]) - pixels(before["image_00001.png"])).max(axis=-1)
    assert distance[20:40, 20:200].max() <= 2, "the sky in the corner is as it was"
    assert distance[120:240, 290:410].mean() > 10, "the middle of the mask is not"


@pytest.mark.parametrize("name", ["v1alpha1", "v1alpha2-a1111"])
def test_a_client_of_the_public_sample_runs_its_a1111_body(stage: Stage, name: str) -> None:
    body = json.loads((graphs.EXAMPLES / f"{name}.json").read_text())
    path, headers = f"/{name.removesuffix('-a1111')}", {"x-api-key": stage.system.api_key}
    answer = httpx.post(stage.system.endpoint + path, json=body, headers=headers, timeout=30)
    assert answer.status_code == 200, answer.text
    document = answer.json()
    assert document["output_location"].endswith("/outputs/test-t2i")
    job = stage.client.wait(document["job_id"], timeout_s=WAIT_S)
    assert job.status is Status.SUCCEEDED, job.error
    [result] = stage.results.of(document["job_id"])
    assert (result.id, result.result) == ("test-t2i", True), "that client finds its job by its own id"


@pytest.mark.parametrize(
    ("changes", "code", "told"),
    [
        ({"sampler_name": "Eular a"}, "invalid_workflow", "`Euler a`"),
        ({"override_settings": {"sd_model_checkpoint": "v1-4"}}, "invalid_workflow", "sd_model_checkpoint"),
        ({"steps": "many"}, "invalid_workflow", "steps"),
        ({"prompt": "<painter:raise:NansException:all NaNs>"}, "node_execution_error", "NansException: all NaNs"),
    ],
)
def test_a_job_that_a1111_would_not_do_as_asked_fails_in_plain_words(
    stage: Stage, changes: dict[str, Any], code: str, told: str
) -> None:
    job = job_of(stage, JobRequest(runtime="webui", input={"prompt": "a fox", "width": 64, "height": 64, **changes}))
    assert (job.status, job.attempts) == (Status.FAILED, 1)
    assert job.error is not None
    assert job.error.code == code
    assert told in job.error.message


def test_a_runtime_that_dies_in_mid_job_comes_back_and_the_job_is_done(stage: Stage) -> None:
    payload = {"prompt": "a fox <painter:sleep:8>", "width": 64, "height": 64, "steps": 2}
    job = stage.client.submit(JobRequest(runtime="webui", input=payload))
    until(lambda: stage.client.get(job.id).progress.steps == 80, "the job to sample")
    for pod in stage.system.cluster.workloads["webui"].pods.pods:
        assert pod.runtime is not None
        pod.runtime.child.kill()
    done_job = stage.client.wait(job.id, timeout_s=WAIT_S)
    assert done_job.status is Status.SUCCEEDED, done_job.error
    assert done_job.attempts > 1
