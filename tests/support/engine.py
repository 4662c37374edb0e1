"""Records what a Pulumi program declares: run it to its end, then assert outside of it."""

import hashlib
import importlib
import json
import os
import runpy
import threading
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pulumi
import yaml
from pulumi.runtime import mocks, rpc, settings
from pulumi.runtime.stack import Stack

from local.deploy.engine import own_loop, without_a_look_for_garbage
from local.deploy.inputs import whole_numbers

# The SDK deprecates classes of its own while it is imported.
with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    for module, loaded_by in (("lambda_", "Function"), ("s3", "Bucket"), ("ec2", "Vpc"), ("eks", "Addon")):
        getattr(importlib.import_module(f"pulumi_aws.{module}"), loaded_by)  # the modules are lazy
    importlib.import_module("pulumi_eks")

Json = dict[str, Any]

ROOT = Path(__file__).parents[2]
REGION, ACCOUNT = "us-west-2", "123456789012"


def digest_of(image: str) -> str:
    """What stands for the digest of a built image."""
    return f"sha256:{hashlib.sha256(image.encode()).hexdigest()}"


# ARNs as AWS makes them, so that the policies built from them are real ones; `{}` is the resource's name.
_ARNS = {
    "aws:s3/bucket:Bucket": "arn:aws:s3:::{}",
    "aws:dynamodb/table:Table": f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/{{}}",
    "aws:sns/topic:Topic": f"arn:aws:sns:{REGION}:{ACCOUNT}:{{}}",
    "aws:sqs/queue:Queue": f"arn:aws:sqs:{REGION}:{ACCOUNT}:{{}}",
    "aws:iam/role:Role": f"arn:aws:iam::{ACCOUNT}:role/{{}}",
    "aws:lambda/function:Function": f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{{}}",
    "aws:cloudwatch/logGroup:LogGroup": f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:{{}}",
    "aws:cloudwatch/metricAlarm:MetricAlarm": f"arn:aws:cloudwatch:{REGION}:{ACCOUNT}:alarm:{{}}",
    "aws:kms/key:Key": f"arn:aws:kms:{REGION}:{ACCOUNT}:key/{{}}",
    "aws:iam/instanceProfile:InstanceProfile": f"arn:aws:iam::{ACCOUNT}:instance-profile/{{}}",
    "aws:ecr/repository:Repository": f"arn:aws:ecr:{REGION}:{ACCOUNT}:repository/{{}}",
    "aws:cloudwatch/eventRule:EventRule": f"arn:aws:events:{REGION}:{ACCOUNT}:rule/{{}}",
}
_OUTPUTS: dict[str, Callable[[str, Json], Json]] = {
    "aws:s3/bucket:Bucket": lambda name, _: {"bucket": name},
    "aws:sqs/queue:Queue": lambda name, _: {"url": f"https://sqs.{REGION}.amazonaws.com/{ACCOUNT}/{name}"},
    "aws:lambda/function:Function": lambda name, _: {"invokeArn": f"arn:aws:apigateway:{REGION}:lambda:path/{name}"},
    "aws:apigateway/restApi:RestApi": lambda name, _: {
        "rootResourceId": f"{name}-root",
        "executionArn": f"arn:aws:execute-api:{REGION}:{ACCOUNT}:{name}-id",
    },
    "aws:ecr/repository:Repository": lambda name, _: {
        "repositoryUrl": f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/{name}",
        "registryId": ACCOUNT,
    },
    "pulumi-python:dynamic/images:Build": lambda name, _: {"digest": digest_of(name)},
    "docker-build:index:Image": lambda name, _: {"digest": digest_of(name)},
    "aws:acm/certificate:Certificate": lambda name, _: {
        "arn": f"arn:aws:acm:{REGION}:{ACCOUNT}:certificate/{name}",
        "domainValidationOptions": [
            {"resourceRecordName": f"_proof.{name}.", "resourceRecordType": "CNAME", "resourceRecordValue": "proof."}
        ],
    },
    "aws:apigateway/stage:Stage": lambda _, inputs: {
        "arn": f"arn:aws:apigateway:{REGION}::/restapis/{inputs['restApi']}/stages/{inputs['stageName']}",
        "invokeUrl": f"https://{inputs['restApi']}.execute-api.{REGION}.amazonaws.com/{inputs['stageName']}",
    },
    "eks:index:Cluster": lambda name, _: {"kubeconfigJson": f"kubeconfig of {name}"},
    "aws:ec2/launchTemplate:LaunchTemplate": lambda _, __: {"latestVersion": 1},
    "aws:apigateway/apiKey:ApiKey": lambda name, _: {"value": f"value-of-{name}"},
}

# What AWS's own functions say.
_ANSWERS: Json = {
    "aws:index/getAvailabilityZones:getAvailabilityZones": {
        "id": REGION,
        "names": [f"{REGION}{letter}" for letter in "abcd"],
    },
    "aws:ecr/getAuthorizationToken:getAuthorizationToken": {"userName": "AWS", "password": "token", "id": ACCOUNT},
    "aws:index/getCallerIdentity:getCallerIdentity": {"accountId": ACCOUNT, "id": ACCOUNT},
}


@dataclass(frozen=True)
class Declared:
    """One resource. inputs: camelCase, in the clear. secrets: names of the inputs that were marked secret."""

    token: str
    name: str
    inputs: Json
    urn: str
    parent: str
    provider: str
    dependencies: frozenset[str]
    secrets: frozenset[str]
    is_custom: bool


