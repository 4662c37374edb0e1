"""A build is started once for the same inputs, waited for, and told with its log when it goes wrong."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.stub import ANY, Stubber

from components.image_codebuild import Builder, BuildError, Order
from components.image_contexts import QUEUED_TIMEOUT_MIN
from tests.support.clock import WaitedClock

DIGEST = f"sha256:{'a' * 64}"
LOG = "https://console.aws.amazon.com/cloudwatch/home?region=us-west-2#logEvent:group=images"
ECR_ASKED = {"repositoryName": "sd-async-dev/agent", "imageIds": [{"imageTag": "src-1"}]}


class Aws:
    """Clients whose answers are given, in their order."""

    def __init__(self) -> None:
        made = {name: boto3.client(name, **KEYS) for name in ("ecr", "codebuild", "s3")}
        self.stubs = {name: Stubber(client) for name, client in made.items()}
        self.clients: Callable[[str], Any] = made.__getitem__
        for stub in self.stubs.values():
            stub.activate()

    def image(self, digest: str | None = DIGEST) -> None:
        if digest:
            self.stubs["ecr"].add_response("describe_images", {"imageDetails": [{"imageDigest": digest}]}, ECR_ASKED)
        else:
            self.stubs["ecr"].add_client_error("describe_images", "ImageNotFoundException", expected_params=ECR_ASKED)

    def earlier(self, *builds: dict[str, Any]) -> None:
        asked = {"projectName": "sd-async-dev-images", "sortOrder": "DESCENDING"}
        ids = [one["id"] for one in builds]
        self.stubs["codebuild"].add_response("list_builds_for_project", {"ids": ids} if ids else {}, asked)
        if builds:
            self.stubs["codebuild"].add_response("batch_get_builds", {"builds": list(builds)}, {"ids": ids})

    def started(self, order: Order, build: dict[str, Any]) -> None:
        key = "contexts/agent-src-1.zip"
        self.stubs["s3"].add_response("put_object", {}, {"Bucket": "contexts-1", "Key": key, "Body": ANY})
        asked = {
            "projectName": "sd-async-dev-images",
            "sourceLocationOverride": f"contexts-1/{key}",
            "environmentVariablesOverride": variables(order),
        }
        self.stubs["codebuild"].add_response("start_build", {"build": build}, asked)

    def polled(self, *builds: dict[str, Any]) -> None:
        for build in builds:
            self.stubs["codebuild"].add_response("batch_get_builds", {"builds": [build]}, {"ids": [build["id"]]})

    def all_asked(self) -> None:
        for stub in self.stubs.values():
            stub.assert_no_pending_responses()


KEYS: dict[str, Any] = {"region_name": "us-west-2", "aws_access_key_id": "x", "aws_secret_access_key": "x"}


@pytest.fixture
def order(tmp_path: Path) -> Order:
    (tmp_path / "agent-src-1.zip").write_bytes(b"zip")
    return Order(
        project="sd-async-dev-images",
        bucket="contexts-1",
        repository_url="123456789012.dkr.ecr.us-west-2.amazonaws.com/sd-async-dev/agent",
        tag="src-1",
        dockerfile="agent/Dockerfile",
        context=".",
        platforms="linux/amd64 linux/arm64",
        archive=str(tmp_path / "agent-src-1.zip"),
        timeout_min=60,
    )


def variables(order: Order) -> list[dict[str, str]]:
    return [{"name": name, "value": value} for name, value in order.variables.items()]


def build(status: str = "IN_PROGRESS", **more: Any) -> dict[str, Any]:
    return {"id": "images:1", "buildStatus": status, "logs": {"deepLink": LOG}, **more}


def test_an_image_that_is_there_is_not_built_again(order: Order) -> None:
    aws = Aws()
    aws.image()
    aws.image()
    assert Builder(aws.clients, WaitedClock()).ensure(order) == DIGEST
    aws.all_asked()


def test_a_missing_image_is_built_and_its_digest_read(order: Order) -> None:
    aws, clock, said = Aws(), WaitedClock(), list[str]()
    aws.image(None)
    aws.earlier()
    aws.started(order, build())
    aws.polled(build(currentPhase="PROVISIONING"), build(currentPhase="BUILD"), build("SUCCEEDED"))
    aws.image()
    assert Builder(aws.clients, clock, said.append).ensure(order) == DIGEST
    aws.all_asked()
    assert clock.seconds == 30
    assert said == [
        f"sd-async-dev/agent:src-1 is being built: {LOG}",
        "sd-async-dev/agent:src-1: provisioning",
        "sd-async-dev/agent:src-1: build",
    ]


def test_the_build_of_an_interrupted_run_is_waited_for_and_no_second_one_started(order: Order) -> None:
    aws = Aws()
    aws.image(None)
    other = build(id="images:0", environment=ran_with([{"name": "TAG", "value": "src-0"}]))
    aws.earlier(other, build(environment=ran_with(variables(order))))
    aws.polled(build("SUCCEEDED"))
    aws.image()
    assert Builder(aws.clients, WaitedClock()).ensure(order) == DIGEST
    aws.all_asked()


def ran_with(given: list[dict[str, str]]) -> dict[str, Any]:
    kind = {"type": "LINUX_CONTAINER", "image": "standard", "computeType": "BUILD_GENERAL1_MEDIUM"}
    return {**kind, "environmentVariables": given}


def test_a_build_is_told_of_the_cache_of_docker_hub_where_there_is_one(order: Order) -> None:
    assert "DOCKER_HUB" not in order.variables
    cached = dataclasses.replace(order, docker_hub="sd-async-dev/docker-hub")
    registry = order.repository_url.partition("/")[0]
    assert cached.variables["DOCKER_HUB"] == f"{registry}/sd-async-dev/docker-hub"


def test_an_ended_build_of_the_same_image_is_no_reason_to_wait(order: Order) -> None:
    aws = Aws()
    aws.image(None)
    aws.earlier(build("FAILED", environment=ran_with(variables(order))))
    aws.started(order, build("SUCCEEDED"))
    aws.image()
    assert Builder(aws.clients, WaitedClock()).ensure(order) == DIGEST
    aws.all_asked()


def test_a_build_that_fails_is_told_with_its_reason_and_the_address_of_its_log(order: Order) -> None:
    aws = Aws()
    aws.image(None)
    aws.earlier()
    phase = {"phaseType": "BUILD", "phaseStatus": "FAILED", "contexts": [{"message": "exit status 1"}]}
    aws.started(order, build("FAILED", phases=[{"phaseType": "QUEUED", "phaseStatus": "SUCCEEDED"}, phase]))
    aws.image(None)
    with pytest.raises(BuildError) as raised:
        Builder(aws.clients, WaitedClock()).ensure(order)
    assert str(raised.value) == (
        f"The build of sd-async-dev/agent:src-1 ended as failed (build: exit status 1); see {LOG}."
    )


def test_a_build_that_lost_against_another_of_the_same_has_its_image_all_the_same(order: Order) -> None:
    aws = Aws()
    aws.image(None)
    aws.earlier()
    aws.started(order, build("FAILED"))
    aws.image()
    assert Builder(aws.clients, WaitedClock()).ensure(order) == DIGEST


def test_a_success_without_an_image_is_no_success(order: Order) -> None:
    aws = Aws()
    aws.image(None)
    aws.earlier()
    aws.started(order, build("SUCCEEDED"))
    aws.image(None)
    with pytest.raises(BuildError, match="succeeded and left no image with that tag; see https"):
        Builder(aws.clients, WaitedClock()).ensure(order)


def test_a_build_that_does_not_end_is_given_up_with_a_sentence(order: Order) -> None:
    aws, clock = Aws(), WaitedClock()
    aws.image(None)
    aws.earlier()
    aws.started(order, build())
    patience_min = QUEUED_TIMEOUT_MIN + order.timeout_min + 5
    aws.polled(*[build()] * (patience_min * 6))
    with pytest.raises(BuildError, match=rf"has not ended in {patience_min} minutes; see https.* takes its image\.$"):
        Builder(aws.clients, clock).ensure(order)
    assert clock.seconds == patience_min * 60


@pytest.mark.parametrize("service", ["ecr", "codebuild"])
def test_what_aws_refuses_is_one_sentence_that_names_the_image(order: Order, service: str) -> None:
    aws = Aws()
    if service == "ecr":
        aws.stubs["ecr"].add_client_error("describe_images", "AccessDeniedException", "not allowed")
    else:
        aws.image(None)
        aws.stubs["codebuild"].add_client_error("list_builds_for_project", "AccessDeniedException", "not allowed")
    with pytest.raises(BuildError, match=r"agent:src-1 can't be built by sd-async-dev-images: .*not allowed"):
        Builder(aws.clients, WaitedClock()).ensure(order)


def test_a_context_that_is_gone_is_told(order: Order) -> None:
    aws = Aws()
    aws.image(None)
    aws.earlier()
    Path(order.archive).unlink()
    with pytest.raises(BuildError, match=r"can't be built by sd-async-dev-images: .*agent-src-1\.zip"):
        Builder(aws.clients, WaitedClock()).ensure(order)


def test_a_copy_is_told_its_source_and_nothing_of_a_dockerfile(order: Order) -> None:
    copy = Order(
        project=order.project,
        bucket=order.bucket,
        repository_url=order.repository_url,
        tag="2.21.1",
        archive=order.archive,
        timeout_min=60,
        copy_of="ghcr.io/kedacore/keda:2.21.1",
        docker_hub="sd-async-dev/docker-hub",
    )
    assert copy.variables == {
        "REPOSITORY": order.repository_url,
        "TAG": "2.21.1",
        "SOURCE": "ghcr.io/kedacore/keda:2.21.1",
    }
    assert "SOURCE" not in order.variables
