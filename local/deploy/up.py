"""The program deployed: resources on the emulator, releases and ScaledObjects kept for the local pods."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from local.deploy import compute, gateway, messages, stores
from local.deploy.aws import Aws, Json, Kind, whole_numbers
from local.deploy.engine import DeployError, evaluate
from local.emulator import ACCOUNT, Emulator

CALLER = "aws:index/getCallerIdentity:getCallerIdentity"
RELEASE = "kubernetes:helm.sh/v3:Release"
SCALED_OBJECT = "kubernetes:keda.sh/v1alpha1:ScaledObject"

KINDS: dict[str, Kind] = {**stores.KINDS, **messages.KINDS, **compute.KINDS, **gateway.KINDS}

# Kinds that nothing answers here; each with what stands for it, so that nothing is skipped in silence.
ANSWERED_BY_NOTHING = {
    "pulumi:providers:aws": "every resource goes to the one emulator, whose tags nobody reads",
    "pulumi:providers:kubernetes": "local pods are processes of this machine",
    "aws:wafv2/webAcl:WebAcl": "the emulator listens on loopback only, where no stranger calls",
    "aws:wafv2/webAclAssociation:WebAclAssociation": "as its WebAcl",
    "aws:budgets/budget:Budget": "nothing is spent here",
}


@dataclass(frozen=True)
class Release:
    """One `helm install` that the program asked for."""

    name: str
    namespace: str
    chart: str
    values: Json


@dataclass
class Cluster:
    """What the program would have put into Kubernetes."""

    releases: list[Release] = field(default_factory=list)
    scaled_objects: dict[str, Json] = field(default_factory=dict)  # by the Deployment they scale


@dataclass
class Placer:
    """Creates AWS resources on the emulator and collects what belongs into the cluster."""

    aws: Aws
    cluster: Cluster = field(default_factory=Cluster)
    created: list[str] = field(default_factory=list)

    def create(self, token: str, name: str, inputs: Json) -> tuple[str, Json]:
        given = whole_numbers(inputs)
        if token in ANSWERED_BY_NOTHING:
            return f"{name}-local", {}
        if token == RELEASE:
            return self._release(given)
        if token == SCALED_OBJECT:
            return self._scaled_object(given)
        if token not in KINDS:
            raise DeployError(
                f"`{name}` is of kind {token}, which local mode cannot create. Add it to local/deploy, or to "
                "ANSWERED_BY_NOTHING in local/deploy/up.py with the reason why nothing has to answer."
            )
        try:
            made = KINDS[token](self.aws, name, given)
        except Exception as error:
            raise DeployError(f"`{name}` ({token}) could not be created on the emulator: {error}") from error
        self.created.append(token)
        return made

    def call(self, token: str, arguments: Json) -> Json:
        if token == CALLER:
            return {"accountId": ACCOUNT, "arn": f"arn:aws:iam::{ACCOUNT}:root", "id": ACCOUNT, "userId": ACCOUNT}
        raise DeployError(f"The program calls {token} with {arguments}, which local mode cannot answer.")

    def _release(self, given: Json) -> tuple[str, Json]:
        release = Release(given["name"], given["namespace"], given["chart"], given["values"])
        self.cluster.releases.append(release)
        return f"{release.namespace}/{release.name}", {}

    def _scaled_object(self, given: Json) -> tuple[str, Json]:
        deployment = given["spec"]["scaleTargetRef"]["name"]
        self.cluster.scaled_objects[deployment] = {"metadata": given["metadata"], "spec": given["spec"]}
        return f"{given['metadata']['namespace']}/{given['metadata']['name']}", {}


@dataclass(frozen=True)
class Deployed:
    """outputs: the stack's, secrets in the clear."""

    outputs: Json
    cluster: Cluster
    created: list[str]


def stack_config(root: Path, stack: str) -> dict[str, Any]:
    """Configuration of `Pulumi.<stack>.yaml`. Raises: DeployError."""
    path = root / f"Pulumi.{stack}.yaml"
    try:
        document = yaml.safe_load(path.read_text()) or {}
    except (OSError, yaml.YAMLError) as error:
        raise DeployError(f"{path.name} cannot be read: {error}") from error
    config: dict[str, Any] = document.get("config") or {}
    return config


def up(root: Path, stack: str, config: Mapping[str, Any], emulator: Emulator) -> Deployed:
    """Deploy the program of `root`; config values may be anything that JSON holds.

    Raises: DeployError, naming the resource or the setting.
    """
    project = yaml.safe_load((root / "Pulumi.yaml").read_text())["name"]
    placer = Placer(Aws(emulator))
    texts = {key: value if isinstance(value, str) else json.dumps(value) for key, value in config.items()}
    outputs = evaluate(root / "__main__.py", project=project, stack=stack, config=texts, placer=placer)
    return Deployed(outputs, placer.cluster, placer.created)
