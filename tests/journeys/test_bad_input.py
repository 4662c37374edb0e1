"""What a client can get wrong, over real HTTP: one error shape, nothing queued."""

import json
from typing import Any

import httpx
import pytest

from sd_async.contract.adoption import is_job_id
from sd_async.contract.limits import MAX_BODY_BYTES
from tests.journeys import graphs
from tests.journeys.conftest import Stage

JSON = "application/json"


def post(stage: Stage, body: bytes, *, content_type: str = JSON, key: str | None = None) -> httpx.Response:
    headers = {"content-type": content_type, "x-api-key": stage.system.api_key if key is None else key}
    return httpx.post(f"{stage.system.endpoint}/v1/jobs", content=body, headers=headers, timeout=60)


def job(**fields: Any) -> bytes:
    return json.dumps({"runtime": "sd15", "input": graphs.colour(), **fields}).encode()


@pytest.mark.parametrize(
    ("body", "content_type", "status", "code", "field"),
    [
        (b"{not json", JSON, 400, "invalid_json", None),
        (b"[1, 2]", JSON, 400, "invalid_type", None),
        (job(colour="red"), JSON, 400, "unknown_field", "colour"),
        (job(timeout_seconds="soon"), JSON, 400, "invalid_type", "timeout_seconds"),
        (job(runtime="sd99"), JSON, 422, "unknown_runtime", "runtime"),
        (job(input={}), JSON, 422, "empty_workflow", "input"),
        (job(input={"nodes": [], "links": []}), JSON, 422, "workflow_format_ui", "input"),
        (job(files={"a.png": "file:///etc/passwd"}), JSON, 422, "file_scheme", "files.a.png"),
        (job(files={"a.png": "s3://somebody-elses/x"}), JSON, 422, "file_bucket", "files.a.png"),
        (job(), "text/plain", 415, "unsupported_media_type", "Content-Type"),
        (job(output_prefix="x" * MAX_BODY_BYTES), JSON, 413, "too_large", None),
    ],
)
def test_wrong_input_is_refused_in_one_shape(
    stage: Stage, body: bytes, content_type: str, status: int, code: str, field: str | None
) -> None:
    before = jobs_recorded(stage)
    answer = post(stage, body, content_type=content_type)
    assert answer.status_code == status, answer.text
    error = answer.json()["error"]
    assert error["code"] == code
    assert error["message"]
    assert error["request_id"]
    assert error.get("field") == field
    assert jobs_recorded(stage) == before, "a refused job leaves no trace"


@pytest.mark.parametrize("key", ["", "not-a-key"])
def test_without_a_known_key_nothing_is_said_but_403(stage: Stage, key: str) -> None:
    before = jobs_recorded(stage)
    answer = post(stage, job(), key=key)
    assert answer.status_code == 403
    assert answer.json()["error"]["code"] == "forbidden"
    assert jobs_recorded(stage) == before


def test_another_clients_job_looks_like_one_that_does_not_exist(stage: Stage) -> None:
    mine = stage.client.submit(graphs.request(graphs.colour(7)))
    other = another_key(stage)
    hidden = get(stage, mine.id, other)
    unknown = get(stage, "00000000-0000-4000-8000-000000000000", other)
    assert hidden.status_code == unknown.status_code == 404
    assert hidden.json()["error"]["code"] == unknown.json()["error"]["code"] == "not_found"
    assert get(stage, mine.id, stage.system.api_key).status_code == 200


def test_a_repeated_idempotency_key_is_one_job_and_another_body_is_refused(stage: Stage) -> None:
    headers = {"x-api-key": stage.system.api_key, "idempotency-key": "order-17", "content-type": JSON}
    url = f"{stage.system.endpoint}/v1/jobs"
    first = httpx.post(url, content=job(), headers=headers, timeout=60)
    again = httpx.post(url, content=job(), headers=headers, timeout=60)
    other = httpx.post(url, content=job(context="other"), headers=headers, timeout=60)
    assert (first.status_code, again.status_code, other.status_code) == (202, 200, 409)
    assert first.json()["id"] == again.json()["id"]
    assert other.json()["error"]["code"] == "idempotency_conflict"


def get(stage: Stage, job_id: str, key: str) -> httpx.Response:
    return httpx.get(f"{stage.system.endpoint}/v1/jobs/{job_id}", headers={"x-api-key": key}, timeout=60)


def another_key(stage: Stage) -> str:
    gateway = stage.system.emulator.client("apigateway")
    plan = gateway.get_usage_plans()["items"][0]["id"]
    key = gateway.create_api_key(name="another", enabled=True)
    gateway.create_usage_plan_key(usagePlanId=plan, keyId=key["id"], keyType="API_KEY")
    return str(key["value"])


def jobs_recorded(stage: Stage) -> int:
    table = stage.names.jobs_table
    items = stage.system.emulator.client("dynamodb").scan(TableName=table, ProjectionExpression="id")["Items"]
    return sum(is_job_id(item["id"]["S"]) for item in items)  # agents tell of themselves beside the jobs
