"""`python -m local` as a person starts it: what it prints, how it ends, and that nothing stays behind."""

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
from PIL import Image

from local.system import ROOT
from sd_async.config import LOCAL_FILE
from tests.local.processes_of import processes_with
from tests.local.sleepers import until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")
START_WAIT_S = 120.0


@dataclass
class Command:
    """folder: where it is started. It knows nothing of the repository but where its modules are."""

    folder: Path
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def scratch(self) -> Path:
        return self.folder / "tmp"

    @contextlib.contextmanager
    def started(self, *options: str) -> Iterator["subprocess.Popen[str]"]:
        self.scratch.mkdir(exist_ok=True)
        environment = {
            **{name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ},
            "PYTHONPATH": str(ROOT),
            "TMPDIR": str(self.scratch),
            **self.environment,
        }
        command = [sys.executable, "-m", "local", *options]
        with (
            (self.folder / "stdout").open("w") as out,
            (self.folder / "stderr").open("w") as err,
            subprocess.Popen(
                command, cwd=self.folder, env=environment, stdin=subprocess.DEVNULL, stdout=out, stderr=err, text=True
            ) as process,
        ):
            try:
                yield process
            finally:
                process.kill()
                process.wait()

    def run(self, *options: str) -> int:
        with self.started(*options) as process:
            return process.wait(START_WAIT_S)

    @property
    def stdout(self) -> str:
        return (self.folder / "stdout").read_text()

    @property
    def stderr(self) -> str:
        return (self.folder / "stderr").read_text()

    def processes(self) -> dict[int, str]:
        return processes_with(str(self.scratch))

    def assert_gone(self, *, kept: Sequence[str] = ()) -> None:
        """No process, no temporary folder, and in its own folder only what it was asked for."""
        until(lambda: not self.processes(), f"the end of {self.processes()}")
        until(lambda: list(self.scratch.iterdir()) == [], f"{list(self.scratch.iterdir())} to go")
        expected = {"tmp", "stdout", "stderr", *kept}
        until(lambda: {path.name for path in self.folder.iterdir()} == expected, f"no more than {sorted(expected)}")


@pytest.fixture
def command(tmp_path: Path) -> Iterator[Command]:
    made = Command(tmp_path)
    yield made
    for pid in made.processes():
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def serving(command: Command, process: "subprocess.Popen[str]") -> None:
    def is_serving() -> bool:
        assert process.poll() is None, command.stdout + command.stderr
        return "Serving until Ctrl-C" in command.stdout

    until(is_serving, "the system to serve", START_WAIT_S)


def test_help_says_what_it_does_and_starts_nothing(command: Command) -> None:
    assert command.run("--help") == 0
    for named in ("--once", "--runtime-url", "--workflow", "--stack", "--json", "no AWS account"):
        assert named in command.stdout
    command.assert_gone()


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--stack", "nowhere"], "Pulumi.nowhere.yaml"),
        (["--stack", "../../etc/x"], "Pulumi.../../etc/x.yaml"),
    ],
)
def test_a_stack_that_is_not_there_is_one_sentence(command: Command, options: list[str], sentence: str) -> None:
    assert command.run(*options) == 1
    said = command.stdout + command.stderr
    assert said == f"✗ There is no {sentence}; the stacks here are: a1111, dev.\n"
    command.assert_gone()


def test_once_runs_one_job_and_says_all_of_it_as_json(command: Command) -> None:
    """With what a person's shell may hold: an AWS profile, a proxy, a terminal without UTF-8."""
    command.environment = {
        "AWS_PROFILE": "not-for-us",
        "HTTP_PROXY": "http://127.0.0.1:9",
        "http_proxy": "http://127.0.0.1:9",
        "PYTHONIOENCODING": "ascii",
        "SECRET_OF_MINE": "hush-hush",
    }
    assert command.run("--once", "--json", "--out", "pictures") == 0, command.stderr
    document = json.loads(command.stdout)
    assert document["job"]["status"] == "succeeded"
    assert document["took_s"] > 0
    [picture] = document["images"]
    with Image.open(command.folder / picture) as image:
        assert image.size == (512, 512)
    assert "Traceback" not in command.stderr
    command.assert_gone(kept=["pictures"])


