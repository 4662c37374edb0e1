"""Pods of one Deployment as processes: each agent gets exactly the environment that its chart renders."""

import random
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from secrets import token_hex
from typing import Any

from local import helm
from local.deploy.up import Release
from local.emulator import CREDENTIALS
from local.processes import Child, base_environment, python_module

Json = dict[str, Any]

AGENT = "agent"
# The kubelet restarts a container at once, then after 10 s, doubling up to 5 minutes ("Pod Lifecycle").
FIRST_BACKOFF_S, LONGEST_BACKOFF_S = 10.0, 300.0


class UnknownFieldError(ValueError):
    """The chart asks the pod for something that a process does not have; the message names it."""


@dataclass(frozen=True)
class PodTemplate:
    """What the rendered Deployment says about its agent. environment: the container's `env`, as rendered."""

    deployment: str
    namespace: str
    environment: tuple[Json, ...]
    grace_period_s: int

    def environment_of(self, pod_name: str, pod_ip: str) -> dict[str, str]:
        fields = {"metadata.name": pod_name, "metadata.namespace": self.namespace, "status.podIP": pod_ip}
        values = {}
        for entry in self.environment:
            if "value" in entry:
                values[entry["name"]] = str(entry["value"])
                continue
            path = entry.get("valueFrom", {}).get("fieldRef", {}).get("fieldPath")
            if path not in fields:
                raise UnknownFieldError(f"{entry['name']}: a local pod has no {entry.get('valueFrom')}.")
            values[entry["name"]] = fields[path]
        return values


def template_of(release: Release, root: Path) -> PodTemplate:
    """The release's chart rendered by the real helm. Raises: helm.ChartError, helm.HelmMissingError."""
    objects = helm.render(root / release.chart, release.name, release.namespace, release.values)
    deployment = next(item for item in objects if item["kind"] == "Deployment")
    pod = deployment["spec"]["template"]["spec"]
    agent = next(container for container in pod["containers"] if container["name"] == AGENT)
    return PodTemplate(
        deployment=deployment["metadata"]["name"],
        namespace=release.namespace,
        environment=tuple(agent["env"]),
        grace_period_s=int(pod["terminationGracePeriodSeconds"]),
    )


@dataclass
class Pod:
    name: str
    ip: str
    child: Child
    restarts: int = 0
    restart_due_s: float | None = None
    kill_due_s: float | None = None

    @property
    def is_terminating(self) -> bool:
        return self.kill_due_s is not None


def pod_ips() -> list[str]:
    """Loopback addresses for pods, which all listen on one port, as in a cluster where each has its own address.

    Linux answers on all of 127/8. Elsewhere there is one, and so there can be one pod.
    """
    first, second = random.randrange(1, 255), random.randrange(0, 255)  # noqa: S311 - keeps two runs apart
    addresses = [f"127.{first}.{second}.{number}" for number in range(1, 255)]
    with socket.socket() as probe:
        try:
            probe.bind((addresses[0], 0))
        except OSError:
            return ["127.0.0.1"]
    return addresses


@dataclass
class Pods:
    """The pods of one Deployment. overrides: environment that a person asked for on top of the chart's."""

    template: PodTemplate
    folder: Path
    root: Path
    overrides: Mapping[str, str] = field(default_factory=dict)
    clock: Callable[[], float] = time.monotonic
    pods: list[Pod] = field(default_factory=list)
    _ips: list[str] = field(default_factory=pod_ips)

    @property
    def wanted(self) -> list[Pod]:
        return [pod for pod in self.pods if not pod.is_terminating]

    def scale(self, replicas: int) -> None:
        """Start or SIGTERM agents until that many are wanted; the newest go first."""
        while len(self.wanted) < replicas and self._ips:
            self._add()
        for pod in self.wanted[replicas:]:
            pod.kill_due_s = self.clock() + self.template.grace_period_s
            pod.child.terminate()

    def tick(self) -> None:
        """What the kubelet does meanwhile: reap, restart what ended by itself, kill what outstays its grace period."""
        now_s = self.clock()
        for pod in list(self.pods):
            has_ended = pod.child.exit_code() is not None
            if pod.kill_due_s is not None:
                if not has_ended and now_s >= pod.kill_due_s:
                    pod.child.kill()
                if pod.child.exit_code() is not None:
                    self.pods.remove(pod)
                    self._ips.append(pod.ip)
            elif has_ended:
                self._restart(pod, now_s)

    def stop(self) -> None:
        """SIGTERM to all at once, then wait for each."""
        for pod in self.pods:
            pod.child.terminate()
        for pod in self.pods:
            pod.child.stop()
        self.pods.clear()

    def _add(self) -> None:
        name, address = f"{self.template.deployment}-{token_hex(3)}", self._ips.pop(0)
        self.pods.append(Pod(name, address, self._start(name, address)))

    def _restart(self, pod: Pod, now_s: float) -> None:
        if pod.restart_due_s is None:
            backoff_s = FIRST_BACKOFF_S * 2 ** (pod.restarts - 1) if pod.restarts else 0.0
            pod.restart_due_s = now_s + min(backoff_s, LONGEST_BACKOFF_S)
        if now_s >= pod.restart_due_s:
            pod.child, pod.restarts, pod.restart_due_s = self._start(pod.name, pod.ip), pod.restarts + 1, None

    def _start(self, name: str, address: str) -> Child:
        environment = {
            **base_environment(self.folder),
            **CREDENTIALS,  # what Pod Identity does on a cluster
            **self.template.environment_of(name, address),
            **self.overrides,
        }
        log = self.folder / f"{name}.log"
        return Child(name, python_module(AGENT), environment=environment, log=log, cwd=self.root)
