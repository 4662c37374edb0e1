"""A model that finds nothing proves nothing: each of these is a fault that it must find, for its own reason."""

import pytest
from hypothesis import Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.agent.model.agents import Agents, ViolationError
from tests.agent.model.sabotage import SABOTAGES
from tests.agent.test_model import COMMON

# The first schedule that shows it is enough; nobody reads it. Most are found within 64, the rarest after 160 or so on
# average. Hypothesis also draws constants from the modules that are loaded, so which schedules come depends on the
# tests that this process ran before: 200 were once not enough, and more cost nothing where one is found.
HUNT = settings(
    COMMON,
    max_examples=2000,
    stateful_step_count=20,
    derandomize=True,
    database=None,
    phases=[Phase.generate],
    report_multiple_bugs=False,
)

pytestmark = [
    pytest.mark.usefixtures("left_behind"),
    pytest.mark.filterwarnings("ignore:Implicitly cleaning up:ResourceWarning"),
]


@pytest.mark.parametrize("name", list(SABOTAGES))
def test_the_model_finds_it_when(name: str) -> None:
    world, words = SABOTAGES[name]

    class Sabotaged(Agents):
        world_class = world

    with pytest.raises(ViolationError, match=words):
        run_state_machine_as_test(Sabotaged, settings=HUNT)
