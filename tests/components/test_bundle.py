"""The functions' zip: its bytes follow from its inputs, it holds what the functions need and nothing else."""

import hashlib
import json
import shutil
import subprocess
import sys
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from components import bundle
from components.bundle import BundleError, Target
from tests.support.engine import ROOT

TARGETS = [Target("arm64", "3.13"), Target("x86_64", "3.13"), Target("host", "3.13")]
ARM, INTEL, HOST = TARGETS


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of what goes into the bundle, with the wheels already fetched."""
    wanted = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "functions", tmp_path / "functions", ignore=wanted)
    shutil.copytree(ROOT / "sd_async", tmp_path / "sd_async", ignore=wanted)
    shutil.copytree(ROOT / "console", tmp_path / "console")
    for target in TARGETS:
        bundle.build(ROOT, target)
    for wheels in (ROOT / bundle.CACHE).glob("wheels-*"):
        shutil.copytree(wheels, tmp_path / bundle.CACHE / wheels.name)
    return tmp_path


def names(made: Path) -> list[str]:
    with zipfile.ZipFile(made) as archive:
        return archive.namelist()


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.architecture)
def test_two_builds_of_the_same_inputs_are_the_same_bytes(project: Path, target: Target) -> None:
    first = bundle.build(project, target)
    kept = first.read_bytes()
    first.unlink()
    for path in project.rglob("*.py"):
        path.touch(mode=0o600)  # neither times nor modes are inputs
    second = bundle.build(project, target)
    assert (second, hashlib.sha256(second.read_bytes()).digest()) == (first, hashlib.sha256(kept).digest())


def test_entries_are_sorted_stored_and_dated_by_nobodys_clock(project: Path) -> None:
    with zipfile.ZipFile(bundle.build(project, ARM)) as archive:
        entries = archive.infolist()
    assert [entry.filename for entry in entries] == sorted(entry.filename for entry in entries)
    assert {entry.date_time for entry in entries} == {(1980, 1, 1, 0, 0, 0)}
    assert {entry.external_attr >> 16 for entry in entries} == {0o100644}
    assert {entry.compress_type for entry in entries} == {zipfile.ZIP_STORED}


def test_it_holds_the_functions_the_contract_and_the_locked_wheels_only(project: Path) -> None:
    (project / "functions/__pycache__").mkdir()
    (project / "functions/__pycache__/log.cpython-313.pyc").touch()
    found = names(bundle.build(project, ARM))
    tops = {name.split("/")[0] for name in found}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"console", "functions", "msgspec", "sd_async"}
    assert {name for name in found if name.startswith("sd_async/") and "/contract/" not in name} == {
        "sd_async/__init__.py"
    }
    handlers = {"functions/api/handler.py", "functions/outbox.py", "functions/dead_letter.py", "functions/spend.py"}
    assert {"console/index.html", *handlers} <= set(found)
    assert not [name for name in found if "__pycache__" in name or name.endswith((".pyc", ".lock", ".in"))]


@pytest.mark.parametrize(("target", "machine"), [(ARM, b"\xb7\x00"), (INTEL, b"\x3e\x00")])
def test_compiled_code_is_for_the_machine_that_runs_it(project: Path, target: Target, machine: bytes) -> None:
    with zipfile.ZipFile(bundle.build(project, target)) as archive:
        compiled = [archive.read(name) for name in archive.namelist() if name.endswith(".so")]
    assert compiled, "msgspec is compiled code"
    assert {code[:4] + code[18:20] for code in compiled} == {b"\x7fELF" + machine}  # e_machine, ELF specification


def test_another_source_lock_or_target_is_another_zip(project: Path) -> None:
    made = [bundle.build(project, target) for target in TARGETS]
    (project / "functions/log.py").write_text("changed = True\n")
    made.append(bundle.build(project, ARM))
    (project / "functions/more.json").write_text("{}")
    made.append(bundle.build(project, ARM))
    assert len(set(made)) == 5
    assert "functions/more.json" in names(made[-1])


def test_another_python_of_the_same_architecture_is_another_zip(project: Path) -> None:
    for python in ("3.12", "3.13"):
        bundle.build(ROOT, Target("arm64", python))
    shutil.copytree(ROOT / bundle.CACHE, project / bundle.CACHE, dirs_exist_ok=True)
    older, newer = (bundle.build(project, Target("arm64", python)) for python in ("3.12", "3.13"))
    assert [name for name in names(older) if name.endswith("_core.cpython-312-aarch64-linux-gnu.so")]
    assert [name for name in names(newer) if name.endswith("_core.cpython-313-aarch64-linux-gnu.so")]


def test_the_clients_own_code_is_no_part_of_it(project: Path) -> None:
    before = bundle.build(project, ARM)
    (project / "sd_async/client.py").write_text("changed = True\n")
    assert bundle.build(project, ARM) == before


def test_the_zip_can_be_imported_with_nothing_else_at_hand(tmp_path: Path) -> None:
    with zipfile.ZipFile(bundle.build(ROOT, HOST)) as archive:
        archive.extractall(tmp_path)
    code = (
        "import sys, json; sys.path.insert(0, sys.argv[1]); import functions.api.routes, functions.api.env, msgspec;"
        "from sd_async.contract import checks, codec, errors, forms, jobs, limits, messages, records, results, states;"
        "own = [m for n, m in sys.modules.items() if n.split('.')[0] in ('functions', 'msgspec', 'sd_async')];"
        "print(json.dumps(sorted({m.__file__ for m in own})))"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code, tmp_path], capture_output=True, text=True, check=True
    )
    assert all(Path(file).is_relative_to(tmp_path) for file in json.loads(done.stdout))


def test_parallel_builds_agree_and_leave_nothing_beside_the_zip(project: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        made = set(pool.map(lambda _: bundle.build(project, ARM), range(8)))
    assert len(made) == 1
    left = [path.name for path in (project / bundle.CACHE).iterdir() if not path.name.startswith("wheels-")]
    assert left == [made.pop().name]


def test_an_unreachable_registry_is_one_sentence_with_the_way_out(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.rmtree(project / bundle.CACHE)
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_CACHE_DIR", "1")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")  # the discard port, where nobody listens
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", "")
    monkeypatch.setenv("PIP_FIND_LINKS", "")
    monkeypatch.setenv("PIP_RETRIES", "0")
    with pytest.raises(BundleError, match=r"^The Lambda bundle for arm64-python3\.13 needs .*pip's index settings"):
        bundle.build(project, ARM)
    assert list((project / bundle.CACHE).iterdir()) == [], "a failed fetch leaves nothing that looks like wheels"


def test_a_wheel_that_is_not_the_locked_one_is_refused(project: Path) -> None:
    shutil.rmtree(project / bundle.CACHE)
    lock = project / bundle.LOCK
    lock.write_text("msgspec==0.22.0 --hash=sha256:" + "0" * 64 + "\n")
    with pytest.raises(BundleError, match=r"could not fetch \(THESE PACKAGES DO NOT MATCH THE HASHES"):
        bundle.build(project, ARM)


def test_a_lock_without_a_hash_is_refused(project: Path) -> None:
    shutil.rmtree(project / bundle.CACHE)
    (project / bundle.LOCK).write_text("msgspec==0.22.0\n")
    with pytest.raises(BundleError, match=r"could not fetch \(Hashes are required"):
        bundle.build(project, ARM)
