"""`python -m agent` as a process: its exit codes, its signals, one job over every real edge."""

import asyncio
import contextlib
import json
import sys
import time
import uuid
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest

from agent.aws import Clients
from agent.edges.dynamodb import DynamoStore
from local.emulator import Emulator
from local.processes import base_environment, free_port
from sd_async.contract.adoption import first_record
from sd_async.contract.messages import encode_message
from sd_async.contract.records import Record
from sd_async.contract.states import FINAL, Status
from tests.agent.comfyui_server import Script, comfyui
from tests.agent.scenario import in_loop, message_of
from tests.agent.test_config import GOOD

ROOT = Path(__file__).parents[2]
MAX_RESIDENT_KIB = 80 * 1024


@contextlib.asynccontextmanager
async def process(environment: Mapping[str, str]) -> AsyncIterator[asyncio.subprocess.Process]:
    """An agent, killed when the block ends if it has not ended by then."""
    agent = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "agent", env=dict(environment), cwd=ROOT, stderr=asyncio.subprocess.PIPE
    )
    try:
        yield agent
    finally:
        with contextlib.suppress(ProcessLookupError):
            agent.kill()
        await agent.wait()


async def lines(agent: asyncio.subprocess.Process) -> list[dict[str, Any]]:
    """All that it said, once it has ended."""
    assert agent.stderr is not None
    said = await agent.stderr.read()
    await agent.wait()
    return [json.loads(line) for line in said.splitlines()]


async def started(agent: asyncio.subprocess.Process) -> None:
    assert agent.stderr is not None
    assert b"agent started" in await agent.stderr.readline()


async def ended(store: DynamoStore, job_id: str) -> Record:
    while True:
        record = await store.get(job_id)
        assert record is not None
        if record.status in FINAL:
            return record
        await asyncio.sleep(0.05)


@pytest.fixture
def environment(
    emulator: Emulator, queue_url: str, table: str, bucket: str, topic_arn: str, tmp_path: Path
) -> dict[str, str]:
    return {
        **base_environment(tmp_path),
        **GOOD,
        **emulator.environment,
        "AWS_EC2_METADATA_DISABLED": "true",
        "SD_POD_IP": "127.0.0.1",
        "SD_HEALTH_PORT": str(free_port()),
        "SD_QUEUE_URL": queue_url,
        "SD_JOBS_TABLE": table,
        "SD_OUTPUT_BUCKET": bucket,
        "SD_INPUT_BUCKET": bucket,
        "SD_RESULTS_TOPIC_ARN": topic_arn,
    }


@in_loop
async def test_a_wrong_environment_is_told_in_full_with_its_own_code(tmp_path: Path) -> None:
    async with process(base_environment(tmp_path) | {"SD_RUNTIME_TYPE": "a1111"}) as agent:
        [line] = await lines(agent)
    assert agent.returncode == 2
    assert line["message"] == "configuration error"
    named = {problem.split()[0] for problem in line["problems"]}
    assert named == {*GOOD}, "every variable at fault, and no other"


@in_loop
async def test_one_job_goes_over_every_real_edge(
    clients: Clients, environment: dict[str, str], queue_url: str, table: str, bucket: str
) -> None:
    store = DynamoStore(clients.dynamodb, table)
    message = message_of(str(uuid.uuid4()), created_at_ms=time.time_ns() // 1_000_000)
    await store.create(first_record(message, now_ms=message.created_at_ms, retention_days=1))
    clients.sqs.send_message(QueueUrl=queue_url, MessageBody=encode_message(message).decode())
    script = Script(after=0, frames=[{"type": "execution_success", "data": {"prompt_id": message.id}}])
    async with comfyui(script) as url, process(environment | {"SD_RUNTIME_URL": url}) as agent:
        record = await ended(store, message.id)
        async with httpx.AsyncClient() as client:
            answer = await client.get(f"http://127.0.0.1:{environment['SD_HEALTH_PORT']}/readyz")
        resident_kib = resident(agent.pid)
        agent.terminate()
        said = await lines(agent)
    assert (record.status, agent.returncode, answer.status_code) == (Status.SUCCEEDED, 0, 200)
    stored = await asyncio.to_thread(clients.s3.get_object, Bucket=bucket, Key=record.outputs[0].key)
    with contextlib.closing(stored["Body"]) as body:
        assert body.read() == b"pixels"
    assert [line["outcome"] for line in said if line["message"] == "job closed"] == ["succeeded"]
    assert resident_kib < MAX_RESIDENT_KIB


@in_loop
async def test_sigterm_ends_an_idle_agent_without_waiting_for_its_long_poll(environment: dict[str, str]) -> None:
    async with comfyui(Script()) as url, process(environment | {"SD_RUNTIME_URL": url}) as agent:
        await started(agent)
        began_s = time.monotonic()
        agent.terminate()
        assert await agent.wait() == 0
        assert time.monotonic() - began_s < 5, "a long poll takes 20 s"


@pytest.mark.parametrize(
    ("name", "value"),
    [("SD_QUEUE_URL", "{endpoint}/000000000000/missing"), ("AWS_SECRET_ACCESS_KEY", None)],
)
@in_loop
async def test_what_aws_refuses_ends_the_process_with_its_own_code(
    emulator: Emulator, environment: dict[str, str], name: str, value: str | None
) -> None:
    environment.pop(name)
    if value is not None:
        environment[name] = value.format(endpoint=emulator.endpoint)
    async with comfyui(Script()) as url, process(environment | {"SD_RUNTIME_URL": url}) as agent:
        said = await lines(agent)
    assert agent.returncode == 4
    assert said[-1]["error"].startswith("aws_unusable: ")


@in_loop
async def test_nothing_is_loaded_that_an_agent_does_not_need(tmp_path: Path) -> None:
    code = "import sys, agent.__main__; print(*sys.modules)"
    running = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, env=base_environment(tmp_path), cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    output, _ = await running.communicate()
    loaded = {name.partition(".")[0] for name in output.decode().split()}
    assert loaded >= {"boto3", "msgspec"}
    needed_by_some = {"awscrt", "httpx", "websockets"}  # a copy of models, a file from the web, a type of runtime
    assert not loaded & {"aiohttp", "components", "functions", "local", "numpy", "PIL", "pulumi", "yaml"}
    assert not loaded & needed_by_some


def resident(pid: int) -> int:
    status = Path(f"/proc/{pid}/status")
    if not status.exists():
        return 0  # only Linux tells
    [line] = [line for line in status.read_text().splitlines() if line.startswith("VmRSS")]
    return int(line.split()[1])
