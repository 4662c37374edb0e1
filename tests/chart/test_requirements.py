"""Refusals that concern more than one value, each beside the nearest values that are taken."""

import re
from typing import Any

import pytest

from local.helm import CHART, ChartError
from tests.chart import rendering

DIGEST = "sha256:" + "0" * 64
BUCKET = {"models__bucket": "models"}
CACHE = {"name": "cache", "mountPath": "/cache", "size": "1Gi"}
REFUSED: list[tuple[dict[str, Any], dict[str, Any], str]] = [
    (
        {"job__timeoutSeconds": 600, "terminationGracePeriodSeconds": 719},
        {"job__timeoutSeconds": 600, "terminationGracePeriodSeconds": 720},
        "terminationGracePeriodSeconds (719) must be at least job.timeoutSeconds (600) + 120",
    ),
    (
        {"job__heartbeatSeconds": 10, "job__leaseSeconds": 29},
        {"job__heartbeatSeconds": 10, "job__leaseSeconds": 30},
        "job.leaseSeconds (29) must be at least 3 x job.heartbeatSeconds (10)",
    ),
    (
        {"job__leaseSeconds": 90, "queue__visibilityTimeoutSeconds": 89},
        {"job__leaseSeconds": 90, "queue__visibilityTimeoutSeconds": 90},
        "queue.visibilityTimeoutSeconds (89) must be at least job.leaseSeconds (90)",
    ),
    (
        {"agent__sharedOutput": True, "runtime__chartArgs": False},
        {"agent__sharedOutput": True, "runtime__chartArgs": True},
        "agent.sharedOutput is true, which needs runtime.type comfyui and runtime.chartArgs true",
    ),
    (
        {"runtime__port": 8081},
        {"runtime__port": 8082},
        "runtime.port and agent.healthPort are both 8081",
    ),
    (
        {"runtime__image__tag": ""},
        {"runtime__image__tag": "", "runtime__image__digest": DIGEST},
        "runtime.image (registry.example/comfyui) has neither tag nor digest",
    ),
    (
        {"agent__image__tag": ""},
        {"agent__image__tag": "", "agent__image__digest": DIGEST},
        "agent.image (registry.example/agent) has neither tag nor digest",
    ),
    (
        {"extensions__image__repository": "registry.example/nodes"},
        {"extensions__image": {"repository": "registry.example/nodes", "digest": DIGEST}},
        "extensions.image (registry.example/nodes) has neither tag nor digest",
    ),
    ({"runtime__hungSeconds": 59}, {"runtime__hungSeconds": 60}, "runtime.hungSeconds (59) must be 0 for never or at"),
    ({"runtime__hungSeconds": 1}, {"runtime__hungSeconds": 0}, "runtime.hungSeconds (1) must be 0 for never or at"),
    ({"models__mode": "mount"}, {"models__mode": "mount", **BUCKET}, "models.mode is mount and models.bucket is empty"),
    ({"models__mode": "copy"}, {"models__mode": "copy", **BUCKET}, "models.mode is copy and models.bucket is empty"),
    (
        {"models__mount__claim": "models-sd15"},
        {"models__mode": "mount", "models__mount__claim": "models-sd15"},
        "models.mount.claim is models-sd15 and models.mode is image",
    ),
    (BUCKET, {"models__bucket": ""}, "models.bucket is models and models.mode is image"),
    (
        {"models__mode": "copy", "models__copy__refreshSeconds": 29, **BUCKET},
        {"models__mode": "copy", "models__copy__refreshSeconds": 30, **BUCKET},
        "models.copy.refreshSeconds (29) must be 0 for never or at least 30",
    ),
    (
        {"models__mode": "mount", "models__copy__refreshSeconds": 30, **BUCKET},
        {"models__mode": "mount", "models__copy__refreshSeconds": 0, **BUCKET},
        "models.copy.refreshSeconds is 30 and models.mode is mount",
    ),
    (
        {"keda__minReplicas": 3, "keda__maxReplicas": 2},
        {"keda__minReplicas": 2, "keda__maxReplicas": 2},
        "keda.minReplicas (3) must be at most keda.maxReplicas (2)",
    ),
    (
        {"runtime__writable": [CACHE, {**CACHE, "mountPath": "/other"}]},
        {"runtime__writable": [CACHE, {**CACHE, "mountPath": "/other", "name": "other"}]},
        "runtime.writable has cache twice",
    ),
    (
        {"models__mode": "mount", **BUCKET, "runtime__type": "a1111", "models__folders__checkpoints": ""},
        {"models__mode": "mount", **BUCKET, "runtime__type": "comfyui", "models__folders__checkpoints": ""},
        "models.folders.checkpoints is empty and runtime.type is a1111",
    ),
]


@pytest.mark.parametrize(("refused", "taken", "sentence"), REFUSED, ids=[sentence for _, _, sentence in REFUSED])
def test_values_that_do_not_fit_together_are_refused(
    refused: dict[str, Any], taken: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(ChartError) as caught:
        rendering.text(**refused)
    assert sentence in str(caught.value)
    assert "kind: Deployment" in rendering.text(**taken)


REQUIRED = [
    "queue__url",
    "store__jobsTable",
    "store__outputBucket",
    "store__inputBucket",
    "store__resultsTopicArn",
    "aws__region",
    "runtime__image__repository",
    "agent__image__repository",
]


@pytest.mark.parametrize("name", REQUIRED)
def test_an_address_that_is_missing_is_named(name: str) -> None:
    with pytest.raises(ChartError) as caught:
        rendering.text(**{name: ""})
    assert f"{name.replace('__', '.')} is empty" in str(caught.value)


def test_the_least_values_hold_what_is_required_and_no_more() -> None:
    tags = {"runtime.image.tag", "agent.image.tag"}
    assert set(_paths(rendering.MINIMAL)) == {name.replace("__", ".") for name in REQUIRED} | tags


def _paths(values: dict[str, Any], prefix: str = "") -> list[str]:
    paths: list[str] = []
    for name, value in values.items():
        paths += _paths(value, f"{prefix}{name}.") if isinstance(value, dict) else [f"{prefix}{name}"]
    return paths


def test_every_refusal_has_a_case() -> None:
    text = (CHART / "templates" / "requirements.yaml").read_text(encoding="utf-8")
    sentences = re.findall(r'"ERROR: ([^"]+)"', text)
    assert len(sentences) == text.count("{{- fail "), "every sentence was found"
    cases = [case for _, _, case in REFUSED] + ["queue.url is empty; set"]
    for sentence in sentences:
        opening = re.sub("%[sd]", r"\\S+", re.escape(" ".join(sentence.split()[:4]).rstrip(";")))
        assert any(re.match(opening, case) for case in cases), sentence
