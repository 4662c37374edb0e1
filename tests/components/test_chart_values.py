"""Settings as the chart's values: everything arrives where the chart wants it."""

import dataclasses

import pytest

from components.chart_values import RuntimeAddresses, image_values, values_for
from components.settings import Settings
from components.settings_cluster import ClusterSettings, KubernetesSettings
from components.settings_platform import StorageSettings
from components.settings_runtimes import AgentSettings, CopySettings, ModelSettings, RuntimeSettings
from local.helm import CHART, render
from sd_async.contract.jobs import RuntimeType

ADDRESSES = RuntimeAddresses(
    queue_url="https://sqs.us-west-2.amazonaws.com/111122223333/comfy",
    jobs_table="jobs",
    output_bucket="outputs",
    input_bucket="inputs",
    models_bucket="models",
    results_topic_arn="arn:aws:sns:us-west-2:111122223333:results",
    runtime_image="registry.example/comfyui:1",
    agent_image="registry.example/agent:2",
)
RUNTIME = RuntimeSettings(
    name="comfy", type=RuntimeType.COMFYUI, image="registry.example/comfyui:1", port=9000, job_timeout_s=600
)
SETTINGS = Settings(
    project="sd-async",
    stack="dev",
    region="us-west-2",
    runtimes=(RUNTIME,),
    agent=AgentSettings(image="registry.example/agent:2", heartbeat_s=4, lease_s=40, max_attempts=3),
    storage=StorageSettings(retention_days=7, file_buckets=("team-a", "team-b")),
)


def test_every_setting_of_a_runtime_reaches_its_value() -> None:
    assert values_for(SETTINGS, RUNTIME, ADDRESSES) == {
        "nodeSelector": {"sd-async/pool": "gpu"},
        "runtime": {
            "name": "comfy",
            "type": "comfyui",
            "image": {"repository": "registry.example/comfyui", "tag": "1", "digest": ""},
            "port": 9000,
        },
        "agent": {
            "image": {"repository": "registry.example/agent", "tag": "2", "digest": ""},
            "healthPort": 8081,
            "logLevel": "INFO",
            "logFormat": "json",
            "restartsPod": True,
        },
        "job": {
            "timeoutSeconds": 600,
            "heartbeatSeconds": 4,
            "leaseSeconds": 40,
            "maxAttempts": 3,
            "retentionDays": 7,
        },
        "queue": {"url": ADDRESSES.queue_url, "visibilityTimeoutSeconds": 40},
        "store": {
            "jobsTable": "jobs",
            "outputBucket": "outputs",
            "inputBucket": "inputs",
            "fileBuckets": ["team-a", "team-b"],
            "resultsTopicArn": ADDRESSES.results_topic_arn,
        },
        "aws": {"region": "us-west-2", "endpointUrl": ""},
        "observability": {
            "metrics": "prometheus",
            "scrapeAnnotations": False,
            "podMonitor": {"enabled": False},
            "otlpEndpoint": "",
        },
        "terminationGracePeriodSeconds": 720,
    }


@pytest.mark.parametrize(
    ("scrape", "annotations", "monitor"), [("annotations", True, False), ("pod_monitor", False, True)]
)
def test_what_a_person_wants_to_see_reaches_its_values(scrape: str, *, annotations: bool, monitor: bool) -> None:
    agent = dataclasses.replace(SETTINGS.agent, scrape=scrape, metrics="both", traces_url="http://collector:4318")
    seen = values_for(dataclasses.replace(SETTINGS, agent=agent), RUNTIME, ADDRESSES)["observability"]
    assert seen == {
        "metrics": "both",
        "scrapeAnnotations": annotations,
        "podMonitor": {"enabled": monitor},
        "otlpEndpoint": "http://collector:4318",
    }


DIGEST = "sha256:" + "0" * 64


@pytest.mark.parametrize(
    ("image", "repository", "tag", "digest"),
    [
        ("comfyui:1.2", "comfyui", "1.2", ""),
        ("registry.example:5000/ai/comfyui", "registry.example:5000/ai/comfyui", "", ""),
        ("registry.example:5000/ai/comfyui:1.2", "registry.example:5000/ai/comfyui", "1.2", ""),
        (f"ai/comfyui@{DIGEST}", "ai/comfyui", "", DIGEST),
        (f"registry.example:5000/comfyui:1.2@{DIGEST}", "registry.example:5000/comfyui", "1.2", DIGEST),
    ],
)
def test_an_image_falls_into_its_parts(image: str, repository: str, tag: str, digest: str) -> None:
    assert image_values(image) == {"repository": repository, "tag": tag, "digest": digest}


def test_pods_start_anew_as_a_whole_where_the_stacks_own_kubernetes_can() -> None:
    older = dataclasses.replace(SETTINGS, cluster=ClusterSettings(version="1.35"))
    newer = dataclasses.replace(SETTINGS, cluster=ClusterSettings(version="1.37"))
    existing = dataclasses.replace(newer, kubernetes=KubernetesSettings(context="work"))
    asked = [values_for(each, RUNTIME, ADDRESSES)["agent"]["restartsPod"] for each in (older, newer, existing)]
    assert asked == [False, True, False]


def test_a_runtime_runs_on_the_nodes_of_its_pool_where_the_stack_makes_them() -> None:
    assert values_for(SETTINGS, RUNTIME, ADDRESSES)["nodeSelector"] == {"sd-async/pool": "gpu"}
    existing = dataclasses.replace(SETTINGS, kubernetes=KubernetesSettings(context="work"))
    assert "nodeSelector" not in values_for(existing, RUNTIME, ADDRESSES)


def with_models(models: ModelSettings, claim: str = "") -> dict[str, object]:
    values: dict[str, object] = values_for(SETTINGS, dataclasses.replace(RUNTIME, models=models), ADDRESSES, claim)
    return values


def test_models_that_are_copied_come_from_the_runtimes_own_folder_as_the_settings_say() -> None:
    copied = CopySettings(size_gib=60, include=("VAE/*",), gigabits_per_s=25, refresh_s=300)
    assert with_models(ModelSettings(mode="copy", copy=copied))["models"] == {
        "mode": "copy",
        "bucket": "models",
        "prefix": "comfy/",
        "copy": {"size": "60Gi", "include": ["VAE/*"], "gigabitsPerSecond": 25, "refreshSeconds": 300},
    }


def test_a_runtime_whose_image_brings_its_models_is_told_of_no_bucket() -> None:
    assert "models" not in with_models(ModelSettings(mode="image"))
    mounted = with_models(ModelSettings(mode="mount"), claim="models-comfy")
    assert mounted["models"] == {"mode": "mount", "mount": {"claim": "models-comfy"}}


def test_the_chart_takes_models_that_are_copied_and_copies_them_before_the_runtime_starts() -> None:
    documents = render(CHART, "comfy", "sd-async", with_models(ModelSettings(mode="copy")))
    [deployment] = [one for one in documents if one["kind"] == "Deployment"]
    first, second = deployment["spec"]["template"]["spec"]["initContainers"]
    environment = {item["name"]: item.get("value") for item in first["env"]}
    assert (first["name"], second["name"]) == ("models", "runtime")
    assert (environment["SD_MODELS_BUCKET"], environment["SD_MODELS_PREFIX"]) == ("models", "comfy/")
