"""The ScaledObject: numbers in the right places, and a document that KEDA takes."""

from typing import Any

import pytest
import yaml

from components.scaling import scaled_object
from components.settings import SettingsError
from components.settings_runtimes import RuntimeSettings, ScalingSettings, WarmSettings
from sd_async.contract.jobs import RuntimeType
from tests.components.example import CONFIG, stack
from tests.support.manifests import problems

QUEUE_URL = "https://sqs.us-west-2.amazonaws.com/111122223333/comfy"


def document(endpoint_url: str | None = None, **scaling: Any) -> dict[str, Any]:
    runtime = RuntimeSettings(
        name="comfy",
        type=RuntimeType.COMFYUI,
        image="registry.example/comfyui:1",
        port=8188,
        scaling=ScalingSettings(**scaling),
    )
    return scaled_object(
        runtime,
        queue_url=QUEUE_URL,
        region="us-west-2",
        namespace="sd-async",
        deployment="comfy",
        endpoint_url=endpoint_url,
    )


@pytest.mark.parametrize("scaling", [{}, {"min_replicas": 3, "max_replicas": 7}, {"min_replicas": 2}])
def test_keda_takes_the_document(scaling: dict[str, int]) -> None:
    assert problems(yaml.safe_dump(document("http://127.0.0.1:4566", **scaling))) == []


def test_running_jobs_are_counted_so_that_busy_agents_stay() -> None:
    trigger = document()["spec"]["triggers"][0]
    assert trigger["metadata"] == {
        "queueURL": QUEUE_URL,
        "queueLength": "1",
        "awsRegion": "us-west-2",
        "scaleOnInFlight": "true",
        "identityOwner": "operator",
    }, "KEDA reads these from the trigger's metadata only, and as text"


def test_an_endpoint_is_named_only_when_there_is_one() -> None:
    assert document("http://127.0.0.1:4566")["spec"]["triggers"][0]["metadata"]["awsEndpoint"] == (
        "http://127.0.0.1:4566"
    )


def test_the_settings_numbers_arrive() -> None:
    spec = document(min_replicas=1, max_replicas=9, queue_length=4, polling_interval_s=7, cooldown_s=42)["spec"]
    assert {
        "minReplicaCount": 1,
        "maxReplicaCount": 9,
        "pollingInterval": 7,
        "cooldownPeriod": 42,
    }.items() <= spec.items()
    assert spec["triggers"][0]["metadata"]["queueLength"] == "4"


def test_agents_come_at_once_and_go_one_a_minute() -> None:
    behavior = document(max_replicas=9)["spec"]["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]
    assert behavior["scaleUp"]["stabilizationWindowSeconds"] == 0
    assert behavior["scaleUp"]["policies"][0]["value"] == 9, "every agent that is needed may come in one step"
    assert behavior["scaleDown"]["stabilizationWindowSeconds"] == 300
    assert behavior["scaleDown"]["policies"] == [{"type": "Pods", "value": 1, "periodSeconds": 60}]


@pytest.mark.parametrize(("min_replicas", "replicas"), [(0, 1), (2, 2)])
def test_an_unreadable_queue_keeps_agents_and_starts_at_most_one(min_replicas: int, replicas: int) -> None:
    fallback = document(min_replicas=min_replicas)["spec"]["fallback"]
    assert fallback["replicas"] == replicas, "KEDA passes over 0 and would end with none"
    assert fallback["behavior"] == "currentReplicasIfHigher"


def test_taking_scaling_away_starts_no_gpu() -> None:
    assert document()["spec"]["advanced"]["restoreToOriginalReplicaCount"] is False


def test_agents_are_kept_through_business_hours_only_when_asked_for() -> None:
    assert [trigger["type"] for trigger in document()["spec"]["triggers"]] == ["aws-sqs-queue"]
    warm = document(warm=WarmSettings(replicas=2, timezone="Europe/Berlin"))
    assert warm["spec"]["triggers"][1] == {
        "type": "cron",
        "metadata": {
            "timezone": "Europe/Berlin",
            "start": "0 8 * * 1-5",
            "end": "0 18 * * 1-5",
            "desiredReplicas": "2",
        },
    }
    assert problems(yaml.safe_dump(warm)) == []


def test_more_agents_through_business_hours_than_ever_may_be_are_refused() -> None:
    scaling = {"max_replicas": 2, "warm": {"replicas": 3}}
    runtimes = [CONFIG["sd-async:runtimes"][0] | {"scaling": scaling}]
    with pytest.raises(SettingsError, match=r"scaling\.warm\.replicas: 3 is more than max_replicas, 2;"):
        stack(runtimes=runtimes)
