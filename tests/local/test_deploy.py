"""The real program deployed to the emulator: what it asked for is really there."""

import json
import re
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import httpx
import pytest

from components.settings import parse
from local.deploy.engine import DeployError
from local.deploy.up import Deployed, stack_config, up
from local.emulator import ACCOUNT, Emulator
from local.system import ROOT, Options, local_config
from ops.names import Names, names

KEPT_S = 7 * 24 * 3600 + 5 * (3600 + 120 + 60)  # a week of waiting, and five attempts of an hour


@dataclass(frozen=True)
class Place:
    """prefix: of the names that the program chooses. names: what an operator is told of them."""

    emulator: Emulator
    deployed: Deployed
    prefix: str
    names: Names

    def client(self, service: str) -> Any:
        return self.emulator.client(service)

    def output(self, name: str) -> str:
        return str(self.deployed.outputs[name])

    def queue(self, name: str) -> dict[str, Any]:
        url = self.deployed.outputs[name]["sd15"]
        found = self.client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
        return {key: json.loads(value) if "Policy" in key else value for key, value in found.items()}

    @property
    def api(self) -> str:
        apis = self.client("apigateway").get_rest_apis(limit=500)["items"]
        return next(str(api["id"]) for api in apis if api["name"] == f"{self.prefix}-api")


@pytest.fixture(scope="module")
def place(emulator: Emulator) -> Place:
    stack = f"t{uuid4().hex[:5]}"
    config = local_config(Options(), emulator.endpoint) | {"sd-async:storage": {"retention_days": 9}}
    deployed = up(ROOT, stack, config, emulator)
    return Place(emulator, deployed, f"sd-async-{stack}", names(parse("sd-async", stack, config), emulator.client))


def test_the_outputs_are_real_addresses_with_the_key_in_the_clear(place: Place) -> None:
    outputs = place.deployed.outputs
    assert outputs["api_endpoint"].startswith(f"{place.emulator.endpoint}/_aws/execute-api/{place.api}/")
    [key] = place.client("apigateway").get_api_keys(nameQuery=place.prefix, includeValues=True)["items"]
    assert outputs["api_keys"] == {"default": key["value"]}
    assert key["enabled"]
    assert key["description"] == "Managed by Pulumi"


def test_a_queue_has_its_numbers_its_encryption_and_its_dead_letters(place: Place) -> None:
    queue, dead = place.queue("queue_urls"), place.queue("dead_letter_queue_urls")
    assert {name: queue[name] for name in ("VisibilityTimeout", "MessageRetentionPeriod", "SqsManagedSseEnabled")} == {
        "VisibilityTimeout": "60",
        "MessageRetentionPeriod": str(KEPT_S),
        "SqsManagedSseEnabled": "true",
    }
    assert queue["ReceiveMessageWaitTimeSeconds"] == "20"
    assert queue["RedrivePolicy"] == {"deadLetterTargetArn": dead["QueueArn"], "maxReceiveCount": 10}
    assert dead["RedriveAllowPolicy"] == {"redrivePermission": "byQueue", "sourceQueueArns": [queue["QueueArn"]]}
    assert dead["VisibilityTimeout"] == "180"


def test_only_the_jobs_topic_may_send_to_the_queue(place: Place) -> None:
    allowed = [one for one in place.queue("queue_urls")["Policy"]["Statement"] if one["Effect"] == "Allow"]
    assert [one["Principal"] for one in allowed] == [{"Service": "sns.amazonaws.com"}]
    assert place.output("jobs_topic_arn") in json.dumps(allowed[0]["Condition"])


def test_the_subscription_is_raw_and_filters_by_the_runtimes_name(place: Place) -> None:
    sns = place.client("sns")
    [found] = sns.list_subscriptions_by_topic(TopicArn=place.output("jobs_topic_arn"))["Subscriptions"]
    attributes = sns.get_subscription_attributes(SubscriptionArn=found["SubscriptionArn"])["Attributes"]
    assert attributes["RawMessageDelivery"] == "true"
    assert "sd15" in json.dumps(json.loads(attributes["FilterPolicy"]))
    assert found["Endpoint"] == place.queue("queue_urls")["QueueArn"]
    topic = sns.get_topic_attributes(TopicArn=place.output("jobs_topic_arn"))["Attributes"]
    assert topic["KmsMasterKeyId"] == "alias/aws/sns"


