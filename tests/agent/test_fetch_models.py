"""Models copied from S3: only the wanted ones, whole or not at all, and not twice."""

import base64
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agent import fetch_models
from agent.fetch_models import CopyError, Model, checksum_of, main, partial_of, plan_of, verify, wanted
from local.emulator import CREDENTIALS, Emulator, running
from local.helm import ROOT
from local.processes import Child, base_environment, python_module
from tests.chart import rendering

BIG = bytes(range(256)) * 80_000  # 20 MB: three parts


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    with running(tmp_path_factory.mktemp("emulator")) as started:
        yield started


@pytest.fixture
def environment(emulator: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """What the chart gives the copying container, at the emulator."""
    emulator.reset()
    for name, value in emulator.environment.items():
        monkeypatch.setenv(name, value)
    s3 = emulator.client("s3")
    s3.create_bucket(Bucket="models", CreateBucketConfiguration={"LocationConstraint": emulator.region})
    for key, body in {"x/Lora/a.bin": b"lora", "x/VAE/b.bin": BIG, "x/other/c.bin": b"c", "y/Lora/d.bin": b"d"}.items():
        s3.put_object(Bucket="models", Key=key, Body=body)
    changes: dict[str, Any] = {"models__mode": "copy", "models__bucket": "models", "models__prefix": "x/"}
    container = rendering.init_containers(**changes, aws__endpointUrl=emulator.endpoint)["models"]
    rendered = {item["name"]: item["value"] for item in container["env"]}
    return rendered | {"SD_MODELS_TARGET": str(tmp_path / "models")}


def files(environment: dict[str, str]) -> dict[str, bytes]:
    root = Path(environment["SD_MODELS_TARGET"])
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_the_models_of_the_folders_arrive_whole(environment: dict[str, str]) -> None:
    assert main(environment) == 0
    arrived = files(environment)
    assert arrived.pop(fetch_models.NOTES)
    assert arrived == {"Lora/a.bin": b"lora", "VAE/b.bin": BIG}
    assert (Path(environment["SD_MODELS_TARGET"]) / "embeddings").is_dir(), "a runtime may not make it"


def test_what_was_copied_is_not_copied_again(environment: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    main(environment)
    (Path(environment["SD_MODELS_TARGET"]) / "Lora/a.bin").unlink()
    capsys.readouterr()
    assert main(environment) == 0
    first = json.loads(capsys.readouterr().out.splitlines()[0])
    assert (first["files"], first["total_bytes"]) == (1, 4)
    assert files(environment)["Lora/a.bin"] == b"lora"


def test_a_changed_model_replaces_the_old(environment: dict[str, str], emulator: Emulator) -> None:
    main(environment)
    emulator.client("s3").put_object(Bucket="models", Key="x/Lora/a.bin", Body=b"LORA")
    assert main(environment) == 0
    assert files(environment)["Lora/a.bin"] == b"LORA"


def beginning(environment: dict[str, str], emulator: Emulator, data: bytes, algorithm: str = "CRC32") -> Path:
    """What a copy of the large model left that was broken off; the object's checksum is one of the whole.

    algorithm: the emulator takes three seconds for CRC32C.
    """
    s3 = emulator.client("s3")
    s3.put_object(Bucket="models", Key="x/VAE/b.bin", Body=BIG, ChecksumAlgorithm=algorithm)
    etag = s3.head_object(Bucket="models", Key="x/VAE/b.bin")["ETag"]
    path = Path(environment["SD_MODELS_TARGET"]) / "VAE" / "b.bin"
    partial = partial_of(path, Model("x/VAE/b.bin", "VAE/b.bin", etag, len(BIG)))
    partial.parent.mkdir(parents=True)
    partial.write_bytes(data)
    return partial


@pytest.mark.parametrize("size", [1, 9_000_001, len(BIG) - 1, len(BIG)])
def test_of_a_file_that_was_broken_off_only_the_rest_is_fetched(
    environment: dict[str, str], emulator: Emulator, capsys: pytest.CaptureFixture[str], size: int
) -> None:
    partial = beginning(environment, emulator, BIG[:size])
    assert main(environment) == 0
    assert files(environment)["VAE/b.bin"] == BIG
    assert not partial.exists()
    [resumed] = [line for line in map(json.loads, capsys.readouterr().out.splitlines()) if "resumed" in line["message"]]
    assert (resumed["path"], resumed["bytes"]) == ("VAE/b.bin", size)


def test_a_damaged_beginning_is_found_by_the_checksum_and_fetched_again(
    environment: dict[str, str], emulator: Emulator, capsys: pytest.CaptureFixture[str]
) -> None:
    partial = beginning(environment, emulator, b"X" + BIG[1:9_000_000], "CRC32C")
    assert main(environment) == 1, "so the beginning was not fetched anew"
    assert "arrived with another ChecksumCRC32C" in capsys.readouterr().out
    assert not partial.exists()
    assert "VAE/b.bin" not in files(environment)
    assert main(environment) == 0
    assert files(environment)["VAE/b.bin"] == BIG


def test_a_beginning_of_what_has_changed_since_is_thrown_away(
    environment: dict[str, str], emulator: Emulator, capsys: pytest.CaptureFixture[str]
) -> None:
    partial = beginning(environment, emulator, BIG[:1000])
    emulator.client("s3").put_object(Bucket="models", Key="x/VAE/b.bin", Body=b"another")
    assert main(environment) == 0
    assert files(environment)["VAE/b.bin"] == b"another"
    assert not partial.exists()
    assert "resumed" not in capsys.readouterr().out


def test_an_empty_model_is_copied_too(environment: dict[str, str], emulator: Emulator) -> None:
    emulator.client("s3").put_object(Bucket="models", Key="x/Lora/empty.bin", Body=b"")
    assert main(environment) == 0
    assert files(environment)["Lora/empty.bin"] == b""


def test_its_log_tells_how_far_it_is(environment: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    main(environment)
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert (lines[0]["files"], lines[0]["total_bytes"]) == (2, len(BIG) + 4)
    assert (lines[-1]["message"], lines[-1]["bytes"]) == ("models copied", len(BIG) + 4)


def test_a_bucket_that_is_not_there_ends_it_with_a_word(
    environment: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(environment | {"SD_MODELS_BUCKET": "nowhere"}) == 1
    assert "NoSuchBucket" in capsys.readouterr().out


def test_a_variable_that_is_missing_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main({"SD_MODELS_FOLDERS": "Lora"}) == 2
    assert "SD_MODELS_BUCKET" in capsys.readouterr().out


def test_it_goes_when_its_pod_goes(environment: dict[str, str], tmp_path: Path) -> None:
    log = tmp_path / "log"
    command = python_module("agent.fetch_models")
    more = environment | CREDENTIALS | {"SD_MODELS_REFRESH_S": "60"}
    child = Child("models", command, environment=base_environment(tmp_path) | more, log=log, cwd=ROOT)
    try:
        deadline = time.monotonic() + 30
        while "models copied" not in log.read_text(encoding="utf-8") and time.monotonic() < deadline:
            assert child.exit_code() is None, child.last_lines()
            time.sleep(0.05)
        child.terminate()
        child.stop(10)
        assert child.exit_code() == 0, "a signal that is not handled ends no first process of a container"
    finally:
        child.stop(0)


PLAN = plan_of(
    {"SD_MODELS_BUCKET": "m", "SD_MODELS_FOLDERS": "Lora,VAE", "SD_MODELS_TARGET": "/m", "AWS_REGION": "us-west-2"}
)


@pytest.mark.parametrize(
    ("path", "is_wanted"),
    [
        ("Lora/a.bin", True),
        ("Lora/deep/a.bin", True),
        ("Lora/", False),
        ("Loras/a.bin", False),
        ("a.bin", False),
        ("Lora/../../etc/passwd", False),
    ],
)
def test_only_files_inside_the_folders_are_wanted(path: str, is_wanted: bool) -> None:  # noqa: FBT001 - a table's column
    assert wanted(PLAN, path) is is_wanted


@pytest.mark.parametrize(
    ("name", "expected"),
    [  # of the nine bytes `123456789`, as the catalogues of these checksums list them
        ("ChecksumCRC64NVME", 0xAE8B14860A799888),
        ("ChecksumCRC32C", 0xE3069283),
        ("ChecksumCRC32", 0xCBF43926),
    ],
)
def test_checksums_are_the_ones_that_s3_keeps(tmp_path: Path, name: str, expected: int) -> None:
    (tmp_path / "a").write_bytes(b"123456789")
    text = checksum_of(tmp_path / "a", name)
    assert int.from_bytes(base64.b64decode(text), "big") == expected


def test_damage_on_the_way_is_found(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"12345678X")
    model = Model("Lora/a", "Lora/a", '"etag"', 9)
    with pytest.raises(CopyError, match="Lora/a arrived with another ChecksumCRC32 "):
        verify(tmp_path / "a", model, {"ChecksumCRC32": "y/Q5Jg=="})
    (tmp_path / "a").write_bytes(b"123456789")
    assert verify(tmp_path / "a", model, {"ChecksumCRC32": "y/Q5Jg=="}) == "ChecksumCRC32"
    assert verify(tmp_path / "a", model, {"ChecksumCRC32": "y/Q5Jg==-3"}) == "size", "that one is of the parts"
    with pytest.raises(CopyError, match="has 10 bytes and 9 arrived"):
        verify(tmp_path / "a", Model("Lora/a", "Lora/a", '"etag"', 10), {})
