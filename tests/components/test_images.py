"""A tag means one image for ever, images are scanned when they arrive, and old ones make room."""

import json

import pytest

from components.images import Images, ImagesArgs, lifecycle, repositories
from tests.components.example import CONFIG, stack
from tests.support.engine import Engine, build

REPOSITORY, RULES = "aws:ecr/repository:Repository", "aws:ecr/lifecyclePolicy:LifecyclePolicy"
NAMES = ("a1111", "agent", "comfyui")


@pytest.fixture(scope="module")
def placed() -> Engine:
    return build(lambda: Images("images", ImagesArgs(stack(images={"keep": 7}))))


@pytest.mark.parametrize("name", NAMES)
def test_a_tag_is_never_given_again_and_what_arrives_is_scanned(placed: Engine, name: str) -> None:
    repository = placed.named(REPOSITORY, name).inputs
    assert repository["name"] == f"sd-async-dev/{name}"
    assert repository["imageTagMutability"] == "IMMUTABLE"
    assert repository["imageScanningConfiguration"] == {"scanOnPush": True}
    assert repository["encryptionConfigurations"] == [{"encryptionType": "AES256"}]


@pytest.mark.parametrize("name", NAMES)
def test_only_as_many_images_are_kept_as_the_settings_say(placed: Engine, name: str) -> None:
    rules = placed.named(RULES, name).inputs
    assert rules["repository"] == f"sd-async-dev/{name}"
    assert json.loads(rules["policy"]) == lifecycle(7)


def test_the_rule_for_all_images_comes_last_as_ecr_demands() -> None:
    rules = lifecycle(20)["rules"]
    assert [rule["selection"]["tagStatus"] for rule in rules] == ["untagged", "any"]
    assert rules[-1]["selection"]["countNumber"] == 20
    assert rules[-1]["rulePriority"] == max(rule["rulePriority"] for rule in rules)


def test_two_runtimes_of_one_type_share_a_repository() -> None:
    first = CONFIG["sd-async:runtimes"][0]
    assert repositories(stack(runtimes=[first, {**first, "name": "other"}])) == ("agent", "comfyui")


def test_whoever_has_a_registry_needs_no_repository() -> None:
    engine = build(lambda: Images("images", ImagesArgs(stack(images={"repositories": False}))))
    assert [one.token for one in engine.declared] == ["sd:images:Images"]


def test_everything_belongs_to_the_component(placed: Engine) -> None:
    [component] = [one for one in placed.declared if not one.is_custom]
    assert {one.parent for one in placed.declared if one.is_custom} == {component.urn}