def test_a_message_for_another_runtime_does_not_arrive(place: Place) -> None:
    sqs, url = place.client("sqs"), place.deployed.outputs["queue_urls"]["sd15"]
    for runtime in ("other", "sd15"):
        place.client("sns").publish(
            TopicArn=place.output("jobs_topic_arn"),
            Message=f"for {runtime}",
            MessageAttributes={"runtime": {"DataType": "String", "StringValue": runtime}},
        )
    [message] = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=0)["Messages"]
    sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    assert message["Body"] == "for sd15", "raw: the body alone, without SNS's envelope"


def test_the_table_has_its_indexes_and_forgets_by_itself(place: Place) -> None:
    dynamodb, name = place.client("dynamodb"), place.names.jobs_table
    table = dynamodb.describe_table(TableName=name)["Table"]
    assert table["BillingModeSummary"]["BillingMode"] == "PAY_PER_REQUEST"
    assert table["KeySchema"] == [{"AttributeName": "id", "KeyType": "HASH"}]
    indexes = {
        one["IndexName"]: ([key["AttributeName"] for key in one["KeySchema"]], one["Projection"]["ProjectionType"])
        for one in table["GlobalSecondaryIndexes"]
    }
    assert indexes == {
        "by_owner": (["owner", "created_at_ms"], "ALL"),
        "by_status": (["status", "created_at_ms"], "ALL"),
        "by_outbox": (["outbox", "created_at_ms"], "ALL"),
    }
    ttl = dynamodb.describe_time_to_live(TableName=name)["TimeToLiveDescription"]
    assert (ttl["TimeToLiveStatus"], ttl["AttributeName"]) == ("ENABLED", "expires_at_s")
    backups = dynamodb.describe_continuous_backups(TableName=name)["ContinuousBackupsDescription"]
    assert backups["PointInTimeRecoveryDescription"]["PointInTimeRecoveryStatus"] == "ENABLED"


@pytest.mark.parametrize("bucket", ["output_bucket", "input_bucket", "models_bucket"])
def test_a_bucket_is_closed_and_encrypted_and_wants_https(place: Place, bucket: str) -> None:
    s3, name = place.client("s3"), getattr(place.names, bucket)
    access = s3.get_public_access_block(Bucket=name)["PublicAccessBlockConfiguration"]
    assert access == dict.fromkeys(
        ("BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets"), True
    )
    [rule] = s3.get_bucket_encryption(Bucket=name)["ServerSideEncryptionConfiguration"]["Rules"]
    assert rule["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"] == "AES256"
    assert "aws:SecureTransport" in s3.get_bucket_policy(Bucket=name)["Policy"]


def test_outputs_expire_with_the_record_and_old_models_are_kept_for_a_while(place: Place) -> None:
    s3 = place.client("s3")
    [rule] = s3.get_bucket_lifecycle_configuration(Bucket=place.output("output_bucket"))["Rules"]
    assert (rule["ID"], rule["Status"], rule["Expiration"]["Days"]) == ("expire", "Enabled", 9)
    assert rule["AbortIncompleteMultipartUpload"] == {"DaysAfterInitiation": 3}
    [rule] = s3.get_bucket_lifecycle_configuration(Bucket=place.output("models_bucket"))["Rules"]
    assert rule["NoncurrentVersionExpiration"]["NoncurrentDays"] == 30
    assert "Expiration" not in rule
    assert s3.get_bucket_versioning(Bucket=place.output("models_bucket"))["Status"] == "Enabled"


