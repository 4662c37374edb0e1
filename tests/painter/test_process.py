"""The painter as a process: how it starts and how it ends."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from local.painter.embedded import serving
from local.painter.settings import NOTICE, PainterSettings
from tests.painter.client import WAIT_S, Comfy, between, flat

ROOT = Path(__file__).parents[2]


@contextlib.contextmanager
def _process(data: Path, *options: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "local.painter", "--data", str(data), *options]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


@contextlib.contextmanager
def _started(data: Path, *options: str) -> Iterator[tuple[subprocess.Popen[str], Comfy]]:
    with _process(data, "--port", "0", "--faults", *options) as process:
        assert process.stdout
        line = process.stdout.readline()
        assert line.startswith(NOTICE), line
        with Comfy(line.rsplit(" ", 1)[1].strip(), data) as comfy:
            yield process, comfy


def test_the_type_says_which_protocol_it_speaks(tmp_path: Path) -> None:
    with _started(tmp_path, "--type", "a1111") as (_, comfy):
        assert comfy.http.get("/sdapi/v1/progress").status_code == 200
        assert comfy.http.get("/system_stats").status_code == 404


def _busy(comfy: Comfy) -> str:
    prompt_id = comfy.submit(between(flat("busy"), "PainterSleep", seconds=600.0, steps=1))
    comfy.wait_until_running(prompt_id)
    return prompt_id


def test_it_says_where_it_listens_and_keeps_everything_in_its_data_folder(tmp_path: Path) -> None:
    before = set(ROOT.iterdir())
    with _started(tmp_path / "data") as (_, comfy):
        comfy.run(flat("process"))
    assert {path.name for path in (tmp_path / "data").iterdir()} == {"input", "output", "temp"}
    assert set(ROOT.iterdir()) - before <= {ROOT / name for name in (".pytest_cache", ".mypy_cache", ".ruff_cache")}


def test_sigterm_ends_it_at_once_in_the_middle_of_a_job(tmp_path: Path) -> None:
    with _started(tmp_path) as (process, comfy):
        _busy(comfy)
        process.send_signal(signal.SIGTERM)
        assert process.wait(WAIT_S) == -signal.SIGTERM


def test_sigint_ends_it_tidily_with_the_temp_folder_gone(tmp_path: Path) -> None:
    with _started(tmp_path) as (process, comfy):
        _busy(comfy)
        with comfy.socket() as client:
            client.recv(WAIT_S)
            process.send_signal(signal.SIGINT)
            assert process.wait(WAIT_S) == 0
    assert not (tmp_path / "temp").exists()


def test_a_painter_in_this_process_ends_with_its_block_and_leaves_no_thread(tmp_path: Path) -> None:
    before = set(threading.enumerate())
    settings = PainterSettings(data=tmp_path, has_faults=True)
    with serving(settings) as url, Comfy(url, tmp_path) as comfy:
        _busy(comfy)
        assert set(threading.enumerate()) - before
    assert set(threading.enumerate()) <= before
    assert not (tmp_path / "temp").exists()


def test_a_painter_in_this_process_says_why_it_cannot_start(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file"), serving(PainterSettings(data=tmp_path / "file")):
        pass


def test_a_restart_empties_history_and_temp_and_keeps_the_outputs(tmp_path: Path) -> None:
    (tmp_path / "temp").mkdir()
    (tmp_path / "temp" / "old.png").touch()
    with _started(tmp_path) as (_, comfy):
        prompt_id = comfy.submit(flat("survives"))
        comfy.ended(prompt_id)
        assert list((tmp_path / "temp").iterdir()) == []
    with _started(tmp_path) as (_, comfy):
        assert comfy.history(prompt_id) is None
        assert comfy.http.get("/view", params={"filename": "survives_00001_.png"}).status_code == 200


def test_a_taken_port_is_one_sentence_with_the_way_out(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        with _process(tmp_path, "--port", port) as process:
            output, _ = process.communicate(timeout=WAIT_S)
    assert process.returncode == 1
    assert output.count("\n") == 1
    assert port in output
    assert "--port" in output


def test_a_lost_worker_leaves_its_prompt_running_while_http_goes_on(tmp_path: Path) -> None:
    with _started(tmp_path) as (_, comfy):
        lost = comfy.submit(between(flat("lost"), "PainterLoseWorker"))
        comfy.wait_until_running(lost)
        comfy.submit(flat("never"))
        assert comfy.http.get("/prompt").json()["exec_info"]["queue_remaining"] == 2
        assert comfy.http.get("/system_stats").status_code == 200


def test_a_worker_may_be_lost_once_and_never_again_even_in_a_new_process(tmp_path: Path) -> None:
    graph = between(flat("lost once"), "PainterLoseWorker", once="today")
    with _started(tmp_path) as (_, comfy):
        comfy.wait_until_running(comfy.submit(graph))
    with _started(tmp_path) as (_, comfy):
        assert comfy.run(graph)["status"]["status_str"] == "success"


def test_a_node_may_end_the_whole_process(tmp_path: Path) -> None:
    with _started(tmp_path) as (process, comfy):
        with contextlib.suppress(httpx.TransportError):  # it may end before it has answered
            comfy.submit(between(flat("exit"), "PainterExit"))
        assert process.wait(WAIT_S) == 1


def test_steps_take_their_time(tmp_path: Path) -> None:
    with _started(tmp_path, "--seconds-per-step", "0.02") as (_, comfy):
        graph = flat("timed")
        graph["3"] = {"class_type": "UpscaleModelLoader", "inputs": {"model_name": "RealESRGAN_x4plus.pth"}}
        graph["4"] = {"class_type": "ImageUpscaleWithModel", "inputs": {"upscale_model": ["3", 0], "image": ["1", 0]}}
        graph["2"]["inputs"]["images"] = ["4", 0]
        began = time.monotonic()
        comfy.run(graph)
        assert time.monotonic() - began >= 0.02


@pytest.mark.parametrize("options", [["--seconds-per-step", "61"], ["--seconds-per-step", "-1"], []])
def test_bad_flags_are_refused_before_anything_is_written(tmp_path: Path, options: list[str]) -> None:
    data = tmp_path / "data"
    command = [sys.executable, "-m", "local.painter", *(["--data", str(data), *options] if options else [])]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=WAIT_S)
    assert done.returncode == 2
    assert ("60 seconds" in done.stderr) if options else ("--data" in done.stderr)
    assert not data.exists()


def test_nodes_that_fail_on_purpose_are_not_there_unless_asked_for(tmp_path: Path) -> None:
    with _process(tmp_path, "--port", "0") as process:
        assert process.stdout
        with Comfy(process.stdout.readline().rsplit(" ", 1)[1].strip(), tmp_path) as comfy:
            assert not [name for name in comfy.http.get("/object_info").json() if name.startswith("Painter")]
