"""Each alarm watches what exists, says what it means and has its section in the runbook."""

import re

import pytest

from components.alarms import FUNCTIONS, NOTICES, SPEND, TOPICS, Alarm, alarms, sections
from tests.components.example import CONFIG, as_text, stack
from tests.support.engine import ROOT, Engine, evaluate

EVERYTHING = stack(agent={"image": "registry.example/agent:1", "metrics": "both"})
ROWS = alarms(EVERYTHING)
RUNBOOK = (ROOT / "docs" / "runbook.md").read_text()


def of(section: str, subject: str) -> Alarm:
    [found] = [row for row in ROWS if (row.section, row.subject) == (section, subject)]
    return found


@pytest.fixture(scope="module")
def placed() -> Engine:
    return evaluate(as_text(CONFIG))


def test_the_runbook_has_a_section_for_each_alarm_and_no_other() -> None:
    found = re.findall(r"^## (\S+)$", RUNBOOK, re.MULTILINE)
    assert len(found) == len(set(found))
    assert set(found) == sections(EVERYTHING)


@pytest.mark.parametrize("section", sorted(sections(EVERYTHING)))
def test_a_section_says_what_it_means_and_what_to_do_first(section: str) -> None:
    text = RUNBOOK.split(f"## {section}\n")[1].split("\n## ")[0]
    assert text.startswith("**Means**: ")
    assert "\n1. " in text


def test_an_alarm_leads_to_its_section() -> None:
    for row in ROWS:
        assert row.description.endswith(f"docs/runbook.md#{row.section}")
        assert len(row.description) <= 1024, "AWS takes no longer description"


def test_no_two_alarms_have_one_name() -> None:
    assert len({row.key for row in ROWS}) == len(ROWS) == 4 * 2 + 1 + 2 * len(FUNCTIONS) + len(TOPICS)


def test_what_is_watched_is_what_the_program_places(placed: Engine) -> None:
    names = {one.inputs.get("name") for one in placed.declared}
    for row in ROWS:
        for metric in row.metrics:
            assert metric.value in names, f"{row.key} would watch nothing for ever"


def test_an_expression_uses_each_of_its_metrics() -> None:
    for row in ROWS:
        for metric in row.metrics:
            assert re.search(rf"\b{metric.id}\b", row.expression), row.key


def test_jobs_that_nobody_takes_are_told_from_jobs_that_take_long() -> None:
    row = of("nobody-works", "sd15")
    waiting, running = row.metrics
    assert (waiting.name, running.name) == (
        "ApproximateNumberOfMessagesVisible",
        "ApproximateNumberOfMessagesNotVisible",
    )
    assert row.expression == "IF(waiting > 0 AND running < 1, 1, 0)"
    assert row.period_s * row.periods >= 900, "a cold start is no reason to call somebody"


def test_a_given_up_job_is_noticed_even_when_its_message_is_taken_at_once() -> None:
    row = of("dead-letters", "sdxl")
    assert {(metric.name, metric.value) for metric in row.metrics} == {
        ("ApproximateNumberOfMessagesVisible", "sd-async-dev-dead-sdxl"),
        ("NumberOfMessagesReceived", "sd-async-dev-dead-sdxl"),
    }
    assert row.threshold == 1


def test_jobs_that_fail_are_watched_only_where_the_agents_write_it() -> None:
    assert of("jobs-fail", "sdxl").expression == "IF(closed >= 5 AND failed * 2 >= closed, 1, 0)"
    assert not [row for row in alarms(stack()) if row.section == "jobs-fail"]


def test_bounds_are_the_settings() -> None:
    settings = stack(observability={"oldest_job_s": 77, "api_faults": 9})
    found = {row.section: row.threshold for row in alarms(settings)}
    assert (found["oldest-job"], found["api-faults"]) == (77, 9)


def test_spending_is_told_before_and_when_the_budget_is_used_up() -> None:
    assert SPEND in sections(EVERYTHING)
    assert {(notice.percent, notice.kind) for notice in NOTICES} == {
        (80, "ACTUAL"),
        (100, "ACTUAL"),
        (100, "FORECASTED"),
    }
