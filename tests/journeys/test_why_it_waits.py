"""A job that nobody has taken says why, through all that can be in its way: `GET` over the whole system."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from local.pods import Pods
from local.processes import python_module
from sd_async.contract.agents import agents_key
from sd_async.contract.jobs import JobRequest, JobType
from sd_async.contract.states import Status
from tests.journeys.conftest import Stage

WAIT_S = 90.0
RUNTIME = "late"


@dataclass(frozen=True)
class Gates:
    """How far the runtime has come."""

    pods: Pods
    folder: Path

    def open(self, *names: str) -> None:
        for name in names:
            (self.folder / name).touch()

    def shut(self) -> None:
        for path in self.folder.iterdir():
            path.unlink()


@pytest.fixture
def gates(stage: Stage, tmp_path: Path) -> Iterator[Gates]:
    pods = stage.system.cluster.workloads[RUNTIME].pods
    painter = pods.runtime
    assert painter is not None

    def late(address: str) -> list[str]:
        command = list(painter(address))
        port = command[command.index("--port") + 1]
        return python_module("tests.journeys.late_runtime", str(tmp_path), address, port, *command)

    pods.runtime = late
    found = Gates(pods, tmp_path)
    yield found
    found.open("listens", "serves")
    pods.runtime = painter


def until(condition: Callable[[], bool], what: object) -> None:
    deadline = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < deadline, f"waited {WAIT_S:.0f} s for {what}"
        time.sleep(0.05)


def states(stage: Stage) -> set[str]:
    """What the runtime's agents tell of themselves."""
    table = stage.names.jobs_table
    key = {"id": {"S": agents_key(RUNTIME)}}
    item = stage.system.emulator.client("dynamodb").get_item(TableName=table, Key=key).get("Item", {})
    return {value["M"]["state"]["S"] for value in item.values() if "M" in value}


def test_a_job_that_nobody_has_taken_says_why(stage: Stage, gates: Gates) -> None:
    def submitted(prompt: str) -> str:
        body = {"prompt": prompt, "steps": 1, "width": 64, "height": 64}
        return stage.client.submit(JobRequest(runtime=RUNTIME, type=JobType.TEXT_TO_IMAGE, input=body)).id

    def told(job_id: str, words: str) -> None:
        said = [f"`{words}`"]

        def is_said() -> bool:
            said.append(stage.client.get(job_id).waiting or "nothing")
            return words in said[-1]

        until(is_said, said)

    def done(job_id: str) -> None:
        job = stage.client.wait(job_id, timeout_s=WAIT_S)
        assert (job.status, job.waiting) == (Status.SUCCEEDED, None), job.error

    first = submitted("a fox")
    told(first, "no agent of its runtime runs yet")
    told(first, "its runtime's container has not answered yet (agent late-")
    gates.open("listens")
    told(first, "its runtime's container has started and loads (agent late-")
    gates.open("serves")
    done(first)

    long = submitted("<painter:sleep:15>a fox")
    # until then the agent may take the next job for one that will soon begin
    until(lambda: "busy" in states(stage), "the agent to know that the long job is long")
    behind = submitted("a bear")
    told(behind, "its runtime works on other jobs (agent late-")
    done(long)
    done(behind)

    gates.shut()
    [pod] = gates.pods.wanted
    assert pod.runtime is not None
    pod.runtime.child.kill()
    lost = submitted("an owl")  # the kubelet's probe is not here, and so a job finds out
    until(lambda: states(stage) == {"runtime_gone"}, "the agent to find its runtime gone")
    last = submitted("a hare")
    told(last, "its runtime has answered before and does not now (agent late-")
    gates.open("listens", "serves")
    done(lost)
    done(last)
