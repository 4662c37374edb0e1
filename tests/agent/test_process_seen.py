"""What a whole agent shows of one job over every real edge: numbers, spans, its closing line, and what that costs."""

import asyncio
import time
import uuid

import httpx

from agent.aws import Clients
from agent.edges.dynamodb import DynamoStore
from sd_async.contract.adoption import first_record
from sd_async.contract.messages import encode_message
from sd_async.contract.states import Status
from tests.agent.closings import series
from tests.agent.collector import Collector, collecting
from tests.agent.comfyui_server import Script, comfyui
from tests.agent.scenario import in_loop, message_of
from tests.agent.test_process import MAX_RESIDENT_KIB, ended, lines, process, resident

TRACE_ID = "5759e988bd862e3fe1be46a994272793"


@in_loop
async def test_a_job_shows_in_numbers_spans_and_its_line_within_the_agents_memory(
    clients: Clients, environment: dict[str, str], queue_url: str, table: str
) -> None:
    store = DynamoStore(clients.dynamodb, table)
    job_id = await submitted(clients, store, queue_url)
    with collecting() as collector:
        wanted = {"SD_METRICS": "both", "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url}
        async with comfyui(Script()) as url, process(environment | wanted | {"SD_RUNTIME_URL": url}) as agent:
            record = await ended(store, job_id)
            page = await scraped(environment["SD_HEALTH_PORT"], until="sd_agent_jobs_total")
            resident_kib = resident(agent.pid)
            agent.terminate()
            said = await lines(agent)
    assert (record.status, agent.returncode) == (Status.SUCCEEDED, 0)
    check_numbers(page)
    check_spans(collector, queue_url)
    [closed] = [line for line in said if line["message"] == "job closed"]
    [directive] = closed["_aws"]["CloudWatchMetrics"]
    assert (closed["trace_id"], closed["Jobs"], directive["Namespace"]) == (TRACE_ID, 1, "sd-async/agent")
    assert resident_kib < MAX_RESIDENT_KIB


@in_loop
async def test_a_collector_that_hangs_does_not_hold_up_the_end_of_an_agent(
    clients: Clients, environment: dict[str, str], queue_url: str, table: str
) -> None:
    store = DynamoStore(clients.dynamodb, table)
    job_id = await submitted(clients, store, queue_url)
    with collecting() as collector:
        collector.status = 0
        wanted = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url}
        async with comfyui(Script()) as url, process(environment | wanted | {"SD_RUNTIME_URL": url}) as agent:
            await ended(store, job_id)
            began_s = time.monotonic()
            agent.terminate()
            assert await agent.wait() == 0
            assert time.monotonic() - began_s < 4, "it would wait for all of PATIENCE_S otherwise"
        assert collector.bodies, "there was something to send"


async def submitted(clients: Clients, store: DynamoStore, queue_url: str) -> str:
    """Id of a job that waits in the queue."""
    now_ms = time.time_ns() // 1_000_000
    trace = f"Root=1-{TRACE_ID[:8]}-{TRACE_ID[8:]}"
    message = message_of(str(uuid.uuid4()), created_at_ms=now_ms, trace=trace)
    await store.create(first_record(message, now_ms=now_ms, retention_days=1))
    clients.sqs.send_message(QueueUrl=queue_url, MessageBody=encode_message(message).decode())
    return message.id


async def scraped(port: str, until: str) -> bytes:
    """The first page that has a series of this name; the closing comes just after the record."""
    async with httpx.AsyncClient() as client:
        while True:
            page = (await client.get(f"http://127.0.0.1:{port}/metrics")).content
            if any(name == until for name, _ in series(page)):
                return page
            await asyncio.sleep(0.05)


def check_numbers(page: bytes) -> None:
    found: dict[str, list[tuple[dict[str, str], float]]] = {}
    for (name, labels), value in series(page).items():
        found.setdefault(name, []).append((dict(labels), value))
    assert ({"outcome": "succeeded", "error": ""}, 1.0) in found["sd_agent_jobs_total"]
    operations = {labels["operation"] for labels, _ in found["sd_agent_aws_calls_total"]}
    assert operations >= {"ReceiveMessage", "UpdateItem", "PutObject"}
    assert operations & {"Publish", "PublishBatch"}
    assert found["sd_agent_queue_age_seconds_count"] == [({}, 1.0)]
    assert found["process_resident_memory_bytes"][0][1] > 0
    assert ({"state": "ready"}, 1.0) in found["sd_agent_state"]


def check_spans(collector: Collector, queue_url: str) -> None:
    spans = collector.spans()
    phases = {"receive", "claim", "fetch", "execution", "store", "settle"}
    assert set(spans) == {f"process {queue_url.rpartition('/')[2]}", *phases}
    assert {span.trace_id.hex() for span in spans.values()} == {TRACE_ID}
