"""The cluster of one machine: queues are watched, agents started and stopped by their ScaledObjects."""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from local.deploy.engine import DeployError
from local.deploy.up import Cluster
from local.emulator import Emulator
from local.pods import Pods, stop_all, template_of
from local.processes import python_module
from local.scaler import Autoscaler

LOOK_S = 0.25  # the autoscaler keeps KEDA's own intervals; this is how soon a pod that ended is seen
METRIC_WAIT_S = 2.0  # the emulator answers in milliseconds, and a look that fails is made again anyway

# Messages of a queue, visible and in flight, by its URL; None while nobody can say.
Counts = Callable[[str], tuple[int, int] | None]


@dataclass(frozen=True)
class Workload:
    """One runtime's pods and what decides their number."""

    pods: Pods
    autoscaler: Autoscaler
    queue_url: str


class LocalCluster:
    """Runs what the program would have put into Kubernetes, in a thread of its own, between `start` and `stop`.

    failure: what ended that thread, for whoever waits for a job.
    """

    def __init__(self, workloads: Mapping[str, Workload], counts: Counts) -> None:
        self.workloads = dict(workloads)
        self.failure: Exception | None = None
        self._counts = counts
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="local-cluster", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()
        stop_all(workload.pods for workload in self.workloads.values())

    def agents(self, runtime: str) -> int:
        return len(self.workloads[runtime].pods.wanted)

    def look(self) -> None:
        """One round of what the thread does all the time."""
        for workload in self.workloads.values():
            workload.pods.tick()
            counts = self._counts(workload.queue_url)
            if counts is not None:  # as KEDA: without a metric the number stays
                workload.pods.scale(workload.autoscaler.observe(*counts))

    def _run(self) -> None:
        try:
            while not self._stop.wait(LOOK_S):
                self.look()
        except Exception as error:  # noqa: BLE001 - the thread's boundary: whoever waits for a job must hear of it
            self.failure = error


def queue_counts(emulator: Emulator) -> Counts:
    """What SQS says."""
    once = Config(connect_timeout=METRIC_WAIT_S, read_timeout=METRIC_WAIT_S, retries={"total_max_attempts": 1})
    sqs = emulator.client("sqs", once)
    names = ("ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible")

    def counts(url: str) -> tuple[int, int] | None:
        try:
            found = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
        except (BotoCoreError, ClientError):
            return None
        return int(found[names[0]]), int(found[names[1]])

    return counts


def workloads_of(
    cluster: Cluster, root: Path, folder: Path, *, painter: Sequence[str], runtime_url: str | None
) -> dict[str, Workload]:
    """Workload of each release, by its name.

    painter: further arguments for each pod's painter. runtime_url: a runtime that is there, instead of painters.
    Raises: as `template_of`, `Autoscaler`; DeployError, for a release that nothing scales.
    """
    found: dict[str, Workload] = {}
    for release in cluster.releases:
        scaled_object = cluster.scaled_objects.get(release.name)
        if scaled_object is None:
            raise DeployError(f"The release {release.name} has no ScaledObject, so that nothing starts its agents.")
        runtime = release.values["runtime"]
        flags = ("--type", runtime["type"], "--port", str(runtime["port"]), *painter)

        def command(address: str, name: str = release.name, flags: Sequence[str] = flags) -> list[str]:
            data = folder / f"painter-{name}-{address}"
            data.mkdir(exist_ok=True)
            return python_module("local.painter", "--host", address, "--data", str(data), *flags)

        found[release.name] = Workload(
            pods=Pods(template_of(release, root), folder, root, None if runtime_url else command, runtime_url),
            autoscaler=Autoscaler(scaled_object),
            queue_url=scaled_object["spec"]["triggers"][0]["metadata"]["queueURL"],
        )
    return found
