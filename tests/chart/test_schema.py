"""The schema and the table of values: closed, complete and fresh."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from local import chart_docs
from local.helm import CHART, ChartError, lint
from sd_async.contract.jobs import RuntimeType
from sd_async.contract.limits import MAX_TIMEOUT_S
from tests.chart import rendering

SCHEMA: dict[str, Any] = json.loads((CHART / "values.schema.json").read_text())
FREE = {
    "models.copy.resources",
    "observability.podMonitor.labels",
    "runtime.resources",
    "agent.resources",
    "serviceAccount.annotations",
    "nodeSelector",
    "affinity",
    "podAnnotations",
    "podLabels",
}


def objects(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every object of the schema, by the path of the value; `[]` is an item of a list."""
    if schema.get("type") == "object":
        yield path, schema
    for name, inner in schema.get("properties", {}).items():
        yield from objects(inner, f"{path}.{name}".removeprefix("."))
    if "items" in schema:
        yield from objects(schema["items"], f"{path}[]")


def test_every_object_is_closed_but_the_named_free_ones() -> None:
    opened = {path for path, inner in objects(SCHEMA) if inner.get("additionalProperties") is not False}
    assert opened == FREE


CLOSED = [path for path, _ in objects(SCHEMA) if path not in FREE]


@pytest.mark.parametrize("path", CLOSED, ids=lambda path: path or "top")
def test_a_misspelt_value_is_refused_at_every_object(path: str) -> None:
    if path.endswith("[]"):
        item: dict[str, Any] = {"name": "a", "value": "1", "key": "a", "mountPath": "/a", "size": "1Gi", "ports": []}
        item |= {"maxSkew": 1, "topologyKey": "a", "whenUnsatisfiable": "DoNotSchedule"}
        known = dict(objects(SCHEMA))[path]["properties"]
        good = {name: value for name, value in item.items() if name in known}
        key = path.removesuffix("[]").replace(".", "__")
        changes: dict[str, Any] = {key: [{**good, "misspelt": "x"}]}
        assert "kind: Deployment" in rendering.text(**{key: [good]}), "only the misspelt name is wrong"
    else:
        changes = {"__".join([*filter(None, path.split(".")), "misspelt"]): "x"}
    with pytest.raises(ChartError, match="misspelt"):
        rendering.text(**changes)


@pytest.mark.parametrize(
    "changes",
    [
        {"runtime__type": "invokeai"},
        {"runtime__name": "Comfy"},
        {"runtime__image__digest": "sha256:abc"},
        {"runtime__port": "8188"},
        {"job__timeoutSeconds": 0},
        {"job__maxAttempts": 1001},
        {"agent__logLevel": "LOUD"},
        {"agent__env": [{"name": "SD_QUEUE_URL", "value": "x"}]},
        {"agent__env": [{"name": "AWS_SECRET_ACCESS_KEY", "value": "x"}]},
        {"podLabels": {"app.kubernetes.io/name": "x"}},
        {"store__fileBuckets": ["a,b"]},
        {"serviceAccount__create": "yes"},
    ],
    ids=str,
)
def test_a_value_out_of_bounds_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ChartError, match="specifications of the schema"):
        rendering.text(**changes)


def test_what_is_generated_is_fresh() -> None:
    for path, text in chart_docs.documents().items():
        assert path.read_text() == text, f"run `python -m local.chart_docs`: {path.name} is stale"


def test_the_check_tells_which_file_is_stale(capsys: pytest.CaptureFixture[str]) -> None:
    assert chart_docs.main(["--check"]) == 0
    assert capsys.readouterr().err == ""


def test_a_value_without_a_description_is_refused_by_name() -> None:
    with pytest.raises(chart_docs.ValuesError, match=r"job\.timeoutSeconds"):
        chart_docs.read_values("# -- Bounds.\njob:\n  timeoutSeconds: 1\n")


def test_runtime_types_are_those_of_the_contract() -> None:
    assert SCHEMA["properties"]["runtime"]["properties"]["type"]["enum"] == [str(kind) for kind in RuntimeType]


def test_the_longest_job_is_that_of_the_contract() -> None:
    assert SCHEMA["properties"]["job"]["properties"]["timeoutSeconds"]["maximum"] == MAX_TIMEOUT_S


def test_helm_finds_nothing_to_say() -> None:
    assert "0 chart(s) failed" in lint(CHART)
    assert "0 chart(s) failed" in lint(CHART, [CHART / "ci" / "minimal-values.yaml"])
