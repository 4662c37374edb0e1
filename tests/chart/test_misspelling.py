"""The mutation of values: each one, misspelt where it stands, is refused; so none can be set in vain."""

import copy
import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from local.helm import CHART, ChartError, template
from tests.chart import rendering

DEFAULTS: dict[str, Any] = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))
FREE = {"nodeSelector", "affinity", "podAnnotations", "podLabels"}  # their names are the user's


def paths(values: dict[str, Any], above: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for name, value in values.items():
        path = (*above, name)
        yield path
        if isinstance(value, dict) and name not in FREE | {"resources", "annotations", "labels"}:
            yield from paths(value, path)


PATHS = list(paths(DEFAULTS))


def test_every_level_is_tried() -> None:
    assert {len(path) for path in PATHS} == {1, 2, 3}
    assert len(PATHS) > 100


def refusal(wrong: list[tuple[str, ...]]) -> str:
    """What helm says when these names have a letter too many."""
    values = copy.deepcopy(rendering.MINIMAL)
    for path in wrong:
        place, default = values, DEFAULTS
        for name in path[:-1]:
            place, default = place.setdefault(name, {}), default[name]
        place[f"{path[-1]}x"] = default[path[-1]]
    with pytest.raises(ChartError) as caught:
        template(CHART, rendering.RELEASE, rendering.NAMESPACE, values)
    return str(caught.value)


def refused(said: str) -> set[tuple[str, ...]]:
    lines = re.findall(r"at '(.*?)': additional properties? (.+) not allowed", said)
    return {(*where.strip("/").split("/"), name) if where else (name,)
            for where, names in lines for name in re.findall("'(.+?)x'", names)}  # fmt: skip


@pytest.mark.parametrize("name", DEFAULTS)
def test_a_misspelt_top_level_value_is_refused(name: str) -> None:
    assert refused(refusal([(name,)])) == {(name,)}


def test_a_misspelt_value_is_refused_at_every_level() -> None:
    assert refused(refusal(PATHS)) == set(PATHS)
