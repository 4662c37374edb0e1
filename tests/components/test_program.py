"""The whole of `__main__.py`: what a stack is made of, in which names, and what it tells its user."""

import json

import pytest

from components.settings import SettingsError
from tests.components.example import CONFIG, as_text, changed
from tests.support.engine import ROOT, Declared, Engine, evaluate

# A logical name is an address: a changed one replaces its resource, and with a bucket or table what is in it.
NAMES = """
apigateway/account:Account api
apigateway/apiKey:ApiKey default = sd-async-dev-default
apigateway/deployment:Deployment api
apigateway/methodSettings:MethodSettings api
apigateway/methodSettings:MethodSettings console
apigateway/restApi:RestApi api = sd-async-dev-api
apigateway/stage:Stage api
apigateway/usagePlan:UsagePlan default = sd-async-dev-default
apigateway/usagePlanKey:UsagePlanKey default
cloudwatch/dashboard:Dashboard stack
cloudwatch/eventRule:EventRule outbox = sd-async-dev-outbox
cloudwatch/eventTarget:EventTarget outbox
cloudwatch/logGroup:LogGroup access = /aws/apigateway/sd-async-dev-api
cloudwatch/logGroup:LogGroup api = /aws/lambda/sd-async-dev-api
cloudwatch/logGroup:LogGroup dead-letter = /aws/lambda/sd-async-dev-dead-letter
cloudwatch/logGroup:LogGroup outbox = /aws/lambda/sd-async-dev-outbox
cloudwatch/metricAlarm:MetricAlarm api-faults-api = sd-async-dev-api-faults-api
cloudwatch/metricAlarm:MetricAlarm dead-letters-sd15 = sd-async-dev-dead-letters-sd15
cloudwatch/metricAlarm:MetricAlarm dead-letters-sdxl = sd-async-dev-dead-letters-sdxl
cloudwatch/metricAlarm:MetricAlarm function-errors-api = sd-async-dev-function-errors-api
cloudwatch/metricAlarm:MetricAlarm function-errors-dead-letter = sd-async-dev-function-errors-dead-letter
cloudwatch/metricAlarm:MetricAlarm function-errors-outbox = sd-async-dev-function-errors-outbox
cloudwatch/metricAlarm:MetricAlarm function-throttles-api = sd-async-dev-function-throttles-api
cloudwatch/metricAlarm:MetricAlarm function-throttles-dead-letter = sd-async-dev-function-throttles-dead-letter
cloudwatch/metricAlarm:MetricAlarm function-throttles-outbox = sd-async-dev-function-throttles-outbox
cloudwatch/metricAlarm:MetricAlarm nobody-works-sd15 = sd-async-dev-nobody-works-sd15
cloudwatch/metricAlarm:MetricAlarm nobody-works-sdxl = sd-async-dev-nobody-works-sdxl
cloudwatch/metricAlarm:MetricAlarm oldest-job-sd15 = sd-async-dev-oldest-job-sd15
cloudwatch/metricAlarm:MetricAlarm oldest-job-sdxl = sd-async-dev-oldest-job-sdxl
cloudwatch/metricAlarm:MetricAlarm undelivered-jobs = sd-async-dev-undelivered-jobs
cloudwatch/metricAlarm:MetricAlarm undelivered-results = sd-async-dev-undelivered-results
dynamodb/table:Table jobs = sd-async-dev-jobs
ecr/lifecyclePolicy:LifecyclePolicy a1111
ecr/lifecyclePolicy:LifecyclePolicy agent
ecr/lifecyclePolicy:LifecyclePolicy comfyui
ecr/lifecyclePolicy:LifecyclePolicy sd-runtime
ecr/repository:Repository a1111 = sd-async-dev/a1111
ecr/repository:Repository agent = sd-async-dev/agent
ecr/repository:Repository comfyui = sd-async-dev/comfyui
ecr/repository:Repository sd-runtime = sd-async-dev/sd-runtime
iam/role:Role api = sd-async-dev-api
iam/role:Role dead-letter = sd-async-dev-dead-letter
iam/role:Role gateway-logs = sd-async-dev-gateway-logs
iam/role:Role outbox = sd-async-dev-outbox
iam/rolePolicy:RolePolicy api
iam/rolePolicy:RolePolicy dead-letter
iam/rolePolicy:RolePolicy outbox
iam/rolePolicyAttachment:RolePolicyAttachment gateway-logs
kms/key:Key alarms
lambda/eventSourceMapping:EventSourceMapping sd15
lambda/eventSourceMapping:EventSourceMapping sdxl
lambda/function:Function api = sd-async-dev-api
lambda/function:Function dead-letter = sd-async-dev-dead-letter
lambda/function:Function outbox = sd-async-dev-outbox
lambda/permission:Permission api
lambda/permission:Permission outbox
s3/bucket:Bucket sd-async-dev-input
s3/bucket:Bucket sd-async-dev-models
s3/bucket:Bucket sd-async-dev-output
s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration input
s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration models
s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration output
s3/bucketPolicy:BucketPolicy input
s3/bucketPolicy:BucketPolicy models
s3/bucketPolicy:BucketPolicy output
s3/bucketPublicAccessBlock:BucketPublicAccessBlock input
s3/bucketPublicAccessBlock:BucketPublicAccessBlock models
s3/bucketPublicAccessBlock:BucketPublicAccessBlock output
s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration input
s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration models
s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration output
s3/bucketVersioning:BucketVersioning models
sns/topic:Topic alarms = sd-async-dev-alarms
sns/topic:Topic jobs = sd-async-dev-jobs
sns/topic:Topic results = sd-async-dev-results
sns/topicPolicy:TopicPolicy alarms
sns/topicPolicy:TopicPolicy jobs
sns/topicPolicy:TopicPolicy results
sns/topicSubscription:TopicSubscription jobs-sd15
sns/topicSubscription:TopicSubscription jobs-sdxl
sqs/queue:Queue dead-sd15 = sd-async-dev-dead-sd15
sqs/queue:Queue dead-sdxl = sd-async-dev-dead-sdxl
sqs/queue:Queue jobs-sd15 = sd-async-dev-jobs-sd15
sqs/queue:Queue jobs-sdxl = sd-async-dev-jobs-sdxl
sqs/queuePolicy:QueuePolicy dead-sd15
sqs/queuePolicy:QueuePolicy dead-sdxl
sqs/queuePolicy:QueuePolicy jobs-sd15
sqs/queuePolicy:QueuePolicy jobs-sdxl
sqs/redriveAllowPolicy:RedriveAllowPolicy jobs-sd15
sqs/redriveAllowPolicy:RedriveAllowPolicy jobs-sdxl
"""
NAMED_AFTER_ROWS = {
    "aws:apigateway/integration:Integration",
    "aws:apigateway/method:Method",
    "aws:apigateway/resource:Resource",
    "aws:apigateway/response:Response",
}
SCALED_OBJECT, RELEASE = "kubernetes:keda.sh/v1alpha1:ScaledObject", "kubernetes:helm.sh/v3:Release"


