"""Every tracked text is well formed and holds no secret; pre-commit runs this file too."""

import json
import re
import subprocess
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
SECRETS = (
    re.compile(r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"),
    re.compile(r"-----BEGIN (?:[A-Z]+ )?PRIVATE KEY-----"),
    re.compile(r"\bgh[pousr]_[A-Za-z0-9]{36}\b"),
)
# Never valid: the examples of AWS's own documentation.
EXAMPLES = ("AKIAIOSFODNN7EXAMPLE", "ASIAIOSFODNN7EXAMPLE")


def _is_template(path: Path) -> bool:
    return path.parts[:1] == ("helm",) and "templates" in path.parts


def _yaml(text: str) -> None:
    for _ in yaml.safe_load_all(text):
        pass


PARSERS: dict[str, Callable[[str], object]] = {
    ".yaml": _yaml,
    ".yml": _yaml,
    ".toml": tomllib.loads,
    ".json": json.loads,
}


def tracked() -> Iterator[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return (Path(name) for name in listed.split("\0") if name and (ROOT / name).is_file())


def faults(path: Path, data: bytes) -> list[str]:
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        return []
    found = []
    if text and (not text.endswith("\n") or text.endswith("\n\n")):
        found.append("does not end with one line break")
    if "\r" in text:
        found.append("holds a carriage return")
    if re.search(r"[ \t]$", text, re.MULTILINE):
        found.append("has white space at the end of a line")
    if any(match.group() not in EXAMPLES for secret in SECRETS for match in secret.finditer(text)):
        found.append("holds what looks like a secret")
    parse = None if _is_template(path) else PARSERS.get(path.suffix)
    try:
        if parse is not None:
            parse(text)
    except (ValueError, yaml.YAMLError) as error:
        found.append(f"cannot be parsed: {error}")
    return [f"{path} {fault}" for fault in found]


def test_every_tracked_text_is_well_formed() -> None:
    paths = list(tracked())
    assert len(paths) > 100, "an empty list would prove nothing"
    found = [fault for path in paths for fault in faults(path, (ROOT / path).read_bytes())]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.md", "no end"),
        ("a.md", "two ends\n\n"),
        ("a.md", "space \n"),
        ("a.md", "return\r\n"),
        ("a.yaml", "a: [\n"),
        ("a.toml", "a =\n"),
        ("a.json", "{\n"),
        ("a.py", f"KEY = '{'AKIA' + 'A' * 16}'\n"),
        ("a.pem", "-----BEGIN RSA " + "PRIVATE KEY-----\n"),
    ],
)
def test_a_text_that_is_not_is_caught(name: str, text: str) -> None:
    assert faults(Path(name), text.encode())


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.md", b"fine\n"),
        ("empty.py", b""),
        ("a.png", b"\x89PNG\xff"),
        ("helm/x/templates/a.yaml", b"{{- if .Values.a }}\n"),
        ("a.yaml", b"a: 1\n---\nb: 2\n"),
    ],
)
def test_a_text_that_is_well_formed_is_left_alone(name: str, data: bytes) -> None:
    assert faults(Path(name), data) == []


def test_no_hook_fetches_anything_when_it_runs() -> None:
    document = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
    for repo in document["repos"]:
        assert repo["repo"] == "local"
        for hook in repo["hooks"]:
            assert hook["language"] == "system"
            assert hook["entry"].startswith(".venv/bin/")
