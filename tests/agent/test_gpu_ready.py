"""The startup taint of a GPU node: taken off when the GPU answers, never before, and nothing else is."""

import contextlib
import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from agent.gpu_ready import LONGEST_RETRY_S, Place, Watch, main, place_of
from local.processes import base_environment, free_port
from tests.agent.kubernetes_server import HOST, LASTING, NODE, STARTUP, UID, Server, certificate, serving
from tests.agent.test_process import resident

ROOT = Path(__file__).parents[2]
MAX_RESIDENT_KIB = 28 * 1024  # 22 MiB as measured; an HTTP client like httpx would add 11
LIMIT_S = 30.0  # of a process that hangs

LATE = {"key": "node.example/late", "effect": "NoExecute"}


class OverError(Exception):
    """The test has seen enough of it."""


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def server(pair: tuple[Path, Path]) -> Iterator[Server]:
    with serving(*pair) as started:
        yield started


@pytest.fixture
def account(pair: tuple[Path, Path], tmp_path: Path) -> Path:
    """What the kubelet mounts."""
    (tmp_path / "ca.crt").write_bytes(pair[0].read_bytes())
    (tmp_path / "token").write_text("first\n")
    return tmp_path


@pytest.fixture
def environment(server: Server, account: Path) -> dict[str, str]:
    return {
        "SD_NODE_NAME": NODE,
        "SD_STARTUP_TAINT": "sd-async/gpu-not-ready:NoSchedule",
        "SD_ACCOUNT_FOLDER": str(account),
        "KUBERNETES_SERVICE_HOST": HOST,
        "KUBERNETES_SERVICE_PORT": str(server.port),
    }


@pytest.fixture
def place(environment: dict[str, str]) -> Place:
    return place_of(environment)


class Scene:
    """Time that goes on only while the program sleeps, and what happens meanwhile: one act for each sleep."""

    def __init__(self, *acts: Callable[[], object]) -> None:
        self.time_s = 0.0
        self.slept: list[float] = []
        self._acts = list(acts)

    def now(self) -> float:
        return self.time_s

    def sleep(self, seconds: float) -> None:
        if not self._acts:
            raise OverError
        self.time_s += seconds
        self.slept.append(seconds)
        self._acts.pop(0)()

    def play(self, place: Place) -> bool:
        """Whether the program came to its end by itself."""
        with contextlib.suppress(OverError):
            Watch(place, self.now, self.sleep).run()
            return True
        return False


def nothing() -> None:
    """An act in which nothing happens."""


def said(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


@pytest.mark.parametrize("gpus", [None, "0"])
def test_the_taint_stays_as_long_as_the_node_has_no_gpu_to_give(place: Place, server: Server, gpus: str | None) -> None:
    if gpus:
        server.gpus(gpus)
    assert not Scene(nothing, nothing).play(place)
    assert server.taints == [LASTING, STARTUP]
    assert {method for method, _ in server.asked} == {"GET"}


def test_it_goes_when_the_gpu_answers_and_no_other_goes_with_it(place: Place, server: Server) -> None:
    server.taints.append(LATE)
    scene = Scene(nothing, lambda: server.gpus("1"), lambda: server.label("karpenter.sh/initialized"))
    assert scene.play(place), "there is nothing left to do"
    assert server.taints == [LASTING, LATE]
    assert scene.slept == [2.0, 2.0, 2.0]


@pytest.mark.parametrize("other", [STARTUP | {"effect": "NoExecute"}, STARTUP | {"key": "sd-async/other"}])
def test_one_of_another_effect_or_key_is_another(place: Place, server: Server, other: dict[str, str]) -> None:
    server.taints[:] = [other]
    server.gpus("1")
    server.label("karpenter.sh/initialized")
    assert Scene().play(place)
    assert server.taints == [other]


def test_it_waits_for_karpenter_which_would_put_it_on_again(place: Place, server: Server) -> None:
    assert server.node
    server.node["metadata"]["labels"] = {}
    server.gpus("8")
    seen: list[int] = []
    acts = [lambda: seen.append(len(server.taints)), lambda: server.label("karpenter.sh/registered"), nothing]
    Scene(*acts).play(place)
    assert seen == [2], "it was not touched before"
    assert server.taints == [LASTING]


def test_what_is_put_on_again_before_the_node_is_initialized_goes_again(place: Place, server: Server) -> None:
    server.gpus("1")
    again, initialized = lambda: server.taints.insert(0, STARTUP), lambda: server.label("karpenter.sh/initialized")
    assert Scene(again, nothing, again, initialized, nothing).play(place)
    assert server.taints == [LASTING]
    assert [method for method, _ in server.asked].count("PATCH") == 3


def test_a_node_from_before_the_taint_is_left_as_it_is(place: Place, server: Server) -> None:
    server.taints.remove(STARTUP)
    server.label("karpenter.sh/initialized")
    assert Scene().play(place)
    assert [method for method, _ in server.asked] == ["GET"]


def test_a_list_that_changes_meanwhile_is_read_again_and_loses_nothing(
    place: Place, server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    server.gpus("1")

    def once() -> None:
        server.between = nothing
        server.taints.insert(0, LATE)

    server.between = once
    assert Scene(nothing, lambda: server.label("karpenter.sh/initialized")).play(place)
    assert server.taints == [LATE, LASTING]
    [line] = [line for line in said(capsys) if line["message"] == "looking again"]
    assert line["error"].startswith("ChangedError: 422: the server rejected our request")


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (409, "ChangedError: 409: no"),
        (403, "ApiError: 403: no"),
        (500, "ApiError: 500: no"),
        (401, "ApiError: 401: no"),
    ],
)
def test_a_refusal_is_told_in_the_servers_words_and_tried_again(
    place: Place, server: Server, capsys: pytest.CaptureFixture[str], status: int, error: str
) -> None:
    server.gpus("1")
    server.answers["PATCH"] = [(status, "no")]
    assert Scene(nothing, lambda: server.label("karpenter.sh/initialized")).play(place)
    [line] = [line for line in said(capsys) if line["message"] == "looking again"]
    assert (line["level"], line["node"], line["error"], line["retry_s"]) == ("WARNING", NODE, error, 1.0)
    assert server.taints == [LASTING]