@pytest.fixture(scope="module")
def placed() -> Engine:
    return evaluate(as_text(CONFIG))


@pytest.fixture(scope="module")
def released() -> Engine:
    return evaluate(as_text(changed(kubernetes={"context": "work", "namespace": "images"})))


def test_names_stay_what_they_are(placed: Engine) -> None:
    def line(one: Declared) -> str:
        given = one.inputs.get("name")
        return f"{one.token.removeprefix('aws:')} {one.name}" + (f" = {given}" if given else "")

    found = [one for one in placed.declared if one.token.startswith("aws:") and one.token not in NAMED_AFTER_ROWS]
    assert sorted(map(line, found)) == NAMES.strip().splitlines()


def test_components_are_named_by_what_they_place(placed: Engine) -> None:
    assert sorted((one.token, one.name) for one in placed.declared if not one.is_custom) == [
        ("sd:access:Access", "access"),
        ("sd:api:Api", "api"),
        ("sd:images:Images", "images"),
        ("sd:lambdas:Lambdas", "lambdas"),
        ("sd:messaging:Messaging", "messaging"),
        ("sd:observability:Observability", "observability"),
        ("sd:storage:Storage", "storage"),
        ("sd:upkeep:Upkeep", "upkeep"),
    ]


def test_everything_at_aws_carries_the_stacks_tags_by_its_provider(placed: Engine) -> None:
    provider = placed.named("pulumi:providers:aws", "aws")
    assert provider.inputs["region"] == "us-west-2"
    tags = provider.inputs["defaultTags"]
    tags = json.loads(tags) if isinstance(tags, str) else tags
    assert tags == {"tags": {"project": "sd-async", "stack": "dev", "managed-by": "pulumi"}}
    resources = [one for one in placed.declared if one.token.startswith("aws:")]
    assert len(resources) > 80
    assert not [one.name for one in resources if not one.provider.startswith(provider.urn)]


