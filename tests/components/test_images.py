"""A tag means one image for ever, old images make room, and what no setting names is built and runs by its digest."""

import json
import subprocess
import sys
from typing import Any

import pytest
from pulumi_aws import s3

from components.image_contexts import CHART, context, repositories
from components.image_policies import lifecycle
from components.images import Images, ImagesArgs
from components.settings import Settings
from tests.components.example import AGENT, CONFIG, stack
from tests.support.engine import ROOT, Engine, build, digest_of

REPOSITORY, RULES = "aws:ecr/repository:Repository", "aws:ecr/lifecyclePolicy:LifecyclePolicy"
BUILD, DOCKER = "pulumi-python:dynamic/images:Build", "docker-build:index:Image"
PROJECT, POLICY = "aws:codebuild/project:Project", "aws:iam/rolePolicy:RolePolicy"
REGISTRY = "123456789012.dkr.ecr.us-west-2.amazonaws.com/sd-async-dev"
NAMES = {"a1111": 2, "agent": 3, "comfyui": 2, CHART: 1}  # images that a build leaves in each repository
MINE = f"registry.example/mine@sha256:{'1' * 64}"
PLAIN = [{"name": "sd15", "type": "comfyui"}, {"name": "sdxl", "type": "a1111", "image": "registry.example/a1111:1"}]


def building(**images: Any) -> Settings:
    """A stack that names the image of one runtime only."""
    return stack(agent={}, runtimes=PLAIN, images=images)


def place(settings: Settings) -> tuple[Engine, dict[str, Any]]:
    """What was declared, and the images that run."""
    running: dict[str, Any] = {}

    def program() -> None:
        images = Images("images", ImagesArgs(settings, s3.Bucket("contexts"), ROOT))
        running.update({runtime.name: images.runtime(runtime) for runtime in settings.runtimes}, agent=images.agent)
        for name, image in images.built.items():
            image.apply(lambda known, name=name: running.update({f"{name} built": known}))  # type: ignore[misc] # mypy infers no type for a lambda's default

    return build(program), running


@pytest.fixture(scope="module")
def placed() -> Engine:
    return build(lambda: Images("images", ImagesArgs(stack(images={"keep": 7}))))


@pytest.fixture(scope="module")
def built() -> tuple[Engine, dict[str, Any]]:
    return place(building(machine="large", build_timeout_min=90))


@pytest.mark.parametrize("name", NAMES)
def test_a_tag_is_never_given_again_and_what_arrives_is_scanned(placed: Engine, name: str) -> None:
    repository = placed.named(REPOSITORY, name).inputs
    assert repository["name"] == f"sd-async-dev/{name}"
    assert repository["imageTagMutability"] == "IMMUTABLE"
    assert repository["imageScanningConfiguration"] == {"scanOnPush": True}
    assert repository["encryptionConfigurations"] == [{"encryptionType": "AES256"}]


@pytest.mark.parametrize("name", NAMES)
def test_as_many_builds_are_kept_as_the_settings_say_each_with_all_of_its_platforms(placed: Engine, name: str) -> None:
    rules = placed.named(RULES, name).inputs
    assert rules["repository"] == f"sd-async-dev/{name}"
    assert json.loads(rules["policy"]) == lifecycle(7 * NAMES[name])


def test_the_rule_for_all_images_comes_last_as_ecr_demands() -> None:
    rules = lifecycle(20)["rules"]
    assert [rule["selection"]["tagStatus"] for rule in rules] == ["untagged", "any"]
    assert rules[-1]["selection"]["countNumber"] == 20
    assert rules[-1]["rulePriority"] == max(rule["rulePriority"] for rule in rules)


def test_two_runtimes_of_one_type_share_a_repository() -> None:
    first = CONFIG["sd-async:runtimes"][0]
    assert repositories(stack(runtimes=[first, {**first, "name": "other"}])) == ("agent", "comfyui", CHART)


def test_whoever_has_a_registry_needs_no_repository() -> None:
    engine = build(lambda: Images("images", ImagesArgs(stack(images={"repositories": False}))))
    assert [one.token for one in engine.declared] == ["sd:images:Images"]


def test_where_every_image_is_named_nothing_builds(placed: Engine) -> None:
    assert placed.inputs(REPOSITORY)
    assert [one.token for one in placed.declared if one.token in (BUILD, PROJECT, DOCKER, POLICY)] == []


def test_everything_belongs_to_the_component(built: tuple[Engine, dict[str, Any]]) -> None:
    engine, _ = built
    [component] = [one for one in engine.declared if not one.is_custom]
    own = [one for one in engine.declared if one.is_custom and one.name != "contexts"]
    assert {one.parent for one in own} == {component.urn}


