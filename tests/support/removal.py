"""A stack taken away from the emulator, last made first, as `pulumi destroy` does, and what is left of it then."""

from collections.abc import Callable, Iterator

from local.deploy.aws import Aws
from local.emulator import ACCOUNT
from tests.support.emulated import Created

Remove = Callable[[Aws, Created], object]

# What these set is part of another resource and goes with it.
GO_WITH_ANOTHER = {
    "aws:apigateway/account:Account",  # the region's, which AWS keeps
    "aws:apigateway/deployment:Deployment",  # the API's, whose stage holds it
    "aws:apigateway/integration:Integration",
    "aws:apigateway/method:Method",
    "aws:apigateway/methodSettings:MethodSettings",
    "aws:apigateway/resource:Resource",
    "aws:apigateway/response:Response",
    "aws:apigateway/restApiPolicy:RestApiPolicy",
    "aws:ec2/route:Route",
    "aws:ecr/lifecyclePolicy:LifecyclePolicy",
    "aws:lambda/permission:Permission",
    "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration",
    "aws:s3/bucketPolicy:BucketPolicy",
    "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock",
    "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration",
    "aws:s3/bucketVersioning:BucketVersioning",
    "aws:sns/topicPolicy:TopicPolicy",
    "aws:sqs/queuePolicy:QueuePolicy",
    "aws:sqs/redriveAllowPolicy:RedriveAllowPolicy",
}


def by(service: str, operation: str, argument: str) -> Remove:
    """Most are removed by one call with their id."""
    return lambda aws, one: getattr(aws.client(service), operation)(**{argument: one.id})


def _target(aws: Aws, one: Created) -> None:
    aws.client("events").remove_targets(Rule=one.state["rule"], Ids=[one.state["targetId"]])


def _role_policy(aws: Aws, one: Created) -> None:
    aws.client("iam").delete_role_policy(RoleName=one.state["role"], PolicyName=one.state["name"])


def _attachment(aws: Aws, one: Created) -> None:
    aws.client("iam").detach_role_policy(RoleName=one.state["role"], PolicyArn=one.state["policyArn"])


def _instance_profile(aws: Aws, one: Created) -> None:
    aws.client("iam").remove_role_from_instance_profile(InstanceProfileName=one.id, RoleName=one.state["role"])
    aws.client("iam").delete_instance_profile(InstanceProfileName=one.id)


def _stage(aws: Aws, one: Created) -> None:
    aws.client("apigateway").delete_stage(restApiId=one.state["restApi"], stageName=one.state["stageName"])


def _plan_key(aws: Aws, one: Created) -> None:
    aws.client("apigateway").delete_usage_plan_key(usagePlanId=one.state["usagePlanId"], keyId=one.id)


def _usage_plan(aws: Aws, one: Created) -> None:
    aws.client("apigateway").delete_usage_plan(usagePlanId=one.id)


def _internet_gateway(aws: Aws, one: Created) -> None:
    aws.client("ec2").detach_internet_gateway(InternetGatewayId=one.id, VpcId=one.state["vpcId"])
    aws.client("ec2").delete_internet_gateway(InternetGatewayId=one.id)


def _key(aws: Aws, one: Created) -> None:
    aws.client("kms").schedule_key_deletion(KeyId=one.id, PendingWindowInDays=one.state["deletionWindowInDays"])


def _firewall(aws: Aws, one: Created) -> None:
    named = {"Name": one.state["name"], "Scope": one.state["scope"], "Id": one.id}
    aws.client("wafv2").delete_web_acl(**named, LockToken=aws.client("wafv2").get_web_acl(**named)["LockToken"])


