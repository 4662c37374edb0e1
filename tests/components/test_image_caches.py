"""Public registries through this account: who may fill a cache, what it keeps, and that it goes with the stack."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from components.image_caches import ImageCaches, ImageCachesArgs
from components.image_contexts import docker_hub
from components.image_policies import cache_puller, lifecycle
from components.image_sweep import sweep
from local.emulator import running
from tests.components.example import as_text, changed, stack
from tests.support.engine import ROOT, Engine, build, evaluate

RULE = "aws:ecr/pullThroughCacheRule:PullThroughCacheRule"
TEMPLATE = "aws:ecr/repositoryCreationTemplate:RepositoryCreationTemplate"
SWEEP, POLICY = "pulumi-python:dynamic/images:Sweep", "aws:iam/rolePolicy:RolePolicy"
SECRET = "arn:aws:secretsmanager:us-west-2:123456789012:secret:ecr-pullthroughcache/hub-AbCdEf"
CACHES = {"caches": [{"upstream": "quay"}, {"upstream": "docker-hub", "secret_arn": SECRET}], "keep": 9}
FILLS = ["ecr:BatchImportUpstreamImage", "ecr:CreateRepository"]
ARNS = [f"arn:aws:ecr:us-west-2:*:repository/sd-async-dev/{name}/*" for name in ("quay", "docker-hub")]
CHECKER = ROOT.parent / "shared" / "tools" / "check_iam.py"


@pytest.fixture(scope="module")
def placed() -> Engine:
    return build(lambda: ImageCaches("image-caches", ImageCachesArgs(stack(images=CACHES))))


def test_each_cache_is_of_its_registry_under_the_stacks_own_name(placed: Engine) -> None:
    assert sorted(placed.inputs(RULE), key=lambda rule: str(rule["ecrRepositoryPrefix"])) == [
        {
            "ecrRepositoryPrefix": "sd-async-dev/docker-hub",
            "upstreamRegistryUrl": "registry-1.docker.io",
            "credentialArn": SECRET,
        },
        {"ecrRepositoryPrefix": "sd-async-dev/quay", "upstreamRegistryUrl": "quay.io"},
    ]


def test_what_a_cache_fetches_is_encrypted_and_makes_room(placed: Engine) -> None:
    template = placed.named(TEMPLATE, "cache-quay").inputs
    assert (template["prefix"], template["appliedFors"]) == ("sd-async-dev/quay", ["PULL_THROUGH_CACHE"])
    assert template["encryptionConfigurations"] == [{"encryptionType": "AES256"}]
    assert json.loads(template["lifecyclePolicy"]) == lifecycle(9)


def test_destroying_ends_the_rule_before_it_takes_what_the_rule_has_made(placed: Engine) -> None:
    rule, swept = placed.named(RULE, "cache-quay"), placed.named(SWEEP, "cache-quay")
    assert placed.waits_for(rule, swept)
    assert placed.waits_for(rule, placed.named(TEMPLATE, "cache-quay")), "else a first pull finds no template"
    assert swept.inputs["prefix"] == "sd-async-dev/quay"


def test_the_sweep_takes_what_lies_below_its_prefix_with_its_images_and_nothing_else(tmp_path: Path) -> None:
    with running(tmp_path) as emulator:
        ecr = emulator.client("ecr")
        for name in ("sd-async-dev/quay/a/b", "sd-async-dev/quay/c", "sd-async-dev/agent", "sd-async-dev/quayx/d"):
            ecr.create_repository(repositoryName=name)
            ecr.put_image(repositoryName=name, imageManifest="{}", imageTag="1")
        sweep(ecr, "sd-async-dev/quay")
        sweep(ecr, "sd-async-dev/quay")
        left = {each["repositoryName"] for each in ecr.describe_repositories()["repositories"]}
    assert left == {"sd-async-dev/agent", "sd-async-dev/quayx/d"}


def test_nodes_may_fill_the_stacks_caches_and_no_others() -> None:
    engine = evaluate(as_text(changed(cluster={"create": True}, images=CACHES)))
    for name in ("gpu-caches", "system-caches"):
        [statement] = json.loads(engine.named(POLICY, name).inputs["policy"])["Statement"]
        assert (statement["Action"], statement["Resource"]) == (FILLS, ARNS)


def test_without_caches_nobody_may_make_a_repository() -> None:
    engine = evaluate(as_text(changed(cluster={"create": True})))
    policies = [one.inputs["policy"] for one in engine.declared if one.token == POLICY]
    assert policies
    assert not [policy for policy in policies if "ecr:CreateRepository" in policy]
    assert engine.inputs(RULE) == []


def test_builds_take_their_bases_through_the_cache_of_docker_hub() -> None:
    settings = {"images": CACHES, "agent": {}}
    assert docker_hub(stack(**settings)) == "sd-async-dev/docker-hub"
    assert docker_hub(stack(images={"caches": [{"upstream": "quay"}]})) == ""
    engine = evaluate(as_text(changed(**settings)))
    assert engine.named("pulumi-python:dynamic/images:Build", "agent").inputs["docker_hub"] == "sd-async-dev/docker-hub"
    statements = json.loads(engine.named(POLICY, "images").inputs["policy"])["Statement"]
    assert {"Effect": "Allow", "Action": FILLS, "Resource": ARNS} in statements


@pytest.mark.skipif(not CHECKER.exists(), reason="there is no ../shared/tools/check_iam.py")
def test_aws_knows_every_action_and_resource_of_the_nodes_policy(tmp_path: Path) -> None:
    # parliament knows no resource of this action; the Service Authorization Reference does: repository
    (tmp_path / "allowed").write_text(
        "No resources match for the given action [{'action': 'ecr:BatchImportUpstreamImage'\n"
    )
    (tmp_path / "policy.json").write_text(json.dumps([cache_puller(stack(images=CACHES))]))
    done = subprocess.run(
        [sys.executable, "-W", "ignore", CHECKER, "--allow", tmp_path / "allowed", tmp_path / "policy.json"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