def test_the_functions_have_their_code_environment_and_role(place: Place) -> None:
    function = place.client("lambda").get_function(FunctionName=f"{place.prefix}-api")
    found = function["Configuration"]
    assert found["Handler"] == "functions.api.handler.handle"
    assert (found["Timeout"], found["MemorySize"], found["CodeSize"] > 10_000) == (29, 512, True)
    variables = found["Environment"]["Variables"]
    assert variables["SD_JOBS_TABLE"] == place.names.jobs_table
    assert variables["SD_OUTPUT_BUCKET"] == place.output("output_bucket")
    assert json.loads(variables["SD_RUNTIMES"]) == {"sd15": {"type": "comfyui", "timeout_seconds": 3600}}
    role = place.client("iam").get_role(RoleName=f"{place.prefix}-api")["Role"]
    assert found["Role"] == role["Arn"]
    assert role["AssumeRolePolicyDocument"]["Statement"][0]["Principal"] == {"Service": "lambda.amazonaws.com"}
    [policy] = place.client("iam").list_role_policies(RoleName=f"{place.prefix}-api")["PolicyNames"]
    document = place.client("iam").get_role_policy(RoleName=f"{place.prefix}-api", PolicyName=policy)["PolicyDocument"]
    assert place.names.jobs_table in json.dumps(document)


def test_the_gateway_may_call_the_function_and_the_schedule_may_too(place: Place) -> None:
    def sources(function: str) -> list[str]:
        policy = json.loads(place.client("lambda").get_policy(FunctionName=f"{place.prefix}-{function}")["Policy"])
        return [str(one["Condition"]["ArnLike"]["AWS:SourceArn"]) for one in policy["Statement"]]

    assert sources("api") == [f"arn:aws:execute-api:us-west-2:{ACCOUNT}:{place.api}/*/*"]
    events = place.client("events")
    rule = events.describe_rule(Name=f"{place.prefix}-outbox")
    assert rule["ScheduleExpression"] == "rate(1 minute)"
    assert sources("outbox") == [rule["Arn"]]
    [target] = events.list_targets_by_rule(Rule=f"{place.prefix}-outbox")["Targets"]
    assert target["Arn"].endswith(f":function:{place.prefix}-outbox")


