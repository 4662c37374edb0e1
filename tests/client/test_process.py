"""The command as a process of its own against a real HTTP server."""

import json
import os
import subprocess
import sys
import threading
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import msgspec
import pytest

import sd_async
from sd_async.config import LOCAL_FILE, write_config
from sd_async.contract.codec import encode
from tests.client.fakes import JOB_ID, KEY, job, output, running, succeeded

ROOT = Path(__file__).parents[2]


class TinyApi(ThreadingHTTPServer):
    """One job that is queued, then runs, then has succeeded with one output."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server_address[1]}"
        done = succeeded([output("a.png", url=f"{self.address}/outputs/a.png")])
        self.ways = [job(), running(0.4), done]
        self.keys: list[str | None] = []


class Handler(BaseHTTPRequestHandler):
    server: TinyApi

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self._answer(202, encode(self.server.ways[0]))

    def do_GET(self) -> None:
        if self.path.startswith("/outputs/"):
            self.server.keys.append(self.headers["x-api-key"])
            self._answer(200, b"PNG!")
        else:
            ways = self.server.ways
            self._answer(200, encode(ways.pop(0) if len(ways) > 1 else ways[0]))

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Keeps the tests' output quiet."""


@contextmanager
def serving(api: TinyApi) -> Iterator[TinyApi]:
    thread = threading.Thread(target=api.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield api
    finally:
        api.shutdown()
        thread.join()
        api.server_close()


@pytest.fixture
def api() -> Iterator[TinyApi]:
    with serving(TinyApi()) as started:
        yield started


def run(folder: Path, *args: str) -> subprocess.CompletedProcess[str]:
    env = {"PATH": os.environ["PATH"], "HOME": str(folder), "PYTHONPATH": str(ROOT), "PYTHONUTF8": "1"}
    # a proxy that does not exist: this machine's own addresses must not be asked of it
    env |= {"http_proxy": "http://127.0.0.1:9", "https_proxy": "http://127.0.0.1:9"}
    command = [sys.executable, "-W", "error", "-m", "sd_async", *args]
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=60, check=False)


def test_a_file_a_folder_and_one_command_make_an_image(api: TinyApi, tmp_path: Path) -> None:
    write_config(tmp_path / LOCAL_FILE, api.address, KEY, "comfyui")
    (tmp_path / "workflow.json").write_text(json.dumps({"3": {"class_type": "KSampler", "inputs": {}}}))
    done = run(tmp_path, "submit", "workflow.json", "-o", "out")
    assert (done.returncode, done.stdout) == (0, "out/a.png\n"), done.stderr
    assert done.stderr.splitlines() == [
        f"Job {JOB_ID}",
        "· queued",
        "· running 40% · KSampler",
        "✓ done in 4.3 s",
    ]
    assert (tmp_path / "out" / "a.png").read_bytes() == b"PNG!"
    assert api.keys == [None], "the key stays with the API"


def test_json_of_a_process_is_the_job_as_the_api_sent_it(api: TinyApi, tmp_path: Path) -> None:
    write_config(tmp_path / LOCAL_FILE, api.address, KEY)
    done = run(tmp_path, "wait", JOB_ID, "--json")
    assert done.returncode == 0
    assert json.loads(done.stdout) == msgspec.to_builtins(api.ways[-1])


def test_nobody_listening_ends_with_4_and_one_sentence(tmp_path: Path) -> None:
    with serving(TinyApi()) as gone:
        address = gone.address
    write_config(tmp_path / LOCAL_FILE, address, KEY)
    done = run(tmp_path, "get", JOB_ID)
    assert done.returncode == 4
    assert done.stderr.startswith(f"sd-async: {address} cannot be reached")
    assert len(done.stderr.splitlines()) == 1


def test_the_version_is_the_one_in_pyproject() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["version"] == sd_async.__version__
    assert project["scripts"]["sd-async"] == "sd_async.cli:main"
