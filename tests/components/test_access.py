"""Each client has a key and limits of its own; a firewall and a domain are there when they are asked for."""

from typing import Any

import pulumi
import pytest

from components.access import MANAGED_RULES, Access, AccessArgs, rules
from tests.components.example import stack
from tests.support.engine import Engine, build

PLAN, KEY = "aws:apigateway/usagePlan:UsagePlan", "aws:apigateway/apiKey:ApiKey"
MEMBER = "aws:apigateway/usagePlanKey:UsagePlanKey"
DOMAIN, RECORD = "aws:apigateway/domainName:DomainName", "aws:route53/record:Record"
CERTIFICATE = f"arn:aws:acm:us-west-2:123456789012:certificate/{'0' * 8}-0000-0000-0000-{'0' * 12}"
PLACED_BY_DEFAULT = {PLAN, KEY, MEMBER}


def placed(**api: Any) -> Engine:
    url = pulumi.Output.from_input("https://stage")
    return build(lambda: Access("access", AccessArgs(stack(api=api), "rest", "dev", "arn:stage", url)))


def test_without_a_word_there_is_one_client_limited_as_the_api_is() -> None:
    engine = placed(rate_per_s=7, burst=9)
    plan = engine.named(PLAN, "default").inputs
    assert plan["throttleSettings"] == {"rateLimit": 7, "burstLimit": 9}
    assert plan["apiStages"] == [{"apiId": "rest", "stage": "dev"}]
    assert "quotaSettings" not in plan
    assert {one.token for one in engine.declared if one.is_custom} == PLACED_BY_DEFAULT


def test_each_client_has_its_own_key_in_its_own_plan() -> None:
    engine = placed(
        rate_per_s=7, burst=9, clients=[{"name": "shop", "rate": 2, "quota": 500}, {"name": "lab", "burst": 3}]
    )
    shop, lab = (engine.named(PLAN, name).inputs for name in ("shop", "lab"))
    assert shop["throttleSettings"] == {"rateLimit": 2, "burstLimit": 9}
    assert shop["quotaSettings"] == {"limit": 500, "period": "MONTH"}
    assert lab["throttleSettings"] == {"rateLimit": 7, "burstLimit": 3}
    for name in ("shop", "lab"):
        member = engine.named(MEMBER, name).inputs
        assert (member["keyId"], member["usagePlanId"]) == (f"sd-async-dev-{name}-id", f"sd-async-dev-{name}-id")
        assert "value" not in engine.named(KEY, name).inputs, "AWS makes the key: nobody else ever held it"


def test_the_firewall_stands_before_the_stage_and_lets_large_bodies_pass() -> None:
    engine = placed(waf=True)
    [association] = engine.inputs("aws:wafv2/webAclAssociation:WebAclAssociation")
    assert association["resourceArn"] == "arn:stage"
    [firewall] = engine.inputs("aws:wafv2/webAcl:WebAcl")
    assert firewall["defaultAction"] == {"allow": {}}
    assert "AWSManagedRulesCommonRuleSet" not in MANAGED_RULES, "it refuses bodies over 8 KB, which workflows are"


def test_no_two_rules_of_the_firewall_share_a_place_or_a_name() -> None:
    rows: list[Any] = list(rules())
    assert len({row["priority"] for row in rows}) == len({row["name"] for row in rows}) == 3


def test_a_domain_with_its_own_certificate_is_served_without_touching_a_zone() -> None:
    engine = placed(domain={"name": "images.example.com", "certificate_arn": CERTIFICATE})
    domain = engine.named(DOMAIN, "api").inputs
    assert (domain["domainName"], domain["regionalCertificateArn"]) == ("images.example.com", CERTIFICATE)
    assert domain["securityPolicy"] == "TLS_1_2"
    [mapping] = engine.inputs("aws:apigateway/basePathMapping:BasePathMapping")
    assert (mapping["restApi"], mapping["stageName"]) == ("rest", "dev")
    assert engine.inputs(RECORD) == []


def test_a_domain_with_a_zone_gets_a_certificate_that_is_proven_before_it_is_used() -> None:
    engine = placed(domain={"name": "images.example.com", "zone_id": "Z0123"})
    assert engine.waits_for(
        engine.named(DOMAIN, "api"), engine.named("aws:acm/certificateValidation:CertificateValidation", "api")
    )
    assert engine.named(RECORD, "certificate").inputs["type"] == "CNAME"
    alias = engine.named(RECORD, "api").inputs
    assert (alias["name"], alias["zoneId"], alias["type"]) == ("images.example.com", "Z0123", "A")


@pytest.mark.parametrize("api", [{}, {"waf": True}])
def test_everything_belongs_to_the_component(api: dict[str, Any]) -> None:
    engine = placed(**api)
    [component] = [one for one in engine.declared if not one.is_custom]
    assert {one.parent for one in engine.declared if one.is_custom} == {component.urn}
