"""What goes wrong on the way: refused graphs, killed agents, throttled AWS, doubled and foreign messages."""

import time
from collections.abc import Callable

import pytest

from local.pods import Pod
from sd_async.contract.jobs import Job
from sd_async.contract.states import Status
from tests.journeys import graphs
from tests.journeys.conftest import LEASE_S, Stage

WAIT_S = 90.0


def ended(stage: Stage, job_id: str) -> Job:
    return stage.client.wait(job_id, timeout_s=WAIT_S)


def until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < deadline, f"waited {WAIT_S:.0f} s for {what}"
        time.sleep(0.1)


def pods(stage: Stage) -> list[Pod]:
    return stage.system.cluster.workloads["sd15"].pods.pods


def owner_of(stage: Stage, job_id: str) -> Pod:
    """The pod that runs the job now, by the record's word."""
    table, found = stage.names.jobs_table, list[Pod]()
    dynamodb = stage.system.emulator.client("dynamodb")

    def is_running() -> bool:
        item = dynamodb.get_item(TableName=table, Key={"id": {"S": job_id}}, ConsistentRead=True)["Item"]
        name = item.get("agent", {}).get("S")
        found[:] = [pod for pod in pods(stage) if pod.name == name]
        return item["status"]["S"] == Status.RUNNING and bool(found)

    until(is_running, "an agent to run the job")
    return found[0]


def test_a_graph_that_comfyui_refuses_fails_with_its_own_words(stage: Stage) -> None:
    graph = graphs.colour()
    graph["1"]["class_type"] = "NoSuchNode"
    job = ended(stage, stage.client.submit(graphs.request(graph)).id)
    assert job.status is Status.FAILED
    assert job.error is not None
    assert "NoSuchNode" in job.error.message
    assert [result.result for result in stage.results.of(job.id)] == [False]


def test_a_wrong_value_names_its_node(stage: Stage) -> None:
    graph = graphs.example("text-to-image")
    loader = next(key for key, node in graph.items() if node["class_type"] == "CheckpointLoaderSimple")
    graph[loader]["inputs"]["ckpt_name"] = "not-there.safetensors"
    job = ended(stage, stage.client.submit(graphs.request(graph)).id)
    assert job.status is Status.FAILED
    assert job.error is not None
    assert job.error.node_errors is not None
    assert job.error.node_errors[loader]["errors"][0]["type"] == "value_not_in_list"


def test_a_node_that_raises_fails_the_job_with_node_and_message(stage: Stage) -> None:
    job = ended(stage, stage.client.submit(graphs.request(graphs.through("PainterRaise", message="no luck"))).id)
    assert job.status is Status.FAILED
    assert job.error is not None
    assert (job.error.code, job.error.node_id, job.error.class_type) == ("node_execution_error", "5", "PainterRaise")
    assert "no luck" in job.error.message
    assert job.attempts == 1, "a broken graph is not tried again"


def test_an_agent_killed_in_mid_job_loses_nothing(stage: Stage) -> None:
    job = stage.client.submit(graphs.request(graphs.slow(6)))
    owner_of(stage, job.id).agent.child.kill()
    done = ended(stage, job.id)
    assert done.status is Status.SUCCEEDED, done.error
    assert done.attempts == 2, "the first attempt died with its agent"
    assert len(done.outputs) == 1
    time.sleep(LEASE_S)  # long enough for a second result, if there were one
    assert len(stage.results.of(done.id)) == 1


def test_an_agent_killed_while_it_settles_loses_nothing(stage: Stage) -> None:
    """AWS does not answer when the picture is made, so that the kill meets a call of the settling."""
    job = stage.client.submit(graphs.request(graphs.slow(2)))
    pod, before = owner_of(stage, job.id), stage.network.refused
    with stage.network.failing(503):
        time.sleep(3)
        pod.agent.child.kill()
    assert stage.network.refused > before
    done = ended(stage, job.id)
    assert done.status is Status.SUCCEEDED, done.error
    assert done.attempts == 2, "nothing of the first attempt was recorded"
    time.sleep(LEASE_S)  # long enough for a second result, if there were one
    assert len({tuple(result.image_url) for result in stage.results.of(done.id)}) == 1


