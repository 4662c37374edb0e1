"""The cluster of one machine: queues are watched, agents started and stopped by their ScaledObjects."""

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from local.deploy.up import Cluster
from local.emulator import Emulator
from local.pods import Pods, template_of
from local.scaler import Autoscaler

LOOK_S = 0.25  # the autoscaler keeps KEDA's own intervals; this is how soon a pod that ended is seen


@dataclass(frozen=True)
class Workload:
    """One runtime's pods and what decides their number."""

    pods: Pods
    autoscaler: Autoscaler
    queue_url: str


class LocalCluster:
    """Runs what the program would have put into Kubernetes, in a thread of its own, between `start` and `stop`."""

    def __init__(self, emulator: Emulator, workloads: Mapping[str, Workload]) -> None:
        self.workloads = dict(workloads)
        self.failure: Exception | None = None
        self._sqs = emulator.client("sqs")
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="local-cluster", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()
        for workload in self.workloads.values():
            workload.pods.stop()

    def agents(self, runtime: str) -> int:
        return len(self.workloads[runtime].pods.wanted)

    def _run(self) -> None:
        try:
            while not self._stop.wait(LOOK_S):
                for workload in self.workloads.values():
                    self._reconcile(workload)
        except Exception as error:  # noqa: BLE001 - the thread's boundary: whoever waits for a job must hear of it
            self.failure = error

    def _reconcile(self, workload: Workload) -> None:
        workload.pods.tick()
        try:
            counts = self._queue_counts(workload.queue_url)
        except (BotoCoreError, ClientError):
            return  # as KEDA: without a metric the number stays
        workload.pods.scale(workload.autoscaler.observe(*counts))

    def _queue_counts(self, url: str) -> tuple[int, int]:
        names = ("ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible")
        found: dict[str, Any] = self._sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
        visible, in_flight = (int(found[name]) for name in names)
        return visible, in_flight


def workloads_of(
    cluster: Cluster, root: Path, folder: Path, *, painter: Sequence[str], runtime_url: str | None
) -> dict[str, Workload]:
    """Workload of each release, by its name.

    painter: further arguments for each pod's painter. runtime_url: a runtime that is there, instead of painters.
    Raises: as `template_of`.
    """
    found: dict[str, Workload] = {}
    for release in cluster.releases:
        scaled_object = cluster.scaled_objects[release.name]
        port = str(release.values["runtime"]["port"])

        def command(address: str, name: str = release.name, port: str = port) -> list[str]:
            data = folder / f"painter-{name}-{address}"
            data.mkdir(exist_ok=True)
            return ["local.painter", "--host", address, "--port", port, "--data", str(data), *painter]

        found[release.name] = Workload(
            pods=Pods(template_of(release, root), folder, root, None if runtime_url else command, runtime_url),
            autoscaler=Autoscaler(scaled_object),
            queue_url=scaled_object["spec"]["triggers"][0]["metadata"]["queueURL"],
        )
    return found