def test_a_node_that_is_gone_is_told_and_waited_for(
    place: Place, server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    server.node = None
    assert not Scene(nothing).play(place)
    assert {line["error"] for line in said(capsys)} == {f'ApiError: 404: nodes "{NODE}" not found'}


def test_a_server_that_is_not_there_is_tried_again_ever_more_seldom(
    environment: dict[str, str], server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    place = place_of(environment | {"KUBERNETES_SERVICE_PORT": str(free_port())})
    scene = Scene(*[nothing] * 1100)
    assert not scene.play(place)
    assert scene.slept[:7] == [1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]
    assert max(scene.slept) == LONGEST_RETRY_S
    assert all(line["error"].startswith("ConnectionRefusedError: ") for line in said(capsys))


def test_after_a_failure_it_looks_as_often_as_before(place: Place, server: Server) -> None:
    busy = (503, "busy")
    server.answers["GET"] = [busy, busy, busy]

    def busy_again() -> None:
        server.answers["GET"] = [busy]

    scene = Scene(nothing, nothing, nothing, busy_again, nothing, nothing)
    scene.play(place)
    assert scene.slept == [1.0, 2.0, 4.0, 2.0, 1.0, 2.0]


def test_a_new_token_is_used_as_soon_as_it_is_there(
    place: Place, server: Server, account: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server.gpus("1")
    server.token = "second"
    Scene(nothing, lambda: (account / "token").write_text("second\n"), nothing).play(place)
    assert server.taints == [LASTING]
    assert [line["error"] for line in said(capsys) if "error" in line] == ["ApiError: 401: Unauthorized"] * 2


@pytest.mark.parametrize("token", ["secret-1\nsecret-2", "sécret", None])
def test_no_token_is_ever_told_whatever_is_wrong_with_it(
    place: Place, account: Path, capsys: pytest.CaptureFixture[str], token: str | None
) -> None:
    (account / "token").unlink()
    if token:
        (account / "token").write_text(token, encoding="utf-8")
    assert not Scene(nothing).play(place)
    written = capsys.readouterr()
    assert "cret" not in written.out + written.err
    assert written.out.count("looking again") == 2


def test_no_token_is_sent_to_a_stranger(
    place: Place, server: Server, account: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    other, _ = certificate(tmp_path_factory.mktemp("other"))
    (account / "ca.crt").write_bytes(other.read_bytes())
    assert not Scene(nothing).play(place)
    assert server.asked == []


def told(server: Server, number: int) -> Callable[[], None]:
    """Nothing happens, and there are so many Events by then."""

    def act() -> None:
        assert len(server.events) == number

    return act


def test_a_gpu_that_does_not_answer_for_five_minutes_is_told_as_long_as_it_does_not(
    place: Place, server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    scene = Scene(*[told(server, 0)] * 150, *[told(server, 1)] * 180, *[told(server, 2)] * 10)
    assert not scene.play(place)
    assert scene.slept[148:152] == [2.0, 2.0, 10.0, 10.0], "less often, as it is late anyway"
    first = server.events[0]
    assert first["involvedObject"] == {"apiVersion": "v1", "kind": "Node", "name": NODE, "uid": UID}
    assert (first["type"], first["reason"]) == ("Warning", "GpuNotReady")
    assert "sd-async/gpu-not-ready for 5 minutes: its GPU has not answered" in first["message"]
    assert "for 35 minutes" in server.events[1]["message"]
    late = [line for line in said(capsys) if line["message"] == "node is held back"]
    assert [(line["level"], line["node"], line["waited_min"]) for line in late] == [
        ("ERROR", NODE, 5),
        ("ERROR", NODE, 35),
    ]


def test_who_may_not_tell_still_takes_the_taint_off(place: Place, server: Server) -> None:
    server.answers["POST"] = [(403, "no Events from you")]
    acts = [*[nothing] * 152, lambda: server.gpus("1"), lambda: server.label("karpenter.sh/initialized")]
    assert Scene(*acts).play(place)
    assert server.events == []
    assert server.taints == [LASTING]


@pytest.mark.parametrize("missing", ["SD_NODE_NAME", "SD_STARTUP_TAINT", "KUBERNETES_SERVICE_HOST"])
def test_a_missing_variable_is_named_with_its_own_code(
    environment: dict[str, str], capsys: pytest.CaptureFixture[str], missing: str
) -> None:
    del environment[missing]
    assert main(environment) == 2
    assert missing in said(capsys)[0]["error"]


def test_a_bug_ends_in_one_line_and_a_code(
    environment: dict[str, str], server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    server.node = {}
    assert main(environment) == 1
    [line] = said(capsys)
    assert (line["level"], line["message"], line["error"]) == ("CRITICAL", "gpu_ready ends", "KeyError")


@contextlib.contextmanager
def process(environment: Mapping[str, str], tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "agent.gpu_ready"]
    started = subprocess.Popen(
        command,
        env=base_environment(tmp_path) | dict(environment),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    too_long = threading.Timer(LIMIT_S, started.kill)
    too_long.start()
    with started:
        try:
            yield started
        finally:
            too_long.cancel()
            started.kill()


def until(started: subprocess.Popen[bytes], message: str, field: str = "") -> None:
    assert started.stdout is not None
    while line := json.loads(started.stdout.readline()):
        if line["message"] == message and field in json.dumps(line):
            return


def stops(started: subprocess.Popen[bytes]) -> None:
    began_s = time.monotonic()
    started.terminate()
    assert started.wait(10) == 0
    assert time.monotonic() - began_s < 1
    assert started.stdout is not None
    assert all(json.loads(line) for line in started.stdout.read().splitlines()), "lines, and no traceback"


def test_a_process_that_waits_for_its_gpu_stops_at_once(
    environment: dict[str, str], server: Server, tmp_path: Path
) -> None:
    with process(environment, tmp_path) as started:
        until(started, "node seen", "has not answered")
        stops(started)


def test_a_process_that_is_done_stays_small_and_silent_and_stops_at_once(
    environment: dict[str, str], server: Server, tmp_path: Path
) -> None:
    server.gpus("1")
    with process(environment, tmp_path) as started:
        until(started, "taint removed")
        server.label("karpenter.sh/initialized")
        until(started, "node seen", "no such taint and Karpenter has initialized")
        asked = len(server.asked)
        assert resident(started.pid) < MAX_RESIDENT_KIB
        time.sleep(2.2)
        assert started.poll() is None, "a DaemonSet's pod must not end"
        assert len(server.asked) == asked, "it asks no more"
        stops(started)


def test_a_process_whose_server_is_silent_stops_at_once(environment: dict[str, str], tmp_path: Path) -> None:
    with socket.create_server((HOST, 0)) as silent:
        port = str(silent.getsockname()[1])
        with process(environment | {"KUBERNETES_SERVICE_PORT": port}, tmp_path) as started:
            connection, _ = silent.accept()
            with connection:
                stops(started)


def test_nothing_but_the_standard_library_is_loaded() -> None:
    script = "import sys, agent.gpu_ready; print(*{name.partition('.')[0] for name in sys.modules})"
    command = [sys.executable, "-c", script]
    loaded = set(subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.split())
    assert "ssl" in loaded
    assert loaded.isdisjoint({"boto3", "botocore", "httpx", "msgspec", "sd_async", "prometheus_client", "asyncio"})
