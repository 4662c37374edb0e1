"""One measured run: a real agent process, a queue full of jobs, a runtime that records when it was busy."""

import contextlib
import os
import statistics
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from boto3.dynamodb.types import TypeSerializer

from bench import agent_aws
from local.emulator import Emulator
from local.processes import Child, base_environment, free_port, python_module
from sd_async.contract.adoption import first_record, is_job_id
from sd_async.contract.jobs import JobType, RuntimeType
from sd_async.contract.messages import JobMessage, encode_message
from sd_async.contract.records import to_item

ROOT = Path(__file__).parents[1]
GRAPH: Mapping[str, Any] = {
    "3": {"class_type": "KSampler", "inputs": {"seed": 1, "steps": 20, "model": ["4", 0], "positive": ["6", 0]}},
    "4": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "sd15.safetensors"}},
    "5": {"class_type": "EmptyLatentImage", "inputs": {"width": 1024, "height": 1024, "batch_size": 1}},
    "6": {"class_type": "CLIPTextEncode", "inputs": {"text": "a fox in the snow", "clip": ["4", 1]}},
    "8": {"class_type": "VAEDecode", "inputs": {"samples": ["3", 0], "vae": ["4", 2]}},
    "9": {"class_type": "SaveImage", "inputs": {"images": ["8", 0], "filename_prefix": "ComfyUI"}},
}
A1111: Mapping[str, Any] = {"prompt": "a fox in the snow", "steps": 20, "width": 1024, "height": 1024}
_STARTED_S = 30.0
_IDLE_S = 1.0  # after the last job: by then the agent is in a long poll
_LEAVES_WITHIN_S = 60.0
_LOOK_S = 0.005


@dataclass(frozen=True, kw_only=True)
class Mode:
    """One kind of job. run_s: at the runtime. jobs, jobs_without: with overlap, and one step after the other."""

    name: str
    run_s: float
    jobs: int
    jobs_without: int
    steps: int = 20
    files: int = 1
    size_bytes: int = 1_500_000
    runtime: RuntimeType = RuntimeType.COMFYUI


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What one run showed. spans: job, begin and end at the runtime. calls: to AWS, as `agent_aws` tells them.

    idle_sigterm_s: from SIGTERM to the end of the process, when it waited for a message and nothing else.
    """

    spans: Sequence[tuple[str, float, float]]
    calls: Sequence[tuple[str, float, float, list[str]]]
    started_s: float
    cpu_s: float
    rss_mb: float
    idle_sigterm_s: float

    @property
    def busy_pct(self) -> float:
        return 100 * sum(end - begin for _, begin, end in self.spans) / self.whole_s

    @property
    def whole_s(self) -> float:
        return self.spans[-1][2] - self.spans[0][1]

    @property
    def jobs_per_hour(self) -> float:
        return 3600 * len(self.spans) / self.whole_s

    @property
    def gaps_ms(self) -> list[float]:
        """Idle times between two jobs."""
        pairs = zip(self.spans, self.spans[1:], strict=False)
        return [1000 * (later[1] - earlier[2]) for earlier, later in pairs]

    @property
    def first_receive_s(self) -> float:
        """From the start of the process to its first question for a message."""
        return next(arrived for name, arrived, *_ in self.calls if name == "ReceiveMessage") - self.started_s


def percentile(values: Sequence[float], share: float) -> float:
    """share: 0 to 1."""
    if len(values) < 2:
        return values[0] if values else 0.0
    return statistics.quantiles(values, n=100, method="inclusive")[round(share * 100) - 1]


def measured(emulator: Emulator, mode: Mode, jobs: int, *, jobs_ahead: int) -> Measured:
    """A run of so many jobs. Raises: AssertionError when one of them did not succeed."""
    with tempfile.TemporaryDirectory(prefix="bench-") as scratch, _runtime(mode, Path(scratch)) as url:
        place = _Place(emulator)
        place.submit(mode, jobs)
        before = len(_calls(emulator))
        environment = place.environment(mode, url, jobs_ahead, Path(scratch))
        started_s = time.monotonic()
        log = Path(scratch) / "agent.log"
        agent = Child("agent", python_module("agent"), environment=environment, log=log, cwd=ROOT)
        try:
            place.wait_until_done(agent, jobs, 20 + jobs * (mode.run_s + 1))
            rss_mb, cpu_s = _peak_mb(agent.pid), _cpu_s(agent.pid)
            idle_sigterm_s = _left_after_s(agent)
        finally:
            agent.stop()
        place.check(jobs)
        spans = sorted(httpx.get(f"{url}/bench/spans", trust_env=False).json(), key=lambda span: span[1])
        return Measured(
            spans=[tuple(span) for span in spans],
            calls=_calls(emulator)[before:],
            started_s=started_s,
            cpu_s=cpu_s,
            rss_mb=rss_mb,
            idle_sigterm_s=idle_sigterm_s,
        )


def bare_cpu_ms(emulator: Emulator, mode: Mode, jobs: int) -> float:
    """Processor time of one job's calls to AWS, made by themselves (`agent_bare`)."""
    place = _Place(emulator)
    place.submit(mode, jobs)
    with tempfile.TemporaryDirectory(prefix="bench-") as scratch:
        done = subprocess.run(  # noqa: S603 - our own program
            python_module("bench.agent_bare", place.queue_url, place.name, place.name, place.topic_arn),
            env={**base_environment(Path(scratch)), **emulator.environment, "AWS_DEFAULT_REGION": emulator.region},
            cwd=ROOT,
            check=True,
            capture_output=True,
            text=True,
        )
    return float(done.stdout)


