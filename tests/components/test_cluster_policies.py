"""What controllers and agents may do: each with its own queue and folder, in words that AWS knows."""

import dataclasses
import json
import os
import subprocess
import sys
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

from components.cluster_policies import (
    AgentArns,
    ControllerArns,
    agent,
    controller,
    flow_logs_writer,
    interruption_queue,
    pod_identity,
    queue_reader,
)
from tests.support.engine import ROOT

ARNS = AgentArns(
    queue="arn:aws:sqs:us-west-2:123456789012:sd-async-dev-jobs-sd15",
    table="arn:aws:dynamodb:us-west-2:123456789012:table/sd-async-dev-jobs",
    input_bucket="arn:aws:s3:::in",
    output_bucket="arn:aws:s3:::out",
    models="arn:aws:s3:::models",
    results_topic="arn:aws:sns:us-west-2:123456789012:sd-async-dev-results",
    files=("arn:aws:s3:::team-a",),
)
CONTROLLER = ControllerArns(
    region="us-west-2",
    account="123456789012",
    cluster="sd-async-dev",
    queue="arn:aws:sqs:us-west-2:123456789012:sd-async-dev-interruptions",
    node_role="arn:aws:iam::123456789012:role/sd-async-dev-gpu",
    instance_profile="arn:aws:iam::123456789012:instance-profile/sd-async-dev-gpu",
)
# Findings that are none, each with its reason: making instances takes several kinds of resources, which lie in
# statements of their own, each with its condition; parameters that AWS publishes belong to no account.
EXCUSED = """
[{'action': 'ec2:CreateFleet', 'required_format': 'arn:*:ec2:*:*:fleet/*'}
[{'action': 'ec2:RunInstances', 'required_format': 'arn:*:ec2:*::image/*'}
[{'action': 'ssm:GetParameter', 'required_format'
"""


def test_the_first_spot_instance_of_an_account_brings_ec2s_role_for_them_and_no_other_role() -> None:
    statements = [each for one in controller(CONTROLLER).values() for each in one["Statement"]]
    [making] = [one for one in statements if any(action.startswith("iam:Create") for action in one["Action"])]
    assert making == {
        "Effect": "Allow",
        "Action": ["iam:CreateServiceLinkedRole"],
        "Resource": ["arn:aws:iam::123456789012:role/aws-service-role/spot.amazonaws.com/AWSServiceRoleForEC2Spot"],
        "Condition": {"StringEquals": {"iam:AWSServiceName": "spot.amazonaws.com"}},
    }


def test_an_agent_reaches_its_own_queue_models_and_topic_only() -> None:
    found = {tuple(one["Action"]): one["Resource"] for one in agent(ARNS, "sd15")["Statement"][:2]}
    assert found[("sqs:ChangeMessageVisibility", "sqs:DeleteMessage", "sqs:ReceiveMessage")] == [ARNS.queue]
    reads = [one["Resource"] for one in agent(ARNS, "sd15")["Statement"] if one["Action"] == ["s3:GetObject"]]
    assert reads == [["arn:aws:s3:::in/*", "arn:aws:s3:::team-a/*"], ["arn:aws:s3:::models/sd15/*"]]
    [listing] = [one for one in agent(ARNS, "sd15")["Statement"] if one["Action"] == ["s3:ListBucket"]]
    assert listing["Condition"] == {"StringLike": {"s3:prefix": ["sd15/*"]}}


@pytest.mark.parametrize(
    ("key", "is_refused"),
    [
        ("agents/sd15", False),
        ("agents/sd15-large", True),
        ("agents/sdxl", True),
        ("agents/", True),
        ("8f14e45f-ceea-467f-a830-5d1fd1a4d6c8", False),
    ],
)
def test_an_agent_tells_of_its_own_runtimes_agents_only(key: str, is_refused: bool) -> None:  # noqa: FBT001
    [denied] = [one for one in agent(ARNS, "sd15")["Statement"] if one["Effect"] == "Deny"]
    [like], [unlike] = (denied["Condition"][f"ForAnyValue:String{how}"].values() for how in ("Like", "NotEquals"))
    assert (fnmatchcase(key, like[0]) and key != unlike[0]) == is_refused
    assert denied["Resource"] == [ARNS.table]
    writes = {action for one in agent(ARNS, "sd15")["Statement"] for action in one["Action"] if "dynamodb" in action}
    assert set(denied["Action"]) == writes - {"dynamodb:GetItem"}, "every action that writes"


def test_an_agent_whose_image_brings_its_models_reads_none_of_the_bucket() -> None:
    text = json.dumps(agent(dataclasses.replace(ARNS, models=None), "sd15"))
    assert "arn:aws:s3:::in/*" in text
    assert "arn:aws:s3:::models" not in text
    assert "s3:ListBucket" not in text


def test_keda_reads_lengths_and_nothing_else() -> None:
    assert queue_reader([ARNS.queue])["Statement"] == [
        {"Effect": "Allow", "Action": ["sqs:GetQueueAttributes"], "Resource": [ARNS.queue]}
    ]


def test_a_role_for_pods_is_taken_by_eks_alone_which_names_the_pod() -> None:
    [statement] = pod_identity()["Statement"]
    assert statement["Principal"] == {"Service": "pods.eks.amazonaws.com"}
    assert statement["Action"] == ["sts:AssumeRole", "sts:TagSession"]


def test_aws_knows_every_action_condition_and_resource(tmp_path: Path) -> None:
    checker = ROOT.parent / "shared" / "tools" / "check_iam.py"
    python = os.environ.get("CHECK_IAM_PYTHON", sys.executable)
    if not checker.exists():
        pytest.skip("there is no ../shared/tools/check_iam.py beside this repository")
    documents = [
        agent(ARNS, "sd15"),
        queue_reader([ARNS.queue]),
        flow_logs_writer("arn:aws:logs:us-west-2:123456789012:log-group:flow"),
        interruption_queue(CONTROLLER.queue, ["arn:aws:events:us-west-2:123456789012:rule/spot"]),
        *controller(CONTROLLER).values(),
    ]
    (tmp_path / "policies.json").write_text(json.dumps(documents))
    (tmp_path / "excused.txt").write_text(EXCUSED)
    command = [python, "-W", "ignore", str(checker), str(tmp_path / "policies.json")]
    command += ["--allow", str(tmp_path / "excused.txt")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
