"""What AWS asks for what a stack holds while nobody uses it, each price with the page that says so.

US dollars, us-west-2. Pages of others say what AWS's own pages show only to a browser. The nodes' prices are those of
us-east-1, out of AWS's price list by Karpenter (of July 2026); us-west-2 was not looked up by itself.
"""

from typing import NamedTuple

FACTS = "../shared/facts/prices.md"  # looked up in November 2026
KARPENTER = "https://github.com/aws/karpenter-provider-aws/blob/main/pkg/providers/pricing/zz_generated.pricing_aws.go"
_VPC = "https://www.factualminds.com/blog/amazon-vpc-pricing-endpoints-peering-transit-gateway/"
_WAF = "https://c3x.dev/blog/aws-waf-cost-explained/"
_METRICS = "https://c3x.dev/blog/aws-cloudwatch-metrics-cost/"
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
    "custom metric": Price(0.30, "metric and month", _METRICS),
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


class GpuMachine(NamedTuple):
    """usd: for an hour on demand. gpus: of one machine (EC2 user guide, "Accelerated computing")."""

    usd: float
    gpus: int


# Every type of the families that a pool may name, from KARPENTER.
GPU_MACHINES: dict[str, GpuMachine] = {
    "g4dn.xlarge": GpuMachine(0.526, 1),
    "g4dn.2xlarge": GpuMachine(0.752, 1),
    "g4dn.4xlarge": GpuMachine(1.204, 1),
    "g4dn.8xlarge": GpuMachine(2.176, 1),
    "g4dn.16xlarge": GpuMachine(4.352, 1),
    "g4dn.12xlarge": GpuMachine(3.912, 4),
    "g4dn.metal": GpuMachine(7.824, 8),
    "g5.xlarge": GpuMachine(1.006, 1),
    "g5.2xlarge": GpuMachine(1.212, 1),
    "g5.4xlarge": GpuMachine(1.624, 1),
    "g5.8xlarge": GpuMachine(2.448, 1),
    "g5.16xlarge": GpuMachine(4.096, 1),
    "g5.12xlarge": GpuMachine(5.672, 4),
    "g5.24xlarge": GpuMachine(8.144, 4),
    "g5.48xlarge": GpuMachine(16.288, 8),
    "g6.xlarge": GpuMachine(0.8048, 1),
    "g6.2xlarge": GpuMachine(0.9776, 1),
    "g6.4xlarge": GpuMachine(1.3232, 1),
    "g6.8xlarge": GpuMachine(2.0144, 1),
    "g6.16xlarge": GpuMachine(3.3968, 1),
    "g6.12xlarge": GpuMachine(4.6016, 4),
    "g6.24xlarge": GpuMachine(6.6752, 4),
    "g6.48xlarge": GpuMachine(13.3504, 8),
    "g6e.xlarge": GpuMachine(1.861, 1),
    "g6e.2xlarge": GpuMachine(2.24208, 1),
    "g6e.4xlarge": GpuMachine(3.00424, 1),
    "g6e.8xlarge": GpuMachine(4.52856, 1),
    "g6e.16xlarge": GpuMachine(7.57719, 1),
    "g6e.12xlarge": GpuMachine(10.49264, 4),
    "g6e.24xlarge": GpuMachine(15.06559, 4),
    "g6e.48xlarge": GpuMachine(30.13118, 8),
    "p4d.24xlarge": GpuMachine(21.957642, 8),
    "p5.4xlarge": GpuMachine(6.88, 1),
    "p5.48xlarge": GpuMachine(55.04, 8),
}
