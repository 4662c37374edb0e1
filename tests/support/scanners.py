"""checkov and hadolint, from the environment that `make test` makes for them, and what stays although checkov says no.

checkov's severities come from a service of its makers; without it all findings weigh the same, and each wants a reason.
"""

import json
import shutil
import subprocess
import tomllib
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest

from tests.support.engine import ROOT

PLACE = ROOT / ".cache" / "scanners" / "bin"
SKIPS = ROOT / "tests" / "checkov-skips.toml"
LIMIT_S = 300


@dataclass(frozen=True, order=True)
class Finding:
    """resource: its address in the file. file: below the folder that was looked at."""

    check: str
    resource: str
    file: str
    title: str = ""


@dataclass(frozen=True)
class Skip:
    """What is accepted: one check on resources with addresses like these (patterns), and why."""

    check: str
    resources: tuple[str, ...]
    reason: str

    def covers(self, finding: Finding) -> bool:
        return finding.check == self.check and any(fnmatchcase(finding.resource, like) for like in self.resources)


def scanner(name: str) -> str:
    """Its command; skips the test where it is not to be had."""
    found = shutil.which(name, path=str(PLACE)) or shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not here; `make .cache/scanners/.ready` brings it, and `make test` does that")
    return found


def checkov(framework: str, folder: Path) -> tuple[list[Finding], int]:
    """What it finds in the files of a folder, and how many checks passed."""
    command = [scanner("checkov"), "--skip-download", "--framework", framework, "--output", "json", "--quiet"]
    done = subprocess.run(
        [*command, "--directory", str(folder)], capture_output=True, text=True, timeout=LIMIT_S, check=False
    )
    assert done.returncode in (0, 1), done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    assert report["summary"]["parsing_errors"] == 0, report["results"].get("parsing_errors")
    found = [
        Finding(each["check_id"], _address(framework, each), each["file_path"].lstrip("/"), each["check_name"])
        for each in report["results"]["failed_checks"]
    ]
    return sorted(set(found)), int(report["summary"]["passed"])


def _address(framework: str, check: dict[str, Any]) -> str:
    """Of JSON it tells no more of the type than `resource`, but the file has the address for a name."""
    is_named = framework == "kubernetes"
    return str(check["resource"]) if is_named else Path(check["file_path"]).name.removesuffix(".tf.json")


def skips(section: str) -> list[Skip]:
    document = tomllib.loads(SKIPS.read_text(encoding="utf-8"))[section]
    return [
        Skip(check, tuple(row["resources"]), row["reason"])
        for check, rows in document.items()
        for row in (rows if isinstance(rows, list) else [rows])
    ]


def unexplained(found: list[Finding], reasons: list[Skip]) -> list[str]:
    """Findings that no skip covers, and patterns that cover no finding."""
    wrong = [
        f"{each.check} ({each.title}): {each.resource} in {each.file} has no reason in {SKIPS.name}"
        for each in found
        if not any(skip.covers(each) for skip in reasons)
    ]
    idle = [
        f"{skip.check}: no finding is about {like}, so take it out of {SKIPS.name}"
        for skip in reasons
        for like in skip.resources
        if not any(each.check == skip.check and fnmatchcase(each.resource, like) for each in found)
    ]
    return wrong + idle
