"""`python -m agent.gpu_ready`: takes one startup taint off its own node once the node's GPU answers, and then stays.

A DaemonSet runs it on each GPU node (0128). A GPU answers when the device plugin has told the kubelet of it, so that
the node's `status.allocatable` has one. Only the standard library is loaded, since it stays for the node's whole life.
Exit codes: 0 stopped by SIGTERM or SIGINT; 1 a bug; 2 the environment is wrong.
"""

import contextlib
import http.client
import json
import os
import signal
import ssl
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any
from urllib.parse import quote

Json = dict[str, Any]

ACCOUNT_FOLDER = "/var/run/secrets/kubernetes.io/serviceaccount"
GPU = "nvidia.com/gpu"
# Karpenter puts startup taints on once more while it registers a node, and never again once the node is initialized
# (`syncNode` in its nodeclaim/lifecycle/registration.go). It tells of both by these labels.
REGISTERED, INITIALIZED = "karpenter.sh/registered", "karpenter.sh/initialized"

# The kubelet writes a status that has changed every 10 s; asking more often than that adds 1 s to the wait on average,
# and only nodes that are starting ask. A watch would be as quick, and has a list and an expiry to look after.
POLL_S = 2.0
SLOW_POLL_S = 10.0  # the kubelet's own pace, for a node that is late anyway
LONGEST_RETRY_S = 30.0
TIMEOUT_S = 10.0
# A plugin starts with its node, about a minute after the instance.
TELL_AFTER_S = 300.0
TELL_EVERY_S = 1800.0  # the API server forgets an Event after an hour

_CHANGED = frozenset({http.client.CONFLICT, http.client.UNPROCESSABLE_ENTITY})


class ApiError(RuntimeError):
    """The API server said no, with this status; the message is its own."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{status}: {message}")
        self.status = status


class ChangedError(RuntimeError):
    """The node's taints are not any more what they were when they were read."""


class Step(StrEnum):
    """What a node is at; the values are for the log."""

    NO_GPU = "its GPU has not answered"
    UNREGISTERED = "its GPU answers and Karpenter has not registered the node"
    FREE = "its GPU answers"
    UNINITIALIZED = "it has no such taint and Karpenter has not initialized the node"
    DONE = "it has no such taint and Karpenter has initialized the node"


@dataclass(frozen=True)
class Place:
    """node: this one's name. key, effect: of the taint. account: the folder with the token and the API server's CA."""

    node: str
    key: str
    effect: str
    host: str
    port: int
    account: Path


def place_of(environment: Mapping[str, str]) -> Place:
    """Raises: KeyError with the variable's name; ValueError for a port that is no number."""
    key, _, effect = environment["SD_STARTUP_TAINT"].partition(":")
    return Place(
        node=environment["SD_NODE_NAME"],
        key=key,
        effect=effect,
        host=environment["KUBERNETES_SERVICE_HOST"],
        port=int(environment["KUBERNETES_SERVICE_PORT"]),
        account=Path(environment.get("SD_ACCOUNT_FOLDER", ACCOUNT_FOLDER)),
    )


