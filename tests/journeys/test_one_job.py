"""The whole way of one job over real HTTP: from POST to the image, the record and the announcement."""

import io
import json
from pathlib import Path

import httpx
import pytest
from PIL import Image

from sd_async.contract.jobs import Job
from sd_async.contract.results import ResultMessage
from sd_async.contract.states import Status
from tests.journeys import graphs
from tests.journeys.conftest import Stage

EXAMPLE_NAMES = sorted(path.stem for path in (graphs.EXAMPLES / "comfyui").glob("*.json"))
WAIT_S = 90.0


def test_a_job_goes_from_post_to_an_image_and_says_how_long_each_phase_took(stage: Stage, tmp_path: Path) -> None:
    seen: list[Job] = []
    context = {"order": 17, "who": ["a", "b"]}
    request = graphs.request(graphs.example("text-to-image"), context=context, output_prefix="tests/one")
    accepted = stage.client.submit(request)
    assert accepted.status is Status.QUEUED
    job = stage.client.wait(accepted.id, timeout_s=WAIT_S, on_change=seen.append)

    assert job.status is Status.SUCCEEDED, job.error
    assert job.context == context, "a client's context comes back untouched"
    assert job.attempts == 1
    assert job.metrics.queue_ms is not None
    assert job.metrics.execution_ms is not None
    assert job.metrics.execution_ms > 0
    assert job.metrics.store_ms is not None
    assert job.metrics.total_ms is not None
    assert job.metrics.total_ms >= job.metrics.queue_ms + job.metrics.execution_ms
    assert job.started_at is not None
    assert job.completed_at is not None
    assert job.created_at <= job.started_at <= job.completed_at
    saved = stage.client.download(job, tmp_path)
    assert len(saved) == 1
    with Image.open(saved[0]) as image:
        assert image.format == "PNG"
        assert image.size == (512, 512)
    assert job.outputs[0].s3_uri.startswith(f"{job.output_location}/")
    assert job.output_location.endswith(f"/tests/one/{job.id}")


def test_the_end_is_announced_once_and_the_message_is_gone(stage: Stage) -> None:
    job = stage.client.wait(stage.client.submit(graphs.request(graphs.colour(1))).id, timeout_s=WAIT_S)
    [result] = stage.results.of(job.id)
    assert result.result is True
    assert result.id == job.id
    assert result.image_url == [output.s3_uri for output in job.outputs]
    assert messages_left(stage) == (0, 0)


def messages_left(stage: Stage) -> tuple[int, int]:
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    counts = stage.system.emulator.client("sqs").get_queue_attributes(
        QueueUrl=stage.system.deployed.outputs["queue_urls"]["sd15"], AttributeNames=names
    )["Attributes"]
    return int(counts[names[0]]), int(counts[names[1]])


@pytest.mark.parametrize("name", EXAMPLE_NAMES)
def test_every_example_runs(stage: Stage, tmp_path: Path, name: str) -> None:
    job = stage.client.wait(stage.client.submit(graphs.request(graphs.example(name))).id, timeout_s=WAIT_S)
    assert job.status is Status.SUCCEEDED, job.error
    assert stage.client.download(job, tmp_path)


def test_the_body_that_the_readme_posts_by_hand_is_accepted_and_done(stage: Stage) -> None:
    headers = {"x-api-key": stage.system.api_key, "content-type": "application/json"}
    body = (graphs.EXAMPLES / "job.json").read_bytes()
    answer = httpx.post(f"{stage.system.endpoint}/v1/jobs", content=body, headers=headers, timeout=30)
    assert answer.status_code == 202, answer.text
    assert json.loads(body)["input"] == graphs.example("text-to-image")
    job = stage.client.wait(answer.json()["id"], timeout_s=WAIT_S)
    assert (job.status, job.context) == (Status.SUCCEEDED, {"order": 17})


def test_a_workflow_that_repeats_delivers_its_images_again(stage: Stage, tmp_path: Path) -> None:
    for folder in ("first", "second"):
        job = stage.client.wait(stage.client.submit(graphs.request(graphs.colour(2))).id, timeout_s=WAIT_S)
        assert job.status is Status.SUCCEEDED, job.error
        assert stage.client.download(job, tmp_path / folder), "a cached run of ComfyUI writes nothing by itself"


def test_a_file_from_the_input_bucket_reaches_the_workflow(stage: Stage, tmp_path: Path) -> None:
    bucket = stage.names.input_bucket
    picture = io.BytesIO()
    Image.new("RGB", (48, 32), (10, 200, 30)).save(picture, "PNG")
    stage.system.emulator.client("s3").put_object(Bucket=bucket, Key="mine/green.png", Body=picture.getvalue())
    graph = {
        "1": {"class_type": "LoadImage", "inputs": {"image": "green.png"}},
        "9": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "copy"}},
    }
    files = {"green.png": f"s3://{bucket}/mine/green.png"}
    job = stage.client.wait(stage.client.submit(graphs.request(graph, files=files)).id, timeout_s=WAIT_S)
    assert job.status is Status.SUCCEEDED, job.error
    with Image.open(stage.client.download(job, tmp_path)[0]) as image:
        assert image.size == (48, 32)
        assert image.convert("RGB").getpixel((5, 5)) == (10, 200, 30)


@pytest.mark.parametrize("path", ["/v1alpha2", "/v1alpha2/"])
def test_a_client_of_the_public_sample_gets_the_answers_it_knows(stage: Stage, path: str) -> None:
    body = json.loads((graphs.EXAMPLES / "v1alpha2-comfyui.json").read_text())
    body["task"]["metadata"].update(runtime="sd15", id="test-t2i", prefix="alpha", context="")
    headers = {"x-api-key": stage.system.api_key}
    answer = httpx.post(stage.system.endpoint + path, json=body, headers=headers, timeout=30)
    assert answer.status_code == 200, answer.text
    document = answer.json()
    assert document["id"] == "test-t2i"
    assert document["output_location"].endswith("/alpha/test-t2i")
    assert stage.client.wait(document["job_id"], timeout_s=WAIT_S).status is Status.SUCCEEDED
    [result] = stage.results.of(document["job_id"])
    assert result.id == "test-t2i", "that client finds its job by its own id"
    assert result.result is True
    assert result.context == ""


def test_a_job_published_straight_to_the_topic_is_run_too(stage: Stage) -> None:
    body = json.loads((graphs.EXAMPLES / "v1alpha2-comfyui.json").read_text())
    body["task"]["metadata"].update(runtime="sd15", id="direct-1", prefix="direct")
    stage.system.emulator.client("sns").publish(
        TopicArn=stage.system.deployed.outputs["jobs_topic_arn"],
        Message=json.dumps(body),
        MessageAttributes={"runtime": {"DataType": "String", "StringValue": "sd15"}},
    )
    heard = _heard_by_client_id(stage, "direct-1")
    assert heard, "no result was announced"
    assert heard[0].result is True, heard[0].error


def _heard_by_client_id(stage: Stage, client_id: str) -> list[ResultMessage]:
    for _ in range(int(WAIT_S)):
        stage.results.of("nobody", wait_s=0)
        found = [result for result in stage.results.heard if result.id == client_id]
        if found:
            return list(found)
    return []
