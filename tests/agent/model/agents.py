"""What may happen to the agents of a schedule: Hypothesis, or `explore`, chooses among these rules."""

import logging
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, cast

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.agent.model.ledger import SKEW_S
from tests.agent.model.wire import Fault
from tests.agent.model.world import Pod, World

SETTLING = ("put", "finish", "release", "publish", "delete")
CALLS = ("receive", "extend", "get", "claim", "beat", "run", "history", "fetch", *SETTLING)
# What leaves a job half settled, or settled by two.
HALF_WAYS = (
    Fault.SLOW, Fault.PAUSED_BEFORE, Fault.PAUSED_AFTER, Fault.DIES_BEFORE, Fault.DIES_AFTER, Fault.LOST, Fault.TWICE,
)  # fmt: skip
PODS = range(3)
JOBS = range(10)
MOST_JOBS = 6
RUN_TIMES = (0.5, 12, 45, 100)
MOMENTS = (0, 0.02, 0.3, 2, 9, 31, 75)
EITHER = (False, True)

# Rules by name, with what each of their arguments is one of: for whoever chooses without Hypothesis.
RULES: dict[str, dict[str, Sequence[Any]]] = {}


def happens(**values: Sequence[Any]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    def placed(function: Callable[..., None]) -> Callable[..., None]:
        RULES[function.__name__] = values
        strategies = {name: st.sampled_from(choices) for name, choices in values.items()}
        ruled: Callable[..., None] = cast("Any", rule)(**strategies)(function)
        return ruled

    return placed


class ViolationError(AssertionError):
    """What the world saw to be wrong."""


class Agents(RuleBasedStateMachine):
    """Every rule says how long it is until the next thing happens: `then`, in seconds."""

    world_class: ClassVar[type[World]] = World

    def __init__(self) -> None:
        super().__init__()
        self.jobs: list[str] = []
        logging.getLogger("agent").setLevel(logging.CRITICAL)

    @initialize(seed=st.integers(0, 2**16), run_s=st.sampled_from(RUN_TIMES))
    def begin(self, seed: int, run_s: float) -> None:
        self.world = self.world_class(seed=seed)
        for pod in self.world.pods[:2]:
            self.world.start(pod)
        self.jobs.append(self.world.submit(run_s=run_s))

    @precondition(lambda self: len(self.jobs) < MOST_JOBS)
    @happens(run_s=RUN_TIMES, has_file=EITHER, then=MOMENTS)
    def submit(self, run_s: float, *, has_file: bool, then: float) -> None:
        self.jobs.append(self.world.submit(run_s=run_s, has_file=has_file))
        self.world.run_for(then)

    @happens(pod=PODS, call=CALLS, passes=range(2), fault=tuple(Fault), then=MOMENTS)
    def a_call_goes_wrong(self, pod: int, call: str, passes: int, fault: Fault, then: float) -> None:
        self.pod(pod).faults.append((call, passes, fault))
        self.world.run_for(then)

    @happens(call=SETTLING, fault=HALF_WAYS, then=MOMENTS)
    def the_next_settling_goes_wrong(self, call: str, fault: Fault, then: float) -> None:
        self.world.faults.append((call, 0, fault))
        self.world.run_for(then)

    @happens(job=JOBS, then=MOMENTS)
    def the_message_comes_twice(self, job: int, then: float) -> None:
        self.world.send(self.job(job))
        self.world.run_for(then)

    @happens(job=JOBS, then=MOMENTS)
    def the_client_cancels(self, job: int, then: float) -> None:
        self.world.cancel(self.job(job))
        self.world.run_for(then)

    @happens(pod=PODS, then=MOMENTS)
    def a_process_is_killed(self, pod: int, then: float) -> None:
        self.world.kill(self.pod(pod))
        self.world.run_for(then)

    @happens(then=MOMENTS)
    def a_pod_is_added(self, then: float) -> None:
        for pod in self.world.pods:
            self.world.start(pod)
        self.world.run_for(then)

    @happens(pod=PODS, then=MOMENTS)
    def a_pod_is_asked_to_end(self, pod: int, then: float) -> None:
        self.world.sigterm(self.pod(pod))
        self.world.run_for(then)

    @happens(pod=PODS, seconds=(3, 55, 100), then=MOMENTS)
    def a_process_stands_still(self, pod: int, seconds: float, then: float) -> None:
        process = self.pod(pod).process
        if process is not None and process.runs:
            self.world.pause(process, seconds)
        self.world.run_for(then)

    @happens(pod=PODS, seconds=range(-SKEW_S, SKEW_S + 1))
    def a_clock_is_set(self, pod: int, seconds: int) -> None:
        self.pod(pod).skew_s = seconds

    @happens(pod=PODS, is_up=EITHER, then=MOMENTS)
    def a_runtime_goes_or_comes(self, pod: int, *, is_up: bool, then: float) -> None:
        runtime = self.pod(pod).runtime
        if is_up:
            runtime.is_up = True
        else:
            runtime.lose()
        self.world.run_for(then)

    @happens(pod=PODS, seconds=(8, 50), then=MOMENTS)
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
