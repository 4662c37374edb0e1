"""Chance finds what Hypothesis finds, tells it in few steps, and finds it again by its seed."""

import pytest

from tests.agent.model.agents import RULES, Agents
from tests.agent.model.explore import explore, explored, main, schedule_of, shortest, violation
from tests.agent.model.sabotage import NeverAnnounces

pytestmark = [
    pytest.mark.usefixtures("left_behind"),
    pytest.mark.filterwarnings("ignore:Implicitly cleaning up:ResourceWarning"),
]


class Silent(Agents):
    world_class = NeverAnnounces


def test_a_seed_is_always_the_same_schedule_and_another_one_another() -> None:
    assert schedule_of(7) == schedule_of(7)
    assert schedule_of(7).steps != schedule_of(8).steps


def test_a_hundred_seeds_make_use_of_every_rule_and_of_few_in_some_schedules() -> None:
    used = [{step.rule for step in schedule_of(seed).steps} for seed in range(100)]
    assert set().union(*used) == RULES.keys()
    assert min(len(rules) for rules in used) <= 3
    assert max(len(rules) for rules in used) >= len(RULES) - 2


def test_what_is_wrong_is_found_and_told_in_fewer_steps() -> None:
    assert explored(range(5), Silent) == 0
    found = schedule_of(0)
    short = shortest(found, Silent)
    assert len(short.steps) < 3
    assert all(step in found.steps for step in short.steps)
    assert "nobody will be told" in violation(short, Silent)
    assert violation(short) == "", "the same steps are harmless when results are announced"


def test_its_program_ends_with_one_and_the_seed_when_something_was_found(capsys: pytest.CaptureFixture[str]) -> None:
    assert explore(range(3, 9), 1, Silent) == 1
    said = capsys.readouterr().out
    assert "seed 3 shows something" in said
    assert "begin(seed=3, run_s=" in said
    assert "nobody will be told" in said


def test_and_with_zero_and_the_count_when_nothing_was(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--schedules", "3", "--processes", "1", "--seed", "0"]) == 0
    first, last = capsys.readouterr().out.splitlines()
    assert first == "3 schedules of 50 steps from seed 0 on, in 1 processes"
    assert last.startswith("3 of 3 schedules, ")
    assert last.endswith(", nothing found")
