"""The AWS resources of stacks as Terraform JSON, by the translation beside this repository: judged, and to be read.

A process of its own does it (`python -m tests.support.translation`): the SDK's mocks are one process's for good. It
does all stacks at once: the SDK's classes and the provider's schema take longer to load than a stack to judge.
"""

import gc
import importlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pytest
from pulumi.runtime import settings

from local.deploy.engine import own_loop
from tests.support.engine import ROOT

Json = dict[str, Any]

TOOL = ROOT.parent / "shared" / "tools" / "terraform_check"
STACKS = ("a1111", "dev", "existing-vpc", "private", "production")
PROVIDER = {"region": "us-west-2", "access_key": "test", "secret_key": "test"}
MAIN = {"provider": {"aws": PROVIDER}, "variable": {"later": {"default": ""}}}
NO_FILES = b"PK\x05\x06" + bytes(18)  # an archive of nothing, where the program names code
NOT_CHECKED = "not checked: "  # how the translation's notes begin that are no findings
ABSENT = 77  # exit code where terraform or the provider is not to be had
LIMIT_S = 300


@dataclass(frozen=True)
class Judged:
    """What is wrong with a stack's resources, in the provider's and the SDK's own words. count: resources looked at.

    unchecked: what neither of them was asked about.
    """

    wrong: list[str] = field(default_factory=list)
    unchecked: list[str] = field(default_factory=list)
    count: int = 0


def stack_file(name: str) -> Path:
    """Its own file, or the example's where there is no other."""
    own = ROOT / f"Pulumi.{name}.yaml"
    return own if own.exists() else own.with_suffix(".yaml.example")