def test_a_build_gets_the_inputs_of_its_image_and_the_tag_that_follows_from_them(
    built: tuple[Engine, dict[str, Any]],
) -> None:
    engine, _ = built
    made = context(ROOT, "agent")
    inputs = engine.named(BUILD, "agent").inputs
    assert {name: value for name, value in inputs.items() if name != "__provider"} == {
        "project": "sd-async-dev-images",
        "bucket": "contexts",
        "repository_url": f"{REGISTRY}/agent",
        "tag": made.tag,
        "dockerfile": "agent/Dockerfile",
        "context": ".",
        "platforms": "linux/amd64 linux/arm64",
        "archive": str(made.archive),
        "timeout_min": 90,
        "docker_hub": "",
        "region": "us-west-2",
    }
    assert {one.name for one in engine.declared if one.token == BUILD} == {"agent", "comfyui"}


def test_what_was_built_runs_by_its_digest_and_what_is_named_as_it_is_named(
    built: tuple[Engine, dict[str, Any]],
) -> None:
    _, running = built
    assert running["sdxl"] == "registry.example/a1111:1"
    assert running["agent built"] == f"{REGISTRY}/agent@{digest_of('agent')}"
    assert running["comfyui built"] == f"{REGISTRY}/comfyui@{digest_of('comfyui')}"
    assert "a1111 built" not in running


def test_an_image_that_is_named_wins_though_others_of_its_type_are_built() -> None:
    settings = stack(runtimes=[PLAIN[0], {**PLAIN[0], "name": "mine", "image": MINE}])
    _, running = place(settings)
    assert running["mine"] == MINE
    assert running["agent"] == AGENT
    assert running["comfyui built"].startswith(f"{REGISTRY}/comfyui@sha256:")


def test_the_project_builds_with_docker_from_contexts_alone(built: tuple[Engine, dict[str, Any]]) -> None:
    engine, _ = built
    project = engine.named(PROJECT, "images").inputs
    assert project["source"] == {"type": "S3", "location": "contexts/contexts/"}
    assert project["environment"]["privilegedMode"] is True
    assert project["environment"]["computeType"] == "BUILD_GENERAL1_LARGE"
    assert (project["buildTimeout"], project["queuedTimeout"]) == (90, 240)
    [group] = engine.inputs("aws:cloudwatch/logGroup:LogGroup")
    assert project["logsConfig"] == {"cloudwatchLogs": {"groupName": group["name"]}}
    assert group == {"name": "/aws/codebuild/sd-async-dev-images", "retentionInDays": 30}


def test_a_build_starts_only_when_its_role_may_push(built: tuple[Engine, dict[str, Any]]) -> None:
    engine, _ = built
    for name in ("agent", "comfyui"):
        assert engine.waits_for(engine.named(BUILD, name), engine.named(POLICY, "images"))


def test_the_role_reads_contexts_and_pushes_to_what_it_builds_and_no_further(
    built: tuple[Engine, dict[str, Any]],
) -> None:
    engine, _ = built
    statements = json.loads(engine.named(POLICY, "images").inputs["policy"])["Statement"]
    allowed = {action: each["Resource"] for each in statements for action in each["Action"]}
    repository = "arn:aws:ecr:us-west-2:123456789012:repository/sd-async-dev"
    assert allowed["ecr:PutImage"] == [f"{repository}/agent", f"{repository}/comfyui"]
    assert allowed["s3:GetObject"] == ["arn:aws:s3:::contexts/contexts/*"]
    assert [action for action, resources in allowed.items() if resources == ["*"]] == ["ecr:GetAuthorizationToken"]
    assert not [action for action in allowed if "*" in action or action.startswith(("s3:Put", "s3:Delete"))]
    assert "ecr:CreateRepository" not in allowed
    assert "logs:CreateLogGroup" not in allowed


def test_with_docker_here_the_same_contexts_are_pushed_under_the_same_tags() -> None:
    engine, running = place(building(build="local"))
    image = engine.named(DOCKER, "agent")
    made = context(ROOT, "agent")
    assert image.inputs["platforms"] == ["linux/amd64", "linux/arm64"]
    assert image.inputs["tags"] == [f"{REGISTRY}/agent:{made.tag}"]
    assert image.inputs["dockerfile"] == {"location": str(ROOT / "agent/Dockerfile")}
    assert image.inputs["context"] == {"location": str(ROOT)}
    [registry] = image.inputs["registries"]
    assert (registry["address"], registry["username"]) == (REGISTRY.partition("/")[0], "AWS")
    assert (image.inputs["push"], image.inputs["buildOnPreview"]) == (True, False)
    assert "registries" in image.secrets, "the token is a password"
    assert running["agent built"] == f"{REGISTRY}/agent@{digest_of('agent')}"
    assert engine.inputs(PROJECT) == []


def test_who_builds_nothing_waits_for_no_package_of_a_builder() -> None:
    code = "import sys, json; import components.images; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert not {"pulumi_docker_build", "botocore"} & set(json.loads(done.stdout))
