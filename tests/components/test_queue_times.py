"""A queue's times follow from its runtime's longest job, and a message that is given up has days left to be read."""

from typing import Any

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from agent.core import limits as agent_limits
from components import queue_times
from components.queue_times import (
    DAY_S,
    DEAD_LETTER_RETENTION_S,
    MAX_RETENTION_S,
    MAX_VISIBILITY_S,
    SETTLING_MARGIN_S,
    attempts_s,
    retention_s,
    visibility_s,
)
from components.settings import parse
from components.settings_runtimes import AgentSettings, RuntimeSettings
from sd_async.contract.jobs import RuntimeType
from sd_async.contract.limits import MAX_TIMEOUT_S
from tests.components.example import as_text, changed
from tests.support.engine import evaluate, settings_of
from tests.support.translation import stack_file

MIN_RETENTION_S = 60  # SQS, SetQueueAttributes, MessageRetentionPeriod
QUEUE, RELEASE = "aws:sqs/queue:Queue", "kubernetes:helm.sh/v3:Release"

longest_jobs = st.integers(1, MAX_TIMEOUT_S)
attempts = st.integers(1, 1000)
days = st.integers(1, 3650)


@st.composite
def agents(draw: st.DrawFn) -> AgentSettings:
    """All that settings let pass: a lease of three heartbeats or more."""
    heartbeat_s = draw(st.integers(1, 3600))
    lease_s = draw(st.integers(3 * heartbeat_s, MAX_TIMEOUT_S))
    return AgentSettings(heartbeat_s=heartbeat_s, lease_s=lease_s, max_attempts=draw(attempts))


def runtime(job_timeout_s: int) -> RuntimeSettings:
    return RuntimeSettings(name="r", type=RuntimeType.COMFYUI, port=8188, job_timeout_s=job_timeout_s)


@pytest.mark.parametrize(
    ("agent", "longest_s", "expected_s"),
    [
        ({}, 3600, 60),
        ({"lease_s": 300}, 60, 180),  # one-minute jobs
        ({"lease_s": 300}, 180, 300),
        ({"lease_s": 300}, 179, 299),
        ({"lease_s": 300, "heartbeat_s": 90}, 60, 270),  # three heartbeats, or the agent does not start
        ({"lease_s": MAX_TIMEOUT_S}, MAX_TIMEOUT_S, MAX_TIMEOUT_S),
        ({"lease_s": 3, "heartbeat_s": 1}, 1, 3),
    ],
)
def test_a_message_is_hidden_for_the_lease_but_no_longer_than_its_job_can_take(
    agent: dict[str, Any], longest_s: int, expected_s: int
) -> None:
    assert visibility_s(AgentSettings(**agent), runtime(longest_s)) == expected_s


@given(agents(), longest_jobs)
def test_the_time_hidden_is_one_that_sqs_takes_and_the_agent_starts_with(agent: AgentSettings, longest_s: int) -> None:
    hidden_s = visibility_s(agent, runtime(longest_s))
    assert 3 * agent.heartbeat_s <= hidden_s <= agent.lease_s <= MAX_VISIBILITY_S
    assert hidden_s <= max(longest_s + SETTLING_MARGIN_S, 3 * agent.heartbeat_s)


@given(agents(), longest_jobs, longest_jobs, days)
def test_a_longer_job_never_has_less_time(agent: AgentSettings, one_s: int, other_s: int, record_days: int) -> None:
    short, long = sorted((one_s, other_s))
    assert visibility_s(agent, runtime(short)) <= visibility_s(agent, runtime(long))
    assert attempts_s(agent, runtime(short)) < attempts_s(agent, runtime(long)) or short == long
    kept_s = [retention_s(agent, runtime(each), record_days=record_days) for each in (short, long)]
    assert kept_s == sorted(kept_s)


