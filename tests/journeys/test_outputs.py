"""Outputs as they were asked for, and the account beside them, over the whole local system."""

import hashlib
import io
import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from sd_async.contract.codec import decode
from sd_async.contract.jobs import Job, JobRequest, OutputOptions
from sd_async.contract.states import Status
from sd_async.errors import ApiError
from tests.journeys import graphs
from tests.journeys.conftest import Stage

WAIT_S = 90.0


def done(stage: Stage, request: JobRequest) -> Job:
    job = stage.client.wait(stage.client.submit(request).id, timeout_s=WAIT_S)
    assert job.status is Status.SUCCEEDED, job.error
    return job


def objects(stage: Stage, job: Job) -> dict[str, dict[str, Any]]:
    """Everything in the folder of the job's attempt, by name: what S3 says of it, with its bytes as `Bytes`."""
    bucket, _, folder = job.output_location.removeprefix("s3://").partition("/")
    s3 = stage.system.emulator.client("s3")
    found = {}
    for entry in s3.list_objects_v2(Bucket=bucket, Prefix=f"{folder}/{job.attempts}/")["Contents"]:
        answer = s3.get_object(Bucket=bucket, Key=entry["Key"])
        found[entry["Key"].rpartition("/")[2]] = {**answer, "Bytes": answer["Body"].read()}
    return found


def account(stage: Stage, job: Job) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(objects(stage, job)["result.json"]["Bytes"])
    return document


def test_the_example_comes_as_webp_with_nothing_in_it_but_the_picture(stage: Stage, tmp_path: Path) -> None:
    job = done(stage, decode((graphs.EXAMPLES / "webp-without-metadata.json").read_bytes(), JobRequest))
    [output] = job.outputs
    assert (output.name[-5:], output.content_type) == (".webp", "image/webp")
    [saved] = stage.client.download(job, tmp_path)
    assert saved.stat().st_size == output.size_bytes
    with Image.open(saved) as image:
        assert (image.format, image.size) == ("WEBP", (512, 512))
        assert not image.info.keys() & {"exif", "xmp"}
    assert b"lighthouse" not in saved.read_bytes()


def test_a_jpeg_keeps_the_workflow_that_the_png_had(stage: Stage, tmp_path: Path) -> None:
    graph = graphs.colour(0x335577)
    job = done(stage, graphs.request(graph, output=OutputOptions(format="jpeg", quality=95)))
    [saved] = stage.client.download(job, tmp_path)
    with Image.open(saved) as image:
        assert image.format == "JPEG"
        kept = json.loads(str(image.getexif()[0x0110]).removeprefix("prompt:"))
        colour = image.convert("RGB").getpixel((5, 5))
    assert kept["1"] == graph["1"]
    assert isinstance(colour, tuple)
    assert max(abs(one - other) for one, other in zip(colour, (0x33, 0x55, 0x77), strict=True)) < 6


def test_the_account_names_every_output_with_its_digest_and_is_none_itself(stage: Stage) -> None:
    request = graphs.request(graphs.colour(3), context={"private": "ours"}, output=OutputOptions(metadata="strip"))
    job = done(stage, request)
    found, [output] = objects(stage, job), job.outputs
    assert set(found) == {output.name, "result.json"}
    document = account(stage, job)
    assert (document["id"], document["attempt"], document["runtime"]) == (job.id, 1, "sd15")
    assert document["input"] == request.input
    assert document["output"] == {"metadata": "strip"}
    assert document["runtime_notes"]["comfyui_version"] == "0.3.64"
    assert document["phases"]["execution_ms"] >= 0
    assert "ours" not in json.dumps(document)
    sha256 = hashlib.sha256(found[output.name]["Bytes"]).hexdigest()
    assert document["outputs"][0]["sha256"] == sha256
    assert found[output.name]["Metadata"] == {"job-id": job.id, "attempt": "1", "node-id": "9", "sha256": sha256}
    assert found[output.name]["ContentType"] == "image/png"
    assert found["result.json"]["ContentType"] == "application/json"
    [result] = stage.results.of(job.id)
    assert result.image_url == [output.s3_uri]


