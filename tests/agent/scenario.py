"""An agent among fakes, and the jobs it is given."""

import asyncio
import functools
import json
import uuid
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass, field, replace
from typing import Any, ParamSpec

from agent.config import Config
from agent.ports import Ports
from agent.worker import Worker
from sd_async.contract.adoption import first_record
from sd_async.contract.jobs import JobType, RuntimeType
from sd_async.contract.limits import SPARE_RECEIPTS
from sd_async.contract.messages import JobMessage, encode_message
from sd_async.contract.records import Record
from sd_async.contract.results import ResultMessage, decode_result
from tests.support.clock import START_MS, FakeClock
from tests.support.fake_queue import FakeQueue
from tests.support.fakes import FakeBackend, FakeFiles, FakeStore, FakeTopic

P = ParamSpec("P")

PATIENCE_S = 20.0  # real seconds after which a test that hangs is a failed one
JOB_ID = "8f14e45f-ceea-467f-a830-5d1fd1a4d6c8"
WORKFLOW = {"9": {"class_type": "SaveImage", "inputs": {"images": ["8", 0], "filename_prefix": "ComfyUI"}}}

CONFIG = Config(
    agent_id="comfy-0",
    pod_ip="127.0.0.1",
    runtime_name="comfy",
    runtime_type=RuntimeType.COMFYUI,
    runtime_url="http://127.0.0.1:8188",
    queue_url="http://127.0.0.1/queue",
    jobs_table="jobs",
    results_topic_arn="arn:aws:sns:us-west-2:000000000000:results",
    output_bucket="outputs",
    input_bucket="inputs",
    file_buckets=frozenset({"inputs", "team"}),
    output_folder=None,
    job_timeout_s=600,
    visibility_s=60,
    heartbeat_s=5,
    lease_s=60,
    max_attempts=5,
    grace_period_s=120,
    jobs_ahead=10,
    retention_days=30,
    health_port=8081,
    log_level="INFO",
    region="us-west-2",
    endpoint_url=None,
)


def in_loop(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """A test that is a coroutine, in a loop of its own and within PATIENCE_S."""

    @functools.wraps(test)
    def run(*arguments: P.args, **named: P.kwargs) -> None:
        asyncio.run(asyncio.wait_for(test(*arguments, **named), PATIENCE_S))

    return run


def message_of(job_id: str = JOB_ID, **changes: Any) -> JobMessage:
    fields: dict[str, Any] = {
        "sd_async": 1,
        "id": job_id,
        "owner": "key-1",
        "runtime": "comfy",
        "type": JobType.WORKFLOW,
        "created_at_ms": START_MS,
        "timeout_seconds": 600,
        "output_key": f"renders/{job_id}",
        "input": WORKFLOW,
    }
    return JobMessage(**fields | changes)


def alpha_body(**metadata: Any) -> str:
    given = {"id": "mine-7", "runtime": "comfy", "tasktype": "workflow", "prefix": "renders", "context": {"a": 1}}
    return json.dumps({"task": {"metadata": given | metadata, "content": WORKFLOW}})


@dataclass
class Scenario:
    """Several agents may share the queue, the store and the rest: `agent()` makes one more."""

    config: Config = CONFIG
    clock: FakeClock = field(default_factory=FakeClock)

    def __post_init__(self) -> None:
        self.queue = FakeQueue(
            self.clock, visibility_s=self.config.visibility_s, max_receives=self.config.max_attempts + SPARE_RECEIPTS
        )
        self.store = FakeStore()
        self.topic = FakeTopic()
        self.files = FakeFiles()
        self.web = FakeFiles()
        self.backend = FakeBackend(self.clock)
        self.stop = asyncio.Event()

    def ports(self, backend: FakeBackend) -> Ports:
        return Ports(
            queue=self.queue,
            store=self.store,
            topic=self.topic,
            files=self.files,
            sources={"s3": self.files, "https": self.web},
            backend=backend,
            clock=self.clock,
        )

    def agent(
        self, name: str = "comfy-0", backend: FakeBackend | None = None, stop: asyncio.Event | None = None
    ) -> "asyncio.Task[None]":
        """A worker that runs until `stop`."""
        worker = Worker(replace(self.config, agent_id=name), self.ports(backend or self.backend), stop or self.stop)
        return asyncio.create_task(worker.run())

    async def submit(self, message: JobMessage | None = None) -> Record:
        message = message or message_of()
        record = first_record(message, now_ms=self.clock.now_ms(), retention_days=30)
        await self.store.create(record)
        self.queue.send(encode_message(message).decode(), str(uuid.uuid4()))
        return record

    def job(self, job_id: str = JOB_ID) -> Record:
        return self.store.records[job_id]

    def results(self) -> list[ResultMessage]:
        return [decode_result(body) for body, _ in self.topic.published]


async def ended(tasks: Iterable["asyncio.Task[None]"]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
