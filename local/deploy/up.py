"""The program deployed: resources on the emulator, releases and ScaledObjects kept for the local pods."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from local.deploy import compute, gateway, messages, stores
from local.deploy.aws import Aws, Json, Kind, Made
from local.deploy.engine import DeployError, evaluate
from local.deploy.inputs import Inputs, plain, whole_numbers
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
    "aws:ecr/pullThroughCacheRule:PullThroughCacheRule": "local pods are processes, which pull no image",
    "aws:ecr/repositoryCreationTemplate:RepositoryCreationTemplate": "as the cache whose repositories it shapes",
    "pulumi-python:dynamic/images:Sweep": "the emulator ends with all it holds",
}

# Inputs that change nothing here, each with the reason; any other that no kind reads is refused.
WITHOUT_EFFECT = {
    "aws:ecr/repository:Repository": {"forceDelete": "the emulator ends with all it holds"},
    "aws:kms/key:Key": {"deletionWindowInDays": "the emulator ends with all it holds"},
    "aws:s3/bucket:Bucket": {"forceDestroy": "the emulator ends with everything in it"},
    "pulumi-python:dynamic/images:Build": dict.fromkeys(
        (
            "__provider",
            "archive",
            "bucket",
            "context",
            "docker_hub",
            "dockerfile",
            "platforms",
            "project",
            "region",
            "timeout_min",
        ),
        "nothing is built: local pods are processes, which pull no image",
    ),
    "aws:apigateway/deployment:Deployment": {"triggers": "there is no earlier deployment that could be kept"},
    RELEASE: {
        "compat": "the SDK's own mark",
        "createNamespace": "processes have no namespaces",
        "skipAwait": "nobody waits for local pods",
    },
    SCALED_OBJECT: {"apiVersion": "part of the kind", "kind": "part of the kind"},
}


WITHOUT_EFFECT_ANYWHERE = {"tags": "nobody reads tags on the emulator"}


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
        if token in ANSWERED_BY_NOTHING:
            return f"{name}-local", {}
        given = Inputs(whole_numbers(inputs))
        try:
            made = self._kind(token, name)(self.aws, name, given)
        except DeployError:
            raise
        except Exception as error:
            raise DeployError(f"`{name}` ({token}) could not be created locally: {error}") from error
        ignored = given.unread() - WITHOUT_EFFECT.get(token, {}).keys() - WITHOUT_EFFECT_ANYWHERE.keys()
        if ignored:
            raise DeployError(
                f"`{name}` ({token}) sets {', '.join(sorted(ignored))}, which local mode would ignore. Let the kind in "
                "local/deploy read it, or add it to WITHOUT_EFFECT in local/deploy/up.py with the reason."
            )
        self.created.append(token)
        return made

    def _kind(self, token: str, name: str) -> Kind:
        kinds = KINDS | {RELEASE: self._release, SCALED_OBJECT: self._scaled_object}
        if token not in kinds:
            raise DeployError(
                f"`{name}` is of kind {token}, which local mode cannot create. Add it to local/deploy, or to "
                "ANSWERED_BY_NOTHING in local/deploy/up.py with the reason why nothing has to answer."
            )
        return kinds[token]

    def call(self, token: str, arguments: Json) -> Json:
        if token == CALLER:
            return {"accountId": ACCOUNT, "arn": f"arn:aws:iam::{ACCOUNT}:root", "id": ACCOUNT, "userId": ACCOUNT}
        raise DeployError(f"The program calls {token} with {arguments}, which local mode cannot answer.")

    def _release(self, _aws: Aws, _name: str, given: Inputs) -> Made:
        release = Release(given["name"], given["namespace"], given["chart"], plain(given["values"]))
        self.cluster.releases.append(release)
        return f"{release.namespace}/{release.name}", {}

    def _scaled_object(self, _aws: Aws, _name: str, given: Inputs) -> Made:
        metadata, spec = plain(given["metadata"]), plain(given["spec"])
        self.cluster.scaled_objects[spec["scaleTargetRef"]["name"]] = {"metadata": metadata, "spec": spec}
        return f"{metadata['namespace']}/{metadata['name']}", {}


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
    except FileNotFoundError as error:
        known = ", ".join(sorted(found.name.split(".")[1] for found in root.glob("Pulumi.*.yaml")))
        raise DeployError(f"There is no Pulumi.{stack}.yaml; the stacks here are: {known}.") from error
    except (OSError, yaml.YAMLError) as error:
        raise DeployError(f"{path.name} cannot be read: {error}") from error
    config = document.get("config") or {} if isinstance(document, dict) else None
    if not isinstance(config, dict):
        raise DeployError(f"{path.name} holds no `config:` with keys and values, as `Pulumi.dev.yaml` does.")
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