def test_input_files_are_told_by_digest(stage: Stage) -> None:
    bucket, picture = stage.names.input_bucket, io.BytesIO()
    Image.new("RGB", (8, 8), "teal").save(picture, "PNG")
    stage.system.emulator.client("s3").put_object(Bucket=bucket, Key="mine/teal.png", Body=picture.getvalue())
    graph = {
        "1": {"class_type": "LoadImage", "inputs": {"image": "teal.png"}},
        "9": {"class_type": "PreviewImage", "inputs": {"images": ["1", 0]}},
    }
    job = done(stage, graphs.request(graph, files={"teal.png": f"s3://{bucket}/mine/teal.png"}))
    assert account(stage, job)["files"] == {
        "teal.png": {
            "sha256": hashlib.sha256(picture.getvalue()).hexdigest(),
            "size_bytes": len(picture.getvalue()),
            "s3_uri": f"s3://{bucket}/mine/teal.png",
        }
    }


KINDS = [
    ("audio", ".flac", "audio", "audio/flac"),
    ("images", ".mp4", "video", "video/mp4"),
    ("gifs", ".webm", "video", "video/webm"),
    ("3d", ".glb", "3d", "model/gltf-binary"),
    ("latents", ".latent", "latent", "application/octet-stream"),
    ("files", ".svg", "image", "image/svg+xml"),
]


def test_every_kind_of_output_arrives_untouched_whatever_is_asked_of_images(stage: Stage, tmp_path: Path) -> None:
    graph: dict[str, Any] = {
        str(number): {
            "class_type": "PainterFile",
            "inputs": {"key": key, "suffix": suffix, "text": f"bytes of {key}", "filename_prefix": f"a{number}"},
        }
        for number, (key, suffix, _, _) in enumerate(KINDS)
    }
    graph["99"] = {"class_type": "PreviewAny", "inputs": {"source": "some words"}}
    job = done(stage, graphs.request(graph, output=OutputOptions(format="webp", metadata="strip")))
    told = {output.node_id: (output.type, output.content_type) for output in job.outputs}
    assert told == {str(number): (kind, content_type) for number, (_, _, kind, content_type) in enumerate(KINDS)} | {
        "99": ("text", "text/plain; charset=utf-8")
    }
    texts = {path.read_text() for path in stage.client.download(job, tmp_path)}
    assert texts == {f"bytes of {key}" for key, _, _, _ in KINDS} | {"some words"}


def test_a_picture_that_is_none_fails_its_job_in_a_sentence_and_no_other(stage: Stage) -> None:
    inputs = {"key": "images", "suffix": ".png", "text": "no picture", "filename_prefix": "bad"}
    graph = {"9": {"class_type": "PainterFile", "inputs": inputs}}
    request = graphs.request(graph, output=OutputOptions(format="webp"))
    job = stage.client.wait(stage.client.submit(request).id, timeout_s=WAIT_S)
    assert (job.status, job.attempts, job.outputs) == (Status.FAILED, 1, [])
    assert job.error is not None
    assert job.error.code == "output_format"
    assert job.error.message.startswith("`bad_00001_.png` cannot be delivered as asked. It cannot be read")
    done(stage, graphs.request(graphs.colour(5), output=OutputOptions(format="webp")))


def test_a_job_of_nothing_but_previews_delivers_them_each_time(stage: Stage) -> None:
    graph = graphs.colour(4)
    graph["9"] = {"class_type": "PreviewImage", "inputs": {"images": ["1", 0]}}
    names = [done(stage, graphs.request(graph)).outputs[0].name for _ in range(2)]
    assert names[0] != names[1], "the second run made its own"


def test_a_job_that_lacks_memory_says_so_after_a_second_try(stage: Stage) -> None:
    job = stage.client.wait(stage.client.submit(graphs.request(graphs.through("PainterOOM"))).id, timeout_s=WAIT_S)
    assert job.status is Status.FAILED
    assert job.error is not None
    assert (job.error.code, job.error.class_type) == ("out_of_memory", "PainterOOM")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (OutputOptions(format="gif"), "`gif` is none of png, jpeg, webp."),
        (OutputOptions(format="png", quality=9), "A quality needs"),
    ],
    ids=["format", "quality"],
)
def test_what_is_not_offered_is_refused_at_once(stage: Stage, options: OutputOptions, words: str) -> None:

    with pytest.raises(ApiError, match=words) as refusal:
        stage.client.submit(graphs.request(graphs.colour(), output=options))
    assert refusal.value.status == 422
