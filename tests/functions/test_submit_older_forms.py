"""`POST /v1alpha1` and `POST /v1alpha2`: the sample's forms, and what its clients read."""

from typing import Any

from tests.functions.conftest import Caller, only_message, only_record
from tests.functions.fakes import WORKFLOW

ALPHA: dict[str, Any] = {
    "task": {
        "metadata": {"id": "test-t2i", "runtime": "comfy", "tasktype": "pipeline", "prefix": "out", "context": ""},
        "content": WORKFLOW,
    }
}
ALPHA1: dict[str, Any] = {
    "prompt": "a red fox",
    "alwayson_scripts": {
        "task": "text-to-image",
        "sd_model_checkpoint": "a1111",
        "id_task": "t-1",
        "uid": "me",
        "save_dir": "outputs",
        "controlnet": {"args": []},
    },
}
FIRST = "00000000-0000-4000-8000-000000000001"


def test_v1alpha2_answers_200_with_the_clients_id_and_folder(caller: Caller) -> None:
    answer = caller.post(ALPHA, "/v1alpha2")

    assert answer.status == 200
    assert answer.body == {
        "id": "test-t2i",
        "runtime": "comfy",
        "output_location": "s3://output/out/test-t2i",
        "job_id": FIRST,
    }
    record = only_record(caller)
    assert (record.form, record.client_id, record.output_key) == ("v1alpha2", "test-t2i", "out/test-t2i")
    assert only_message(caller).context == ""
    assert caller.get(FIRST).body["context"] == ""


def test_a_repeated_v1alpha2_id_is_a_new_job(caller: Caller) -> None:
    first = caller.post(ALPHA, "/v1alpha2")
    second = caller.post(ALPHA, "/v1alpha2/")

    assert first.body["job_id"] != second.body["job_id"]
    assert len(caller.store.published) == 2


def test_v1alpha2_without_an_id_answers_with_ours(caller: Caller) -> None:
    metadata = {name: value for name, value in ALPHA["task"]["metadata"].items() if name != "id"}

    answer = caller.post({"task": ALPHA["task"] | {"metadata": metadata}}, "/v1alpha2")

    assert answer.body["id"] == answer.body["job_id"] == FIRST
    assert answer.body["output_location"] == f"s3://output/out/{FIRST}"


def test_v1alpha1_answers_200_and_the_runtime_gets_the_body_without_the_queues_keys(caller: Caller) -> None:
    answer = caller.post(ALPHA1, "/v1alpha1")

    assert answer.status == 200
    assert answer.body == {
        "id_task": "t-1",
        "sd_model_checkpoint": "a1111",
        "output_location": "s3://output/outputs/t-1",
        "job_id": FIRST,
    }
    message = only_message(caller)
    assert (message.runtime, message.type, message.form) == ("a1111", "text-to-image", "v1alpha1")
    scripts = {"sd_model_checkpoint": "a1111", "controlnet": {"args": []}}
    assert message.input == {"prompt": "a red fox", "alwayson_scripts": scripts}, "the agent knows the checkpoints"
