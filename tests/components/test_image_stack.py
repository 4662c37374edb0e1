"""The whole program without the name of an image: it builds them, and releases run what was built."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from components.chart_values import image_values
from local.helm import CHART, render
from tests.components.example import as_text, changed
from tests.support.engine import ROOT, Engine, digest_of, evaluate

PLAIN = [{"name": "sd15", "type": "comfyui"}, {"name": "sdxl", "type": "a1111", "image": "registry.example/a1111:1"}]
RELEASE, BUILD = "kubernetes:helm.sh/v3:Release", "pulumi-python:dynamic/images:Build"
REGISTRY = "123456789012.dkr.ecr.us-west-2.amazonaws.com/sd-async-dev"
CHECKER = ROOT.parent / "shared" / "tools" / "check_iam.py"

# A logical name is an address: a changed one replaces its resource.
NAMES = """
aws:cloudwatch/logGroup:LogGroup images = /aws/codebuild/sd-async-dev-images
aws:codebuild/project:Project images = sd-async-dev-images
aws:iam/role:Role images = sd-async-dev-images
aws:iam/rolePolicy:RolePolicy images
aws:s3/bucket:Bucket sd-async-dev-contexts
aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration contexts
aws:s3/bucketPolicy:BucketPolicy contexts
aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock contexts
aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration contexts
pulumi-python:dynamic/images:Build agent
pulumi-python:dynamic/images:Build comfyui
"""


@pytest.fixture(scope="module")
def named() -> Engine:
    return evaluate(as_text(changed(kubernetes={"context": "work"})))


@pytest.fixture(scope="module")
def built() -> Engine:
    return evaluate(as_text(changed(agent={}, runtimes=PLAIN, kubernetes={"context": "work"})))


def lines(engine: Engine) -> set[str]:
    found = [one for one in engine.declared if one.is_custom]
    return {f"{one.token} {one.name}" + (f" = {name}" if (name := one.inputs.get("name")) else "") for one in found}


def test_building_adds_these_resources_and_no_others(named: Engine, built: Engine) -> None:
    assert sorted(lines(built) - lines(named)) == NAMES.strip().splitlines()
    assert lines(named) - lines(built) == set()


def test_releases_run_what_was_built_by_its_digest_and_what_is_named_by_its_name(built: Engine) -> None:
    first, second = (built.named(RELEASE, f"runtime-{name}").inputs["values"] for name in ("sd15", "sdxl"))
    assert first["runtime"]["image"] == image_values(f"{REGISTRY}/comfyui@{digest_of('comfyui')}")
    assert second["runtime"]["image"] == image_values("registry.example/a1111:1")
    for values in (first, second):
        assert values["agent"]["image"] == image_values(f"{REGISTRY}/agent@{digest_of('agent')}")


def test_pods_name_their_images_as_an_image_cache_would_hold_them(built: Engine) -> None:
    values = built.named(RELEASE, "runtime-sd15").inputs["values"]
    [pod] = [
        each["spec"]["template"]["spec"]
        for each in render(CHART, "sd15", "sd-async", values)
        if each["kind"] == "Deployment"
    ]
    images = {each["image"] for each in (*pod["containers"], *pod.get("initContainers", []))}
    assert images == {f"{REGISTRY}/{name}@{digest_of(name)}" for name in ("agent", "comfyui")}


def test_a_release_waits_for_the_builds_of_its_images_alone(built: Engine) -> None:
    agent, comfyui = (built.named(BUILD, name) for name in ("agent", "comfyui"))
    first, second = (built.named(RELEASE, f"runtime-{name}") for name in ("sd15", "sdxl"))
    assert built.waits_for(first, comfyui)
    assert built.waits_for(second, agent)
    assert not built.waits_for(second, comfyui)


def test_what_builds_goes_after_what_runs_it_and_its_log_with_the_stack(built: Engine) -> None:
    release = built.named(RELEASE, "runtime-sd15")
    for token in ("aws:codebuild/project:Project", "aws:cloudwatch/logGroup:LogGroup", "aws:iam/role:Role"):
        assert built.waits_for(release, built.named(token, "images"))


def test_contexts_are_encrypted_private_and_gone_after_a_month(built: Engine) -> None:
    [rule] = built.named("aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration", "contexts").inputs["rules"]
    assert rule["expiration"] == {"days": 30}
    access = built.named("aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock", "contexts").inputs
    assert all(access[name] for name in ("blockPublicAcls", "blockPublicPolicy", "restrictPublicBuckets"))


def policy(engine: Engine) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(engine.named("aws:iam/rolePolicy:RolePolicy", "images").inputs["policy"])
    return document


@pytest.mark.skipif(not CHECKER.exists(), reason="there is no ../shared/tools/check_iam.py")
def test_aws_knows_every_action_and_resource_of_the_builders_policy(built: Engine, tmp_path: Path) -> None:
    (tmp_path / "policy.json").write_text(json.dumps([policy(built)]))
    done = subprocess.run(
        [sys.executable, "-W", "ignore", CHECKER, tmp_path / "policy.json"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
