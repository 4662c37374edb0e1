"""Every policy document of every stack: no action or resource is open without a reason, and AWS knows all its words."""

import functools
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.components.example import CONFIG, as_text
from tests.support.engine import ROOT, evaluate, settings_of

Json = dict[str, Any]

# What is open on purpose: the resource that holds the statement, the open action or resource, and why.
REASONS = {
    ("aws:kms/key:Key alarms", "kms:*"): "the account itself, or nobody could change or delete the key (KMS guide)",
    ("aws:kms/key:Key alarms", "kms:GenerateDataKey*"): "the SNS guide's own words for publishers; all make data keys",
    ("aws:kms/key:Key alarms", "*"): "in a key's own policy this is that key",
    ("aws:iam/rolePolicy:RolePolicy karpenter-read", "*"): "EC2's lists and prices know no resources; one region only",
    ("aws:iam/rolePolicy:RolePolicy images", "*"): "ecr:GetAuthorizationToken knows no resource",
    (
        "aws:iam/rolePolicy:RolePolicy spend",
        "*",
    ): "EC2's lists of machines and prices know no resources; read only",
    ("aws:iam/rolePolicy:RolePolicy karpenter-identity", "*"): "iam:ListInstanceProfiles knows no resource",
}
# Findings of the checker that are none, each with its reason. Making instances takes several kinds of resources, which
# lie in statements of their own; parameters that AWS publishes belong to no account.
EXCUSED = """
[{'action': 'ec2:CreateFleet', 'required_format': 'arn:*:ec2:*:*:fleet/*'}
[{'action': 'ec2:RunInstances', 'required_format': 'arn:*:ec2:*::image/*'}
[{'action': 'ssm:GetParameter', 'required_format'
"""
STACKS = {
    "platform": "",
    "dev": "Pulumi.dev.yaml",
    **{name: f"Pulumi.{name}.yaml.example" for name in ("existing-vpc", "private", "production")},
}


def held(value: Any) -> Iterator[Json]:
    """Policy documents in a resource's inputs, however deep, whatever their field is called."""
    if isinstance(value, str) and value.startswith("{") and '"Statement"' in value:
        yield json.loads(value)
    elif isinstance(value, dict):
        for item in value.values():
            yield from held(item)
    elif isinstance(value, list):
        for item in value:
            yield from held(item)


@functools.cache
def documents(stack: str) -> tuple[tuple[str, Json], ...]:
    """Every policy document of a stack, with the resource that holds it."""
    file = STACKS[stack]
    engine = evaluate(settings_of(ROOT / file) if file else as_text(CONFIG), stack="dev" if not file else stack)
    return tuple((f"{one.token} {one.name}", found) for one in engine.declared for found in held(one.inputs))


def listed(value: Any) -> list[str]:
    return value if isinstance(value, list) else [value]


def open_words(document: Json) -> Iterator[str]:
    """Actions with a `*` anywhere and resources that are one, of what is allowed."""
    for statement in document["Statement"]:
        if statement["Effect"] == "Allow":
            yield from (action for action in listed(statement["Action"]) if "*" in action)
            yield from (resource for resource in listed(statement.get("Resource", [])) if resource == "*")


@pytest.mark.parametrize("stack", STACKS)
def test_nothing_is_open_without_a_stated_reason(stack: str) -> None:
    found = documents(stack)
    assert len(found) >= 18, "functions, roles, topics, queues, buckets and a key have their documents"
    opened = {(holder, word) for holder, document in found for word in open_words(document)}
    assert opened <= REASONS.keys()


def test_every_reason_is_still_needed() -> None:
    opened = {(holder, word) for stack in STACKS for holder, one in documents(stack) for word in open_words(one)}
    assert opened >= REASONS.keys()
    assert all(len(reason) > 20 for reason in REASONS.values())


@pytest.mark.parametrize("stack", STACKS)
def test_whoever_may_be_anybody_is_refused_or_comes_by_a_named_way(stack: str) -> None:
    for holder, document in documents(stack):
        for statement in document["Statement"]:
            if statement.get("Principal") in ("*", {"AWS": "*"}):
                is_bound = "aws:SourceVpce" in str(statement.get("Condition"))
                assert statement["Effect"] == "Deny" or is_bound, holder


def test_the_private_stack_has_the_document_that_lets_its_endpoint_in() -> None:
    assert "aws:apigateway/restApiPolicy:RestApiPolicy api" in dict(documents("private"))


def test_aws_knows_every_action_condition_and_resource_of_all_stacks(tmp_path: Path) -> None:
    checker = ROOT.parent / "shared" / "tools" / "check_iam.py"
    python = os.environ.get("CHECK_IAM_PYTHON", sys.executable)
    if not checker.exists():
        pytest.skip("there is no ../shared/tools/check_iam.py beside this repository")
    if subprocess.run([python, "-W", "ignore", "-c", "import parliament"], capture_output=True, check=False).returncode:
        pytest.skip("parliament is not installed; CHECK_IAM_PYTHON can name a Python that has it")
    # a trust policy names no resource, which parliament takes for a mistake
    judged = {
        json.dumps(document, sort_keys=True).replace(f"sd-async-{stack}", "sd-async-stack")
        for stack in STACKS
        for holder, document in documents(stack)
        if "role:Role " not in holder
    }
    assert len(judged) > 25
    found, allowed = tmp_path / "policies.json", tmp_path / "allowed.txt"
    found.write_text(f"[{','.join(sorted(judged))}]")
    allowed.write_text(EXCUSED)
    command: list[str | Path] = [python, "-W", "ignore", checker, found, "--allow", allowed]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
