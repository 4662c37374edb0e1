"""The pages for people say what the code says."""

import ast
import re
from pathlib import Path

import msgspec
import pytest

from functions.api.routes import ROUTES
from sd_async import config
from sd_async.contract import forms, limits
from sd_async.contract.agents import AgentNote, AgentState
from sd_async.contract.jobs import Job, JobRequest, JobType, Metrics, Output, Progress
from sd_async.contract.messages import JobMessage
from sd_async.contract.records import Record
from sd_async.contract.results import ResultMessage
from sd_async.contract.states import TRANSITIONS

ROOT = Path(__file__).parents[2]
CONTRACT = (ROOT / "docs" / "job-contract.md").read_text(encoding="utf-8")
ARCHITECTURE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
VARIABLE = re.compile(r"\b(?:SD|AWS)_[A-Z_]+\b")


def section(page: str, heading: str) -> str:
    """Text below a heading, up to the next of its level or above."""
    level = len(heading) - len(heading.lstrip("#"))
    _, found, rest = page.partition(f"\n{heading}\n")
    assert found, heading
    return re.split(rf"\n#{{1,{level}}} ", rest)[0]


def rows(text: str) -> list[list[str]]:
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def ticked(text: str) -> set[str]:
    return set(re.findall(r"`([^`]+)`", text))


def statuses() -> dict[str, int]:
    """The handler's table, read and not imported: a handler is made when it is imported, from an environment."""
    tree = ast.parse((ROOT / "functions" / "api" / "handler.py").read_text(encoding="utf-8"))
    for node in tree.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "STATUS_OF":
            table = ast.literal_eval(node.value)
            assert isinstance(table, dict)
            return table
    raise AssertionError("the handler has no STATUS_OF")


def test_the_routes_are_those_that_are_served() -> None:
    told = {row[0].strip("`") for row in rows(section(CONTRACT, "## Requests").partition("###")[0])}
    assert told == {f"{route.method} {route.path}" for route in ROUTES}


def test_every_error_code_stands_in_the_row_of_its_status() -> None:
    told = {code: int(row[0]) for row in rows(section(CONTRACT, "### Errors")) for code in ticked(row[1])}
    assert told == {**statuses(), "too_many_requests": 429}


def test_the_states_and_their_steps_are_those_of_the_contract() -> None:
    told = {
        state: set() if row[1] == "final" else ticked(row[1])
        for row in rows(section(CONTRACT, "### States"))
        for state in ticked(row[0])
    }
    assert told == {str(state): {str(target) for target in targets} for state, targets in TRANSITIONS.items()}


FIELDS: list[tuple[str, list[type[msgspec.Struct]]]] = [
    ("### `POST /v1/jobs`", [JobRequest]),
    ("### The job", [Job, Progress, Metrics, Output]),
    ("## Result messages", [ResultMessage]),
    ("### The jobs topic and the queues", [JobMessage]),
    ("### The record", [Record]),
    ("### The agents of a runtime", [AgentNote]),
    ("## The public sample's forms", [forms.V1Alpha1Answer, forms.V1Alpha2Answer]),
]


@pytest.mark.parametrize(("heading", "types"), FIELDS)
def test_every_field_is_told(heading: str, types: list[type[msgspec.Struct]]) -> None:
    text = section(CONTRACT, heading)
    words = set(re.findall(r"[a-z_]+[a-z0-9_]*", " ".join(ticked(text))))
    fields = {name for type_ in types for name in type_.__struct_fields__}
    assert fields - words - {"webhook_url"} == set()
    if heading == "### `POST /v1/jobs`":
        assert {str(kind) for kind in JobType} <= ticked(text)


def test_every_state_of_an_agent_is_told() -> None:
    assert set(AgentState) <= ticked(section(CONTRACT, "### The agents of a runtime"))


def test_every_limit_is_told_with_its_value() -> None:
    told = {name: int(value) for value, name in re.findall(r"(\d+)[^|,()]*\(`(MAX_\w+)`\)", CONTRACT)}
    assert told == {name: value for name, value in vars(limits).items() if name.startswith("MAX_")}


@pytest.mark.parametrize(
    ("heading", "sources"),
    [
        ("### The agent's environment, set by the chart", ["agent/config.py"]),
        ("### The functions' environment", ["functions/api/env.py"]),
    ],
)
def test_every_variable_is_told(heading: str, sources: list[str]) -> None:
    read = {name for source in sources for name in VARIABLE.findall((ROOT / source).read_text(encoding="utf-8"))}
    assert set(VARIABLE.findall(section(ARCHITECTURE, heading))) == read


def test_every_variable_of_the_client_is_told() -> None:
    told = set(VARIABLE.findall(section(ARCHITECTURE, "### The client's environment")))
    assert told == {config.ENDPOINT, config.API_KEY, config.CONFIG}
