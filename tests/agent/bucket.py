"""A job's outputs, stored among fakes, and how to look at them there."""

import json
from collections.abc import Sequence
from typing import Any

from agent.outputs.account import Run
from agent.ports import Artifact
from agent.storing import stored
from sd_async.contract.adoption import first_record
from sd_async.contract.jobs import OutputOptions
from sd_async.contract.messages import JobMessage
from sd_async.contract.records import StoredOutput
from tests.agent.scenario import JOB_ID, message_of
from tests.support.clock import START_MS, FakeClock
from tests.support.fakes import FakeBackend, FakeFiles

FOLDER = f"renders/{JOB_ID}/1"


def artifact(name: str, data: bytes, kind: str = "image", content_type: str = "image/png", node: str = "9") -> Artifact:
    return Artifact(name, kind, content_type, node, data)


def run_of(message: JobMessage | None = None, **facts: Any) -> Run:
    message = message or message_of()
    record = first_record(message, now_ms=START_MS, retention_days=30)
    return Run(message=message, record=record, agent_id="comfy-0", **facts)


class Bucket:
    """What storing left behind."""

    def __init__(self) -> None:
        self.files = FakeFiles()
        self.outputs: list[StoredOutput] = []

    def __getitem__(self, name: str) -> bytes:
        return self.files.stored[f"{FOLDER}/{name}"][0]

    def content_type(self, name: str) -> str:
        return self.files.stored[f"{FOLDER}/{name}"][1]

    def metadata(self, name: str) -> dict[str, str]:
        return self.files.metadata[f"{FOLDER}/{name}"]

    def account(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(self["result.json"])
        return document

    @property
    def names(self) -> list[str]:
        return [output.name for output in self.outputs]


async def bucket_with(made: Sequence[Artifact], run: Run | None = None, **options: Any) -> Bucket:
    bucket, clock = Bucket(), FakeClock()
    run = run or run_of(message_of(output=OutputOptions(**options)) if options else None)
    bucket.outputs = await stored(made, FOLDER, FakeBackend(clock), bucket.files, run=run, clock=clock)
    return bucket
