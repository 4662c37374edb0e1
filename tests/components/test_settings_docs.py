"""The page of settings and the stack file's schema say what the settings' own fields say, and are fresh."""

import dataclasses
import json
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator  # type: ignore[import-untyped] # it has no types of its own

from components import settings_docs
from components.settings import Sections
from tests.components.example import CONFIG
from tests.support.engine import ROOT

VALIDATOR = Draft202012Validator(settings_docs.schema())
STACKS = sorted(ROOT.glob("Pulumi.*.yaml*"))


def complaints(config: dict[str, Any]) -> list[str]:
    return [error.message for error in VALIDATOR.iter_errors({"config": config})]


def test_the_page_is_fresh() -> None:
    assert (ROOT / settings_docs.PAGE).read_text() == settings_docs.page(), "run `make docs`"


def test_the_schema_is_fresh() -> None:
    assert json.loads((ROOT / settings_docs.SCHEMA).read_text()) == settings_docs.schema(), "run `make docs`"


def test_every_section_and_every_bound_is_on_the_page() -> None:
    page = settings_docs.page()
    for field in dataclasses.fields(Sections):
        assert f"\n## {field.name}\n" in page
    assert "| `agent.lease_s` | whole number | 3 to 42900 seconds | `60` |" in page
    assert "| `runtimes[].scaling.max_replicas` | whole number | 1 to 1000 | `2` |" in page
    assert "| `agent.image` | text | image with a tag other than `latest`" in page
    assert "| `api.waf` | yes or no |  | `false` |" in page


def test_the_schema_is_a_schema() -> None:
    Draft202012Validator.check_schema(settings_docs.schema())


@pytest.mark.parametrize("path", STACKS, ids=lambda path: path.name)
def test_each_stack_file_is_one_for_editors_too(path: Any) -> None:
    assert list(VALIDATOR.iter_errors(yaml.safe_load(path.read_text()))) == []


@pytest.mark.parametrize(
    "changed",
    [
        {"sd-async:api": {"burst": 0}},
        {"sd-async:api": {"brust": 1}},
        {"sd-async:api": {"clients": [{"rate": 1}]}},
        {"sd-async:agent": {"image": "x/y:latest"}},
        {"sd-async:apii": {}},
        {"sd-async:runtimes": []},
        {"sd-async:runtimes": [{"name": "SD", "type": "comfyui", "image": "a/b:1"}]},
        {"sd-async:endpoint_url": "localhost"},
    ],
)
def test_what_the_program_would_refuse_an_editor_marks(changed: dict[str, Any]) -> None:
    assert complaints(CONFIG) == []
    assert complaints(CONFIG | changed)


@pytest.mark.parametrize(
    "changed", [{"other:key": 1}, {"sd-async:api": {"domain": None}}, {"sd-async:endpoint_url": None}]
)
def test_what_the_program_takes_an_editor_leaves_alone(changed: dict[str, Any]) -> None:
    assert complaints(CONFIG | changed) == []