def test_an_agent_and_its_runtime_killed_in_mid_job_lose_nothing(stage: Stage) -> None:
    job = stage.client.submit(graphs.request(graphs.slow(4)))
    pod = owner_of(stage, job.id)
    for container in pod.containers:
        container.child.kill()
    done = ended(stage, job.id)
    assert done.status is Status.SUCCEEDED, done.error
    assert len(done.outputs) == 1


def test_a_pod_asked_to_end_finishes_its_job_first(stage: Stage) -> None:
    job = stage.client.submit(graphs.request(graphs.slow(3)))
    owner_of(stage, job.id).agent.child.terminate()
    done = ended(stage, job.id)
    assert done.status is Status.SUCCEEDED, done.error
    assert done.attempts == 1, "the time left was enough"


def test_a_runtime_that_dies_in_mid_job_comes_back_and_the_job_is_done(stage: Stage) -> None:
    job = stage.client.submit(graphs.request(graphs.slow(4)))
    runtime = owner_of(stage, job.id).runtime
    assert runtime is not None
    runtime.child.kill()
    done = ended(stage, job.id)
    assert done.status is Status.SUCCEEDED, done.error
    assert done.outputs


def test_the_same_message_twice_is_one_execution_and_one_result(stage: Stage) -> None:
    job = stage.client.submit(graphs.request(graphs.slow(2)))
    bucket = stage.names.input_bucket
    body = stage.system.emulator.client("s3").get_object(Bucket=bucket, Key=f"jobs/{job.id}/job.json")["Body"].read()
    stage.system.emulator.client("sns").publish(
        TopicArn=stage.system.deployed.outputs["jobs_topic_arn"],
        Message=body.decode(),
        MessageAttributes={"runtime": {"DataType": "String", "StringValue": "sd15"}},
    )
    done = ended(stage, job.id)
    assert done.status is Status.SUCCEEDED, done.error
    until(lambda: queue_counts(stage, "queue_urls") == (0, 0), "both messages to be settled")
    again = stage.client.get(job.id)
    assert again.attempts == 1, "the second delivery found the job taken or done"
    assert len({tuple(result.image_url) for result in stage.results.of(job.id)}) == 1


@pytest.mark.parametrize("status", [503, 400])
def test_aws_out_of_order_for_a_while_loses_nothing(stage: Stage, status: int) -> None:
    """400 is how DynamoDB, SQS and SNS throttle when the body says nothing else; S3 says 503."""
    before = stage.network.refused
    jobs = [stage.client.submit(graphs.request(graphs.slow(1))) for _ in range(3)]
    owner_of(stage, jobs[0].id)
    with stage.network.failing(status):
        time.sleep(4)
    assert stage.network.refused > before, "agents did meet the fault"
    for job in jobs:
        done = ended(stage, job.id)
        assert done.status is Status.SUCCEEDED, done.error
        assert len({tuple(result.image_url) for result in stage.results.of(job.id)}) == 1


def test_a_message_that_is_not_ours_ends_in_the_dead_letter_function_and_hinders_nobody(stage: Stage) -> None:
    sqs, url = stage.system.emulator.client("sqs"), stage.system.deployed.outputs["queue_urls"]["sd15"]
    for body in ("hello?", '{"sd_async": 99}', '{"task": {}}'):
        sqs.send_message(QueueUrl=url, MessageBody=body)
    done = ended(stage, stage.client.submit(graphs.request(graphs.colour(3))).id)
    assert done.status is Status.SUCCEEDED, "good jobs pass the bad messages"
    until(lambda: queue_counts(stage, "queue_urls") == (0, 0), "the queue to give the messages up")
    until(lambda: queue_counts(stage, "dead_letter_queue_urls") == (0, 0), "the dead-letter function to take them")


def queue_counts(stage: Stage, output: str) -> tuple[int, int]:
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    url = stage.system.deployed.outputs[output]["sd15"]
    counts = stage.system.emulator.client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
    return int(counts[names[0]]), int(counts[names[1]])
