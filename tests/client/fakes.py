"""An API that answers from a script, a clock that sleeping moves, and jobs in any state."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import httpx
import msgspec

from sd_async.client import Client
from sd_async.contract.codec import encode
from sd_async.contract.jobs import Job, JobError, JobType, JobUrls, Metrics, Output, Progress
from sd_async.contract.states import Status

ENDPOINT = "https://api.example.com/prod"
KEY = "not-a-real-key-0123456789"
JOB_ID = "9f0c2b0e-6d0b-4f5e-8a53-3a3f0e6f1c55"

Answer = httpx.Response | Exception | Callable[[httpx.Request], httpx.Response]


@dataclass
class FakeTime:
    """Seconds that pass only while somebody sleeps."""

    now_s: float = 1000.0
    slept_s: list[float] = field(default_factory=list)

    def clock(self) -> float:
        return self.now_s

    def sleep(self, seconds: float) -> None:
        self.slept_s.append(seconds)
        self.now_s += seconds


class FakeApi(httpx.BaseTransport):
    """Gives the answers in order and the last one for ever; keeps what it was asked."""

    def __init__(self, *answers: Answer) -> None:
        self.answers = list(answers)
        self.requests: list[httpx.Request] = []

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        request.read()
        self.requests.append(request)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, httpx.Response):
            # a copy, since a response can be read once
            return httpx.Response(answer.status_code, headers=answer.headers, content=answer.content)
        return answer(request)


def client_of(api: httpx.BaseTransport, time: FakeTime | None = None) -> Client:
    time = time or FakeTime()
    return Client(ENDPOINT, KEY, transport=api, clock=time.clock, sleep=time.sleep)


def answer(job: Job, status: int = 200, **headers: str) -> httpx.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx.Response(status, content=encode(job), headers={"content-type": "application/json", **named})


def refused(status: int, code: str, message: str = "No.", **detail: Any) -> httpx.Response:
    error = {"code": code, "message": message, "request_id": "req-1", **detail}
    return httpx.Response(status, json={"error": error})


def job(status: Status = Status.QUEUED, **changes: Any) -> Job:
    known = Job(
        id=JOB_ID,
        runtime="comfyui",
        type=JobType.WORKFLOW,
        status=status,
        created_at="2026-11-24T18:31:54.123Z",
        started_at=None,
        completed_at=None,
        expires_at="2026-12-24T18:31:54.123Z",
        attempts=0,
        progress=Progress(),
        metrics=Metrics(),
        outputs=[],
        output_location=f"s3://outputs/{JOB_ID}",
        error=None,
        context=None,
        urls=JobUrls(self=f"/v1/jobs/{JOB_ID}"),
    )
    return msgspec.structs.replace(known, **changes)


def running(value: float, node: str = "KSampler", message: str = "") -> Job:
    progress = Progress(value=value, current_node="3", current_node_class=node, message=message)
    return job(Status.RUNNING, attempts=1, progress=progress)


def output(name: str, node_id: str | None = "9", url: str = "", **changes: Any) -> Output:
    known = Output(
        name=name,
        type="image",
        content_type="image/png",
        size_bytes=4,
        node_id=node_id,
        s3_uri=f"s3://outputs/{JOB_ID}/1/{node_id}/{name}",
        url=url or f"https://outputs.example.com/{node_id}/{len(name)}?X-Amz-Signature=secret",
        url_expires_at="2026-11-24T19:31:54.123Z",
    )
    return msgspec.structs.replace(known, **changes)


def succeeded(outputs: Iterable[Output] = ()) -> Job:
    return job(Status.SUCCEEDED, attempts=1, outputs=list(outputs), metrics=Metrics(total_ms=4321))


def failed() -> Job:
    error = JobError(code="node_execution_error", message="Out of memory.", node_id="3", class_type="KSampler")
    return job(Status.FAILED, attempts=1, error=error)
