"""The example files of values: they render, every supported Kubernetes takes them, and their agents start."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from agent.config import load
from agent.errors import ConfigError
from components.scaling import scaled_object
from components.settings_runtimes import RuntimeSettings, ScalingSettings
from local.helm import CHART, lint, render, template
from sd_async.contract.jobs import RuntimeType
from tests.support.manifests import problems

EXAMPLES = sorted((CHART / "examples").glob("*.yaml"))
SUPPORTED = ("1.33", "1.34", "1.35", "1.36")
NAMESPACE = "sd-async"
# Variables that libraries read, not the agent's own code.
LIBRARIES = {"OTEL_EXPORTER_OTLP_ENDPOINT"}


def values(path: Path) -> dict[str, Any]:
    read: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return read


def release(path: Path) -> str:
    [name] = re.findall(r"helm install (\S+) ", path.read_text(encoding="utf-8"))
    return str(name)


def rendered(path: Path) -> dict[str, dict[str, Any]]:
    return {document["kind"]: document for document in render(CHART, release(path), NAMESPACE, values(path))}


def environment(path: Path) -> dict[str, str]:
    [agent] = rendered(path)["Deployment"]["spec"]["template"]["spec"]["containers"]
    return {item["name"]: item.get("value", "10.0.0.7") for item in agent["env"]}


def test_the_examples_are_those_that_the_readme_names() -> None:
    named = re.findall(r"`examples/(.+?)`", (CHART / "README.md").read_text(encoding="utf-8"))
    assert {path.name for path in EXAMPLES} == set(named)
    assert len(EXAMPLES) == 4


@pytest.mark.parametrize("version", SUPPORTED)
def test_every_supported_kubernetes_takes_them(version: str) -> None:
    texts = [template(CHART, release(path), NAMESPACE, values(path)) for path in EXAMPLES]
    assert problems("\n---\n".join(texts), version) == []


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_helm_finds_nothing_to_say_about_it(path: Path) -> None:
    assert "0 chart(s) failed" in lint(CHART, [path])


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_its_agent_takes_its_environment(path: Path) -> None:
    assert load(environment(path)).runtime_name == release(path)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_no_variable_is_named_that_the_agent_does_not_know(path: Path) -> None:
    read = set(re.findall(r'"((?:SD|AWS)_[A-Z_]+)"', (CHART.parents[1] / "agent/config.py").read_text("utf-8")))
    assert set(environment(path)) <= read | LIBRARIES


def test_the_agent_misses_what_the_chart_leaves_out() -> None:
    given = environment(EXAMPLES[0]) | {"SD_RUNTIME_TYPE": "comfyui"}
    optional = {"SD_FILE_BUCKETS", "SD_HEARTBEAT_S", "SD_LEASE_S", "SD_HEALTH_PORT", "SD_JOBS_AHEAD", "SD_LOG_LEVEL"}
    optional |= {"SD_HUNG_AFTER_S", "SD_RUNTIME_WAIT_S", "SD_LEAST_FREE_MIB"}
    optional |= {"SD_LOG_FORMAT", "SD_METRICS"}
    for name in set(given) - optional - LIBRARIES:
        with pytest.raises(ConfigError, match=name):
            load({each: value for each, value in given.items() if each != name})


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_its_job_and_its_pods_end_fit_together(path: Path) -> None:
    given = environment(path)
    assert int(given["SD_GRACE_PERIOD_S"]) >= int(given["SD_JOB_TIMEOUT_S"]) + 120


def cases() -> Iterator[tuple[str | None, dict[str, Any]]]:
    yield None, {}
    yield "http://127.0.0.1:4566", {"min_replicas": 0, "max_replicas": 7, "queue_length": 3}
    yield None, {"min_replicas": 2, "max_replicas": 9, "polling_interval_s": 30, "cooldown_s": 0}


@pytest.mark.parametrize(("endpoint", "scaling"), list(cases()), ids=str)
def test_the_charts_scaled_object_is_the_programs(endpoint: str | None, scaling: dict[str, Any]) -> None:
    numbers = ScalingSettings(**scaling)
    given = values(EXAMPLES[1]) | {
        "keda": {
            "enabled": True,
            "minReplicas": numbers.min_replicas,
            "maxReplicas": numbers.max_replicas,
            "queueLength": numbers.queue_length,
            "pollingSeconds": numbers.polling_interval_s,
            "cooldownSeconds": numbers.cooldown_s,
        }
    }
    given["aws"]["endpointUrl"] = endpoint or ""
    [ours] = [item for item in render(CHART, "flux", NAMESPACE, given) if item["kind"] == "ScaledObject"]
    runtime = RuntimeSettings(name="flux", type=RuntimeType.COMFYUI, image="a:1", port=8188, scaling=numbers)
    assert ours == scaled_object(
        runtime,
        queue_url=given["queue"]["url"],
        region="us-west-2",
        namespace=NAMESPACE,
        deployment="flux",
        endpoint_url=endpoint,
    )


def test_the_charts_numbers_are_the_programs_own() -> None:
    keda = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))["keda"]
    numbers = ScalingSettings()
    assert keda == {
        "enabled": False,
        "minReplicas": numbers.min_replicas,
        "maxReplicas": numbers.max_replicas,
        "queueLength": numbers.queue_length,
        "pollingSeconds": numbers.polling_interval_s,
        "cooldownSeconds": numbers.cooldown_s,
    }
