"""A runtime that answers and gets on with nothing: its job goes on, the process ends, and both start anew."""

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from uuid import uuid4

import httpx
import pytest

from local.pods import Pod, Pods
from sd_async.contract.jobs import JobRequest
from sd_async.contract.states import Status
from tests.journeys import graphs
from tests.journeys.conftest import Stage

WAIT_S = 90.0
RUNTIME = "hanging"
# The chart asks for at least a minute of both, in which a real model may load.
SECONDS = {"SD_HUNG_AFTER_S": "3", "SD_RUNTIME_WAIT_S": "4"}
GAVE_UP = 3  # the agent's exit code for a runtime that does not let go


@pytest.fixture
def hasty(stage: Stage) -> Iterator[Pods]:
    """The pods of a runtime whose agents lose patience in seconds."""
    pods = stage.system.cluster.workloads[RUNTIME].pods
    kept = pods.template
    others = tuple(entry for entry in kept.environment if entry["name"] not in SECONDS)
    added = tuple({"name": name, "value": value} for name, value in SECONDS.items())
    # the version of a cluster that exists is not known, so the local chart does not ask it to start both anew
    pods.template = replace(kept, environment=others + added, restarting_codes=frozenset({GAVE_UP}))
    yield pods
    pods.template = kept


def until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < deadline, f"waited {WAIT_S:.0f} s for {what}"
        time.sleep(0.05)


def state(pod: Pod) -> tuple[int, str]:
    try:
        answer = httpx.get(f"http://{pod.ip}:8081/readyz", trust_env=False)
    except httpx.TransportError:
        return 0, "no answer"
    return answer.status_code, answer.json()["state"]


def test_a_hung_runtime_costs_its_job_one_attempt_and_no_other_job_any(stage: Stage, hasty: Pods) -> None:
    def submitted(graph: graphs.Graph) -> str:
        return stage.client.submit(JobRequest(runtime=RUNTIME, input=graph)).id

    hanging = submitted(graphs.through("PainterLoseWorker", once=str(uuid4())))
    until(lambda: stage.client.get(hanging).status is Status.RUNNING, "the job to run")
    [pod] = hasty.wanted
    assert pod.runtime is not None
    agent, runtime = pod.agent.child, pod.runtime.child
    assert state(pod) == (200, "ready"), "a runtime that hangs answers"

    until(lambda: state(pod) == (503, "runtime_stuck"), "the agent to say that it is stuck")
    until(lambda: stage.client.get(hanging).status is Status.QUEUED, "the job to be given back")
    given_back = stage.client.get(hanging)
    assert given_back.attempts == 1
    assert "got on with nothing for 3 s" in (given_back.waiting or "")
    behind = submitted(graphs.colour(7))
    elsewhere = stage.client.submit(graphs.request(graphs.colour(8)))

    until(lambda: agent.exit_code() is not None, "the agent to give its runtime up")
    assert agent.exit_code() == GAVE_UP
    until(lambda: pod.runtime is not None and pod.runtime.child is not runtime, "the runtime to be started anew")
    done = {job_id: stage.client.wait(job_id, timeout_s=WAIT_S) for job_id in (hanging, behind, elsewhere.id)}
    assert {job.status for job in done.values()} == {Status.SUCCEEDED}
    assert [job.attempts for job in done.values()] == [2, 1, 1]
    assert all(job.outputs for job in done.values())
    assert [result.result for result in stage.results.of(hanging)] == [True]
