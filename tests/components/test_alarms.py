"""Each alarm watches what exists, says what it means and has its section in the runbook."""

import re
from typing import Any

import pytest

from components.alarms import FUNCTIONS, NOTICES, SPEND, TOPICS, Alarm, alarms, functions, sections
from components.price_list import GPU_MACHINES
from tests.components.example import AGENT, as_text, changed, stack
from tests.support.engine import ROOT, Engine, evaluate

OWN_CLUSTER: dict[str, Any] = {"cluster": {"create": True}}
EVERYTHING = stack(agent={"image": AGENT, "metrics": "both"}, **OWN_CLUSTER)
ROWS = alarms(EVERYTHING)
RUNBOOK = (ROOT / "docs" / "runbook.md").read_text()


def of(section: str, subject: str) -> Alarm:
    [found] = [row for row in ROWS if (row.section, row.subject) == (section, subject)]
    return found


@pytest.fixture(scope="module")
def placed() -> Engine:
    return evaluate(as_text(changed(**OWN_CLUSTER)))


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
    assert len({row.key for row in ROWS}) == len(ROWS) == 4 * 2 + 1 + 2 * len(functions(EVERYTHING)) + len(TOPICS) + 1


def test_what_is_watched_is_what_the_program_places(placed: Engine) -> None:
    names = {one.inputs.get("name") for one in placed.declared if one.token != "eks:index:Cluster"}
    [machines] = [one for one in placed.inputs("aws:lambda/function:Function") if one["name"].endswith("-spend")]
    names.add(machines["environment"]["variables"]["SD_STACK"])
    for row in ROWS:
        for metric in (*row.metrics, *row.beside):
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


def test_machines_that_cost_too_much_are_told_within_the_hour() -> None:
    row = of(SPEND, "machines")
    assert [(metric.name, metric.statistic) for metric in row.metrics] == [("HourlySpend", "Average")]
    assert row.period_s * row.periods <= 3600
    assert row.period_s >= 2 * 300, "the function runs every five minutes, now and then late: no period may be empty"
    assert "10 US dollars an hour" in row.description


def test_the_bound_of_the_machines_cost_is_the_setting() -> None:
    settings = stack(observability={"spend_usd_per_hour": 33}, **OWN_CLUSTER)
    assert [row.threshold for row in alarms(settings) if row.section == SPEND] == [33]


def test_the_default_bound_is_more_than_twice_a_full_pool_of_a_usual_type() -> None:
    pool, usual = EVERYTHING.karpenter.pools[0], GPU_MACHINES["g5.xlarge"].usd
    bound = EVERYTHING.observability.spend_usd_per_hour
    assert bound <= 10 * usual < bound + 1, "docs/settings.md says what it is"
    spot_usd = 0.545  # of a g5.xlarge (the project's facts)
    assert bound > 2 * (pool.spot_gpus * spot_usd + pool.on_demand_gpus * usual)


@pytest.mark.parametrize("elsewhere", [{"cluster": {"create": False}}, {"kubernetes": {"context": "work"}}])
def test_machines_of_a_cluster_that_is_not_the_stacks_own_are_not_watched(elsewhere: dict[str, Any]) -> None:
    settings = stack(**OWN_CLUSTER | elsewhere)
    assert functions(settings) == FUNCTIONS
    assert SPEND not in {row.section for row in alarms(settings)} | {row.subject for row in alarms(settings)}
    assert SPEND in sections(settings), "the budget is told there too"


def test_spending_is_told_before_and_when_the_budget_is_used_up() -> None:
    assert SPEND in sections(EVERYTHING)
    assert {(notice.percent, notice.kind) for notice in NOTICES} == {
        (80, "ACTUAL"),
        (100, "ACTUAL"),
        (100, "FORECASTED"),
    }
