"""A Kubernetes API server with one node, over TLS on the loopback: what `agent.gpu_ready` asks of it, and no more."""

import contextlib
import json
import shutil
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

Json = dict[str, Any]

HOST, NODE, UID = "127.0.0.1", "ip-10-0-1-2.us-west-2.compute.internal", "0f6a"
NODE_PATH = f"/api/v1/nodes/{NODE}"
EVENTS_PATH = "/api/v1/namespaces/default/events"
STARTUP = {"key": "sd-async/gpu-not-ready", "effect": "NoSchedule"}
LASTING = {"key": "nvidia.com/gpu", "value": "true", "effect": "NoSchedule"}


def started_node() -> Json:
    """As Karpenter and the kubelet leave it before the device plugin has answered."""
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": NODE, "uid": UID, "labels": {"karpenter.sh/registered": "true"}},
        "spec": {"taints": [LASTING, STARTUP]},
        "status": {"allocatable": {"cpu": "3920m"}},
    }


@dataclass
class Server:
    """node: what is stored, or None. token: the one that is let in.

    answers: status and message for the next calls of a method, before they do anything. between: called after each
    read. asked: method and path of each call that was let in. events: what was posted.
    """

    port: int = 0
    node: Json | None = field(default_factory=started_node)
    token: str = "first"
    answers: dict[str, list[tuple[int, str]]] = field(default_factory=dict)
    between: Callable[[], None] = lambda: None
    asked: list[tuple[str, str]] = field(default_factory=list)
    events: list[Json] = field(default_factory=list)

    @property
    def taints(self) -> list[Json]:
        assert self.node is not None
        found: list[Json] = self.node["spec"]["taints"]
        return found

    def gpus(self, number: str) -> None:
        assert self.node is not None
        self.node["status"]["allocatable"]["nvidia.com/gpu"] = number

    def label(self, name: str) -> None:
        assert self.node is not None
        self.node["metadata"]["labels"][name] = "true"

    def patch(self, operations: list[Json]) -> tuple[int, object]:
        """RFC 6902, as far as it is used on a list of taints; all or nothing."""
        taints = list(self.taints)
        for each in operations:
            folder, _, index = each["path"].rpartition("/")
            assert folder == "/spec/taints", "nothing else may be changed"
            if int(index) >= len(taints) or (each["op"] == "test" and taints[int(index)] != each["value"]):
                return 422, _status("the server rejected our request due to an error in our request")
            if each["op"] == "remove":
                del taints[int(index)]
        self.taints[:] = taints
        return 200, self.node

    def answer(self, method: str, path: str, kind: str, body: Any) -> tuple[int, object]:
        self.asked.append((method, path))
        if self.answers.get(method):
            status, message = self.answers[method].pop(0)
            return status, _status(message)
        if (method, path) == ("POST", EVENTS_PATH):
            assert body["metadata"]["namespace"] == "default", (
                "it must be the path's, and of a node's Events it is this"
            )
            self.events.append(body)
            return 201, body
        assert path == NODE_PATH, path
        if self.node is None:
            return 404, _status(f'nodes "{NODE}" not found')
        if method == "PATCH":
            assert kind == "application/json-patch+json"
            return self.patch(body)
        read = json.loads(json.dumps(self.node))
        self.between()
        return 200, read


def _status(message: str) -> Json:
    return {"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": message}


def certificate(folder: Path) -> tuple[Path, Path]:
    """A new one of 127.0.0.1, which is its own authority, and its key; skips the test where nothing can make one."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not here, which makes the server's certificate")
    made, key = folder / "ca.crt", folder / "server.key"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-days", "2", "-subj", "/CN=kubernetes", "-addext", f"subjectAltName=IP:{HOST}"]
    subprocess.run([*command, "-keyout", str(key), "-out", str(made)], check=True, capture_output=True)
    return made, key


@contextlib.contextmanager
def serving(made: Path, key: Path) -> Iterator[Server]:
    state = Server()

    class Handler(BaseHTTPRequestHandler):
        def _do(self) -> None:
            body: object
            data = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if self.headers["Authorization"] != f"Bearer {state.token}":
                status, body = 401, _status("Unauthorized")
            else:
                kind = self.headers["Content-Type"]
                status, body = state.answer(self.command, self.path, kind, json.loads(data) if data else None)
            told = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(told)))
            self.end_headers()
            self.wfile.write(told)

        do_GET = do_PATCH = do_POST = _do  # noqa: N815 - the library's names

        def log_message(self, *_: object) -> None:
            """Nobody reads it."""

    class Quiet(ThreadingHTTPServer):
        daemon_threads = False

        def get_request(self) -> tuple[Any, Any]:
            raw, address = super().get_request()
            try:
                return context.wrap_socket(raw, server_side=True), address
            except OSError:  # a client that does not trust it
                raw.close()
                raise

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(made, key)
    server = Quiet((HOST, 0), Handler)
    state.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
