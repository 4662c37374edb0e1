"""How large the agent's image is, compressed: what goes into it, measured, and its base, counted.

`python -m bench.image_size`. No engine and no registry is asked: the packages are those of this environment, which are
the image's by version (`requirements/agent.lock`), compiled as pip does it there, with `agent/` and the contract.
"""

import compileall
import io
import re
import shutil
import sys
import tarfile
import tempfile
from importlib.metadata import distribution
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LIMIT_MB = 60.0
# gcr.io/distroless/python3-debian12: its 36 Debian packages are 14.5 MB as .deb, and a layer's gzip packs about a fifth
# less tightly than their xz (0094). Counted, since no registry that has it could be asked.
BASE_MB = 17.5


def packages() -> list[str]:
    """Names of what the image installs."""
    text = (ROOT / "requirements" / "agent.lock").read_text(encoding="utf-8")
    return re.findall(r"^([A-Za-z0-9._-]+)==", text, re.MULTILINE)


def copy_package(name: str, target: Path) -> None:
    """The files of an installed package, without commands and what was compiled here."""
    for file in distribution(name).files or []:
        if ".." in file.parts or "__pycache__" in file.parts:
            continue
        place = target / file
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(Path(str(file.locate())), place)


def application(folder: Path) -> None:
    """What the Dockerfile puts into /app."""
    for name in packages():
        copy_package(name, folder / "packages")
    without = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "agent", folder / "agent", ignore=without)
    shutil.copytree(ROOT / "sd_async" / "contract", folder / "sd_async" / "contract", ignore=without)
    shutil.copyfile(ROOT / "sd_async" / "__init__.py", folder / "sd_async" / "__init__.py")
    compileall.compile_dir(folder, quiet=2)


def compressed_mb(folder: Path) -> float:
    """Megabytes of the folder as a layer: a tar, gzipped as docker does it."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz", compresslevel=6) as layer:
        layer.add(folder, arcname="app")
    return buffer.tell() / 1e6


def image_mb() -> tuple[float, float]:
    """Megabytes of /app, and of the whole image."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch, "app")
        folder.mkdir()
        application(folder)
        mb = compressed_mb(folder)
    return mb, mb + BASE_MB


def main() -> int:
    application_mb, whole_mb = image_mb()
    print(f"/app {application_mb:.1f} MB, base {BASE_MB:.1f} MB: {whole_mb:.1f} MB of {LIMIT_MB:.0f}")
    return 0 if whole_mb <= LIMIT_MB else 1


if __name__ == "__main__":
    sys.exit(main())
