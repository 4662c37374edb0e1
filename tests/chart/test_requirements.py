"""Refusals that concern more than one value, each beside the nearest values that are taken."""

from typing import Any

import pytest

from local.helm import ChartError
from tests.chart import rendering

DIGEST = "sha256:" + "0" * 64
REFUSED = [
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
]


@pytest.mark.parametrize(("refused", "taken", "sentence"), REFUSED, ids=[sentence for *_, sentence in REFUSED])
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