class _Place:
    """Queue, table, bucket and topic of one run."""

    def __init__(self, emulator: Emulator) -> None:
        name = f"bench-{uuid.uuid4()}"
        self._emulator = emulator
        self.name = name
        self._sqs, self._dynamodb = emulator.client("sqs"), emulator.client("dynamodb")
        self.queue_url = self._sqs.create_queue(QueueName=name, Attributes={"VisibilityTimeout": "60"})["QueueUrl"]
        self._dynamodb.create_table(
            TableName=name,
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )
        emulator.client("s3").create_bucket(
            Bucket=name, CreateBucketConfiguration={"LocationConstraint": emulator.region}
        )
        self.topic_arn = emulator.client("sns").create_topic(Name=name)["TopicArn"]

    def submit(self, mode: Mode, jobs: int) -> None:
        for first in range(0, jobs, 10):
            some = [_message(mode, number) for number in range(first, min(first + 10, jobs))]
            records = [first_record(each, now_ms=each.created_at_ms, retention_days=1) for each in some]
            puts = [{"PutRequest": {"Item": _attributes(to_item(record))}} for record in records]
            self._dynamodb.batch_write_item(RequestItems={self.name: puts})
            entries = [{"Id": each.id, "MessageBody": encode_message(each).decode()} for each in some]
            self._sqs.send_message_batch(QueueUrl=self.queue_url, Entries=entries)

    def environment(self, mode: Mode, runtime_url: str, jobs_ahead: int, scratch: Path) -> dict[str, str]:
        return {
            **base_environment(scratch),
            **self._emulator.environment,
            "AWS_EC2_METADATA_DISABLED": "true",
            "SD_AGENT_ID": "bench-0",
            "SD_POD_IP": "127.0.0.1",
            "SD_RUNTIME_NAME": "bench",
            "SD_RUNTIME_TYPE": mode.runtime.value,
            "SD_RUNTIME_URL": runtime_url,
            "SD_QUEUE_URL": self.queue_url,
            "SD_JOBS_TABLE": self.name,
            "SD_RESULTS_TOPIC_ARN": self.topic_arn,
            "SD_OUTPUT_BUCKET": self.name,
            "SD_INPUT_BUCKET": self.name,
            "SD_JOB_TIMEOUT_S": "600",
            "SD_VISIBILITY_S": "60",
            "SD_MAX_ATTEMPTS": "5",
            "SD_GRACE_PERIOD_S": "120",
            "SD_RETENTION_DAYS": "1",
            "SD_HEALTH_PORT": str(free_port()),
            "SD_JOBS_AHEAD": str(jobs_ahead),
        }

    def wait_until_done(self, agent: Child, jobs: int, patience_s: float) -> None:
        """Until every job has succeeded; the agent's log is asked, which costs neither it nor the emulator anything."""
        deadline_s = time.monotonic() + patience_s
        while agent.log.read_bytes().count(b'"outcome": "succeeded"') < jobs:
            if agent.exit_code() is not None or time.monotonic() > deadline_s:
                raise RuntimeError(f"The agent did not end its jobs:\n{agent.last_lines(30)}")
            time.sleep(0.1)

    def check(self, jobs: int) -> None:
        found = [page["Items"] for page in self._dynamodb.get_paginator("scan").paginate(TableName=self.name)]
        # beside the jobs lies what the agent told of itself
        ends = [item["status"]["S"] for items in found for item in items if is_job_id(item["id"]["S"])]
        assert ends == ["succeeded"] * jobs, ends
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        left = self._sqs.get_queue_attributes(QueueUrl=self.queue_url, AttributeNames=names)["Attributes"]
        assert [left[name] for name in names] == ["0", "0"], left


