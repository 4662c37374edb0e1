"""Each runtime's queue gets its own jobs, whole, and hands over to its dead-letter queue what no agent could do."""

import json

import pytest

from components.messaging import DEAD_LETTER_VISIBILITY_S, Messaging, MessagingArgs
from tests.components.example import stack
from tests.support.engine import Engine, build

QUEUE, TOPIC = "aws:sqs/queue:Queue", "aws:sns/topic:Topic"
SUBSCRIPTION = "aws:sns/topicSubscription:TopicSubscription"
RUNTIMES = ["sd15", "sdxl"]
SQS, SNS = "arn:aws:sqs:us-west-2:123456789012:", "arn:aws:sns:us-west-2:123456789012:"


@pytest.fixture(scope="module")
def placed() -> Engine:
    agent = {"image": "registry.example/agent:1", "lease_s": 90, "max_attempts": 4}
    return build(lambda: Messaging("messaging", MessagingArgs(stack(agent=agent))))


def test_there_are_two_topics_and_two_queues_for_each_runtime(placed: Engine) -> None:
    assert sorted(inputs["name"] for inputs in placed.inputs(TOPIC)) == ["sd-async-dev-jobs", "sd-async-dev-results"]
    assert sorted(inputs["name"] for inputs in placed.inputs(QUEUE)) == [
        "sd-async-dev-dead-sd15",
        "sd-async-dev-dead-sdxl",
        "sd-async-dev-jobs-sd15",
        "sd-async-dev-jobs-sdxl",
    ]


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_message_is_hidden_for_one_lease_and_given_up_after_the_agents_attempts(placed: Engine, runtime: str) -> None:
    queue = placed.named(QUEUE, f"jobs-{runtime}").inputs
    assert queue["visibilityTimeoutSeconds"] == 90
    assert json.loads(queue["redrivePolicy"]) == {
        "deadLetterTargetArn": f"{SQS}sd-async-dev-dead-{runtime}",
        "maxReceiveCount": 9,
    }
    assert queue["receiveWaitTimeSeconds"] == 20


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_what_was_given_up_is_kept_for_two_weeks_and_taken_from_one_queue_only(placed: Engine, runtime: str) -> None:
    dead = placed.named(QUEUE, f"dead-{runtime}").inputs
    assert (dead["messageRetentionSeconds"], "redrivePolicy" in dead) == (14 * 24 * 3600, False)
    assert dead["visibilityTimeoutSeconds"] == DEAD_LETTER_VISIBILITY_S
    allowed = placed.named("aws:sqs/redriveAllowPolicy:RedriveAllowPolicy", f"jobs-{runtime}").inputs
    assert allowed["queueUrl"].endswith(f"/sd-async-dev-dead-{runtime}")
    assert json.loads(allowed["redriveAllowPolicy"]) == {
        "redrivePermission": "byQueue",
        "sourceQueueArns": [f"{SQS}sd-async-dev-jobs-{runtime}"],
    }


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_queue_gets_the_bare_messages_that_name_its_runtime_in_either_attribute(placed: Engine, runtime: str) -> None:
    subscription = placed.named(SUBSCRIPTION, f"jobs-{runtime}").inputs
    assert subscription["rawMessageDelivery"] is True
    assert (subscription["protocol"], subscription["topic"]) == ("sqs", f"{SNS}sd-async-dev-jobs")
    assert subscription["endpoint"] == f"{SQS}sd-async-dev-jobs-{runtime}"
    assert json.loads(subscription["filterPolicy"]) == {
        "$or": [{"runtime": [runtime]}, {"sd_model_checkpoint": [runtime]}]
    }


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_only_the_jobs_topic_may_send_and_may_before_it_does(placed: Engine, runtime: str) -> None:
    policy = placed.named("aws:sqs/queuePolicy:QueuePolicy", f"jobs-{runtime}")
    statement, refused = json.loads(policy.inputs["policy"])["Statement"]
    assert refused["Effect"] == "Deny"
    assert statement["Principal"] == {"Service": "sns.amazonaws.com"}
    assert statement["Condition"] == {"ArnEquals": {"aws:SourceArn": f"{SNS}sd-async-dev-jobs"}}
    assert statement["Resource"] == f"{SQS}sd-async-dev-jobs-{runtime}"
    assert placed.waits_for(placed.named(SUBSCRIPTION, f"jobs-{runtime}"), policy)


@pytest.mark.parametrize("kind", ["jobs", "results"])
def test_nobody_publishes_in_the_clear_and_only_this_accounts_roles_at_all(placed: Engine, kind: str) -> None:
    policy = placed.named("aws:sns/topicPolicy:TopicPolicy", kind).inputs
    [statement] = json.loads(policy["policy"])["Statement"]
    assert (policy["arn"], statement["Resource"]) == (f"{SNS}sd-async-dev-{kind}", f"{SNS}sd-async-dev-{kind}")
    assert (statement["Effect"], statement["Action"]) == ("Deny", ["sns:Publish"])
    assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}


@pytest.mark.parametrize("queue", [f"{kind}-{runtime}" for kind in ("jobs", "dead") for runtime in RUNTIMES])
def test_nobody_speaks_to_a_queue_in_the_clear(placed: Engine, queue: str) -> None:
    policy = placed.named("aws:sqs/queuePolicy:QueuePolicy", queue).inputs
    refused = json.loads(policy["policy"])["Statement"][-1]
    assert (refused["Effect"], refused["Resource"]) == ("Deny", f"{SQS}sd-async-dev-{queue}")
    assert {"sqs:SendMessage", "sqs:ReceiveMessage"} <= set(refused["Action"])
    assert refused["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}


def test_nothing_listens_to_results_yet_and_nobody_is_mailed(placed: Engine) -> None:
    assert {inputs["topic"] for inputs in placed.inputs(SUBSCRIPTION)} == {f"{SNS}sd-async-dev-jobs"}


def test_messages_are_encrypted_where_they_rest(placed: Engine) -> None:
    assert all(inputs["sqsManagedSseEnabled"] for inputs in placed.inputs(QUEUE))
    assert {inputs["kmsMasterKeyId"] for inputs in placed.inputs(TOPIC)} == {"alias/aws/sns"}


def test_a_runtime_named_like_another_ones_dead_letters_is_no_clash() -> None:
    image = {"type": "comfyui", "image": "registry.example/comfyui:1"}
    runtimes = [{"name": "a", **image}, {"name": "a-dead", **image}, {"name": "dead-a", **image}]
    placed = build(lambda: Messaging("messaging", MessagingArgs(stack(runtimes=runtimes))))
    queues = [one for one in placed.declared if one.token == QUEUE]
    assert len({one.urn for one in queues}) == len({one.inputs["name"] for one in queues}) == 6


def test_everything_belongs_to_the_component(placed: Engine) -> None:
    [component] = [one for one in placed.declared if not one.is_custom]
    assert (component.token, component.name) == ("sd:messaging:Messaging", "messaging")
    assert {one.parent for one in placed.declared if one.is_custom} == {component.urn}
