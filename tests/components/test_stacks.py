"""The example stacks are valid, tell what they are about, and cost what their reader would expect."""

import subprocess
import sys
from pathlib import Path

import pytest

from components.prices import fixed_items, fixed_usd_per_month
from components.settings import Settings, parse
from tests.support.engine import ROOT, evaluate, settings_of

CHECKER = ROOT.parent / "shared" / "tools" / "terraform_check"
EXAMPLES = ("existing-vpc", "private", "production")


def example(name: str) -> Settings:
    return parse("sd-async", name, settings_of(ROOT / f"Pulumi.{name}.yaml.example"))


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


def test_private_has_no_way_to_the_internet_and_no_public_cluster() -> None:
    settings = example("private")
    assert (settings.network.nat, settings.cluster.public_access) == ("none", False)
    assert settings.api.private
    assert settings.interface_endpoints.count("execute-api") == 1
    assert not [item for item in fixed_items(settings) if "NAT" in item.name]


def test_privates_api_opens_to_the_endpoint_that_the_same_run_makes() -> None:
    engine = evaluate(settings_of(ROOT / "Pulumi.private.yaml.example"), stack="private")
    endpoint = engine.named("aws:ec2/vpcEndpoint:VpcEndpoint", "execute-api")
    api = engine.named("aws:apigateway/restApi:RestApi", "api")
    assert api.inputs["endpointConfiguration"] == {"types": "PRIVATE", "vpcEndpointIds": ["execute-api-id"]}
    policy = engine.named("aws:apigateway/restApiPolicy:RestApiPolicy", "api")
    assert '"aws:SourceVpce": "execute-api-id"' in policy.inputs["policy"]
    assert "console_url" not in engine.exports, "no browser signs its requests, as this stack asks for"
    assert engine.waits_for(api, endpoint), "and so the API goes before the endpoint when the stack is destroyed"


def test_privates_controllers_come_from_where_its_nodes_have_a_way_to() -> None:
    engine = evaluate(settings_of(ROOT / "Pulumi.private.yaml.example"), stack="private")
    values = {one.name: one.inputs["values"] for one in engine.declared if one.token == "kubernetes:helm.sh/v3:Release"}
    mirror = "123456789012.dkr.ecr.us-west-2.amazonaws.com/sd-async-private"
    assert values["karpenter"]["controller"]["image"]["repository"] == f"{mirror}/ecr-public/karpenter/controller"
    assert values["keda"]["global"]["image"]["registry"] == f"{mirror}/github"
    assert "logs" not in values, "the add-on's images are in the region's own ECR"


def test_an_existing_vpc_costs_nothing_more() -> None:
    settings = example("existing-vpc")
    assert settings.network.vpc_id
    assert fixed_usd_per_month(settings) < fixed_usd_per_month(example("production"))


@pytest.mark.skipif(not CHECKER.exists(), reason="there is no ../shared/tools/terraform_check")
@pytest.mark.parametrize("name", EXAMPLES)
def test_the_aws_provider_takes_every_argument_of_an_example(name: str) -> None:
    command = [sys.executable, str(CHECKER), "--stack", name, "--config", f"Pulumi.{name}.yaml.example"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode == 77:
        pytest.skip(done.stdout.strip().splitlines()[-1])
    assert done.returncode == 0, done.stdout + done.stderr
