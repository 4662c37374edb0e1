"""The chart as helm renders it, from the least that installs and what a test changes of it."""

import copy
import functools
import json
from typing import Any

import yaml

from local.helm import CHART, template

Json = dict[str, Any]

MINIMAL: Json = yaml.safe_load((CHART / "ci" / "minimal-values.yaml").read_text())
RELEASE, NAMESPACE = "comfy", "sd-async"


def values(**changes: Any) -> Json:
    """The least values with changes, whose names are paths with `__` between the parts."""
    changed = copy.deepcopy(MINIMAL)
    for path, value in changes.items():
        *folders, name = path.split("__")
        place = changed
        for folder in folders:
            place = place.setdefault(folder, {})
        place[name] = value
    return changed


def text(**changes: Any) -> str:
    """What helm prints. Raises: ChartError."""
    return _template(json.dumps(values(**changes)))


def objects(**changes: Any) -> dict[str, Json]:
    """The rendered objects by kind; the chart has one of each. Raises: ChartError."""
    documents = [document for document in yaml.safe_load_all(text(**changes)) if document]
    by_kind = {document["kind"]: document for document in documents}
    assert len(by_kind) == len(documents), "two objects of one kind"
    return by_kind


def pod(**changes: Any) -> Json:
    spec: Json = objects(**changes)["Deployment"]["spec"]["template"]["spec"]
    return spec


def agent(**changes: Any) -> Json:
    [container] = pod(**changes)["containers"]
    assert isinstance(container, dict)
    return container


def runtime(**changes: Any) -> Json:
    return init_containers(**changes)["runtime"]


def init_containers(**changes: Any) -> dict[str, Json]:
    """By name, in their order."""
    return {container["name"]: container for container in pod(**changes)["initContainers"]}


def volumes(**changes: Any) -> dict[str, Json]:
    return {volume["name"]: volume for volume in pod(**changes)["volumes"]}


def environment(**changes: Any) -> dict[str, str]:
    """The agent's variables; one that comes from the pod is `<field path>`."""
    return {
        item["name"]: item["value"] if "value" in item else f"<{item['valueFrom']['fieldRef']['fieldPath']}>"
        for item in agent(**changes)["env"]
    }


@functools.cache
def _template(values_text: str) -> str:
    return template(CHART, RELEASE, NAMESPACE, json.loads(values_text))
