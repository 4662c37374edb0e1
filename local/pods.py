"""Pods of one Deployment as processes: each agent gets exactly the environment that its chart renders."""

import random
import socket
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from secrets import token_hex
from typing import Any

from local import helm
from local.deploy.up import Release
from local.emulator import CREDENTIALS
from local.processes import STOP_WAIT_S, Child, base_environment, python_module

Json = dict[str, Any]

AGENT, RUNTIME = "agent", "runtime"
RUNTIME_URL = "SD_RUNTIME_URL"
LOOPBACK = "127.0.0.1"  # a pod's own network: here its own address, since all pods share one loopback
# The kubelet restarts a container at once, then after 10 s, doubling up to 5 minutes ("Pod Lifecycle").
FIRST_BACKOFF_S, LONGEST_BACKOFF_S = 10.0, 300.0
BACKOFF_RESET_S = 600.0  # and it forgets the restarts of a container that has run for 10 minutes
SIDECAR_WAIT_S = 2.0  # the least that the kubelet gives a sidecar once the agent has ended
# What an agent's container may say here: its environment holds, and the rest is for an image and a node.
AGENT_FIELDS = {
    "name", "image", "imagePullPolicy", "env", "ports", "resources", "securityContext", "volumeMounts",
    "livenessProbe", "readinessProbe", "restartPolicy", "restartPolicyRules",
}  # fmt: skip


class UnknownFieldError(ValueError):
    """The chart asks the pod for something that a process does not have; the message names it."""


@dataclass(frozen=True)
class PodTemplate:
    """What the rendered Deployment says about its agent. environment: the container's `env`, as rendered.

    restarting_codes: exit codes of the agent after which the whole pod's containers start anew.
    """

    deployment: str
    namespace: str
    environment: tuple[Json, ...]
    grace_period_s: int
    restarting_codes: frozenset[int] = frozenset()

    def environment_of(self, pod_name: str, pod_ip: str) -> dict[str, str]:
        """Raises: UnknownFieldError."""
        fields = {"metadata.name": pod_name, "metadata.namespace": self.namespace, "status.podIP": pod_ip}
        return {entry["name"]: _value(entry, fields) for entry in self.environment}


def _value(entry: Json, fields: Mapping[str, str]) -> str:
    if "valueFrom" not in entry:
        value = str(entry.get("value", ""))
        if "$(" in value:
            raise UnknownFieldError(f"{entry['name']}: a local pod puts nothing into {value}.")
        return value
    path = entry["valueFrom"].get("fieldRef", {}).get("fieldPath")
    if path not in fields:
        raise UnknownFieldError(f"{entry['name']}: a local pod has no {entry['valueFrom']}.")
    return fields[path]


def template_of(release: Release, root: Path) -> PodTemplate:
    """The release's chart rendered by the real helm.

    Raises: helm.ChartError, helm.HelmMissingError; UnknownFieldError, for what no process here could be given.
    """
    objects = helm.render(root / release.chart, release.name, release.namespace, release.values)
    return template_in(objects, release.namespace)


def template_in(objects: Sequence[Json], namespace: str) -> PodTemplate:
    """The template in a chart's objects. Raises: UnknownFieldError."""
    deployment = next(item for item in objects if item["kind"] == "Deployment")
    pod = deployment["spec"]["template"]["spec"]
    agent = next(container for container in pod["containers"] if container["name"] == AGENT)
    if unknown := sorted(agent.keys() - AGENT_FIELDS):
        raise UnknownFieldError(f"The agent's container has {', '.join(unknown)}, which a local pod would ignore.")
    template = PodTemplate(
        deployment=deployment["metadata"]["name"],
        namespace=namespace,
        environment=tuple(agent["env"]),
        grace_period_s=int(pod["terminationGracePeriodSeconds"]),
        restarting_codes=_restarting_codes(agent),
    )
    template.environment_of("any", LOOPBACK)  # now, and not when the first job waits for an agent
    return template


def _restarting_codes(agent: Json) -> frozenset[int]:
    """Raises: UnknownFieldError."""
    codes = set[int]()
    for rule in agent.get("restartPolicyRules", []):
        if rule["action"] != "RestartAllContainers" or rule["exitCodes"]["operator"] != "In":
            raise UnknownFieldError(f"A local pod does not know {rule}.")
        codes.update(rule["exitCodes"]["values"])
    return frozenset(codes)


