"""The local cluster: as many agents as the queue wants, and every failure heard."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from local.cluster import LocalCluster, Workload, queue_counts, workloads_of
from local.deploy.engine import DeployError
from local.deploy.up import Cluster, Release
from local.emulator import Emulator
from local.pods import Pods, PodTemplate
from local.processes import Child, base_environment, free_port
from local.scaler import Autoscaler
from local.system import ROOT
from tests.local.sleepers import Clock, is_running, python, sleeper, until

COOLDOWN_S = 60


@dataclass
class FakeQueues:
    """counts: by URL; None where the metric fails."""

    counts: dict[str, tuple[int, int] | None] = field(default_factory=dict)
    error: Exception | None = None

    def __call__(self, url: str) -> tuple[int, int] | None:
        if self.error:
            raise self.error
        return self.counts.get(url)


@dataclass
class Stage:
    cluster: LocalCluster
    queues: FakeQueues
    clock: Clock

    def look(self, after_s: float = 15.0) -> int:
        """Agents of the first runtime after one more look."""
        self.clock.now_s += after_s
        self.cluster.look()
        return self.cluster.agents("a")


def scaled_object(url: str) -> dict[str, Any]:
    trigger = {"type": "aws-sqs-queue", "metadata": {"queueURL": url, "queueLength": "1"}}
    numbers = {"minReplicaCount": 0, "maxReplicaCount": 3, "pollingInterval": 1, "cooldownPeriod": COOLDOWN_S}
    return {"metadata": {}, "spec": {"scaleTargetRef": {"name": "a"}, "triggers": [trigger], **numbers}}


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    workloads: dict[str, Workload] = {}
    queues, clock = FakeQueues(), Clock()
    for name in ("a", "b"):
        template = PodTemplate(name, "n", ({"name": "SD_RUNTIME_URL", "value": ""},), 30)
        pods = Pods(template, tmp_path, tmp_path, agent=sleeper(), clock=clock)
        workloads[name] = Workload(pods, Autoscaler(scaled_object(name), clock), queue_url=name)
    made = Stage(LocalCluster(workloads, queues), queues, clock)
    yield made
    made.cluster.stop()


def pids(cluster: LocalCluster) -> list[int]:
    return [pod.agent.child.pid for workload in cluster.workloads.values() for pod in workload.pods.pods]


def test_agents_follow_their_own_queue(stage: Stage) -> None:
    assert stage.look() == 0
    stage.queues.counts = {"a": (1, 0), "b": (0, 0)}
    assert stage.look() == 1
    stage.queues.counts["a"] = (9, 1)
    assert stage.look() == 3, "never more than the most that are allowed"
    assert stage.cluster.agents("b") == 0


def test_a_job_in_flight_keeps_its_agent_and_then_the_cooldown_does(stage: Stage) -> None:
    stage.queues.counts = {"a": (0, 1)}
    assert stage.look() == 1
    stage.queues.counts = {"a": (0, 0)}
    assert stage.look(COOLDOWN_S - 1) == 1
    assert stage.look(2) == 0


def test_a_metric_that_fails_leaves_the_number(stage: Stage) -> None:
    stage.queues.counts = {"a": (2, 0)}
    stage.look()
    assert stage.look() == 2
    stage.queues.counts = {"a": None}
    assert stage.look(10 * COOLDOWN_S) == 2


def test_an_agent_that_ended_comes_back_though_the_metric_fails(stage: Stage) -> None:
    stage.queues.counts = {"a": (1, 0)}
    stage.look()
    [pod] = stage.cluster.workloads["a"].pods.pods
    pod.agent.child.kill()
    stage.queues.counts = {"a": None}
    stage.look()
    assert pod.agent.child.exit_code() is None


def test_a_failure_of_the_thread_is_kept_and_stop_still_ends_everything(stage: Stage) -> None:
    stage.queues.counts = {"a": (1, 0)}
    stage.cluster.start()
    until(lambda: stage.cluster.agents("a") == 1, "the thread to start an agent")
    started = pids(stage.cluster)
    stage.queues.error = RuntimeError("no idea")
    until(lambda: stage.cluster.failure is not None, "the failure")
    assert str(stage.cluster.failure) == "no idea"
    stage.cluster.stop()
    assert [pid for pid in started if is_running(pid)] == []


def test_a_cluster_that_was_never_started_can_be_stopped(stage: Stage) -> None:
    stage.cluster.stop()
    stage.cluster.stop()


def test_counts_are_those_of_the_queue(emulator: Emulator) -> None:
    sqs = emulator.client("sqs")
    url = sqs.create_queue(QueueName=f"counted-{uuid4().hex[:8]}")["QueueUrl"]
    for number in range(3):
        sqs.send_message(QueueUrl=url, MessageBody=str(number))
    sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=1)
    counts = queue_counts(emulator)
    assert counts(url) == (2, 1)
    assert counts(f"{url}-missing") is None


def test_counts_of_an_emulator_that_is_gone_are_unknown_and_soon(tmp_path: Path) -> None:
    ended = Child("it", python(""), environment=base_environment(tmp_path), log=tmp_path / "log", cwd=tmp_path)
    ended.stop()
    endpoint = f"http://127.0.0.1:{free_port()}"
    assert queue_counts(Emulator(endpoint, ended))(f"{endpoint}/000000000000/q") is None


def test_a_client_of_the_emulator_heeds_nothing_of_the_persons_own_setup(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "config").write_text("[default]\nendpoint_url = http://127.0.0.1:9\nmax_attempts = none\n")
    own: Mapping[str, str] = {
        "AWS_PROFILE": "nowhere",
        "AWS_CONFIG_FILE": str(tmp_path / "config"),
        "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
        "HTTP_PROXY": "http://127.0.0.1:9",
        "http_proxy": "http://127.0.0.1:9",
    }
    for name, value in own.items():
        monkeypatch.setenv(name, value)
    fresh = Emulator(emulator.endpoint, emulator.child)
    assert fresh.client("sqs").list_queues()["ResponseMetadata"]["HTTPStatusCode"] == 200
    assert fresh.client("s3").list_buckets()["ResponseMetadata"]["HTTPStatusCode"] == 200


def test_a_release_that_nothing_scales_is_named() -> None:
    release = Release("sd15", "n", "./helm/sd-runtime", {"runtime": {"port": 1}})
    with pytest.raises(DeployError, match="sd15 has no ScaledObject"):
        workloads_of(Cluster([release]), ROOT, ROOT, painter=(), runtime_url=None)
