"""A crash between record and publish, and the command that people use."""

import json
import subprocess
import sys
import time
from pathlib import Path
from uuid import uuid4

from boto3.dynamodb.types import TypeSerializer

from sd_async.contract.jobs import JobType
from sd_async.contract.messages import JobMessage, encode_message
from sd_async.contract.records import OUTBOX_PENDING, Record, to_item
from sd_async.contract.states import Status
from tests.journeys import graphs
from tests.journeys.conftest import Stage

ROOT = Path(__file__).resolve().parents[2]
WAIT_S = 90.0


def test_a_job_recorded_but_never_published_is_swept_onto_its_way(stage: Stage) -> None:
    job_id, names = str(uuid4()), stage.names
    accepted = stage.client.submit(graphs.request(graphs.colour(4)))
    owner = _item(stage, accepted.id)["owner"]["S"]
    an_hour_ago_ms = int(time.time() * 1000) - 3_600_000
    message = JobMessage(
        sd_async=1,
        id=job_id,
        owner=owner,
        runtime="sd15",
        type=JobType.WORKFLOW,
        created_at_ms=an_hour_ago_ms,
        timeout_seconds=60,
        output_key=job_id,
        input=graphs.colour(5),
    )
    key = f"jobs/{job_id}/job.json"
    stage.system.emulator.client("s3").put_object(Bucket=names.input_bucket, Key=key, Body=encode_message(message))
    record = Record(
        id=job_id,
        owner=owner,
        runtime="sd15",
        type=JobType.WORKFLOW,
        status=Status.QUEUED,
        created_at_ms=an_hour_ago_ms,
        updated_at_ms=an_hour_ago_ms,
        expires_at_s=int(time.time()) + 3600,
        timeout_seconds=60,
        output_key=job_id,
        input_ref=f"s3://{names.input_bucket}/{key}",
        outbox=OUTBOX_PENDING,
    )
    serialize = TypeSerializer().serialize
    stage.system.emulator.client("dynamodb").put_item(
        TableName=names.jobs_table, Item={name: serialize(value) for name, value in to_item(record).items()}
    )
    # the schedule would call it within the minute
    answer = stage.system.emulator.client("lambda").invoke(FunctionName="sd-async-dev-outbox", Payload=b"{}")
    assert "FunctionError" not in answer, answer["Payload"].read()

    done = stage.client.wait(job_id, timeout_s=WAIT_S)
    assert done.status is Status.SUCCEEDED, done.error
    assert "outbox" not in _item(stage, job_id)


def test_the_command_submits_watches_and_downloads(stage: Stage, tmp_path: Path) -> None:
    workflow = tmp_path / "workflow.json"
    workflow.write_text(json.dumps(graphs.colour(6)))
    environment = {"SD_ASYNC_ENDPOINT": stage.system.endpoint, "SD_ASYNC_API_KEY": stage.system.api_key}
    command = [sys.executable, "-m", "sd_async", "--json", "submit", str(workflow), "--runtime", "sd15"]
    done = subprocess.run(
        [*command, "--watch", "-o", "images"],
        cwd=tmp_path,
        env={**environment, "PYTHONPATH": str(ROOT), "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=WAIT_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert json.dumps(document).count('"succeeded"') == 1
    assert len(list((tmp_path / "images").rglob("*.png"))) == 1
    assert stage.system.api_key not in done.stdout + done.stderr


def _item(stage: Stage, job_id: str) -> dict[str, dict[str, str]]:
    table = stage.names.jobs_table
    found = stage.system.emulator.client("dynamodb").get_item(TableName=table, Key={"id": {"S": job_id}})
    item: dict[str, dict[str, str]] = found["Item"]
    return item
