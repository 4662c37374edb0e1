"""Child processes end when they are told to, with all that they started, and when their parent is killed."""

import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from local.processes import Child, ProcessFailedError, base_environment, free_port
from local.system import ROOT
from tests.local.sleepers import WAIT_S, is_running, parent_of_a_deaf_child, pid_in, python, sleeper, until


@contextmanager
def child(folder: Path, command: Sequence[str]) -> Iterator[Child]:
    started = Child("it", command, environment=base_environment(folder), log=folder / "it.log", cwd=folder)
    try:
        yield started
    finally:
        started.kill()


def test_a_child_that_hears_sigterm_ends_by_it(tmp_path: Path) -> None:
    with child(tmp_path, sleeper(tmp_path / "ready")) as started:
        assert pid_in(tmp_path / "ready") == started.pid
        assert started.exit_code() is None
        started.stop(WAIT_S)
        assert started.exit_code() == -signal.SIGTERM


def test_a_child_deaf_to_sigterm_is_killed(tmp_path: Path) -> None:
    with child(tmp_path, sleeper(tmp_path / "ready", is_deaf=True)) as started:
        pid_in(tmp_path / "ready")
        started.stop(0.05)
        assert started.exit_code() == -signal.SIGKILL
        assert not is_running(started.pid)


def test_stop_ends_a_grandchild_that_is_deaf_to_sigterm(tmp_path: Path) -> None:
    with child(tmp_path, parent_of_a_deaf_child(tmp_path / "ready")) as started:
        grandchild = pid_in(tmp_path / "ready")
        started.stop(WAIT_S)
        assert started.exit_code() == -signal.SIGTERM
        until(lambda: not is_running(grandchild), "the grandchild to end")


def test_what_a_child_leaves_behind_ends_with_it(tmp_path: Path) -> None:
    with child(tmp_path, parent_of_a_deaf_child(tmp_path / "ready", stays=False)) as started:
        until(lambda: started.exit_code() == 3, "the child to end by itself")
        grandchild = pid_in(tmp_path / "ready")
        until(lambda: not is_running(grandchild), "the grandchild to end")


def test_kill_leaves_no_time_for_a_word(tmp_path: Path) -> None:
    with child(tmp_path, parent_of_a_deaf_child(tmp_path / "ready")) as started:
        grandchild = pid_in(tmp_path / "ready")
        started.kill()
        assert started.exit_code() == -signal.SIGKILL
        until(lambda: not is_running(grandchild), "the grandchild to end")


def test_a_child_may_be_stopped_again_after_it_has_ended(tmp_path: Path) -> None:
    with child(tmp_path, python("raise SystemExit(7)")) as started:
        until(lambda: started.exit_code() is not None, "it to end")
        for end in (started.terminate, started.stop, started.kill):
            end()
        assert started.exit_code() == 7


def test_a_childs_words_are_in_its_log_and_its_input_is_empty(tmp_path: Path) -> None:
    code = "import sys\nfor n in range(9):\n    print(n, flush=True)\nprint(repr(sys.stdin.read()), file=sys.stderr)"
    with child(tmp_path, python(code)) as started:
        until(lambda: started.exit_code() == 0, "it to end")
        assert started.last_lines(3) == "  7\n  8\n  ''"


def test_a_program_that_is_not_there_is_an_error_of_the_system(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no-such-program"), child(tmp_path, ["/no-such-program"]):
        pass


def test_a_free_port_is_one_that_can_be_listened_on() -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", free_port()))
        server.listen()


def test_an_address_without_a_free_port_is_one_sentence_with_the_way_out() -> None:
    with pytest.raises(ProcessFailedError, match=r"^No free port on 192\.0\.2\.1: .*\. Close programs") as raised:
        free_port("192.0.2.1")  # for documentation only (RFC 5737), so that no machine has it
    assert "\n" not in str(raised.value)


def test_a_child_inherits_nothing_but_what_any_program_needs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SECRET", "AWS_PROFILE", "AWS_SESSION_TOKEN", "HTTPS_PROXY", "PYTHONPATH"):
        monkeypatch.setenv(name, "hush")
    environment = base_environment(tmp_path)
    assert "hush" not in environment.values()
    assert environment.keys() <= {
        *("PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "SSL_CERT_FILE", "HOME", "TMPDIR", "PYTHONUNBUFFERED")
    }
    assert environment["HOME"] == environment["TMPDIR"] == str(tmp_path), "nothing is written elsewhere"


PARENT = """
import sys, time
from pathlib import Path
from local.guard import guard
from local.processes import Child, base_environment

folder = Path(sys.argv[1])
kept, lost, file = folder / "kept", folder / "lost", folder / "file"
for path in (kept, lost):
    (path / "deep").mkdir(parents=True)
file.touch()
for path in (kept, lost, file):
    guard().watch_path(path)
guard().forget_path(kept)
children = [
    Child("it", sys.argv[2:], environment=base_environment(folder), log=folder / "log", cwd=folder) for _ in range(2)
]
children[0].stop()
print(children[1].pid, flush=True)
sys.stdin.read()
"""


@contextmanager
def parent(folder: Path, command: Sequence[str]) -> Iterator["subprocess.Popen[str]"]:
    """A process that has a child, a folder to be kept and one to be removed, until its standard input ends."""
    with subprocess.Popen(
        [sys.executable, "-c", PARENT, str(folder), *command],
        env={**base_environment(folder), "PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.parametrize("is_killed", [True, False])
def test_nothing_outlives_a_parent_not_even_a_killed_one(tmp_path: Path, *, is_killed: bool) -> None:
    with parent(tmp_path, sleeper(is_deaf=True)) as process:
        assert process.stdout is not None
        started = int(process.stdout.readline())
        assert is_running(started)
        guards = [pid for pid in children_of(process.pid) if pid != started]
        assert len(guards) == 1
        if is_killed:
            process.kill()
        else:
            process.communicate(timeout=WAIT_S)
        until(lambda: not is_running(started), "the child to end")
        until(lambda: not is_running(guards[0]), "the guard to end")
    assert not (tmp_path / "lost").exists()
    assert not (tmp_path / "file").exists()
    assert (tmp_path / "kept" / "deep").exists(), "what was forgotten is left alone"


def children_of(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