def test_a_stack_with_an_a1111_runtime_has_a_sample_of_its_own(command: Command) -> None:
    assert command.run("--once", "--json", "--stack", "a1111", "--out", "pictures") == 0, command.stderr
    job = json.loads(command.stdout)["job"]
    assert (job["status"], job["runtime"], job["type"]) == ("succeeded", "webui", "text-to-image")
    assert [output["name"] for output in job["outputs"]][:1] == ["image_00001.png"]
    assert job["metrics"]["load_ms"] > 0, "its model is read first"
    command.assert_gone(kept=["pictures"])


def test_a_workflow_that_comfyui_refuses_ends_once_with_its_words(command: Command) -> None:
    workflow = command.folder / "wrong.json"
    graph = {"9": {"class_type": "NoSuchNode", "inputs": {}}}
    workflow.write_text(json.dumps(graph))
    assert command.run("--once", "--workflow", str(workflow)) == 1
    said = command.stdout + command.stderr
    assert "NoSuchNode" in said
    assert "Traceback" not in said
    command.assert_gone(kept=["wrong.json"])


def test_ctrl_c_ends_what_serves_though_pressed_twice_and_leaves_nothing(command: Command) -> None:
    command.environment = {"SECRET_OF_MINE": "hush-hush"}
    with command.started() as process:
        serving(command, process)
        config = command.folder / LOCAL_FILE
        assert config.stat().st_mode & 0o077 == 0
        assert_pasted_curl_works(command.stdout)
        children = {pid: line for pid, line in command.processes().items() if pid != process.pid}
        assert {"ministack", "agent", "local.painter"} <= {word for line in children.values() for word in line.split()}
        for pid, line in children.items():
            assert b"hush-hush" not in Path(f"/proc/{pid}/environ").read_bytes(), line
        process.send_signal(signal.SIGINT)
        until(lambda: not config.exists(), "the end to begin")
        until(lambda: has_ended(process, signal.SIGINT, signal.SIGTERM), "the end")
        assert process.returncode == 0
    assert "stopped; nothing is left running" in command.stdout
    assert "Traceback" not in command.stderr
    command.assert_gone(kept=["out"])


def has_ended(process: "subprocess.Popen[str]", *impatience: signal.Signals) -> bool:
    """Whether it has ended, though somebody goes on pressing keys."""
    for number in impatience:
        process.send_signal(number)
    return process.poll() is not None


def assert_pasted_curl_works(announced: str) -> None:
    """The announced endpoint, key and body are a job that is accepted."""
    lines = announced.splitlines()
    endpoint = next(line.split()[-1] for line in lines if line.startswith("API endpoint"))
    key = next(line.split()[-1] for line in lines if line.startswith("API key"))
    body = next(line.rpartition("@")[2] for line in lines if "--data @" in line)
    answer = httpx.post(
        f"{endpoint}/v1/jobs",
        content=Path(body).read_bytes(),
        headers={"x-api-key": key, "content-type": "application/json"},
        timeout=60,
        trust_env=False,
    )
    assert answer.status_code == 202, answer.text


def test_sigterm_while_it_starts_leaves_nothing(command: Command) -> None:
    with command.started() as process:
        until(lambda: any("ministack" in line for line in command.processes().values()), "the emulator to start")
        process.terminate()
        assert process.wait(START_WAIT_S) == 130
    assert "Traceback" not in command.stdout + command.stderr
    command.assert_gone()


def test_nothing_outlives_a_command_that_is_killed(command: Command) -> None:
    with command.started() as process:
        serving(command, process)
        assert len(command.processes()) > 3
        process.kill()
        process.wait()
    command.assert_gone(kept=["out"])


def test_options_that_click_refuses_start_nothing(command: Command) -> None:
    assert command.run("--workflow", "missing.json") == 2
    assert "missing.json" in command.stderr
    command.assert_gone()
