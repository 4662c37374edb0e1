"""Thousands of schedules in which agents die, stand still and lose their calls: never lost, never two results.

Hypothesis chooses what happens, `tests/agent/model` lets the real worker live through it. What must hold is in
`model/ledger.py`. `HYPOTHESIS_PROFILE=thorough` explores 20,000 schedules instead of 250.
"""

import logging
import os
from typing import ClassVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.agent.model.ledger import SKEW_S
from tests.agent.model.wire import Fault
from tests.agent.model.world import Pod, World

IS_THOROUGH = os.environ.get("HYPOTHESIS_PROFILE") == "thorough"
SETTLING = ("put", "finish", "release", "publish", "delete")
CALLS = ("receive", "extend", "get", "claim", "beat", "run", "history", "fetch", *SETTLING)

pods = st.integers(0, 2)
jobs = st.integers(0, 9)
faults = st.sampled_from(list(Fault))
# What leaves a job half settled, or settled by two.
half_ways = st.sampled_from(
    [Fault.SLOW, Fault.PAUSED_BEFORE, Fault.PAUSED_AFTER, Fault.DIES_BEFORE, Fault.DIES_AFTER, Fault.LOST, Fault.TWICE]
)
run_times = st.sampled_from([0.5, 12, 45, 100])
moments = st.sampled_from([0, 0.02, 0.3, 2, 9, 31, 75])


pytestmark = [
    pytest.mark.usefixtures("left_behind"),
    pytest.mark.filterwarnings("ignore:Implicitly cleaning up:ResourceWarning"),
]


class ViolationError(AssertionError):
    """What the world saw to be wrong."""


class Agents(RuleBasedStateMachine):
    """Every rule says how long it is until the next thing happens: `then`, in seconds."""

    world_class: ClassVar[type[World]] = World

    def __init__(self) -> None:
        super().__init__()
        self.jobs: list[str] = []
        logging.getLogger("agent").setLevel(logging.CRITICAL)

    @initialize(seed=st.integers(0, 2**16), run_s=run_times)
    def begin(self, seed: int, run_s: float) -> None:
        self.world = self.world_class(seed=seed)
        for pod in self.world.pods[:2]:
            self.world.start(pod)
        self.jobs.append(self.world.submit(run_s=run_s))

    @precondition(lambda self: len(self.jobs) < 6)
    @rule(run_s=run_times, has_file=st.booleans(), then=moments)
    def submit(self, run_s: float, *, has_file: bool, then: float) -> None:
        self.jobs.append(self.world.submit(run_s=run_s, has_file=has_file))
        self.world.run_for(then)

    @rule(pod=pods, call=st.sampled_from(CALLS), passes=st.integers(0, 1), fault=faults, then=moments)
    def a_call_goes_wrong(self, pod: int, call: str, passes: int, fault: Fault, then: float) -> None:
        self.pod(pod).faults.append((call, passes, fault))
        self.world.run_for(then)

    @rule(call=st.sampled_from(SETTLING), fault=half_ways, then=moments)
    def the_next_settling_goes_wrong(self, call: str, fault: Fault, then: float) -> None:
        self.world.faults.append((call, 0, fault))
        self.world.run_for(then)

    @rule(job=jobs, then=moments)
    def the_message_comes_twice(self, job: int, then: float) -> None:
        self.world.send(self.job(job))
        self.world.run_for(then)

    @rule(job=jobs, then=moments)
    def the_client_cancels(self, job: int, then: float) -> None:
        self.world.cancel(self.job(job))
        self.world.run_for(then)

    @rule(pod=pods, then=moments)
    def a_process_is_killed(self, pod: int, then: float) -> None:
        self.world.kill(self.pod(pod))
        self.world.run_for(then)

    @rule(then=moments)
    def a_pod_is_added(self, then: float) -> None:
        for pod in self.world.pods:
            self.world.start(pod)
        self.world.run_for(then)

    @rule(pod=pods, then=moments)
    def a_pod_is_asked_to_end(self, pod: int, then: float) -> None:
        self.world.sigterm(self.pod(pod))
        self.world.run_for(then)

    @rule(pod=pods, seconds=st.sampled_from([3, 55, 100]), then=moments)
    def a_process_stands_still(self, pod: int, seconds: float, then: float) -> None:
        process = self.pod(pod).process
        if process is not None and process.runs:
            self.world.pause(process, seconds)
        self.world.run_for(then)

    @rule(pod=pods, seconds=st.integers(-SKEW_S, SKEW_S))
    def a_clock_is_set(self, pod: int, seconds: int) -> None:
        self.pod(pod).skew_s = seconds

    @rule(pod=pods, is_up=st.booleans(), then=moments)
    def a_runtime_goes_or_comes(self, pod: int, *, is_up: bool, then: float) -> None:
        runtime = self.pod(pod).runtime
        if is_up:
            runtime.is_up = True
        else:
            runtime.lose()
        self.world.run_for(then)

    @rule(pod=pods, seconds=st.sampled_from([8, 50]), then=moments)
    def a_pod_is_cut_off(self, pod: int, seconds: float, then: float) -> None:
        self.pod(pod).refuses_until_s = self.world.loop.time() + seconds
        self.world.run_for(then)

    @invariant()
    def nothing_is_wrong(self) -> None:
        if self.world.violations:
            raise ViolationError("\n".join(self.world.violations))

    def teardown(self) -> None:
        if not hasattr(self, "world"):
            return
        try:
            self.world.drain()
            self.nothing_is_wrong()
        finally:
            self.world.close()
            logging.getLogger("agent").setLevel(logging.NOTSET)

    def pod(self, number: int) -> Pod:
        return self.world.pods[number]

    def job(self, number: int) -> str:
        return self.jobs[number % len(self.jobs)]


COMMON = settings(deadline=None, suppress_health_check=list(HealthCheck), print_blob=True)
USUAL = settings(COMMON, max_examples=250, stateful_step_count=20, derandomize=True, database=None)
THOROUGH = settings(COMMON, max_examples=20_000, stateful_step_count=50)

TestAgents = Agents.TestCase
TestAgents.settings = THOROUGH if IS_THOROUGH else USUAL
