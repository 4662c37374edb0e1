"""What AWS asks for what a stack holds while nobody uses it, each price with the page that says so.

US dollars, us-west-2. Pages of others say what AWS's own pages show only to a browser. The nodes' prices are those of
us-east-1, out of AWS's price list by Karpenter; us-west-2 was not looked up by itself.
"""

from typing import NamedTuple

FACTS = "../shared/facts/prices.md"  # looked up in November 2026
KARPENTER = "https://github.com/aws/karpenter-provider-aws/blob/main/pkg/providers/pricing/zz_generated.pricing_aws.go"
_VPC = "https://www.factualminds.com/blog/amazon-vpc-pricing-endpoints-peering-transit-gateway/"
_WAF = "https://c3x.dev/blog/aws-waf-cost-explained/"
_DASHBOARDS = "https://www.factualminds.com/blog/amazon-cloudwatch-pricing-metrics-logs-alarms-dashboards/"


class Price(NamedTuple):
    """usd: for one unit. source: an address, or the project's facts."""

    usd: float
    unit: str
    source: str


PRICES: dict[str, Price] = {
    "EKS control plane": Price(0.10, "hour", FACTS),
    "NAT gateway": Price(0.045, "hour", FACTS),
    "gp3": Price(0.08, "GB-month", FACTS),
    "g4dn.xlarge": Price(0.526, "hour", FACTS),
    "public IPv4 address": Price(0.005, "hour", _VPC),
    "interface endpoint": Price(0.01, "hour and zone", _VPC),
    "KMS key": Price(1.0, "month", "https://aws.amazon.com/kms/pricing/"),
    "alarm": Price(0.10, "metric and month", "https://c3x.dev/resources/aws/aws_cloudwatch_metric_alarm"),
    "dashboard": Price(3.0, "month", _DASHBOARDS),
    "firewall": Price(5.0, "month", _WAF),
    "firewall rule": Price(1.0, "month", _WAF),
    "t4g.small": Price(0.0168, "hour", KARPENTER),
    "t4g.medium": Price(0.0336, "hour", KARPENTER),
    "t4g.large": Price(0.0672, "hour", KARPENTER),
    "t4g.xlarge": Price(0.1344, "hour", KARPENTER),
    "m6g.medium": Price(0.0385, "hour", KARPENTER),
    "m6g.large": Price(0.077, "hour", KARPENTER),
    "m7g.medium": Price(0.0408, "hour", KARPENTER),
    "m7g.large": Price(0.0816, "hour", KARPENTER),
}
