"""Who may call the API, and under which name: keys and usage plans by client, AWS WAF, a domain of one's own."""

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
from pulumi_aws import acm, apigateway, route53, wafv2

from components import naming
from components.settings import Settings
from components.settings_platform import ClientSettings, DomainSettings

# AWS's rules about senders and known attacks. Its common rule set is left out: it refuses bodies over 8 KB, which
# workflows are, and texts that look like code, which prompts may.
MANAGED_RULES = ("AWSManagedRulesAmazonIpReputationList", "AWSManagedRulesKnownBadInputsRuleSet")
REQUESTS_PER_ADDRESS = 2000  # in five minutes; a person who polls once a second is well below it


@dataclass(frozen=True)
class AccessArgs:
    """The stage that clients call. stage_url: base URL without a slash at its end."""

    settings: Settings
    rest_api_id: pulumi.Input[str]
    stage_name: pulumi.Input[str]
    stage_arn: pulumi.Input[str]
    stage_url: pulumi.Output[str]


class Access(pulumi.ComponentResource):
    """keys: secret, by the client's name. endpoint: the URL that clients are given."""

    keys: Mapping[str, pulumi.Output[str]]
    endpoint: pulumi.Output[str]

    def __init__(self, name: str, args: AccessArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("sd:access:Access", name, None, opts)
        self._args, self._child = args, pulumi.ResourceOptions(parent=self)
        api = args.settings.api
        self.keys = {client.name: self._key(client) for client in api.clients}
        self.endpoint = self._domain(api.domain) if api.domain else args.stage_url
        if api.waf:
            self._firewall()
        self.register_outputs({})

    def _key(self, client: ClientSettings) -> pulumi.Output[str]:
        api, label = self._args.settings.api, naming.prefixed(self._args.settings, client.name)
        plan = apigateway.UsagePlan(
            client.name,
            name=label,
            api_stages=[{"api_id": self._args.rest_api_id, "stage": self._args.stage_name}],
            throttle_settings={
                "rate_limit": client.rate or api.rate_per_s,
                "burst_limit": client.burst or api.burst,
            },
            quota_settings={"limit": client.quota, "period": "MONTH"} if client.quota else None,
            opts=self._child,
        )
        key = apigateway.ApiKey(client.name, name=label, opts=self._child)
        apigateway.UsagePlanKey(client.name, key_id=key.id, key_type="API_KEY", usage_plan_id=plan.id, opts=self._child)
        return pulumi.Output.secret(key.value)

    def _firewall(self) -> None:
        label = naming.prefixed(self._args.settings, "api")
        firewall = wafv2.WebAcl(
            "api",
            name=label,
            scope="REGIONAL",
            default_action={"allow": {}},
            rules=rules(),
            visibility_config=_seen("all"),
            opts=self._child,
        )
        wafv2.WebAclAssociation("api", resource_arn=self._args.stage_arn, web_acl_arn=firewall.arn, opts=self._child)

    def _domain(self, domain: DomainSettings) -> pulumi.Output[str]:
        named = apigateway.DomainName(
            "api",
            domain_name=domain.name,
            regional_certificate_arn=domain.certificate_arn or self._certificate(domain),
            endpoint_configuration={"types": "REGIONAL"},
            security_policy="TLS_1_2",
            opts=self._child,
        )
        mapped = apigateway.BasePathMapping(
            "api",
            rest_api=self._args.rest_api_id,
            stage_name=self._args.stage_name,
            domain_name=named.domain_name,
            opts=self._child,
        )
        if domain.zone_id:
            alias: route53.RecordAliasArgsDict = {
                "name": named.regional_domain_name,
                "zone_id": named.regional_zone_id,
                "evaluate_target_health": False,
            }
            route53.Record("api", zone_id=domain.zone_id, name=domain.name, type="A", aliases=[alias], opts=self._child)
        return pulumi.Output.concat("https://", mapped.domain_name)

    def _certificate(self, domain: DomainSettings) -> pulumi.Output[str]:
        """A certificate that is proven: API Gateway refuses one that is still waiting for it."""
        wanted = acm.Certificate("api", domain_name=domain.name, validation_method="DNS", opts=self._child)
        proof = wanted.domain_validation_options[0]
        record = route53.Record(
            "certificate",
            zone_id=str(domain.zone_id),
            name=proof.resource_record_name.apply(str),
            type=proof.resource_record_type.apply(str),
            records=[proof.resource_record_value.apply(str)],
            ttl=60,
            opts=self._child,
        )
        return acm.CertificateValidation(
            "api", certificate_arn=wanted.arn, validation_record_fqdns=[record.fqdn], opts=self._child
        ).certificate_arn


def rules() -> list[wafv2.WebAclRuleArgsDict]:
    """Rows of the firewall: AWS's own rule groups, then a limit for each address."""
    managed: list[wafv2.WebAclRuleArgsDict] = [
        {
            "name": name,
            "priority": priority,
            "override_action": {"none": {}},
            "statement": {"managed_rule_group_statement": {"name": name, "vendor_name": "AWS"}},
            "visibility_config": _seen(name),
        }
        for priority, name in enumerate(MANAGED_RULES)
    ]
    limit: wafv2.WebAclRuleArgsDict = {
        "name": "address-limit",
        "priority": len(managed),
        "action": {"block": {}},
        "statement": {"rate_based_statement": {"limit": REQUESTS_PER_ADDRESS, "aggregate_key_type": "IP"}},
        "visibility_config": _seen("address-limit"),
    }
    return [*managed, limit]


def _seen(metric: str) -> wafv2.WebAclVisibilityConfigArgsDict:
    return {"cloudwatch_metrics_enabled": True, "metric_name": metric, "sampled_requests_enabled": False}
