"""The two ends of the environment: what the chart sets is what the agent reads."""

import pytest

from agent import config
from components.chart_values import values_for
from local.helm import CHART, render
from tests.chart import rendering
from tests.components.test_chart_values import ADDRESSES, RUNTIME, SETTINGS

POD = {"<metadata.name>": "comfy-0", "<status.podIP>": "10.0.0.7"}


def loaded(**changes: object) -> config.Config:
    environment = rendering.environment(**changes)
    return config.load({name: POD.get(value, value) for name, value in environment.items()})


def test_the_agent_takes_the_rendered_environment() -> None:
    read = loaded()
    assert (read.agent_id, read.pod_ip, read.endpoint_url) == ("comfy-0", "10.0.0.7", None)
    assert (read.job_timeout_s, read.lease_s, read.heartbeat_s, read.grace_period_s) == (3600, 60, 5, 3720)


@pytest.mark.parametrize(
    "changes",
    [
        {"job__timeoutSeconds": 42900, "terminationGracePeriodSeconds": 43500},
        {"job__timeoutSeconds": 1, "terminationGracePeriodSeconds": 121},
        {"job__leaseSeconds": 42900, "queue__visibilityTimeoutSeconds": 43200, "job__heartbeatSeconds": 3600},
        {"job__leaseSeconds": 3, "queue__visibilityTimeoutSeconds": 3, "job__heartbeatSeconds": 1},
        {"job__maxAttempts": 1000, "job__retentionDays": 3650},
        {"store__fileBuckets": ["team-a"], "aws__endpointUrl": "http://127.0.0.1:4566", "agent__logLevel": "DEBUG"},
    ],
    ids=str,
)
def test_whatever_the_schema_allows_the_agent_takes(changes: dict[str, object]) -> None:
    loaded(**changes)


def test_a_stacks_settings_reach_the_agent() -> None:
    documents = render(CHART, "comfy", "sd-async", values_for(SETTINGS, RUNTIME, ADDRESSES))
    [deployment] = [document for document in documents if document["kind"] == "Deployment"]
    [agent] = deployment["spec"]["template"]["spec"]["containers"]
    environment = {item["name"]: item["value"] for item in agent["env"] if "value" in item}
    read = config.load(environment | {"SD_AGENT_ID": "comfy-0", "SD_POD_IP": "10.0.0.7"})
    assert read.queue_url == ADDRESSES.queue_url
    assert read.file_buckets == {"inputs", "team-a", "team-b"}
    assert (read.jobs_ahead, read.output_folder) == (16, None)
    assert (read.lease_s, read.max_attempts, read.retention_days) == (40, 3, 7)
    assert read.runtime_url == "http://127.0.0.1:9000"
