"""The system's configuration, and what is left when it cannot start."""

import os
import signal
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from local.deploy.engine import DeployError
from local.deploy.up import stack_config
from local.emulator import REGION
from local.processes import ProcessFailedError
from local.system import HERE, ROOT, Options, local_config, running
from tests.local.processes_of import processes_with

ENDPOINT = "http://127.0.0.1:4566"


def test_local_mode_is_the_stack_itself_with_an_endpoint_an_architecture_and_a_port() -> None:
    before, after = stack_config(ROOT, "dev"), local_config(Options(), ENDPOINT)
    [runtime] = after.pop("sd-async:runtimes")
    assert 1024 < runtime.pop("port") < 65536
    assert [runtime] == [{**one} for one in before.pop("sd-async:runtimes")]
    assert after == {
        **before,
        "aws:region": REGION,
        "sd-async:endpoint_url": ENDPOINT,
        "sd-async:kubernetes": {"context": "local"},
        "sd-async:api": HERE,
    }


def test_a_stacks_own_sections_are_kept_beside_what_is_changed() -> None:
    overrides = {"sd-async:kubernetes": {"namespace": "images"}, "sd-async:api": {"burst": 7, "architecture": "arm64"}}
    config = local_config(Options(overrides=overrides), ENDPOINT)
    assert config["sd-async:kubernetes"] == {"namespace": "images", "context": "local"}
    assert config["sd-async:api"] == {"burst": 7, **HERE}
    assert "port" not in str(stack_config(ROOT, "dev")), "the stack's own values are not changed in place"


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where this process makes its temporary folders."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    yield tmp_path
    assert list(tmp_path.iterdir()) == [], "no folder is left"
    assert processes_with(str(tmp_path)) == {}, "no process is left"


@pytest.mark.parametrize(
    ("overrides", "named"),
    [
        ({"sd-async:runtimes": None}, "sd-async:runtimes"),
        ({"sd-async:runtimes": ["sd15"]}, r"sd-async:runtimes\[0\]"),
        ({"sd-async:runtimes": {}}, "sd-async:runtimes"),
        ({"sd-async:api": 3}, "sd-async:api"),
        ({"sd-async:kubernetes": "local"}, "sd-async:kubernetes"),
        ({"sd-async:agent": {"image": "a", "lease_s": 1}}, r"sd-async:agent\.lease_s"),
    ],
)
def test_wrong_settings_are_named_and_nothing_is_left(scratch: Path, overrides: dict[str, Any], named: str) -> None:
    steps: list[str] = []
    with pytest.raises(DeployError, match=named), running(Options(overrides=overrides), steps.append):
        pass
    assert steps[-1] == "deploying the program", "it came that far"


def test_a_stack_that_is_not_there_is_told_before_anything_is_started(scratch: Path) -> None:
    steps: list[str] = []
    with pytest.raises(DeployError, match=r"Pulumi\.nowhere\.yaml"), running(Options(stack="nowhere"), steps.append):
        pass
    assert steps == []


def test_an_error_in_the_middle_of_the_start_leaves_nothing(scratch: Path) -> None:
    def unreachable(_endpoint: str) -> str:
        assert processes_with(str(scratch)), "the emulator runs"
        raise ProcessFailedError("no network")

    with pytest.raises(ProcessFailedError, match="no network"), running(Options(agents_endpoint=unreachable)):
        pass


def test_an_interrupted_start_leaves_nothing(scratch: Path) -> None:
    """As Ctrl-C while the program is deployed."""

    def interrupt(step: str) -> None:
        if step == "deploying the program":
            threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()

    with pytest.raises(KeyboardInterrupt), running(Options(), interrupt):
        threading.Event().wait(20)  # a machine that deploys faster than that is interrupted here


@pytest.mark.parametrize("text", ["- a list", "config: 3", "config: [1]", "{not yaml"])
def test_a_stack_file_of_another_shape_is_one_sentence(tmp_path: Path, text: str) -> None:
    (tmp_path / "Pulumi.odd.yaml").write_text(text)
    with pytest.raises(DeployError, match=r"^Pulumi\.odd\.yaml "):
        stack_config(tmp_path, "odd")