class Engine(mocks.MockMonitor, mocks.Mocks):
    """Stands where Pulumi's engine would.

    exports: the stack's outputs, in the clear. secret_exports: for each, whether it is secret.
    """

    def __init__(self) -> None:
        super().__init__(self)
        self.declared: list[Declared] = []
        self.exports: Json = {}
        self.secret_exports: dict[str, bool] = {}
        self._request = threading.local()

    def inputs(self, token: str) -> list[Json]:
        """Inputs of every resource of a type, in no particular order."""
        return [one.inputs for one in self.declared if one.token == token]

    def named(self, token: str, name: str) -> Declared:
        found = [one for one in self.declared if (one.token, one.name) == (token, name)]
        assert len(found) == 1, f"{len(found)} resources are {token} {name}"
        return found[0]

    def waits_for(self, one: Declared, other: Declared) -> bool:
        """Whether the engine would create `other` first: a resource waits for its parent, and what that waits for."""
        by_urn = {each.urn: each for each in self.declared}
        seen, todo = set[str](), [one]
        while todo:
            each = todo.pop()
            before = (each.dependencies | {each.parent}) & by_urn.keys() - seen
            seen |= before
            todo += [by_urn[urn] for urn in before]
        return other.urn in seen

    def new_resource(self, args: mocks.MockResourceArgs) -> tuple[str, Json]:
        request = self._request.current
        inputs = {name: whole_numbers(rpc.unwrap_rpc_secret(value)) for name, value in args.inputs.items()}
        self.declared.append(
            Declared(
                token=args.typ,
                name=args.name,
                inputs=inputs,
                urn=self.make_urn(request.parent, args.typ, args.name),
                parent=request.parent,
                provider=args.provider or "",
                dependencies=frozenset(request.dependencies),
                secrets=frozenset(name for name, value in args.inputs.items() if rpc.is_rpc_secret(value)),
                is_custom=bool(args.custom),
            )
        )
        if not args.custom:  # a component, ours or another package's
            return "", {**inputs, **(_OUTPUTS[args.typ](args.name, inputs) if args.typ in _OUTPUTS else {})}
        name = str(inputs.get("name", args.name))
        arn = {"arn": _ARNS[args.typ].format(name)} if args.typ in _ARNS else {}
        computed = _OUTPUTS[args.typ](name, inputs) if args.typ in _OUTPUTS else {}
        return f"{name}-id", {"name": name, **inputs, **arn, **computed}

    def call(self, args: mocks.MockCallArgs) -> Any:
        if args.token in _ANSWERS:
            return _ANSWERS[args.token]
        raise NotImplementedError(f"this engine has no answer for the function {args.token}")

    def RegisterResource(self, request: Any) -> Any:  # noqa: N802 - the SDK's name
        self._request.current = request  # for new_resource, which is called on the same thread
        with own_loop():
            return super().RegisterResource(request)  # type: ignore[no-untyped-call]

    def Invoke(self, request: Any) -> Any:  # noqa: N802 - the SDK's name
        with own_loop():
            return super().Invoke(request)  # type: ignore[no-untyped-call]


@own_loop()  # a test before this one may have left the thread without a loop
@without_a_look_for_garbage()
def build(program: Callable[[], object]) -> Engine:
    """Everything a program declared, once every registration has landed."""
    engine = Engine()
    settings.set_root_resource(None)  # type: ignore[arg-type] # the earlier one belongs to a loop that is closed
    pulumi.runtime.set_mocks(engine, project="sd-async", stack="dev", preview=False, monitor=engine)
    pulumi.runtime.test(program)()  # type: ignore[no-untyped-call]
    return engine


@own_loop()
@without_a_look_for_garbage()
def evaluate(config: Mapping[str, str], *, project: str = "sd-async", stack: str = "dev") -> Engine:
    """The whole of `__main__.py`, as with this configuration: full keys to text, objects as JSON text."""
    engine = Engine()
    settings.set_root_resource(None)  # type: ignore[arg-type]
    pulumi.runtime.set_mocks(engine, project=project, stack=stack, preview=False, monitor=engine)
    pulumi.runtime.set_all_config(dict(config))
    root = pulumi.runtime.get_root_resource()
    assert isinstance(root, Stack)
    exported: Json = {}
    root.outputs = exported

    def program() -> pulumi.Output[Any]:
        runpy.run_path(str(ROOT / "__main__.py"), run_name="__main__")
        outputs = {name: pulumi.Output.from_input(value) for name, value in exported.items()}
        are_secret: dict[str, pulumi.Output[bool]] = {
            name: pulumi.Output.from_input(output.is_secret()) for name, output in outputs.items()
        }
        return pulumi.Output.all(
            pulumi.Output.all(**outputs).apply(engine.exports.update),
            pulumi.Output.all(**are_secret).apply(engine.secret_exports.update),
        )

    before = Path.cwd()
    os.chdir(ROOT)  # Pulumi runs a program in its project's folder
    try:
        pulumi.runtime.test(program)()  # type: ignore[no-untyped-call]
    finally:
        os.chdir(before)
    return engine


def settings_of(stack_file: Path) -> dict[str, str]:
    """Configuration of a stack file as Pulumi hands it to a program."""
    values = yaml.safe_load(stack_file.read_text())["config"]
    return {name: value if isinstance(value, str) else json.dumps(value) for name, value in values.items()}
