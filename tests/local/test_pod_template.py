"""What a chart's Deployment says about its agents, as a pod on this machine reads it."""

from typing import Any

import pytest
import yaml

from local.deploy.up import Release
from local.pods import RUNTIME_URL, PodTemplate, UnknownFieldError, template_in, template_of
from local.system import ROOT

GRACE_S = 100
NAME = {"name": "SD_AGENT_ID", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}
ADDRESS = {"name": "SD_POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}
PLACE = {"name": "SD_NAMESPACE", "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}}}
URL = {"name": RUNTIME_URL, "value": "http://127.0.0.1:8188"}


def template(*environment: dict[str, Any]) -> PodTemplate:
    return PodTemplate("sd15", "images", environment or (URL,), GRACE_S)


def test_an_agent_gets_what_its_chart_renders_and_its_own_name_and_address() -> None:
    given = template(NAME, ADDRESS, PLACE, URL, {"name": "SD_HEALTH_PORT", "value": 8081}, {"name": "EMPTY"})
    assert given.environment_of("sd15-1", "127.1.2.3") == {
        "SD_AGENT_ID": "sd15-1",
        "SD_POD_IP": "127.1.2.3",
        "SD_NAMESPACE": "images",
        RUNTIME_URL: "http://127.0.0.1:8188",
        "SD_HEALTH_PORT": "8081",
        "EMPTY": "",
    }


@pytest.mark.parametrize(
    ("entry", "named"),
    [
        ({"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}}, "spec.nodeName"),
        ({"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}, "secretKeyRef"),
        ({"name": "URL", "value": "http://$(HOST)/"}, r"\$\(HOST\)"),
    ],
)
def test_what_a_local_pod_does_not_have_is_named(entry: dict[str, Any], named: str) -> None:
    with pytest.raises(UnknownFieldError, match=rf"^{entry['name']}: .*{named}"):
        template(entry).environment_of("a", "b")


def manifest(**agent: Any) -> list[dict[str, Any]]:
    spec = {"containers": [{"name": "agent", "env": [URL], **agent}], "terminationGracePeriodSeconds": 30}
    deployment = {"kind": "Deployment", "metadata": {"name": "sd15"}, "spec": {"template": {"spec": spec}}}
    return [{"kind": "ServiceAccount"}, deployment]


@pytest.mark.parametrize(
    ("agent", "named"),
    [
        ({"envFrom": []}, "envFrom"),
        ({"command": ["x"], "args": []}, "args, command"),
        ({"env": [{"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}}]}, "NODE"),
    ],
)
def test_a_chart_that_asks_for_more_is_refused_before_the_first_job(agent: dict[str, Any], named: str) -> None:
    assert template_in(manifest(), "images").grace_period_s == 30
    with pytest.raises(UnknownFieldError, match=named):
        template_in(manifest(**agent), "images")


def test_the_real_chart_is_understood() -> None:
    values = (ROOT / "helm/sd-runtime/ci/minimal-values.yaml").read_text()
    found = template_of(Release("sd15", "images", "./helm/sd-runtime", yaml.safe_load(values)), ROOT)
    assert found.deployment == "sd15"
    environment = found.environment_of("sd15-1", "127.1.2.3")
    assert (environment["SD_AGENT_ID"], environment["SD_POD_IP"]) == ("sd15-1", "127.1.2.3")
    assert found.grace_period_s == int(environment["SD_GRACE_PERIOD_S"])
