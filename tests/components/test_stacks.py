"""The example stacks are valid, tell what they are about, and cost what their reader would expect."""

import json
import re
from pathlib import Path

import pytest
import yaml

from components.image_copies import KEDA
from components.image_policies import copies_lifecycle
from components.prices import fixed_items, fixed_usd_per_month
from components.settings import Settings, parse
from components.settings_cluster import RegistrySettings
from tests.components.example import AGENT, COMFYUI
from tests.support.engine import ROOT, Engine, digest_of, evaluate, settings_of
from tests.support.translation import stack_file

EXAMPLES = ("existing-vpc", "private", "production")
REPOSITORY = "aws:ecr/repository:Repository"
RELEASE, BUILD = "kubernetes:helm.sh/v3:Release", "pulumi-python:dynamic/images:Build"


def example(name: str) -> Settings:
    return parse("sd-async", name, settings_of(ROOT / f"Pulumi.{name}.yaml.example"))


@pytest.fixture(scope="module")
def private() -> Engine:
    return evaluate(settings_of(ROOT / "Pulumi.private.yaml.example"), stack="private")


def test_every_example_is_tested() -> None:
    found = {Path(path.stem).stem.removeprefix("Pulumi.") for path in ROOT.glob("Pulumi.*.example")}
    assert found == set(EXAMPLES)


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_is_valid_and_each_of_its_fixed_costs_is_known(name: str) -> None:
    settings = example(name)
    assert all(item.usd is not None for item in fixed_items(settings))
    assert settings.kubernetes.context is None, "no cluster of somebody's is touched unasked"


def test_production_has_three_runtimes_a_gateway_in_each_zone_and_somebody_to_call() -> None:
    settings = example("production")
    assert [runtime.type.value for runtime in settings.runtimes] == ["comfyui", "comfyui", "a1111"]
    assert settings.network.nat == "per-zone"
    assert settings.observability.emails
    assert {client.name for client in settings.api.clients} == {"shop", "lab"}


def test_productions_largest_models_are_read_from_the_nodes_own_disk() -> None:
    modes = {runtime.name: runtime.models.mode for runtime in example("production").runtimes}
    assert modes == {"sdxl": "mount", "flux": "copy", "a1111": "mount"}


def test_privates_nodes_have_no_way_to_the_internet() -> None:
    settings = example("private")
    assert settings.network.nat == "none"
    assert settings.api.private
    assert settings.interface_endpoints.count("execute-api") == 1
    assert not [item for item in fixed_items(settings) if "NAT" in item.name]


def test_privates_cluster_is_reached_by_who_runs_the_first_up_and_by_nodes_within_the_vpc(private: Engine) -> None:
    [cluster] = private.inputs("eks:index:Cluster")
    assert (cluster["endpointPublicAccess"], cluster["endpointPrivateAccess"]) == (True, True)
    assert cluster["authenticationMode"] == "API", "by IAM and access entries alone"


def test_the_next_steps_that_privates_comments_name_are_settings() -> None:
    text = (ROOT / "Pulumi.private.yaml.example").read_text()
    stepped = re.sub(r"# (public_(?:cidrs|access): \S+).*", r"\1", text)
    config = yaml.safe_load(stepped)["config"]
    settings = parse("sd-async", "private", config)
    assert settings.cluster.public_cidrs == ("203.0.113.7/32",)
    assert (settings.cluster.public_access, settings.cluster.private_access) == (False, True)


def test_privates_api_opens_to_the_endpoint_that_the_same_run_makes(private: Engine) -> None:
    endpoint = private.named("aws:ec2/vpcEndpoint:VpcEndpoint", "execute-api")
    api = private.named("aws:apigateway/restApi:RestApi", "api")
    assert api.inputs["endpointConfiguration"] == {"types": "PRIVATE", "vpcEndpointIds": ["execute-api-id"]}
    policy = private.named("aws:apigateway/restApiPolicy:RestApiPolicy", "api")
    assert '"aws:SourceVpce": "execute-api-id"' in policy.inputs["policy"]
    assert "console_url" not in private.exports, "no browser signs its requests, as this stack asks for"
    assert private.waits_for(api, endpoint), "and so the API goes before the endpoint when the stack is destroyed"


def test_private_names_no_registry_and_no_account_of_anybody() -> None:
    text = (ROOT / "Pulumi.private.yaml.example").read_text()
    assert not re.search(r"\b\d{12}\b", text)
    assert example("private").cluster.registries == RegistrySettings()


