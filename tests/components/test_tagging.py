"""Everything that AWS can tag says which component it belongs to, beside the stack's own tags from the provider."""

import functools

import pytest

from tests.components.example import CONFIG, as_text
from tests.support.engine import ROOT, Declared, Engine, evaluate, settings_of

# Kinds to which AWS gives no tags (no `tags` among the arguments in the provider's documentation).
UNTAGGED = {
    "apigateway/account:Account",
    "apigateway/deployment:Deployment",
    "apigateway/integration:Integration",
    "apigateway/method:Method",
    "apigateway/methodSettings:MethodSettings",
    "apigateway/resource:Resource",
    "apigateway/response:Response",
    "apigateway/restApiPolicy:RestApiPolicy",
    "apigateway/usagePlanKey:UsagePlanKey",
    "cloudwatch/dashboard:Dashboard",
    "cloudwatch/eventTarget:EventTarget",
    "ec2/route:Route",
    "ec2/routeTableAssociation:RouteTableAssociation",
    "ecr/lifecyclePolicy:LifecyclePolicy",
    "eks/accessPolicyAssociation:AccessPolicyAssociation",
    "iam/rolePolicy:RolePolicy",
    "iam/rolePolicyAttachment:RolePolicyAttachment",
    "lambda/permission:Permission",
    "s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration",
    "s3/bucketPolicy:BucketPolicy",
    "s3/bucketPublicAccessBlock:BucketPublicAccessBlock",
    "s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration",
    "s3/bucketVersioning:BucketVersioning",
    "sns/topicPolicy:TopicPolicy",
    "sns/topicSubscription:TopicSubscription",
    "sqs/queuePolicy:QueuePolicy",
    "sqs/redriveAllowPolicy:RedriveAllowPolicy",
    "wafv2/webAclAssociation:WebAclAssociation",
}
EXAMPLES = ("existing-vpc", "private", "production")


@functools.cache
def placed(stack: str) -> Engine:
    """A stack of the repository; `platform` is the one of the tests, without a cluster."""
    if stack == "platform":
        return evaluate(as_text(CONFIG))
    file = "Pulumi.dev.yaml" if stack == "dev" else f"Pulumi.{stack}.yaml.example"
    return evaluate(settings_of(ROOT / file), stack=stack)


def at_aws(engine: Engine) -> list[Declared]:
    return [one for one in engine.declared if one.token.startswith(("aws:", "eks:"))]


@pytest.mark.parametrize("stack", ["platform", "dev", *EXAMPLES])
def test_whatever_takes_tags_names_its_component(stack: str) -> None:
    found = at_aws(placed(stack))
    components = {one.urn: one for one in placed(stack).declared if not one.is_custom}
    assert len(found) > 80
    for one in found:
        if one.token.removeprefix("aws:") in UNTAGGED:
            assert "tags" not in one.inputs
        else:
            layer = components[one.parent].token.split(":")[1]
            assert one.inputs["tags"]["component"].split("-")[-1] in (layer, "nodes"), f"{one.token} {one.name}"


def test_a_components_tag_leaves_what_others_look_for_as_it_is() -> None:
    subnet = placed("dev").named("aws:ec2/subnet:Subnet", "private-0").inputs["tags"]
    assert subnet["karpenter.sh/discovery"] == "sd-async-dev"
    assert (subnet["Name"], subnet["component"]) == ("sd-async-dev-private-0", "network")


def test_nothing_in_kubernetes_gets_tags_that_it_does_not_know() -> None:
    inside = [one for one in placed("dev").declared if one.token.startswith("kubernetes:")]
    assert inside
    assert not [one.name for one in inside if "tags" in one.inputs]


def test_instances_and_disks_that_others_start_carry_all_tags_since_no_provider_gives_them_any() -> None:
    template = placed("dev").named("aws:ec2/launchTemplate:LaunchTemplate", "system").inputs
    gpus = placed("dev").named("kubernetes:karpenter.k8s.aws/v1:EC2NodeClass", "sd-async").inputs["spec"]["tags"]
    given = {one["resourceType"]: one["tags"] for one in template["tagSpecifications"]}
    assert given.keys() == {"instance", "volume"}
    for tags, component in ((given["instance"], "system"), (given["volume"], "system"), (gpus, "gpu")):
        assert (tags["project"], tags["stack"], tags["component"]) == ("sd-async", "dev", component)
