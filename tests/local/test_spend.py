"""What prices machines, run as Lambda runs it: from the program's own bundle, environment and schedule."""

import base64
import json
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import pytest

from components import naming
from components.settings import parse
from local.deploy.aws import Aws
from local.deploy.engine import evaluate
from local.emulator import Emulator
from tests.support.emulated import Whole
from tests.support.engine import ROOT, settings_of


@dataclass(frozen=True)
class Stack:
    aws: Aws
    name: str

    @property
    def function(self) -> str:
        return f"sd-async-{self.name}-spend"

    def line(self) -> dict[str, Any]:
        """The line of one run, which Lambda hands to CloudWatch Logs."""
        answer = self.aws.client("lambda").invoke(FunctionName=self.function, Payload=b"{}", LogType="Tail")
        assert "FunctionError" not in answer, answer["Payload"].read()
        log = base64.b64decode(answer["LogResult"]).decode()
        [line] = [json.loads(line) for line in log.splitlines() if line.startswith("{")]
        return dict(line)


@pytest.fixture(scope="module")
def stack(emulator: Emulator) -> Stack:
    """The stack to try things out, with its cluster, and functions that this machine can run."""
    aws, name = Aws(emulator), f"s{uuid4().hex[:5]}"
    here = {"sd-async:api": '{"architecture": "host"}', "sd-async:endpoint_url": emulator.endpoint}
    config = settings_of(ROOT / "Pulumi.dev.yaml") | here
    evaluate(ROOT / "__main__.py", project="sd-async", stack=name, config=config, placer=Whole(aws))
    return Stack(aws, name)


def test_machines_with_the_stacks_tags_are_told_and_no_others(stack: Stack) -> None:
    settings = parse("sd-async", stack.name, settings_of(ROOT / "Pulumi.dev.yaml"))
    before = stack.line()
    assert (before["HourlySpend"], before["Machines"], before["Stack"]) == (0, 0, f"sd-async-{stack.name}")
    for type_, tags in (
        ("g5.xlarge", naming.node_tags(settings, "gpu")),
        ("t4g.medium", naming.node_tags(settings, "system")),
        ("g6.xlarge", naming.node_tags(settings, "gpu") | {"stack": "another"}),
    ):
        stack.aws.client("ec2").run_instances(
            ImageId="ami-00000001",
            InstanceType=type_,
            MinCount=1,
            MaxCount=1,
            TagSpecifications=[
                {"ResourceType": "instance", "Tags": [{"Key": key, "Value": value} for key, value in tags.items()]}
            ],
        )
    after = stack.line()
    assert after["HourlySpend"] == pytest.approx(1.006 + 0.0336)
    assert (after["Machines"], after["Gpus"]) == (2, 1)
    assert after["pools"] == {"gpu g5.xlarge": 1, "system t4g.medium": 1}


def test_it_is_called_every_five_minutes(stack: Stack) -> None:
    events = stack.aws.client("events")
    assert events.describe_rule(Name=stack.function)["ScheduleExpression"] == "rate(5 minutes)"
    [target] = events.list_targets_by_rule(Rule=stack.function)["Targets"]
    assert target["Arn"].endswith(f":function:{stack.function}")