def test_privates_controllers_come_from_where_its_nodes_have_a_way_to(private: Engine) -> None:
    values = {one.name: one.inputs["values"] for one in private.declared if one.token == RELEASE}
    registry = "123456789012.dkr.ecr.us-west-2.amazonaws.com"
    assert values["karpenter"]["controller"]["image"] == {"repository": f"{registry}/sd-async-private/karpenter"}
    assert values["karpenter"]["settings"]["isolatedVPC"] is True, "it would ask for prices and instance profiles"
    assert values["keda"]["global"]["image"]["registry"] == registry
    images = values["keda"]["image"]
    assert {images[name]["repository"] for name in ("keda", "metricsApiServer", "webhooks")} == {
        f"sd-async-private/{name}" for name in KEDA
    }
    assert images["keda"]["tag"] == f"2.21.1@{digest_of('keda')}"
    assert "logs" not in values, "the add-on's images are in the region's own ECR"


def test_privates_fluent_bit_comes_from_there_too() -> None:
    config = settings_of(ROOT / "Pulumi.private.yaml.example") | {"sd-async:observability": "{}"}
    engine = evaluate(config, stack="private")
    release = engine.named(RELEASE, "logs")
    repository = "123456789012.dkr.ecr.us-west-2.amazonaws.com/sd-async-private/fluent-bit"
    assert release.inputs["values"]["image"] == {"repository": repository, "tag": f"3.2.1@{digest_of('fluent-bit')}"}
    assert engine.waits_for(release, engine.named(BUILD, "fluent-bit"))


@pytest.mark.parametrize(("release", "copied"), [("karpenter", ("karpenter",)), ("keda", tuple(KEDA))])
def test_a_controller_waits_for_its_copies_and_goes_before_them(
    private: Engine, release: str, copied: tuple[str, ...]
) -> None:
    waiting = private.named(RELEASE, release)
    for name in copied:
        copy = private.named(BUILD, name)
        assert private.waits_for(waiting, copy)
        assert private.waits_for(copy, private.named(REPOSITORY, name))
        assert private.waits_for(copy, private.named("aws:iam/rolePolicy:RolePolicy", "images"))


def test_what_is_copied_lies_in_repositories_that_keep_versions_and_their_platforms(private: Engine) -> None:
    for name in ("karpenter", *KEDA):
        repository = private.named(REPOSITORY, name).inputs
        assert (repository["name"], repository["imageTagMutability"]) == (f"sd-async-private/{name}", "IMMUTABLE")
        rules = private.named("aws:ecr/lifecyclePolicy:LifecyclePolicy", name).inputs["policy"]
        assert json.loads(rules) == copies_lifecycle(20)
        assert '"untagged"' not in rules, "a platform's image has no tag of its own"


def test_the_builder_may_push_to_the_copies_repositories_too(private: Engine) -> None:
    statements = json.loads(private.named("aws:iam/rolePolicy:RolePolicy", "images").inputs["policy"])["Statement"]
    [pushed] = [one["Resource"] for one in statements if "ecr:PutImage" in one["Action"]]
    names = ("agent", "comfyui", "karpenter", *KEDA)
    assert pushed == [f"arn:aws:ecr:us-west-2:123456789012:repository/sd-async-private/{name}" for name in names]


def test_where_every_image_is_named_the_builder_is_there_for_the_copies_alone() -> None:
    named = {
        "sd-async:agent": json.dumps({"image": AGENT}),
        "sd-async:runtimes": json.dumps([{"name": "sdxl", "type": "comfyui", "image": COMFYUI}]),
    }
    engine = evaluate(settings_of(ROOT / "Pulumi.private.yaml.example") | named, stack="private")
    assert {one.name for one in engine.declared if one.token == BUILD} == {"karpenter", *KEDA}
    assert engine.named("aws:s3/bucket:Bucket", "sd-async-private-contexts")


def test_the_builder_is_outside_of_the_network_that_has_no_way_out(private: Engine) -> None:
    [project] = private.inputs("aws:codebuild/project:Project")
    assert "vpcConfig" not in project


@pytest.mark.parametrize("name", ["dev", "existing-vpc", "production"])
def test_who_has_a_way_out_copies_nothing(name: str) -> None:
    engine = evaluate(settings_of(stack_file(name)), stack=name)
    made = {one.name for one in engine.declared if one.token in (BUILD, REPOSITORY)}
    assert engine.named(RELEASE, "karpenter").inputs["values"]["settings"]["isolatedVPC"] is False
    assert made <= {"agent", "comfyui", "a1111", "sd-runtime"}


def test_an_existing_vpc_costs_nothing_more() -> None:
    settings = example("existing-vpc")
    assert settings.network.vpc_id
    assert fixed_usd_per_month(settings) < fixed_usd_per_month(example("production"))
