"""The EKS cluster with what it can't be without: its key, its log, system nodes, add-ons and its administrators."""

import json
from dataclasses import dataclass

import pulumi
import pulumi_eks as eks
from pulumi_aws import cloudwatch, ec2, iam, kms
from pulumi_aws import eks as aws_eks

from components import cluster_policies, image_policies, naming, policies
from components.interface_provider import InterfaceSweep
from components.settings import Settings

ADMIN_POLICY = "AmazonEKSClusterAdminPolicy"
# Bottlerocket keeps its system on the first volume and images and logs on the second (Bottlerocket, "Storage").
ROOT_VOLUME, DATA_VOLUME = ("/dev/xvda", 4), ("/dev/xvdb", 30)  # device, GiB
SYSTEM_LABEL = {"sd-async/nodes": "system"}


@dataclass(frozen=True, kw_only=True)
class ClusterArgs:
    settings: Settings
    vpc_id: pulumi.Input[str]
    private_subnet_ids: list[pulumi.Input[str]]
    public_subnet_ids: list[pulumi.Input[str]]


class Cluster(pulumi.ComponentResource):
    """name: of the cluster, known before it exists. kubeconfig: text that needs the AWS CLI to sign in.

    ready: what has to be there before anything is installed into the cluster.
    """

    def __init__(self, name: str, args: ClusterArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("sd:cluster:Cluster", name, None, opts)
        self._args, self._settings = args, args.settings.cluster
        self.name = naming.cluster(args.settings)
        self._below = pulumi.ResourceOptions(parent=self)
        self._eks = self._control_plane()
        self._inside = pulumi.ResourceOptions(parent=self, depends_on=[self._eks])
        self.kubeconfig: pulumi.Output[str] = pulumi.Output.secret(self._eks.kubeconfig_json)
        self._admins()
        before_nodes = self._first_addons()
        nodes = self._nodes(before_nodes)
        self.ready: list[pulumi.Resource] = [nodes, *before_nodes, *self._later_addons(nodes)]
        self.register_outputs({})

    def _control_plane(self) -> eks.Cluster:
        settings, args = self._settings, self._args
        key = kms.Key(
            "cluster",
            description=f"Kubernetes secrets of {self.name}",
            enable_key_rotation=True,
            deletion_window_in_days=7,
            opts=self._below,
        )
        # Made here, or EKS makes it with no end to what it keeps and leaves it behind
        group = cloudwatch.LogGroup(
            "cluster",
            name=f"/aws/eks/{self.name}/cluster",
            retention_in_days=settings.log_retention_days,
            opts=self._below,
        )
        return eks.Cluster(
            "cluster",
            name=self.name,
            version=settings.version,
            vpc_id=args.vpc_id,
            private_subnet_ids=args.private_subnet_ids,
            public_subnet_ids=args.public_subnet_ids or None,
            authentication_mode=eks.AuthenticationMode.API,
            endpoint_private_access=settings.private_access,
            endpoint_public_access=settings.public_access,
            public_access_cidrs=list(settings.public_cidrs) if settings.public_access else None,
            enabled_cluster_log_types=list(settings.logs),
            encryption_config_key_arn=key.arn,
            create_oidc_provider=False,
            skip_default_node_group=True,
            skip_default_security_groups=True,
            # These three come as pinned add-ons below
            use_default_vpc_cni=True,
            bootstrap_self_managed_addons=False,
            coredns_addon_options=eks.CoreDnsAddonOptionsArgs(enabled=False),
            kube_proxy_addon_options=eks.KubeProxyAddonOptionsArgs(enabled=False),
            opts=pulumi.ResourceOptions(parent=self, depends_on=[group]),
        )

    def _admins(self) -> None:
        partition = policies.partition(self._args.settings.region)
        for index, principal in enumerate(self._settings.admins):
            label = f"admin-{index}"
            entry = aws_eks.AccessEntry(label, cluster_name=self.name, principal_arn=principal, opts=self._inside)
            aws_eks.AccessPolicyAssociation(
                label,
                cluster_name=self.name,
                principal_arn=principal,
                policy_arn=f"arn:{partition}:eks::aws:cluster-access-policy/{ADMIN_POLICY}",
                access_scope={"type": "cluster"},
                opts=pulumi.ResourceOptions(parent=self, depends_on=[entry]),
            )

    def _first_addons(self) -> list[pulumi.Resource]:
        """What a node needs to become ready."""
        versions = self._settings.addons
        role = iam.Role(
            "vpc-cni",
            name=naming.prefixed(self._args.settings, "vpc-cni"),
            assume_role_policy=json.dumps(cluster_policies.pod_identity()),
            opts=self._below,
        )
        [arn] = cluster_policies.managed(self._args.settings.region, "AmazonEKS_CNI_Policy")
        attached = iam.RolePolicyAttachment("vpc-cni", role=role.name, policy_arn=arn, opts=self._below)
        bound = aws_eks.PodIdentityAssociation(
            "vpc-cni",
            cluster_name=self.name,
            namespace="kube-system",
            service_account="aws-node",
            role_arn=role.arn,
            opts=pulumi.ResourceOptions(parent=self, depends_on=[self._eks, attached]),
        )
        agent = self._addon("eks-pod-identity-agent", versions.pod_identity_agent, [])
        network = {"enableNetworkPolicy": "true", "env": {"ENABLE_PREFIX_DELEGATION": "true"}}
        return [
            agent,
            self._addon("kube-proxy", versions.kube_proxy, []),
            self._addon("vpc-cni", versions.vpc_cni, [bound, agent, self._sweep()], json.dumps(network)),
        ]

    def _sweep(self) -> InterfaceSweep:
        """Goes after nodes and their network plugin, with what these left, and before the cluster's security group."""
        region, profile = self._args.settings.region, pulumi.Config("aws").get("profile")
        return InterfaceSweep(
            "interfaces", {"cluster": self.name, "region": region, "profile": profile}, opts=self._inside
        )

    def _later_addons(self, nodes: pulumi.Resource) -> list[pulumi.Resource]:
        """What runs as ordinary pods, so that it is not healthy before there is a node."""
        versions = self._settings.addons
        return [
            self._addon("coredns", versions.coredns, [nodes]),
            self._addon("metrics-server", versions.metrics_server, [nodes]),
            self._addon("aws-mountpoint-s3-csi-driver", versions.mountpoint_s3, [nodes], json.dumps(MOUNTPOINT_VALUES)),
        ]

    def _addon(
        self, addon: str, version: str, after: list[pulumi.Resource], values: str | None = None
    ) -> aws_eks.Addon:
        return aws_eks.Addon(
            addon,
            cluster_name=self.name,
            addon_name=addon,
            addon_version=version,
            configuration_values=values,
            resolve_conflicts_on_create="OVERWRITE",
            resolve_conflicts_on_update="OVERWRITE",
            opts=pulumi.ResourceOptions(parent=self, depends_on=[self._eks, *after]),
        )

    def _nodes(self, after: list[pulumi.Resource]) -> aws_eks.NodeGroup:
        settings, own = self._args.settings, self._settings
        role = iam.Role(
            "system",
            name=naming.prefixed(settings, "system"),
            assume_role_policy=json.dumps(policies.assumed_by("ec2.amazonaws.com")),
            opts=self._below,
        )
        may = [
            iam.RolePolicyAttachment(f"system-{name}", role=role.name, policy_arn=arn, opts=self._below)
            for name, arn in zip(
                cluster_policies.NODE_POLICIES,
                cluster_policies.managed(settings.region, *cluster_policies.NODE_POLICIES),
                strict=True,
            )
        ]
        if settings.images.caches:
            caches = json.dumps(image_policies.cache_puller(settings))
            iam.RolePolicy("system-caches", role=role.name, policy=caches, opts=self._below)
        template = self._template()
        return aws_eks.NodeGroup(
            "system",
            cluster_name=self.name,
            node_group_name=naming.prefixed(settings, "system"),
            node_role_arn=role.arn,
            subnet_ids=self._args.private_subnet_ids,
            ami_type="BOTTLEROCKET_ARM_64",
            instance_types=[own.node_type],
            scaling_config={"desired_size": own.nodes, "min_size": own.nodes, "max_size": own.nodes + 1},
            update_config={"max_unavailable": 1},
            labels=SYSTEM_LABEL,
            launch_template={"id": template.id, "version": template.latest_version.apply(str)},
            opts=pulumi.ResourceOptions(parent=self, depends_on=[self._eks, *may, *after]),
        )

    def _template(self) -> ec2.LaunchTemplate:
        settings = self._args.settings
        return ec2.LaunchTemplate(
            "system",
            name=naming.prefixed(settings, "system"),
            # One hop: what runs in a pod can't take the node's role
            metadata_options={"http_tokens": "required", "http_put_response_hop_limit": 1},
            block_device_mappings=[_volume(*ROOT_VOLUME), _volume(*DATA_VOLUME)],
            tag_specifications=[
                {"resource_type": kind, "tags": naming.node_tags(settings, "system")} for kind in ("instance", "volume")
            ],
            opts=self._below,
        )


# Its node part has to run on GPU nodes, whatever their taints, of which it takes one off (nodepools.MOUNT_TAINT).
MOUNTPOINT_VALUES = {"node": {"tolerateAllTaints": True}}


def _volume(device: str, size_gib: int) -> ec2.LaunchTemplateBlockDeviceMappingArgsDict:
    return {
        "device_name": device,
        "ebs": {"volume_size": size_gib, "volume_type": "gp3", "encrypted": "true", "delete_on_termination": "true"},
    }
