"""The functions' code as one zip: same inputs, same bytes, on every machine.

Entries are stored, not deflated: what deflate makes depends on the zlib at hand, and Lambda unpacks the zip once.
"""

import hashlib
import os
import platform
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

FORMAT = 1  # part of the cache's key: raise it when the same inputs are to give another zip
LOCK = Path("functions/requirements.lock")
CACHE = Path(".cache/bundle")
FETCH_WAIT_S = 300

_FIRST_TIME = (1980, 1, 1, 0, 0, 0)  # the earliest that a zip can say
_FILE_MODE = 0o100644 << 16
# Amazon Linux 2023, under Lambda's Python 3.12 and later, has glibc 2.34.
_GLIBC = ("manylinux_2_34", "manylinux_2_28", "manylinux_2_17", "manylinux2014")
_MACHINES = {"arm64": "aarch64", "x86_64": "x86_64"}
_LEFT_OUT = ("__pycache__", ".pyc", ".pyi", "requirements.in", "requirements.lock")


class BundleError(RuntimeError):
    """The bundle could not be made; the message says why and what to do."""


@dataclass(frozen=True)
class Target:
    """What the code is to run on. architecture: arm64, x86_64, or host: this machine and this Python."""

    architecture: str
    python: str

    @property
    def label(self) -> str:
        if self.architecture == "host":
            return f"{sysconfig.get_platform()}-{sys.implementation.cache_tag}-{platform.libc_ver()[0] or 'libc'}"
        return f"{self.architecture}-python{self.python}"

    def wheels(self) -> list[str]:
        """Arguments of pip that pick the wheels; none of them pick those of this machine."""
        if self.architecture == "host":
            return []
        machine, digits = _MACHINES[self.architecture], self.python.replace(".", "")
        tags = [f"--platform={glibc}_{machine}" for glibc in _GLIBC]
        return [*tags, f"--python-version={self.python}", "--implementation=cp", f"--abi=cp{digits}", "--abi=abi3"]


def build(root: Path, target: Target) -> Path:
    """The zip, made when none of the same inputs is in the cache; safe to call from several processes at once.

    root: the project's folder; the answer lies in it. Raises: BundleError.
    """
    sources = dict(_sources(root))
    lock = (root / LOCK).read_bytes()
    digest = hashlib.sha256(repr((FORMAT, target.label, lock)).encode())
    for name, data in sorted(sources.items()):
        digest.update(repr((name, data)).encode())
    made = root / CACHE / f"functions-{target.architecture}-{digest.hexdigest()[:16]}.zip"
    if not made.exists():
        put(made, sources | dict(_unpacked(_wheels(root, target, lock))))
    return made


def put(path: Path, entries: dict[str, bytes]) -> None:
    """As `write`, in one step: whoever else looks for the zip sees none of it or all."""
    with tempfile.TemporaryDirectory(dir=path.parent) as scratch:
        write(Path(scratch) / path.name, entries)
        (Path(scratch) / path.name).replace(path)


def write(path: Path, entries: dict[str, bytes]) -> None:
    """A zip whose bytes follow from its entries alone."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(entries):
            info = zipfile.ZipInfo(name, _FIRST_TIME)
            info.create_system, info.external_attr = 3, _FILE_MODE  # Unix, whatever machine this is
            archive.writestr(info, entries[name])


def _sources(root: Path) -> Iterator[tuple[str, bytes]]:
    yield "sd_async/__init__.py", (root / "sd_async/__init__.py").read_bytes()
    for folder in ("functions", "sd_async/contract", "console"):
        for path in (root / folder).rglob("*"):
            name = path.relative_to(root).as_posix()
            if path.is_file() and _belongs(name):
                yield name, path.read_bytes()


def _belongs(name: str) -> bool:
    return not name.endswith(_LEFT_OUT) and not {"__pycache__"} & set(name.split("/"))


def _unpacked(wheels: Path) -> Iterator[tuple[str, bytes]]:
    for path in sorted(wheels.glob("*.whl")):
        with zipfile.ZipFile(path) as wheel:
            for name in wheel.namelist():
                if not name.endswith("/") and _belongs(name):
                    yield name, wheel.read(name)


def _wheels(root: Path, target: Target, lock: bytes) -> Path:
    """Folder of the locked wheels for a target, fetched once."""
    key = hashlib.sha256(repr((target.label, lock)).encode()).hexdigest()[:16]
    folder = root / CACHE / f"wheels-{target.architecture}-{key}"
    if folder.exists():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(dir=folder.parent))
    try:
        _fetch(root / LOCK, target, scratch)
        scratch.chmod(0o755)
        scratch.rename(folder)
    except OSError as error:
        if not folder.exists():  # else another process was faster, with the same wheels: hashes are checked
            raise BundleError(f"The wheels of the Lambda bundle can't be put into {folder}: {error}.") from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return folder


def _fetch(lock: Path, target: Target, folder: Path) -> None:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-input"]
    command += ["--only-binary=:all:", "--no-deps", "--require-hashes", f"--requirement={lock}", f"--dest={folder}"]
    try:
        done = subprocess.run(  # noqa: S603 - this interpreter, and arguments of our own
            [*command, *target.wheels()],
            capture_output=True,
            text=True,
            check=False,
            timeout=FETCH_WAIT_S,
            env={**os.environ, "PYTHONWARNINGS": "ignore"},
        )
    except subprocess.TimeoutExpired as error:
        raise BundleError(_sentence(target, f"it took more than {FETCH_WAIT_S} s")) from error
    if done.returncode:
        said = [line.removeprefix("ERROR: ") for line in done.stderr.splitlines() if line.startswith("ERROR: ")]
        reason = said[-1].partition(". ")[0].rstrip(".") if said else f"it ended with {done.returncode}: {done.stderr}"
        raise BundleError(_sentence(target, reason))


def _sentence(target: Target, reason: str) -> str:
    return (
        f"The Lambda bundle for {target.label} needs wheels that pip could not fetch ({reason}): check that the "
        "package registry can be reached, and pip's index settings, then run this again."
    )