def test_a_user_is_told_where_everything_is(placed: Engine) -> None:
    queues = "https://sqs.us-west-2.amazonaws.com/123456789012/sd-async-dev"
    assert placed.exports == {
        "api_endpoint": "https://sd-async-dev-api-id.execute-api.us-west-2.amazonaws.com/dev",
        "console_url": "https://sd-async-dev-api-id.execute-api.us-west-2.amazonaws.com/dev/console",
        "api_keys": {"default": "value-of-sd-async-dev-default"},
        "output_bucket": "sd-async-dev-output",
        "models_bucket": "sd-async-dev-models",
        "jobs_topic_arn": "arn:aws:sns:us-west-2:123456789012:sd-async-dev-jobs",
        "results_topic_arn": "arn:aws:sns:us-west-2:123456789012:sd-async-dev-results",
        "queue_urls": {"sd15": f"{queues}-jobs-sd15", "sdxl": f"{queues}-jobs-sdxl"},
        "dashboard_url": "https://us-west-2.console.aws.amazon.com/cloudwatch/home?region=us-west-2"
        "#dashboards/dashboard/sd-async-dev",
        "dead_letter_queue_urls": {"sd15": f"{queues}-dead-sd15", "sdxl": f"{queues}-dead-sdxl"},
    }


def test_a_user_is_told_the_one_command_that_is_left_to_do_for_each_runtime(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    evaluate(as_text(CONFIG))
    for name in ("sd15", "sdxl"):
        assert f"sd-async admin models push DIR --runtime {name}" in caplog.text


def test_a_user_whose_image_brings_its_models_is_told_of_nothing_left_to_do(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    first, second = CONFIG["sd-async:runtimes"]
    evaluate(as_text(changed(runtimes=[first | {"models": {"mode": "image"}}, second])))
    assert "--runtime sdxl" in caplog.text
    assert "--runtime sd15" not in caplog.text


def test_the_keys_and_only_the_keys_are_secret(placed: Engine) -> None:
    assert [name for name, is_secret in placed.secret_exports.items() if is_secret] == ["api_keys"]


def test_without_a_kube_context_nothing_goes_to_kubernetes(placed: Engine) -> None:
    assert [one.token for one in placed.declared if "kubernetes" in one.token] == []


def test_with_a_kube_context_each_runtime_is_released_there_and_then_scaled(released: Engine) -> None:
    assert released.inputs("pulumi:providers:kubernetes") == [{"context": "work"}]
    provider = released.named("pulumi:providers:kubernetes", "kubernetes")
    for runtime in ("sd15", "sdxl"):
        release = released.named(RELEASE, f"runtime-{runtime}")
        assert (release.inputs["name"], release.inputs["namespace"]) == (runtime, "images")
        assert release.inputs["values"]["queue"]["url"] == released.exports["queue_urls"][runtime]
        scaled = released.named(SCALED_OBJECT, f"scaling-{runtime}")
        [trigger] = scaled.inputs["spec"]["triggers"]
        assert trigger["metadata"]["queueURL"] == released.exports["queue_urls"][runtime]
        assert scaled.inputs["spec"]["scaleTargetRef"]["name"] == runtime
        assert released.waits_for(scaled, release), "KEDA wants the Deployment to be there"
        assert release.provider.startswith(provider.urn)
        assert scaled.provider.startswith(provider.urn)


def test_wrong_settings_end_the_program_before_its_first_resource() -> None:
    with pytest.raises(SettingsError, match=r"sd-async:api\.memory_mb: 1 is no whole number from 128 to 10240 MB"):
        evaluate(as_text(changed(api={"memory_mb": 1})))


def test_a_section_nobody_reads_is_refused() -> None:
    with pytest.raises(SettingsError, match="sd-async: runtime is no setting; did you mean `runtimes`"):
        evaluate(as_text(changed(runtime=[])))


def test_the_program_is_short_enough_to_be_read_in_one_look() -> None:
    assert len((ROOT / "__main__.py").read_text().splitlines()) < 80