class Api:
    """The API server, on a connection for each call: there are few, and each has the token that is there now."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._node = f"/api/v1/nodes/{quote(place.node, safe='')}"

    def node(self) -> Json:
        """Raises: as `_call`."""
        return self._call("GET", self._node)

    def remove_taint(self, index: int, taint: Json) -> None:
        """Raises: ChangedError when another one is there now, or none; else as `_call`."""
        path = f"/spec/taints/{index}"
        patch = [{"op": "test", "path": path, "value": taint}, {"op": "remove", "path": path}]
        try:
            self._call("PATCH", self._node, patch, "application/json-patch+json")
        except ApiError as error:
            if error.status in _CHANGED:
                raise ChangedError(str(error)) from error
            raise

    def tell(self, node: Json, message: str) -> None:
        """A warning that `kubectl describe node` shows. Raises: as `_call`."""
        name, now = self._place.node, _rfc3339()
        event = {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"generateName": f"{name}.", "namespace": "default"},  # where those of what has none are
            "involvedObject": {"apiVersion": "v1", "kind": "Node", "name": name, "uid": node["metadata"]["uid"]},
            "type": "Warning",
            "reason": "GpuNotReady",
            "message": message,
            "source": {"component": "gpu-ready", "host": name},
            "count": 1,
            "firstTimestamp": now,
            "lastTimestamp": now,
        }
        self._call("POST", "/api/v1/namespaces/default/events", event)

    def _call(self, method: str, path: str, body: object = None, kind: str = "application/json") -> Json:
        """Raises: ApiError; OSError, HTTPException or ValueError where no such server answers, or there is no token."""
        account = self._place.account
        token = (account / "token").read_text(encoding="ascii").strip()  # the kubelet puts a new one there every hour
        trust = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        trust.load_verify_locations(account / "ca.crt")
        connection = http.client.HTTPSConnection(self._place.host, self._place.port, timeout=TIMEOUT_S, context=trust)
        headers = {"Authorization": f"Bearer {token}", "Accept": "application/json", "Content-Type": kind}
        with contextlib.closing(connection):
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            answer = connection.getresponse()
            data = answer.read()
        if answer.status >= http.client.MULTIPLE_CHOICES:
            raise ApiError(answer.status, _said(data) or answer.reason)
        found: Json = json.loads(data)
        return found


def _said(data: bytes) -> str:
    """The message of a Status, where it is one."""
    try:
        return str(json.loads(data)["message"])
    except (ValueError, KeyError, TypeError):
        return ""


def taint_of(node: Json, place: Place) -> tuple[int, Json] | None:
    """Where the taint is in its list, and the taint; a list has no two of one key and effect."""
    wanted = (place.key, place.effect)
    found = enumerate(node["spec"].get("taints") or ())
    return next(((index, each) for index, each in found if (each["key"], each["effect"]) == wanted), None)


def step_of(node: Json, place: Place) -> Step:
    labels = node["metadata"].get("labels") or {}
    if taint_of(node, place) is None:
        return Step.DONE if labels.get(INITIALIZED) == "true" else Step.UNINITIALIZED
    if int((node["status"].get("allocatable") or {}).get(GPU, "0")) <= 0:
        return Step.NO_GPU
    return Step.FREE if labels.get(REGISTERED) == "true" else Step.UNREGISTERED


class Watch:
    """Looks at the node until there is nothing left to do. now: seconds that only grow."""

    def __init__(
        self,
        place: Place,
        now: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._place, self._api = place, Api(place)
        self._now, self._sleep = now, sleep
        self._began_s = now()
        self._tell_at_s = self._began_s + TELL_AFTER_S
        self._seen: Step | None = None

    def run(self) -> None:
        failures = 0
        while True:
            try:
                if self._look() is Step.DONE:
                    return
                failures, wait_s = 0, SLOW_POLL_S if self._waited_s() >= TELL_AFTER_S else POLL_S
            except (ChangedError, ApiError, OSError, http.client.HTTPException, ValueError) as error:
                failures += 1
                wait_s = min(2.0 ** min(failures - 1, 10), LONGEST_RETRY_S)
                log("WARNING", "looking again", node=self._place.node, error=_told(error), retry_s=wait_s)
            self._sleep(wait_s)

    def _look(self) -> Step:
        node = self._api.node()
        step = step_of(node, self._place)
        if step is not self._seen:
            log("INFO", "node seen", node=self._place.node, found=step, waited_s=round(self._waited_s(), 1))
        self._seen = step
        found = taint_of(node, self._place)
        if step is Step.FREE and found:
            self._api.remove_taint(*found)
            log("INFO", "taint removed", node=self._place.node, taint=self._place.key)
        elif found and self._now() >= self._tell_at_s:
            self._tell_at_s = self._now() + TELL_EVERY_S
            self._tell(node, step)
        return step

    def _tell(self, node: Json, step: Step) -> None:
        minutes = int(self._waited_s() // 60)
        log("ERROR", "node is held back", node=self._place.node, found=step, waited_min=minutes)
        self._api.tell(
            node,
            f"Held back by the taint {self._place.key} for {minutes} minutes: {step}. No job starts here until then; "
            "docs/runbook.md of sd-async says what to do.",
        )

    def _waited_s(self) -> float:
        return self._now() - self._began_s


def _told(error: Exception) -> str:
    """In words only where they hold no header, and so no token."""
    if isinstance(error, ChangedError | ApiError | OSError):
        return f"{type(error).__name__}: {error}"
    return type(error).__name__


def _rfc3339() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def log(level: str, message: str, **fields: object) -> None:
    sys.stdout.write(json.dumps({"time": _rfc3339(), "level": level, "message": message, **fields}) + "\n")
    sys.stdout.flush()


def main(environment: Mapping[str, str] = os.environ) -> int:
    """Returns only when something is wrong; a DaemonSet's pod that ends is started anew."""
    try:
        place = place_of(environment)
    except (KeyError, ValueError) as error:
        log("CRITICAL", "configuration error", error=f"{error} is not set or no number")
        return 2
    try:
        Watch(place).run()
    except Exception as error:  # noqa: BLE001 - the process boundary: a bug ends in one JSON line and a code
        log("CRITICAL", "gpu_ready ends", error=type(error).__name__)
        return 1
    while True:
        signal.pause()


if __name__ == "__main__":
    # The first process of a container ignores a signal that it does not handle, and the pod would wait for it.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: os._exit(0))
    sys.exit(main())