REMOVE: dict[str, Remove] = {
    "aws:apigateway/apiKey:ApiKey": by("apigateway", "delete_api_key", "apiKey"),
    "aws:apigateway/restApi:RestApi": by("apigateway", "delete_rest_api", "restApiId"),
    "aws:apigateway/stage:Stage": _stage,
    "aws:apigateway/usagePlan:UsagePlan": _usage_plan,
    "aws:apigateway/usagePlanKey:UsagePlanKey": _plan_key,
    "aws:budgets/budget:Budget": lambda aws, one: aws.client("budgets").delete_budget(
        AccountId=ACCOUNT, BudgetName=one.id
    ),
    "aws:cloudwatch/dashboard:Dashboard": lambda aws, one: aws.client("cloudwatch").delete_dashboards(
        DashboardNames=[one.id]
    ),
    "aws:cloudwatch/eventRule:EventRule": by("events", "delete_rule", "Name"),
    "aws:cloudwatch/eventTarget:EventTarget": _target,
    "aws:cloudwatch/logGroup:LogGroup": by("logs", "delete_log_group", "logGroupName"),
    "aws:cloudwatch/metricAlarm:MetricAlarm": lambda aws, one: aws.client("cloudwatch").delete_alarms(
        AlarmNames=[one.id]
    ),
    "aws:codebuild/project:Project": lambda aws, one: aws.client("codebuild").delete_project(name=one.state["name"]),
    "aws:dynamodb/table:Table": by("dynamodb", "delete_table", "TableName"),
    "aws:ec2/eip:Eip": by("ec2", "release_address", "AllocationId"),
    "aws:ec2/flowLog:FlowLog": lambda aws, one: aws.client("ec2").delete_flow_logs(FlowLogIds=[one.id]),
    "aws:ec2/internetGateway:InternetGateway": _internet_gateway,
    "aws:ec2/launchTemplate:LaunchTemplate": by("ec2", "delete_launch_template", "LaunchTemplateId"),
    "aws:ec2/natGateway:NatGateway": by("ec2", "delete_nat_gateway", "NatGatewayId"),
    "aws:ec2/routeTable:RouteTable": by("ec2", "delete_route_table", "RouteTableId"),
    "aws:ec2/routeTableAssociation:RouteTableAssociation": by("ec2", "disassociate_route_table", "AssociationId"),
    "aws:ec2/securityGroup:SecurityGroup": by("ec2", "delete_security_group", "GroupId"),
    "aws:ec2/subnet:Subnet": by("ec2", "delete_subnet", "SubnetId"),
    "aws:ec2/vpc:Vpc": by("ec2", "delete_vpc", "VpcId"),
    "aws:ec2/vpcEndpoint:VpcEndpoint": lambda aws, one: aws.client("ec2").delete_vpc_endpoints(VpcEndpointIds=[one.id]),
    "aws:ecr/repository:Repository": by("ecr", "delete_repository", "repositoryName"),
    "aws:iam/instanceProfile:InstanceProfile": _instance_profile,
    "aws:iam/role:Role": by("iam", "delete_role", "RoleName"),
    "aws:iam/rolePolicy:RolePolicy": _role_policy,
    "aws:iam/rolePolicyAttachment:RolePolicyAttachment": _attachment,
    "aws:kms/key:Key": _key,
    "aws:lambda/eventSourceMapping:EventSourceMapping": by("lambda", "delete_event_source_mapping", "UUID"),
    "aws:lambda/function:Function": by("lambda", "delete_function", "FunctionName"),
    "aws:s3/bucket:Bucket": by("s3", "delete_bucket", "Bucket"),
    "aws:sns/topic:Topic": by("sns", "delete_topic", "TopicArn"),
    "aws:sns/topicSubscription:TopicSubscription": by("sns", "unsubscribe", "SubscriptionArn"),
    "aws:sqs/queue:Queue": by("sqs", "delete_queue", "QueueUrl"),
    "aws:wafv2/webAcl:WebAcl": _firewall,
    "aws:wafv2/webAclAssociation:WebAclAssociation": by("wafv2", "disassociate_web_acl", "ResourceArn"),
}


def remove(aws: Aws, created: list[Created]) -> None:
    """All of it, last made first. Raises: KeyError for a kind without a way out; what the emulator refuses."""
    for one in reversed(created):
        if one.token not in GO_WITH_ANOTHER:
            REMOVE[one.token](aws, one)


# What an account is asked for, and where in the answer it stands.
LISTS = (
    ("sqs", "list_queues", "QueueUrls"),
    ("sns", "list_topics", "Topics"),
    ("sns", "list_subscriptions", "Subscriptions"),
    ("codebuild", "list_projects", "projects"),
    ("dynamodb", "list_tables", "TableNames"),
    ("s3", "list_buckets", "Buckets"),
    ("lambda", "list_functions", "Functions"),
    ("lambda", "list_event_source_mappings", "EventSourceMappings"),
    ("apigateway", "get_rest_apis", "items"),
    ("apigateway", "get_usage_plans", "items"),
    ("apigateway", "get_api_keys", "items"),
    ("logs", "describe_log_groups", "logGroups"),
    ("events", "list_rules", "Rules"),
    ("cloudwatch", "describe_alarms", "MetricAlarms"),
    ("cloudwatch", "list_dashboards", "DashboardEntries"),
    ("iam", "list_roles", "Roles"),
    ("iam", "list_instance_profiles", "InstanceProfiles"),
    ("ecr", "describe_repositories", "repositories"),
    ("ec2", "describe_vpcs", "Vpcs"),
    ("ec2", "describe_subnets", "Subnets"),
    ("ec2", "describe_internet_gateways", "InternetGateways"),
    ("ec2", "describe_addresses", "Addresses"),
    ("ec2", "describe_route_tables", "RouteTables"),
    ("ec2", "describe_security_groups", "SecurityGroups"),
    ("ec2", "describe_flow_logs", "FlowLogs"),
    ("ec2", "describe_launch_templates", "LaunchTemplates"),
)
# These are shown for a while after they are gone, each with a word for it.
LINGERING = (
    ("ec2", "describe_nat_gateways", "NatGateways", "State", {"deleted", "deleting"}),
    ("ec2", "describe_vpc_endpoints", "VpcEndpoints", "State", {"deleted", "deleting"}),
)


def counts(aws: Aws) -> dict[str, int]:
    """How many there are of all that a stack may hold, by the operation that lists it; only what there is."""
    return {name: number for name, number in _counts(aws) if number}


def _counts(aws: Aws) -> Iterator[tuple[str, int]]:
    for service, operation, field in LISTS:
        yield f"{service}.{operation}", len(getattr(aws.client(service), operation)().get(field, []))
    for service, operation, field, state, gone in LINGERING:
        found = getattr(aws.client(service), operation)()[field]
        yield f"{service}.{operation}", sum(1 for each in found if each[state].lower() not in gone)
    keys = [each["KeyId"] for each in aws.client("kms").list_keys()["Keys"]]
    states = [aws.client("kms").describe_key(KeyId=key)["KeyMetadata"]["KeyState"] for key in keys]
    yield "kms.list_keys", sum(1 for state in states if state != "PendingDeletion")
    yield "wafv2.list_web_acls", len(aws.client("wafv2").list_web_acls(Scope="REGIONAL")["WebACLs"])
    yield "budgets.describe_budgets", len(aws.client("budgets").describe_budgets(AccountId=ACCOUNT).get("Budgets", []))