class Container:
    """One process of a pod, started again when it ends by itself, as the kubelet does."""

    def __init__(self, start: Callable[[], Child]) -> None:
        self._start = start
        self._restarts = 0
        self._started_s: float | None = None  # not known for the first start, which no restart came before
        self._due_s: float | None = None
        self.child = start()

    @property
    def has_ended(self) -> bool:
        return self.child.exit_code() is not None

    def restart_if_ended(self, now_s: float) -> None:
        if not self.has_ended:
            return
        if self._due_s is None:
            if self._started_s is not None and now_s - self._started_s >= BACKOFF_RESET_S:
                self._restarts = 0
            backoff_s = FIRST_BACKOFF_S * 2 ** (self._restarts - 1) if self._restarts else 0.0
            self._due_s = now_s + min(backoff_s, LONGEST_BACKOFF_S)
        if now_s >= self._due_s:
            self.child, self._restarts, self._started_s, self._due_s = self._start(), self._restarts + 1, now_s, None


@dataclass
class Pod:
    """runtime: None when the agent uses a runtime that was there before."""

    name: str
    ip: str
    agent: Container
    runtime: Container | None
    kill_due_s: float | None = None
    answered: Child | None = None  # the agent's process whose end the runtime has followed

    @property
    def is_terminating(self) -> bool:
        return self.kill_due_s is not None

    @property
    def containers(self) -> list[Container]:
        return [self.agent, self.runtime] if self.runtime else [self.agent]

    def restart_what_ended(self, now_s: float, restarting_codes: frozenset[int]) -> None:
        """The runtime too, if the agent ended so as to have it started anew."""
        code = self.agent.child.exit_code()
        if self.runtime and code in restarting_codes and self.agent.child is not self.answered:
            self.answered = self.agent.child
            self.runtime.child.stop(SIDECAR_WAIT_S)
        for container in self.containers:
            container.restart_if_ended(now_s)

    def terminate(self) -> None:
        """The agent first: the runtime is a native sidecar and outlives it."""
        self.agent.child.terminate()

    def end(self) -> None:
        """At once for the agent, which was asked before."""
        self.agent.child.stop(0)
        if self.runtime:
            self.runtime.child.stop(SIDECAR_WAIT_S)


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
            return [LOOPBACK]
    return addresses


@dataclass
class Pods:
    """The pods of one Deployment.

    runtime: command of a pod's runtime, given its address; None when `runtime_url` is used. agent: command of an agent.
    """

    template: PodTemplate
    folder: Path
    root: Path
    runtime: Callable[[str], Sequence[str]] | None = None
    runtime_url: str | None = None
    agent: Sequence[str] = field(default_factory=lambda: python_module(AGENT))
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
            pod.terminate()

    def tick(self) -> None:
        """What the kubelet does meanwhile: reap, restart what ended by itself, kill what outstays its grace period."""
        now_s = self.clock()
        for pod in list(self.pods):
            if pod.kill_due_s is None:
                pod.restart_what_ended(now_s, self.template.restarting_codes)
            elif pod.agent.has_ended or now_s >= pod.kill_due_s:
                pod.end()
                self.pods.remove(pod)
                self._ips.append(pod.ip)

    def stop(self) -> None:
        """SIGTERM to all agents at once, then an end to each pod."""
        stop_all([self])

    def _add(self) -> None:
        name, address = f"{self.template.deployment}-{token_hex(3)}", self._ips.pop(0)
        environment = self._agent_environment(name, address)
        runtime = self._runtime(name, address) if self.runtime else None
        try:
            agent = self._container(name, AGENT, self.agent, environment)
        except BaseException:
            if runtime:
                runtime.child.stop(SIDECAR_WAIT_S)
            raise
        self.pods.append(Pod(name, address, agent, runtime))

    def _agent_environment(self, name: str, address: str) -> dict[str, str]:
        environment = {
            **base_environment(self.folder),
            **CREDENTIALS,  # what Pod Identity does on a cluster
            **self.template.environment_of(name, address),
        }
        url = self.runtime_url or environment[RUNTIME_URL].replace(LOOPBACK, address)
        return environment | {RUNTIME_URL: url}

    def _runtime(self, name: str, address: str) -> Container:
        assert self.runtime is not None
        return self._container(name, RUNTIME, self.runtime(address), base_environment(self.folder))

    def _container(self, pod: str, name: str, command: Sequence[str], environment: Mapping[str, str]) -> Container:
        log = self.folder / f"{pod}-{name}.log"
        return Container(lambda: Child(f"{pod}/{name}", command, environment=environment, log=log, cwd=self.root))


def stop_all(deployments: Iterable[Pods]) -> None:
    """SIGTERM to all agents at once and, once they have ended, to all runtimes; SIGKILL for whoever takes too long."""
    running = list(deployments)
    pods = [pod for deployment in running for pod in deployment.pods]
    _stop([pod.agent for pod in pods], STOP_WAIT_S)
    _stop([pod.runtime for pod in pods if pod.runtime], SIDECAR_WAIT_S)
    for deployment in running:
        deployment.pods.clear()


def _stop(containers: Sequence[Container], wait_s: float) -> None:
    for container in containers:
        container.child.terminate()
    deadline = time.monotonic() + wait_s
    for container in containers:
        container.child.stop(max(0.0, deadline - time.monotonic()))
