"""The functions from one bundle, each with a role that can do its work and nothing beside it."""

import json
from pathlib import Path
from typing import Any

import pulumi
import pytest

from components import naming, nodepools
from components.lambdas import (
    API_TIMEOUT_S,
    DEAD_LETTER_TIMEOUT_S,
    OUTBOX_TIMEOUT_S,
    SPEND_TIMEOUT_S,
    Lambdas,
    LambdasArgs,
)
from components.messaging import DEAD_LETTER_VISIBILITY_S
from components.settings_cluster import GPU_FAMILIES
from functions.api import env
from tests.components.example import COMFYUI, stack
from tests.functions.entry import spend
from tests.support.engine import Engine, build

FUNCTION, ROLE, POLICY = "aws:lambda/function:Function", "aws:iam/role:Role", "aws:iam/rolePolicy:RolePolicy"
LOGS = "aws:cloudwatch/logGroup:LogGroup"
KINDS = ["api", "dead-letter", "outbox", "spend"]
TABLE = "arn:aws:dynamodb:us-west-2:123456789012:table/jobs"
TOPICS = "arn:aws:sns:us-west-2:123456789012:"
DEAD = ["arn:aws:sqs:us-west-2:123456789012:dead-sd15", "arn:aws:sqs:us-west-2:123456789012:dead-sdxl"]


def place(**sections: Any) -> Engine:
    return build(
        lambda: Lambdas(
            "lambdas",
            LambdasArgs(
                settings=stack(**sections),
                bundle=Path("bundle.zip"),
                jobs_table=pulumi.Output.from_input("jobs"),
                jobs_table_arn=TABLE,
                input_bucket="inputs",
                input_bucket_arn="arn:aws:s3:::inputs",
                output_bucket="outputs",
                output_bucket_arn="arn:aws:s3:::outputs",
                jobs_topic_arn=f"{TOPICS}jobs",
                results_topic_arn=f"{TOPICS}results",
                dead_letter_queue_arns=DEAD,
            ),
        )
    )


@pytest.fixture(scope="module")
def placed() -> Engine:
    return place(cluster={"create": True})


def variables_of(placed: Engine, kind: str) -> dict[str, str]:
    found: dict[str, str] = placed.named(FUNCTION, kind).inputs["environment"]["variables"]
    return found


def allowed(placed: Engine, kind: str) -> dict[str, list[str]]:
    """Actions of a function's role, each with its resources."""
    found: dict[str, list[str]] = {}
    for statement in json.loads(placed.named(POLICY, kind).inputs["policy"])["Statement"]:
        assert statement["Effect"] == "Allow"
        for action in statement["Action"]:
            found.setdefault(action, []).extend(statement["Resource"])
    return found


@pytest.mark.parametrize(
    ("kind", "handler", "timeout_s"),
    [
        ("api", "functions.api.handler.handle", API_TIMEOUT_S),
        ("dead-letter", "functions.dead_letter.handle", DEAD_LETTER_TIMEOUT_S),
        ("outbox", "functions.outbox.handle", OUTBOX_TIMEOUT_S),
        ("spend", "functions.spend.handle", SPEND_TIMEOUT_S),
    ],
)
def test_a_function_runs_its_handler_from_the_bundle(placed: Engine, kind: str, handler: str, timeout_s: int) -> None:
    function = placed.named(FUNCTION, kind).inputs
    assert (function["handler"], function["timeout"]) == (handler, timeout_s)
    assert (function["runtime"], function["architectures"], function["memorySize"]) == ("python3.13", ["arm64"], 512)
    assert isinstance(function["code"], pulumi.FileArchive)
    assert function["code"].path == "bundle.zip"
    assert function["role"] == f"arn:aws:iam::123456789012:role/sd-async-dev-{kind}"


def test_every_handler_is_a_file_of_this_repository_with_that_name() -> None:
    for inputs in place(cluster={"create": True}).inputs(FUNCTION):
        module, _, name = inputs["handler"].rpartition(".")
        source = Path(module.replace(".", "/") + ".py")
        assert f"\n{name} = " in source.read_text(), f"{source} must define {name}"


def test_a_role_is_lambdas_only(placed: Engine) -> None:
    for role in placed.inputs(ROLE):
        [statement] = json.loads(role["assumeRolePolicy"])["Statement"]
        assert (statement["Principal"], statement["Action"]) == ({"Service": "lambda.amazonaws.com"}, "sts:AssumeRole")


def test_the_api_records_keeps_inputs_publishes_and_signs_output_urls(placed: Engine) -> None:
    logs = "arn:aws:logs:us-west-2:123456789012:log-group:/aws/lambda/sd-async-dev-api:*"
    assert allowed(placed, "api") == {
        "dynamodb:GetItem": [TABLE],
        "dynamodb:PutItem": [TABLE],
        "dynamodb:UpdateItem": [TABLE],
        "s3:GetObject": ["arn:aws:s3:::inputs/jobs/*", "arn:aws:s3:::outputs/*"],
        "s3:PutObject": ["arn:aws:s3:::inputs/jobs/*"],
        "sns:Publish": [f"{TOPICS}jobs"],
        "logs:CreateLogStream": [logs],
        "logs:PutLogEvents": [logs],
    }


def test_the_outbox_finds_what_waits_and_publishes_it_or_its_failure(placed: Engine) -> None:
    rights = allowed(placed, "outbox")
    assert rights["dynamodb:Query"] == [f"{TABLE}/index/by_outbox"]
    assert rights["sns:Publish"] == [f"{TOPICS}jobs", f"{TOPICS}results"]
    assert {action for action in rights if not action.startswith("logs:")} == {
        "dynamodb:Query",
        "dynamodb:UpdateItem",
        "s3:GetObject",
        "s3:ListBucket",
        "sns:Publish",
    }


