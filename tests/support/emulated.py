"""Whole stacks on the emulator: what it can hold is created and taken away again, the rest is answered with its reason.

Local mode creates what a job needs; here come the network and what else of a cluster the emulator knows.
"""

from dataclasses import dataclass, field
from typing import Any

from local.deploy.aws import Aws, Kind, Made, named
from local.deploy.engine import DeployError
from local.deploy.inputs import Inputs, plain, whole_numbers
from local.deploy.up import KINDS
from local.emulator import ACCOUNT

Json = dict[str, Any]

# By the beginning of their names, kinds that the emulator does not hold; each with the reason.
ANSWERED = {
    "pulumi:providers:": "an address and a sign-in, nothing that is created",
    "kubernetes:": "the emulator has no Kubernetes; the strict checker judges these documents",
    "pulumi-python:dynamic/": "it waits for a build, which runs at AWS only",
    "aws:eks/": "the cluster is made by the provider of another package, and they belong to it",
}
ZONES = ("a", "b", "c", "d")
DIGEST = f"sha256:{'0' * 64}"  # of every image that would have been built


def vpc(aws: Aws, _name: str, given: Inputs) -> Made:
    return aws.client("ec2").create_vpc(CidrBlock=given["cidrBlock"])["Vpc"]["VpcId"], {}


def subnet(aws: Aws, _name: str, given: Inputs) -> Made:
    made = aws.client("ec2").create_subnet(
        VpcId=given["vpcId"], CidrBlock=given["cidrBlock"], AvailabilityZone=given["availabilityZone"]
    )
    return made["Subnet"]["SubnetId"], {}


def internet_gateway(aws: Aws, _name: str, given: Inputs) -> Made:
    ec2 = aws.client("ec2")
    made = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    ec2.attach_internet_gateway(InternetGatewayId=made, VpcId=given["vpcId"])
    return made, {}


def address(aws: Aws, _name: str, given: Inputs) -> Made:
    return aws.client("ec2").allocate_address(Domain=given["domain"])["AllocationId"], {}


def nat_gateway(aws: Aws, _name: str, given: Inputs) -> Made:
    made = aws.client("ec2").create_nat_gateway(SubnetId=given["subnetId"], AllocationId=given["allocationId"])
    return made["NatGateway"]["NatGatewayId"], {}


def route_table(aws: Aws, _name: str, given: Inputs) -> Made:
    return aws.client("ec2").create_route_table(VpcId=given["vpcId"])["RouteTable"]["RouteTableId"], {}


def route(aws: Aws, _name: str, given: Inputs) -> Made:
    gateways = {"GatewayId": "gatewayId", "NatGatewayId": "natGatewayId"}
    through = {argument: given[name] for argument, name in gateways.items() if name in given}
    aws.client("ec2").create_route(
        RouteTableId=given["routeTableId"], DestinationCidrBlock=given["destinationCidrBlock"], **through
    )
    return f"{given['routeTableId']}-{given['destinationCidrBlock']}", {}


def association(aws: Aws, _name: str, given: Inputs) -> Made:
    made = aws.client("ec2").associate_route_table(RouteTableId=given["routeTableId"], SubnetId=given["subnetId"])
    return made["AssociationId"], {}


def security_group(aws: Aws, name: str, given: Inputs) -> Made:
    made = aws.client("ec2").create_security_group(
        GroupName=named(name, given), Description=given.get("description", name), VpcId=given["vpcId"]
    )
    return made["GroupId"], {}


def endpoint(aws: Aws, _name: str, given: Inputs) -> Made:
    kind = given.get("vpcEndpointType", "Gateway")
    places = {"RouteTableIds": plain(given["routeTableIds"])} if kind == "Gateway" else {}
    if kind == "Interface":
        places = {"SubnetIds": plain(given["subnetIds"]), "SecurityGroupIds": plain(given["securityGroupIds"])}
    made = aws.client("ec2").create_vpc_endpoint(
        VpcId=given["vpcId"], ServiceName=given["serviceName"], VpcEndpointType=kind, **places
    )
    return made["VpcEndpoint"]["VpcEndpointId"], {}


def key(aws: Aws, _name: str, given: Inputs) -> Made:
    made = aws.client("kms").create_key(Description=given["description"])["KeyMetadata"]
    return made["KeyId"], {"arn": made["Arn"]}


def instance_profile(aws: Aws, name: str, given: Inputs) -> Made:
    iam, label = aws.client("iam"), named(name, given)
    made = iam.create_instance_profile(InstanceProfileName=label)["InstanceProfile"]
    iam.add_role_to_instance_profile(InstanceProfileName=label, RoleName=given["role"])
    return label, {"name": label, "arn": made["Arn"]}


def flow_log(aws: Aws, _name: str, given: Inputs) -> Made:
    made = aws.client("ec2").create_flow_logs(
        ResourceIds=[given["vpcId"]],
        ResourceType="VPC",
        TrafficType=given["trafficType"],
        LogDestination=given["logDestination"],
        DeliverLogsPermissionArn=given["iamRoleArn"],
    )
    return made["FlowLogIds"][0], {}


def launch_template(aws: Aws, name: str, given: Inputs) -> Made:
    label = named(name, given)
    made = aws.client("ec2").create_launch_template(LaunchTemplateName=label, LaunchTemplateData={})["LaunchTemplate"]
    return made["LaunchTemplateId"], {"latestVersion": made["LatestVersionNumber"]}