def judge(stacks: Mapping[str, Path], folder: Path) -> dict[str, Judged]:
    """What is to be said of each stack, named with its file; skips the test where it can't be done.

    folder: gets a folder for each stack, in it a file for each resource, that a person or a tool can read.
    """
    if not TOOL.exists():
        pytest.skip("there is no ../shared/tools/terraform_check")
    command = [sys.executable, "-m", "tests.support.translation", str(folder)]
    done = subprocess.run(
        [*command, *(f"{name}={file}" for name, file in stacks.items())],
        cwd=ROOT,
        env={name: value for name, value in os.environ.items() if not name.startswith("AWS_")},  # nobody's account
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    if done.returncode == ABSENT:
        pytest.skip("there is no terraform on PATH, or no AWS provider in TERRAFORM_PLUGIN_DIR")
    assert done.returncode == 0, done.stdout + done.stderr
    said: Json = json.loads(done.stdout.splitlines()[-1])
    return {name: Judged(**one) for name, one in said.items()}


def terraform(folder: Path, *arguments: str, check: bool = True) -> str:
    done = subprocess.run(
        ["terraform", *arguments], cwd=folder, capture_output=True, text=True, timeout=LIMIT_S, check=check
    )
    return done.stdout


def provider_schema(folder: Path) -> Json:
    """Resource types of the AWS provider, for which it makes a folder ready. May exit, with ABSENT."""
    named = os.environ.get("TERRAFORM_PLUGIN_DIR")
    mirrors = [Path(named)] if named else [host.parent for host in Path("/").glob("*/*/registry.terraform.io")][:1]
    (folder / "main.tf.json").write_text(json.dumps(MAIN), encoding="utf-8")
    try:
        terraform(folder, "init", "-no-color", *(f"-plugin-dir={mirror}" for mirror in mirrors))
        text = terraform(folder, "providers", "schema", "-json")
    except (OSError, subprocess.CalledProcessError):
        sys.exit(ABSENT)
    [provider] = json.loads(text)["provider_schemas"].values()
    found: Json = provider["resource_schemas"]
    return found


class Translator:
    """Writes stacks, each after the other: to be read into one folder, and for the provider into another."""

    def __init__(self, readable: Path, judged: Path) -> None:
        self.readable, self.judged = readable, judged
        self.recording, self.translation = (
            importlib.import_module(file.stem) for file in (TOOL / "recording.py", TOOL / "translation.py")
        )
        self.kinds = {name: self.translation.inner(kind) for name, kind in provider_schema(judged).items()}
        (judged / self.translation.ASSET).write_bytes(NO_FILES)
        self.placed: dict[str, tuple[str, str]] = {}  # by file: the stack, and what the program calls the resource
        self._kept: list[Any] = []  # addresses hold the identities of what is placed, so all of it has to live

    @own_loop()
    def write(self, stack: str, file: Path) -> list[str]:
        """Lines about what the translation sees to be wrong, or can't look at. Raises: SystemExit, by the program."""
        project, config = self.recording.settings(file)
        recorder = self.recording.Recorder(self.kinds, config["aws:region"])
        self._kept.append(recorder)
        settings.set_root_resource(None)  # type: ignore[arg-type] # the earlier one belongs to a loop that is closed
        notes: list[str] = self.recording.run(recorder, project, stack, config)
        notes += [f"{NOT_CHECKED}{item}" for item in recorder.placed if not item.address]
        placed = {item.address: item for item in recorder.placed if item.address}
        names = {address: named(address, item.name) for address, item in placed.items()}
        (self.readable / stack).mkdir()
        for address, item in placed.items():
            self._write_one(stack, names, address, self._body(item, address, recorder.placed, notes))
            self.placed[f"{address}.tf.json"] = (stack, str(item))
        return notes

    def _body(self, item: Any, address: str, all_placed: list[Any], notes: list[str]) -> Json:
        self.translation.as_in_5(item.inputs)
        kind, _, _ = address.partition(".")
        if kind == "aws_eks_cluster":
            complete(item, all_placed)
        body: Json = self.translation.body_of(item.inputs, self.kinds[kind], item.hints, notes, str(item))
        return body

    def _write_one(self, stack: str, names: dict[str, str], address: str, body: Json) -> None:
        """Its references name resources where it is to be read; to the provider all of them are values yet unknown.

        So it looks at every resource, even behind one with errors.
        """
        (kind, _, own), (_, _, label) = address.partition("."), names[address].partition(".")
        text = json.dumps({"resource": {kind: {label: body}}}, indent=1)
        for other, readable in names.items():
            text = text.replace(f"{other}.", f"{readable}.")
        (self.readable / stack / f"{names[address]}.tf.json").write_text(text, encoding="utf-8")
        blind = self.translation.FOREIGN.sub(r"\1\1", json.dumps({"resource": {kind: {own: body}}}))
        blind = self.translation.REFERENCE.sub("${var.later}", blind)
        (self.judged / f"{address}.tf.json").write_text(blind, encoding="utf-8")

    def errors(self) -> list[tuple[str, str]]:
        """What the provider refuses: the stack, empty when it is nobody's file, and a line."""
        said = json.loads(terraform(self.judged, "validate", "-json", check=False))
        wrong = [each for each in said["diagnostics"] if each["severity"] == "error"]
        assert said["valid"] or wrong, said
        return [self._told(each) for each in wrong]

    def _told(self, error: Json) -> tuple[str, str]:
        stack, name = self.placed.get((error.get("range") or {}).get("filename", ""), ("", "terraform"))
        return stack, " ".join(f"{name}: {error['summary']}: {error.get('detail', '')}".split())


def complete(stand_in: Any, placed: list[Any]) -> None:
    """Of a cluster of the package `eks` there is only a bare one; what the program says of it is judged here too."""
    [said] = [item.inputs for item in placed if item.token == "eks:index:Cluster"]
    access = ("endpointPublicAccess", "endpointPrivateAccess", "publicAccessCidrs")
    stand_in.inputs["vpcConfig"] |= {name: said[name] for name in access if name in said}
    stand_in.inputs["enabledClusterLogTypes"] = said["enabledClusterLogTypes"]
    provider = {"keyArn": said["encryptionConfigKeyArn"]}
    stand_in.inputs["encryptionConfig"] = {"provider": provider, "resources": ["secrets"]}


def named(address: str, name: str) -> str:
    """Address by the program's name for it; Terraform's own begin with a letter and hold no points."""
    kind = address.partition(".")[0]
    return f"{kind}." + "".join(letter if letter.isalnum() or letter == "-" else "_" for letter in name)


def main(folder: Path, stacks: Mapping[str, Path]) -> None:
    """Its last line is what `judge` reads."""
    with tempfile.TemporaryDirectory() as judged:
        translator = Translator(folder, Path(judged))
        notes = {stack: translator.write(stack, file) for stack, file in stacks.items()}
        errors = translator.errors()
    found: Json = {}
    for stack, lines in notes.items():
        unchecked = sorted({line for line in lines if NOT_CHECKED in line})
        wrong = {*lines} - {*unchecked} | {line for of, line in errors if of in (stack, "")}
        count = sum(1 for of, _ in translator.placed.values() if of == stack)
        found[stack] = asdict(Judged(sorted(wrong), unchecked, count))
    sys.stdout.write(f"\n{json.dumps(found)}\n")


if __name__ == "__main__":
    gc.disable()  # all of it is needed to the end, and looking through it takes as long as the work
    sys.path.append(str(TOOL))
    pairs = (argument.partition("=") for argument in sys.argv[2:])
    main(Path(sys.argv[1]), {name: Path(file) for name, _, file in pairs})
