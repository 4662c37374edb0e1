"""The VPC: public and private subnets over the zones, the ways out, and the endpoints of AWS's services."""

import json
from dataclasses import dataclass
from ipaddress import IPv4Network

import pulumi
from pulumi_aws import cloudwatch, ec2, get_availability_zones_output, iam

from components import addressing, cluster_policies, naming, policies
from components.settings import Settings

GATEWAY_SERVICES = ("s3", "dynamodb")  # their endpoints cost nothing and keep images and records off the NAT


@dataclass(frozen=True)
class NetworkArgs:
    settings: Settings


class Network(pulumi.ComponentResource):
    """vpc_id, private_subnet_ids, public_subnet_ids: of a new VPC, or of the one that the settings name.

    endpoint_ids: of the interface endpoints in a new VPC, by service.
    """

    vpc_id: pulumi.Input[str]
    private_subnet_ids: list[pulumi.Input[str]]
    public_subnet_ids: list[pulumi.Input[str]]
    endpoint_ids: dict[str, pulumi.Output[str]]

    def __init__(self, name: str, args: NetworkArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("sd:network:Network", name, None, opts)
        self._settings, self._network = args.settings, args.settings.network
        self._below = pulumi.ResourceOptions(parent=self)
        self.endpoint_ids = {}
        if self._network.vpc_id:
            self.vpc_id = self._network.vpc_id
            self.private_subnet_ids = list(self._network.private_subnet_ids)
            self.public_subnet_ids = list(self._network.public_subnet_ids)
        else:
            self._place(addressing.vpc_range(self._network.cidr))
        self.register_outputs({})

    def _place(self, vpc_range: IPv4Network) -> None:
        self._vpc = ec2.Vpc(
            "vpc",
            cidr_block=str(vpc_range),
            enable_dns_hostnames=True,
            enable_dns_support=True,
            tags=self._tags("vpc"),
            opts=self._below,
        )
        self.vpc_id = self._vpc.id
        self._zone_names = get_availability_zones_output(
            state="available",
            # Local and wavelength zones have no gateways and no load balancers
            filters=[{"name": "opt-in-status", "values": ["opt-in-not-required"]}],
            opts=pulumi.InvokeOutputOptions(parent=self),
        ).names
        zones = range(self._network.zones)
        public = [self._subnet(vpc_range, zone, is_public=True) for zone in zones]
        private = [self._subnet(vpc_range, zone, is_public=False) for zone in zones]
        self.public_subnet_ids = [subnet.id for subnet in public]
        self.private_subnet_ids = [subnet.id for subnet in private]
        tables = self._routes(public, private)
        self._endpoints(tables, vpc_range)
        if self._network.flow_logs:
            self._flow_logs()

    def _subnet(self, vpc_range: IPv4Network, zone: int, *, is_public: bool) -> ec2.Subnet:
        label = f"{'public' if is_public else 'private'}-{zone}"
        role = {"kubernetes.io/role/elb": "1"} if is_public else {"kubernetes.io/role/internal-elb": "1"}
        discovery = {} if is_public else naming.discovery(self._settings)
        return ec2.Subnet(
            label,
            vpc_id=self._vpc.id,
            cidr_block=str(addressing.subnet_for(vpc_range, zone, is_public=is_public)),
            availability_zone=self._zone_names.apply(lambda names: names[zone]),
            tags=self._tags(label) | role | discovery,
            opts=self._below,
        )

    def _routes(self, public: list[ec2.Subnet], private: list[ec2.Subnet]) -> list[ec2.RouteTable]:
        """Route tables of the private subnets, each with its way out where there is one."""
        internet = ec2.InternetGateway("internet", vpc_id=self._vpc.id, tags=self._tags("internet"), opts=self._below)
        outward = self._table("public", public)
        ec2.Route(
            "public", route_table_id=outward.id, destination_cidr_block="0.0.0.0/0", gateway_id=internet.id,
            opts=self._below,
        )  # fmt: skip
        tables = [self._table(f"private-{zone}", [subnet]) for zone, subnet in enumerate(private)]
        wanted = {"none": 0, "single": 1, "per-zone": self._network.zones}[self._network.nat]
        gateways = [self._nat(zone, public[zone], internet) for zone in range(wanted)]
        for zone, table in enumerate(tables if gateways else []):
            ec2.Route(
                f"private-{zone}",
                route_table_id=table.id,
                destination_cidr_block="0.0.0.0/0",
                nat_gateway_id=gateways[min(zone, wanted - 1)].id,
                opts=self._below,
            )
        return tables

    def _table(self, label: str, subnets: list[ec2.Subnet]) -> ec2.RouteTable:
        table = ec2.RouteTable(label, vpc_id=self._vpc.id, tags=self._tags(label), opts=self._below)
        for index, subnet in enumerate(subnets):
            name = f"{label}-{index}" if len(subnets) > 1 else label
            ec2.RouteTableAssociation(name, route_table_id=table.id, subnet_id=subnet.id, opts=self._below)
        return table

    def _nat(self, zone: int, subnet: ec2.Subnet, internet: ec2.InternetGateway) -> ec2.NatGateway:
        label = f"nat-{zone}"
        # A public address can only be used while the VPC has its gateway, and must be gone before it
        after = pulumi.ResourceOptions(parent=self, depends_on=[internet])
        address = ec2.Eip(label, domain="vpc", tags=self._tags(label), opts=after)
        return ec2.NatGateway(
            label, allocation_id=address.id, subnet_id=subnet.id, tags=self._tags(label), opts=after
        )  # fmt: skip

    def _endpoints(self, tables: list[ec2.RouteTable], vpc_range: IPv4Network) -> None:
        for service in GATEWAY_SERVICES:
            ec2.VpcEndpoint(
                service,
                vpc_id=self._vpc.id,
                service_name=f"com.amazonaws.{self._settings.region}.{service}",
                vpc_endpoint_type="Gateway",
                route_table_ids=[table.id for table in tables],
                tags=self._tags(service),
                opts=self._below,
            )
        if not self._settings.interface_endpoints:
            return
        group = ec2.SecurityGroup(
            "endpoints",
            vpc_id=self._vpc.id,
            description="HTTPS from the VPC to the endpoints of AWS services",
            ingress=[{"protocol": "tcp", "from_port": 443, "to_port": 443, "cidr_blocks": [str(vpc_range)]}],
            tags=self._tags("endpoints"),
            opts=self._below,
        )
        for service in self._settings.interface_endpoints:
            self.endpoint_ids[service] = ec2.VpcEndpoint(
                service,
                vpc_id=self._vpc.id,
                service_name=f"com.amazonaws.{self._settings.region}.{service}",
                vpc_endpoint_type="Interface",
                private_dns_enabled=True,
                subnet_ids=self.private_subnet_ids,
                security_group_ids=[group.id],
                tags=self._tags(service),
                opts=self._below,
            ).id

    def _flow_logs(self) -> None:
        name = naming.prefixed(self._settings, "flow-logs")
        group = cloudwatch.LogGroup(
            "flow-logs",
            name=f"/aws/vpc/{name}",
            retention_in_days=self._network.log_retention_days,
            opts=self._below,
        )
        trust = json.dumps(policies.assumed_by(cluster_policies.FLOW_LOGS_SERVICE))
        role = iam.Role("flow-logs", name=name, assume_role_policy=trust, opts=self._below)
        allowed = iam.RolePolicy(
            "flow-logs",
            role=role.name,
            policy=group.arn.apply(lambda arn: json.dumps(cluster_policies.flow_logs_writer(arn))),
            opts=self._below,
        )
        ec2.FlowLog(
            "flow-logs",
            vpc_id=self._vpc.id,
            traffic_type="ALL",
            log_destination=group.arn,
            iam_role_arn=role.arn,
            tags=self._tags("flow-logs"),
            opts=pulumi.ResourceOptions(parent=self, depends_on=[allowed]),
        )

    def _tags(self, label: str) -> dict[str, str]:
        return {"Name": naming.prefixed(self._settings, label)}