@given(agents(), longest_jobs, days)
@example(AgentSettings(max_attempts=1000), MAX_TIMEOUT_S, 3650)
def test_a_message_of_its_last_minute_has_four_days_left_in_the_dead_letter_queue(
    agent: AgentSettings, longest_s: int, record_days: int
) -> None:
    kept_s = retention_s(agent, runtime(longest_s), record_days=record_days)
    assert MIN_RETENTION_S <= kept_s <= MAX_RETENTION_S
    assert DEAD_LETTER_RETENTION_S - kept_s >= 4 * DAY_S
    assert DEAD_LETTER_RETENTION_S <= MAX_RETENTION_S


@given(agents(), longest_jobs, days)
def test_no_message_outlives_the_record_of_its_job(agent: AgentSettings, longest_s: int, record_days: int) -> None:
    assert retention_s(agent, runtime(longest_s), record_days=record_days) <= record_days * DAY_S


@given(agents(), longest_jobs, st.integers(10, 3650))
def test_a_job_that_waited_a_week_still_has_all_its_attempts_in_full(
    agent: AgentSettings, longest_s: int, record_days: int
) -> None:
    assume(agent.max_attempts <= 2)
    assert retention_s(agent, runtime(longest_s), record_days=record_days) == 7 * DAY_S + agent.max_attempts * (
        longest_s + 120 + visibility_s(agent, runtime(longest_s))
    )


def test_the_longest_job_there_can_be_has_the_default_attempts_in_full() -> None:
    agent, longest = AgentSettings(), runtime(MAX_TIMEOUT_S)
    assert agent.max_attempts == 5
    wanted_s = 7 * DAY_S + attempts_s(agent, longest)
    assert retention_s(agent, longest, record_days=30) == wanted_s < 10 * DAY_S


def test_the_agent_leaves_itself_as_much_time_to_settle() -> None:
    assert agent_limits.hold_s(0) == MAX_VISIBILITY_S - SETTLING_MARGIN_S
    assert agent_limits.MAX_HIDDEN_S == MAX_VISIBILITY_S


@pytest.mark.parametrize(
    ("stack", "expected"),
    [
        ("dev", {"sd15": (60, 7 * DAY_S + 5 * 3780)}),
        ("a1111", {"webui": (60, 7 * DAY_S + 5 * 3780)}),
        ("existing-vpc", {"sdxl": (60, 7 * DAY_S + 5 * 3780)}),
        ("private", {"sdxl": (60, 7 * DAY_S + 5 * 3780)}),
        (
            "production",
            {
                "sdxl": (60, 7 * DAY_S + 5 * (600 + 180)),
                "flux": (60, 7 * DAY_S + 5 * (1200 + 180)),
                "a1111": (60, 7 * DAY_S + 5 * 3780),
            },
        ),
    ],
)
def test_the_examples_times_are_what_they_are(stack: str, expected: dict[str, tuple[int, int]]) -> None:
    settings = parse("sd-async", stack, settings_of(stack_file(stack)))
    agent, record_days = settings.agent, settings.storage.retention_days
    assert {
        each.name: (visibility_s(agent, each), retention_s(agent, each, record_days=record_days))
        for each in settings.runtimes
    } == expected


def test_queue_chart_and_so_the_agents_lease_have_the_same_times() -> None:
    first, second = changed()["sd-async:runtimes"]
    runtimes = [first | {"job_timeout_s": 60}, second]
    sections = {"agent": {"lease_s": 300, "image": "registry.example/agent:1"}, "kubernetes": {"context": "work"}}
    engine = evaluate(as_text(changed(runtimes=runtimes, storage={"retention_days": 2}, **sections)))
    for name, hidden_s in (("sd15", 180), ("sdxl", 300)):
        queue = engine.named(QUEUE, f"jobs-{name}").inputs
        assert (queue["visibilityTimeoutSeconds"], queue["messageRetentionSeconds"]) == (hidden_s, 2 * DAY_S)
        values = engine.named(RELEASE, f"runtime-{name}").inputs["values"]
        assert values["queue"]["visibilityTimeoutSeconds"] == values["job"]["leaseSeconds"] == hidden_s
        dead = engine.named(QUEUE, f"dead-{name}").inputs
        assert dead["messageRetentionSeconds"] == queue_times.MAX_RETENTION_S
