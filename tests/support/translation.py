"""The AWS resources of a stack as Terraform JSON, by the translation beside this repository, for tools that read that.

A process of its own does it (`python -m tests.support.translation`): the SDK's mocks are one process's for good.
"""

import importlib
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

from tests.support.engine import ROOT

Json = dict[str, Any]

TOOL = ROOT.parent / "shared" / "tools" / "terraform_check"
STACKS = ("a1111", "dev", "existing-vpc", "private", "production")
PROVIDER = {"region": "us-west-2", "access_key": "test", "secret_key": "test"}
LIMIT_S = 300


def stack_file(name: str) -> Path:
    """Its own file, or the example's where there is no other."""
    own = ROOT / f"Pulumi.{name}.yaml"
    return own if own.exists() else own.with_suffix(".yaml.example")


def translate(names: tuple[str, ...], folder: Path) -> None:
    """A folder for each stack in `folder`, with a file for each resource; skips the test where it can't be done."""
    if not TOOL.exists():
        pytest.skip("there is no ../shared/tools/terraform_check")
    schema = folder / "schema.json"
    schema.write_text(json.dumps(provider_schema()), encoding="utf-8")
    for name in names:
        (folder / name).mkdir()
        command = [sys.executable, "-m", "tests.support.translation", name, str(folder / name), str(schema)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=LIMIT_S, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    schema.unlink()


def provider_schema() -> Json:
    """Resource types of the AWS provider; skips the test where terraform or the provider is not to be had."""
    named = os.environ.get("TERRAFORM_PLUGIN_DIR")
    mirrors = [Path(named)] if named else [host.parent for host in Path("/").glob("*/*/registry.terraform.io")][:1]
    with tempfile.TemporaryDirectory() as scratch:
        Path(scratch, "main.tf.json").write_text(json.dumps({"provider": {"aws": PROVIDER}}), encoding="utf-8")
        try:
            terraform(scratch, "init", "-no-color", *(f"-plugin-dir={mirror}" for mirror in mirrors))
            text = terraform(scratch, "providers", "schema", "-json")
        except (OSError, subprocess.CalledProcessError):
            pytest.skip("there is no terraform on PATH, or no AWS provider in TERRAFORM_PLUGIN_DIR")
    [provider] = json.loads(text)["provider_schemas"].values()
    found: Json = provider["resource_schemas"]
    return found


def terraform(folder: str, *arguments: str) -> str:
    done = subprocess.run(
        ["terraform", *arguments], cwd=folder, capture_output=True, text=True, timeout=LIMIT_S, check=True
    )
    return done.stdout


def write(stack: str, folder: Path, schema: Json) -> None:
    """Every resource that Terraform knows into a file with the name that the program gave it."""
    recording, translation = (
        importlib.import_module(file.stem) for file in (TOOL / "recording.py", TOOL / "translation.py")
    )
    project, config = recording.settings(stack_file(stack))
    kinds = {name: translation.inner(kind) for name, kind in schema.items()}
    recorder = recording.Recorder(kinds, config["aws:region"])
    if failures := recording.run(recorder, project, stack, config):
        sys.exit("\n".join(failures))
    placed = {item.address: item for item in recorder.placed if item.address}
    names = {address: named(address, item.name) for address, item in placed.items()}
    notes: list[str] = []
    for address, item in placed.items():
        translation.as_in_5(item.inputs)
        kind, _, label = names[address].partition(".")
        if kind == "aws_eks_cluster":
            complete(item, recorder.placed)
        body = translation.body_of(item.inputs, kinds[kind], item.hints, notes, str(item))
        text = json.dumps({"resource": {kind: {label: body}}}, indent=1)
        for other, readable in names.items():
            text = text.replace(f"{other}.", f"{readable}.")
        (folder / f"{names[address]}.tf.json").write_text(text, encoding="utf-8")


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


if __name__ == "__main__":
    sys.path.append(str(TOOL))
    write(sys.argv[1], Path(sys.argv[2]), json.loads(Path(sys.argv[3]).read_text(encoding="utf-8")))
