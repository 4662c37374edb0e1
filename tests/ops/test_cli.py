"""`sd-async admin`: found from the client's command in the repository's folder, and only there."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from mypy_boto3_s3 import S3Client

from local.emulator import Emulator
from tests.ops.conftest import BUCKET
from tests.support.engine import ROOT


def admin(*arguments: str, cwd: Path = ROOT, emulator: Emulator | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-c", "from sd_async.cli import main; main()", "admin", *arguments],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT), **(emulator.environment if emulator else {})},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_the_operators_help_is_reached_through_the_clients_command() -> None:
    done = admin("--help")
    assert done.returncode == 0, done.stderr
    assert "models" in done.stdout


def test_elsewhere_one_sentence_says_where_to_run_it(tmp_path: Path) -> None:
    done = admin("models", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (
        2,
        "sd-async: `sd-async admin` belongs to the program; run it in the folder of the repository.\n",
    )


def test_a_push_lists_what_it_sent_and_a_second_one_that_nothing_changed(
    s3: S3Client, emulator: Emulator, tmp_path: Path
) -> None:
    (tmp_path / "Lora").mkdir()
    (tmp_path / "Lora" / "a.pt").write_bytes(b"weights")
    push = ("models", "push", str(tmp_path), "--runtime", "sd15", "--bucket", BUCKET)
    planned = admin(*push, "--dry-run", emulator=emulator)
    assert (planned.returncode, planned.stdout) == (0, "would send  sd15/Lora/a.pt\n"), planned.stderr
    assert "Contents" not in s3.list_objects_v2(Bucket=BUCKET)
    assert admin(*push, emulator=emulator).stdout == "sent  sd15/Lora/a.pt\n"
    assert admin(*push, emulator=emulator).stdout == "same  sd15/Lora/a.pt\n"
    assert s3.get_object(Bucket=BUCKET, Key="sd15/Lora/a.pt")["Body"].read() == b"weights"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("models", "push", "nowhere", "--runtime", "sd15", "--bucket", "b"), "nowhere is no folder; name the one"),
        (("models", "push", ".", "--bucket", "b"), "Missing option '--runtime'"),
        (("models", "pussh"), "No such command 'pussh'"),
    ],
)
def test_a_mistake_is_one_sentence_and_exit_code_2(arguments: tuple[str, ...], sentence: str) -> None:
    done = admin(*arguments)
    assert done.returncode == 2
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr


def test_the_client_neither_needs_nor_loads_the_operators_packages() -> None:
    code = "import sys, json; import sd_async.cli; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert not {"boto3", "botocore", "ops", "ops.cli", "components"} & set(json.loads(done.stdout))