def test_dead_letters_call_their_function_one_message_at_a_time_in_failure(place: Place) -> None:
    arn = place.queue("dead_letter_queue_urls")["QueueArn"]
    [mapping] = place.client("lambda").list_event_source_mappings(EventSourceArn=arn)["EventSourceMappings"]
    assert mapping["BatchSize"] == 10
    assert mapping["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert mapping["FunctionArn"].endswith(f"{place.prefix}-dead-letter")


def test_every_route_wants_a_key_and_goes_to_the_function(place: Place) -> None:
    gateway, found = place.client("apigateway"), dict[str, dict[str, Any]]()
    for resource in gateway.get_resources(restApiId=place.api, limit=500, embed=["methods"])["items"]:
        for method, description in resource.get("resourceMethods", {}).items():
            found[f"{method} {resource['path']}"] = description
    assert {"POST /v1/jobs", "GET /v1/jobs/{id}", "POST /v1alpha2"} <= found.keys()
    for route, description in found.items():
        assert description["apiKeyRequired"] is (route != "GET /console"), "only the page for people wants none"
        integration = description["methodIntegration"]
        assert (integration["type"], integration["httpMethod"]) == ("AWS_PROXY", "POST")
        assert f"function:{place.prefix}-api/" in integration["uri"]


def test_a_browser_gets_the_page_without_a_key_and_nothing_else(place: Place) -> None:
    page = httpx.get(place.output("console_url"))
    assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert page.text == (ROOT / "console" / "index.html").read_text(encoding="utf-8")
    assert "'sha256-" in page.headers["content-security-policy"]
    assert httpx.get(f"{place.output('api_endpoint')}/v1/jobs/{uuid4()}").status_code == 403


def test_the_stage_has_its_log_its_limits_and_its_answers(place: Place) -> None:
    gateway, stage = place.client("apigateway"), place.prefix.rpartition("-")[2]
    found = gateway.get_stage(restApiId=place.api, stageName=stage)
    assert found["accessLogSettings"]["destinationArn"].endswith(f":log-group:/aws/apigateway/{place.prefix}-api")
    assert "$context.requestId" in found["accessLogSettings"]["format"]
    assert found["methodSettings"]["*/*"]["loggingLevel"] == "OFF"
    assert not found["methodSettings"]["*/*"]["dataTraceEnabled"]
    assert found["methodSettings"]["*/*"]["metricsEnabled"]
    plans = [one for one in gateway.get_usage_plans(limit=500)["items"] if one["name"] == f"{place.prefix}-default"]
    assert [plan["throttle"] for plan in plans] == [{"rateLimit": 30.0, "burstLimit": 50}]
    assert [(one["apiId"], one["stage"]) for one in plans[0]["apiStages"]] == [(place.api, stage)]
    refused = gateway.get_gateway_response(restApiId=place.api, responseType="INVALID_API_KEY")
    assert refused["statusCode"] == "403"
    assert json.loads(refused["responseTemplates"]["application/json"])["error"]["code"] == "forbidden"
    assert gateway.get_account()["cloudwatchRoleArn"].endswith("-gateway-logs")
    assert gateway.get_rest_api(restApiId=place.api)["endpointConfiguration"]["types"] == ["REGIONAL"]


def test_log_groups_forget_after_their_days(place: Place) -> None:
    groups = place.client("logs").describe_log_groups(logGroupNamePrefix=f"/aws/lambda/{place.prefix}-")["logGroups"]
    assert {one["logGroupName"].rpartition(f"{place.prefix}-")[2]: one["retentionInDays"] for one in groups} == {
        "api": 30,
        "dead-letter": 30,
        "outbox": 30,
    }


def test_releases_and_scaled_objects_are_kept_for_the_cluster(place: Place) -> None:
    [release] = place.deployed.cluster.releases
    assert (release.name, release.chart) == ("sd15", "./helm/sd-runtime")
    assert release.values["queue"]["url"] == place.deployed.outputs["queue_urls"]["sd15"]
    trigger = place.deployed.cluster.scaled_objects["sd15"]["spec"]["triggers"][0]
    assert trigger["metadata"]["queueURL"] == release.values["queue"]["url"]


def test_what_an_operator_is_told_is_what_the_chart_was_given_and_the_stack_tells(place: Place) -> None:
    [release] = place.deployed.cluster.releases
    told, given = place.names, release.values["store"]
    assert (told.jobs_table, told.input_bucket) == (given["jobsTable"], given["inputBucket"])
    assert (told.output_bucket, told.results_topic_arn) == (given["outputBucket"], given["resultsTopicArn"])
    assert told.queue_urls["sd15"] == release.values["queue"]["url"]
    both = vars(told).keys() & place.deployed.outputs.keys()
    assert both >= {"queue_urls", "dead_letter_queue_urls", "models_bucket", "jobs_topic_arn"}
    assert {name: vars(told)[name] for name in both} == {name: place.deployed.outputs[name] for name in both}


def test_images_that_no_setting_names_run_by_a_digest_though_nothing_is_built_here(place: Place) -> None:
    [release] = place.deployed.cluster.releases
    for owner, name in (("agent", "agent"), ("runtime", "comfyui")):
        image = release.values[owner]["image"]
        assert image["repository"] == place.names.image_repositories[name]
        assert re.fullmatch(r"sha256:[0-9a-f]{64}", image["digest"])
    [project] = place.client("codebuild").batch_get_projects(names=[f"{place.prefix}-images"])["projects"]
    assert project["environment"]["privilegedMode"] is True
    assert place.client("codebuild").list_builds_for_project(projectName=project["name"])["ids"] == []


def test_what_the_emulator_refuses_names_the_resource_and_its_kind(place: Place) -> None:
    stack = place.prefix.rpartition("-")[2]
    config = local_config(Options(), place.emulator.endpoint)
    with pytest.raises(DeployError, match=r"^`[\w-]+` \(aws:\w+/\w+:\w+\) could not be created locally: .*") as raised:
        up(ROOT, stack, config, place.emulator)
    assert "Already" in str(raised.value) or "InUse" in str(raised.value), "the second of the same name"


def test_a_stack_without_a_file_is_told_by_the_files_name() -> None:
    with pytest.raises(DeployError, match=r"Pulumi\.nowhere\.yaml"):
        stack_config(ROOT, "nowhere")