def firewall(aws: Aws, name: str, given: Inputs) -> Made:
    """Without its rules, which are written otherwise in the API; the AWS provider judges those."""
    label = named(name, given)
    seen = given["visibilityConfig"]
    made = aws.client("wafv2").create_web_acl(
        Name=label,
        Scope=given["scope"],
        DefaultAction={"Allow": {}},
        VisibilityConfig={
            "SampledRequestsEnabled": seen["sampledRequestsEnabled"],
            "CloudWatchMetricsEnabled": seen["cloudwatchMetricsEnabled"],
            "MetricName": seen["metricName"],
        },
        Rules=[],
    )["Summary"]
    return made["Id"], {"name": label, "arn": made["ARN"]}


def firewall_association(aws: Aws, _name: str, given: Inputs) -> Made:
    aws.client("wafv2").associate_web_acl(WebACLArn=given["webAclArn"], ResourceArn=given["resourceArn"])
    return given["resourceArn"], {}


def budget(aws: Aws, name: str, given: Inputs) -> Made:
    label = named(name, given)
    limit = {"Amount": str(given["limitAmount"]), "Unit": given["limitUnit"]}
    aws.client("budgets").create_budget(
        AccountId=ACCOUNT,
        Budget={
            "BudgetName": label,
            "BudgetLimit": limit,
            "TimeUnit": given["timeUnit"],
            "BudgetType": given["budgetType"],
        },
    )
    return label, {"name": label}


def api_policy(aws: Aws, _name: str, given: Inputs) -> Made:
    change = {"op": "replace", "path": "/policy", "value": given["policy"]}
    aws.client("apigateway").update_rest_api(restApiId=given["restApiId"], patchOperations=[change])
    return given["restApiId"], {}


def builder(aws: Aws, name: str, given: Inputs) -> Made:
    label = named(name, given)
    made = aws.client("codebuild").create_project(
        name=label,
        source={"type": given["source"]["type"], "location": given["source"]["location"]},
        artifacts={"type": given["artifacts"]["type"]},
        environment={
            "type": given["environment"]["type"],
            "image": given["environment"]["image"],
            "computeType": given["environment"]["computeType"],
        },
        serviceRole=given["serviceRole"],
    )
    return made["project"]["arn"], {"name": label, "arn": made["project"]["arn"]}


def rule(aws: Aws, name: str, given: Inputs) -> Made:
    """On a schedule as in local mode, or by a pattern as the controllers' rules are."""
    if "scheduleExpression" in given:
        return KINDS["aws:cloudwatch/eventRule:EventRule"](aws, name, given)
    label = named(name, given)
    made = aws.client("events").put_rule(Name=label, EventPattern=given["eventPattern"])
    return label, {"name": label, "arn": made["RuleArn"]}


MADE: dict[str, Kind] = {
    **{token: kind for token, kind in KINDS.items() if not token.startswith(tuple(ANSWERED))},
    "aws:cloudwatch/eventRule:EventRule": rule,
    "aws:ec2/vpc:Vpc": vpc,
    "aws:ec2/subnet:Subnet": subnet,
    "aws:ec2/internetGateway:InternetGateway": internet_gateway,
    "aws:ec2/eip:Eip": address,
    "aws:ec2/natGateway:NatGateway": nat_gateway,
    "aws:ec2/routeTable:RouteTable": route_table,
    "aws:ec2/route:Route": route,
    "aws:ec2/routeTableAssociation:RouteTableAssociation": association,
    "aws:ec2/securityGroup:SecurityGroup": security_group,
    "aws:ec2/vpcEndpoint:VpcEndpoint": endpoint,
    "aws:ec2/flowLog:FlowLog": flow_log,
    "aws:ec2/launchTemplate:LaunchTemplate": launch_template,
    "aws:wafv2/webAcl:WebAcl": firewall,
    "aws:wafv2/webAclAssociation:WebAclAssociation": firewall_association,
    "aws:budgets/budget:Budget": budget,
    "aws:kms/key:Key": key,
    "aws:apigateway/restApiPolicy:RestApiPolicy": api_policy,
    "aws:codebuild/project:Project": builder,
    "aws:iam/instanceProfile:InstanceProfile": instance_profile,
}


@dataclass(frozen=True)
class Created:
    """One resource on the emulator. state: its inputs, and what the emulator said of it."""

    token: str
    name: str
    id: str
    state: Json


@dataclass
class Whole:
    """A placer for whole stacks, in the order in which the engine asks. answered: kinds that were not created."""

    aws: Aws
    created: list[Created] = field(default_factory=list)
    answered: set[str] = field(default_factory=set)

    def create(self, token: str, name: str, inputs: Json) -> tuple[str, Json]:
        if token not in MADE:
            if not token.startswith(tuple(ANSWERED)):
                raise DeployError(f"`{name}` is of kind {token}: create it in {__name__}, or answer it with a reason.")
            self.answered.add(token)
            return f"{name}-id", {"name": name, "arn": self.aws.arn("nothing", name), "digest": DIGEST}
        given = whole_numbers(inputs)
        made, outputs = MADE[token](self.aws, name, Inputs(given))
        self.created.append(Created(token, name, made, {**given, **outputs}))
        return made, outputs

    def call(self, token: str, arguments: Json) -> Json:
        if token.endswith(":getAvailabilityZones"):
            return {"names": [f"{self.aws.emulator.region}{letter}" for letter in ZONES], "id": "zones"}
        if token.endswith(":getCallerIdentity"):
            return {"accountId": ACCOUNT, "id": ACCOUNT}
        raise DeployError(f"The program calls {token} with {arguments}, which has no answer here.")