def _attributes(item: Mapping[str, Any]) -> dict[str, Any]:
    serialize = TypeSerializer().serialize
    return {name: serialize(value) for name, value in item.items()}


def _message(mode: Mode, number: int) -> JobMessage:
    job_id = f"be0c0000-0000-4000-8000-{number:012}"
    is_comfyui = mode.runtime is RuntimeType.COMFYUI
    return JobMessage(
        sd_async=1,
        id=job_id,
        owner="bench",
        runtime="bench",
        type=JobType.WORKFLOW if is_comfyui else JobType.TEXT_TO_IMAGE,
        created_at_ms=time.time_ns() // 1_000_000,
        timeout_seconds=600,
        output_key=f"renders/{job_id}",
        input=dict(GRAPH if is_comfyui else A1111),
    )


@contextlib.contextmanager
def _runtime(mode: Mode, scratch: Path) -> Iterator[str]:
    port = free_port()
    given = (str(port), str(mode.run_s), str(mode.steps), str(mode.files), str(mode.size_bytes))
    child = Child(
        "runtime",
        python_module("bench.agent_runtime", *given),
        environment=base_environment(scratch),
        log=scratch / "runtime.log",
        cwd=ROOT,
    )
    url = f"http://127.0.0.1:{port}"
    try:
        deadline_s = time.monotonic() + _STARTED_S
        while time.monotonic() < deadline_s:
            with contextlib.suppress(httpx.TransportError):
                httpx.get(f"{url}/system_stats", trust_env=False)
                break
            time.sleep(0.05)
        yield url
    finally:
        child.stop()


def _calls(emulator: Emulator) -> list[Any]:
    answer: list[Any] = httpx.get(f"{emulator.endpoint}{agent_aws.PATH}", trust_env=False).json()
    return answer


def _left_after_s(agent: Child) -> float:
    """Seconds that an agent without a job takes to end after SIGTERM. Raises: RuntimeError when it ends otherwise."""
    time.sleep(_IDLE_S)
    began_s = time.monotonic()
    agent.terminate()
    while agent.exit_code() is None and time.monotonic() < began_s + _LEAVES_WITHIN_S:
        time.sleep(_LOOK_S)
    took_s = time.monotonic() - began_s
    if agent.exit_code() != 0:
        raise RuntimeError(f"The agent did not leave with 0 after SIGTERM:\n{agent.last_lines(30)}")
    return took_s


def _cpu_s(pid: int) -> float:
    """Of all its threads, from its start on."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _peak_mb(pid: int) -> float:
    [line] = [line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) / 1024
