"""Every stack, as it is for AWS, created on the emulator and taken away again: it is there, and then nothing is."""

from collections.abc import Iterator

import pytest

from components.settings import parse
from local import emulator
from local.deploy.aws import Aws
from local.deploy.engine import DeployError, evaluate
from ops.names import names
from tests.support.emulated import ANSWERED, MADE, Whole
from tests.support.engine import ROOT, settings_of
from tests.support.removal import GO_WITH_ANOTHER, REMOVE, counts, remove
from tests.support.translation import STACKS, stack_file

GATEWAYS = {"a1111": 1, "dev": 1, "existing-vpc": 0, "private": 0, "production": 3}


@pytest.fixture(scope="module")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Aws]:
    """An account with nothing of anybody else in it."""
    with emulator.running(tmp_path_factory.mktemp("account")) as started:
        yield Aws(started)


@pytest.mark.parametrize("name", STACKS)
def test_a_stack_is_there_and_then_nothing_of_it_is(name: str, aws: Aws) -> None:
    before, whole = counts(aws), Whole(aws)

    outputs = evaluate(
        ROOT / "__main__.py", project="sd-async", stack=name, config=settings_of(stack_file(name)), placer=whole
    )

    between = counts(aws)
    assert len(whole.created) > 100
    for runtime, url in outputs["queue_urls"].items():
        attributes = aws.client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
        assert attributes["QueueArn"].endswith(runtime)
    told = names(parse("sd-async", name, settings_of(stack_file(name))), aws.client)
    assert aws.client("dynamodb").describe_table(TableName=told.jobs_table)["Table"]["TableStatus"] == "ACTIVE"
    assert told.output_bucket == outputs["output_bucket"]
    for arn in told.agent_roles.values():
        assert aws.client("iam").get_role(RoleName=arn.rpartition("/")[2])["Role"]["Arn"] == arn
    [api] = aws.client("apigateway").get_rest_apis()["items"]
    assert f"/{api['id']}/" in outputs["api_endpoint"]
    assert between["lambda.list_functions"] >= 3
    assert between["iam.list_roles"] > 5, "among them the controllers'"
    assert between.get("ec2.describe_nat_gateways", 0) == GATEWAYS[name]

    remove(aws, whole.created)

    assert counts(aws) == before


def test_whatever_is_created_has_a_way_to_be_removed() -> None:
    assert REMOVE.keys() | GO_WITH_ANOTHER == MADE.keys()
    assert not REMOVE.keys() & GO_WITH_ANOTHER


def test_a_kind_that_is_neither_created_nor_answered_is_told(aws: Aws) -> None:
    assert all(ANSWERED.values()), "each has its reason"
    with pytest.raises(DeployError, match="`broker` is of kind aws:mq/broker:Broker: create it in"):
        Whole(aws).create("aws:mq/broker:Broker", "broker", {})
