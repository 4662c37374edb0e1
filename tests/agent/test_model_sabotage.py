"""A model that finds nothing proves nothing: each of these is a fault that it must find, for its own reason."""

import re

import pytest
from hypothesis import Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.agent.model.agents import Agents, ViolationError
from tests.agent.model.explore import schedule_of, violation
from tests.agent.model.sabotage import SABOTAGES
from tests.agent.test_model import COMMON

# Chance shows each within 70 of these, half of them in the first. Its choice is the same whatever this process ran
# before, unlike Hypothesis's, which also draws constants from the modules that are loaded and takes as long again.
SEEDS = range(2000)
HUNT = settings(
    COMMON,
    max_examples=len(SEEDS),
    stateful_step_count=20,
    derandomize=True,
    database=None,
    phases=[Phase.generate],  # the first schedule that shows it is enough; nobody reads it
    report_multiple_bugs=False,
)

pytestmark = [
    pytest.mark.usefixtures("left_behind"),
    pytest.mark.filterwarnings("ignore:Implicitly cleaning up:ResourceWarning"),
]


def sabotaged(name: str) -> type[Agents]:
    class Sabotaged(Agents):
        world_class = SABOTAGES[name][0]

    return Sabotaged


@pytest.mark.parametrize("name", list(SABOTAGES))
def test_the_model_finds_it_when(name: str) -> None:
    machine = sabotaged(name)
    found = next(filter(None, (violation(schedule_of(seed), machine) for seed in SEEDS)), "nothing")
    assert re.search(rf"{ViolationError.__name__}: (?:.|\n)*(?:{SABOTAGES[name][1]})", found)


def test_and_so_does_hypothesis_by_the_same_rules() -> None:
    name = "never announced"
    with pytest.raises(ViolationError, match=SABOTAGES[name][1]):
        run_state_machine_as_test(sabotaged(name), settings=HUNT)
