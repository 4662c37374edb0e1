"""Hundreds of schedules in which agents die, stand still and lose their calls: never lost, never two results.

Hypothesis chooses what happens, `tests/agent/model` lets the real worker live through it. What must hold is in
`model/ledger.py`. `make explore` looks at thousands.
"""

import pytest
from hypothesis import HealthCheck, settings

from tests.agent.model.agents import Agents

pytestmark = [
    pytest.mark.usefixtures("left_behind"),
    pytest.mark.filterwarnings("ignore:Implicitly cleaning up:ResourceWarning"),
]

COMMON = settings(deadline=None, suppress_health_check=list(HealthCheck), print_blob=True)
USUAL = settings(COMMON, max_examples=250, stateful_step_count=20, derandomize=True, database=None)

TestAgents = Agents.TestCase
TestAgents.settings = USUAL