def test_the_dead_letter_function_reads_every_dead_letter_queue_and_no_other(placed: Engine) -> None:
    rights = allowed(placed, "dead-letter")
    assert {action: where for action, where in rights.items() if action.startswith("sqs:")} == dict.fromkeys(
        ["sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ReceiveMessage"], DEAD
    )
    assert rights["sns:Publish"] == [f"{TOPICS}results"]
    assert rights["dynamodb:UpdateItem"] == rights["dynamodb:GetItem"] == [TABLE]
    assert not [action for action in rights if action.startswith("s3:")]


def test_what_prices_machines_may_list_them_and_spot_prices_and_touches_no_data(placed: Engine) -> None:
    logs = "arn:aws:logs:us-west-2:123456789012:log-group:/aws/lambda/sd-async-dev-spend:*"
    assert allowed(placed, "spend") == {
        "ec2:DescribeInstances": ["*"],
        "ec2:DescribeSpotPriceHistory": ["*"],
        "logs:CreateLogStream": [logs],
        "logs:PutLogEvents": [logs],
    }
    assert variables_of(placed, "spend").keys() == {"SD_STACK", "SD_STACK_TAGS", "SD_PRICES"}


def test_its_own_reader_takes_the_stacks_tags_and_the_prices_of_all_that_it_may_start(placed: Engine) -> None:
    read = spend.load(variables_of(placed, "spend") | {"AWS_REGION": "us-west-2"})
    assert (read.stack, read.tags) == ("sd-async-dev", naming.tags(stack()))
    assert {name.partition(".")[0] for name in read.prices} == {"g4dn", "g5", "g6", "g6e", "t4g"}
    assert read.prices["g5.12xlarge"] == (5.672, 4)
    assert read.prices["t4g.medium"] == (0.0336, 0)


def test_the_tags_that_it_looks_for_are_on_every_kind_of_node(placed: Engine) -> None:
    looked_for = spend.load(variables_of(placed, "spend") | {"AWS_REGION": "us-west-2"}).tags
    settings = stack(cluster={"create": True})
    gpu = nodepools.node_class(settings, "profile")["spec"]["tags"]
    assert looked_for.items() <= gpu.items()
    assert looked_for.items() <= naming.node_tags(settings, "system").items()


def test_a_stack_without_a_cluster_of_its_own_has_nothing_to_price() -> None:
    for elsewhere in ({"cluster": {"create": False}}, {"cluster": {"create": True}, "kubernetes": {"context": "work"}}):
        assert {one["name"] for one in place(**elsewhere).inputs(FUNCTION)} == {
            f"sd-async-dev-{kind}" for kind in KINDS if kind != "spend"
        }


@pytest.mark.parametrize("kind", KINDS)
def test_a_functions_log_ends_and_is_there_before_its_first_line(placed: Engine, kind: str) -> None:
    logs = placed.named(LOGS, kind)
    assert logs.inputs == {"name": f"/aws/lambda/sd-async-dev-{kind}", "retentionInDays": 30}
    function = placed.named(FUNCTION, kind)
    assert placed.waits_for(function, logs)
    assert placed.waits_for(function, placed.named(POLICY, kind)), "the first event may come at once"


def test_the_functions_own_reader_takes_the_environment(placed: Engine) -> None:
    for kind in KINDS:
        variables = variables_of(placed, kind)
        assert not [name for name in variables if name.startswith("AWS_")], "Lambda sets these itself"
    for kind in ("api", "dead-letter", "outbox"):
        variables = variables_of(placed, kind)
        read = env.load(variables | {"AWS_REGION": "us-west-2"})
        assert (read.jobs_table, read.input_bucket, read.output_bucket) == ("jobs", "inputs", "outputs")
        assert (read.jobs_topic_arn, read.results_topic_arn) == (f"{TOPICS}jobs", f"{TOPICS}results")
        assert read.file_buckets == {"inputs", "team-a", "team-b"}
        assert {name: (one.type, one.timeout_seconds) for name, one in read.runtimes.items()} == {
            "sd15": ("comfyui", 3600),
            "sdxl": ("a1111", 900),
        }
        assert (read.retention_s, read.url_s, read.endpoint_url) == (30 * 24 * 3600, 3600, None)


def test_the_largest_environment_fits_in_what_lambda_takes() -> None:
    image = {"type": "comfyui", "image": COMFYUI, "job_timeout_s": 42900}
    runtimes = [{"name": f"{number:a>20}", **image} for number in range(20)]
    buckets = [f"{number:b>63}" for number in range(20)]
    pools = [{"name": "gpu", "families": list(GPU_FAMILIES), "max_gpus_per_node": 8, "spot_gpus": 999}]
    own = {"karpenter": {"pools": pools}, "cluster": {"create": True}}
    largest = place(runtimes=runtimes, storage={"file_buckets": buckets}, **own)
    for kind in KINDS:
        variables = variables_of(largest, kind)
        assert sum(len(name) + len(value) for name, value in variables.items()) < 4096  # Lambda quotas


def test_the_host_architecture_has_a_name_that_lambda_knows() -> None:
    functions = place(api={"architecture": "host"}, endpoint_url="http://127.0.0.1:4566").inputs(FUNCTION)
    assert {tuple(function["architectures"]) for function in functions} == {("x86_64",)}


def test_a_dead_letter_is_hidden_for_six_runs_of_its_reader() -> None:
    assert DEAD_LETTER_VISIBILITY_S >= 6 * DEAD_LETTER_TIMEOUT_S  # Lambda guide, "Using Lambda with Amazon SQS"
