"""What one runtime's agents may do at AWS: a role that EKS hands to the pods of its service account."""

import json
from dataclasses import dataclass

import pulumi
from pulumi_aws import eks, iam

from components import cluster_policies, naming, policies
from components.cluster_policies import AgentArns
from components.settings import Settings
from components.settings_runtimes import RuntimeSettings


@dataclass(frozen=True, kw_only=True)
class RuntimeAccessArgs:
    settings: Settings
    runtime: RuntimeSettings
    cluster: str
    queue_arn: pulumi.Input[str]
    jobs_table_arn: pulumi.Input[str]
    input_bucket_arn: pulumi.Input[str]
    output_bucket_arn: pulumi.Input[str]
    models_bucket_arn: pulumi.Input[str]
    results_topic_arn: pulumi.Input[str]


class RuntimeAccess(pulumi.ComponentResource):
    """Stands apart from the release, since agents that end need it until their node is gone.

    bound: what the release and the nodes wait for.
    """

    def __init__(self, name: str, args: RuntimeAccessArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("sd:runtime:Access", name, None, opts)
        below, runtime = pulumi.ResourceOptions(parent=self), args.runtime.name
        role = iam.Role(
            name,
            name=naming.agent_role(args.settings, runtime),
            assume_role_policy=json.dumps(cluster_policies.pod_identity()),
            opts=below,
        )
        arns = pulumi.Output.all(
            queue=args.queue_arn,
            table=args.jobs_table_arn,
            input_bucket=args.input_bucket_arn,
            output_bucket=args.output_bucket_arn,
            # an image that brings its models has nothing to read there
            models=None if args.runtime.models.mode == "image" else args.models_bucket_arn,
            results_topic=args.results_topic_arn,
        )
        partition = policies.partition(args.settings.region)
        files = tuple(f"arn:{partition}:s3:::{bucket}" for bucket in args.settings.storage.file_buckets)
        allowed = iam.RolePolicy(
            name,
            role=role.name,
            policy=arns.apply(
                lambda known: json.dumps(cluster_policies.agent(AgentArns(**known, files=files), runtime))
            ),
            opts=below,
        )
        association = eks.PodIdentityAssociation(
            name,
            cluster_name=args.cluster,
            namespace=args.settings.kubernetes.namespace,
            service_account=runtime,  # the chart names it after its release
            role_arn=role.arn,
            opts=below,
        )
        self.bound: list[pulumi.Resource] = [allowed, association]
        self.register_outputs({})
