"""KEDA's and the HPA's arithmetic on one machine: the same numbers, the same decisions."""

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.scaling import scaled_object
from components.settings_runtimes import RuntimeSettings, ScalingSettings
from local.scaler import Autoscaler, UnknownScalingError
from sd_async.contract.jobs import RuntimeType


def document(**scaling: Any) -> dict[str, Any]:
    runtime = RuntimeSettings(
        name="comfy",
        type=RuntimeType.COMFYUI,
        image="registry.example/comfyui:1",
        port=8188,
        scaling=ScalingSettings(**scaling),
    )
    return scaled_object(
        runtime, queue_url="https://sqs/1/comfy", region="us-west-2", namespace="sd-async", deployment="comfy"
    )


class Simulation:
    """One observation a second; `history` holds the replicas at each of them."""

    def __init__(self, scaled: dict[str, Any] | None = None, /, **scaling: int) -> None:
        self.now_s = 0.0
        self.scaler = Autoscaler(scaled or document(**scaling), lambda: self.now_s)
        self.history: list[tuple[float, int]] = []

    def hold(self, seconds: int, *, visible: int = 0, in_flight: int = 0) -> int:
        for _ in range(seconds):
            self.history.append((self.now_s, self.scaler.observe(visible, in_flight)))
            self.now_s += 1
        return self.scaler.replicas

    def drops(self) -> list[tuple[float, int]]:
        """Time and size of each reduction that left some."""
        return [(at_s, before - after) for (_, before), (at_s, after) in pairwise(self.history) if before > after > 0]


def test_without_jobs_there_are_no_agents() -> None:
    assert Simulation().hold(1000) == 0


def test_a_job_brings_an_agent_at_the_next_poll() -> None:
    simulation = Simulation(polling_interval_s=10)
    simulation.hold(1)
    assert simulation.hold(9, visible=1) == 0, "KEDA looks again only when the interval is over"
    assert simulation.hold(1, visible=1) == 1


def test_keda_starts_one_and_the_hpa_the_others() -> None:
    simulation = Simulation(max_replicas=8, polling_interval_s=1)
    simulation.hold(1)
    assert simulation.hold(1, visible=5) == 1
    assert simulation.hold(14, visible=5) == 5, "all that are needed come in one step of the HPA"


@pytest.mark.parametrize(("total", "queue_length", "replicas"), [(6, 1, 6), (6, 2, 3), (7, 2, 4), (90, 2, 10)])
def test_each_agent_gets_its_share_up_to_the_maximum(total: int, queue_length: int, replicas: int) -> None:
    assert Simulation(max_replicas=10, queue_length=queue_length).hold(40, visible=total) == replicas


def test_a_running_job_keeps_its_agent_although_the_queue_looks_empty() -> None:
    simulation = Simulation(cooldown_s=30)
    simulation.hold(1, visible=1)
    assert simulation.hold(3600, in_flight=1) == 1


def test_without_scale_on_in_flight_a_running_job_counts_for_nothing() -> None:
    scaled = document(cooldown_s=30)
    scaled["spec"]["triggers"][0]["metadata"]["scaleOnInFlight"] = "false"
    simulation = Simulation(scaled)
    simulation.hold(1, visible=1)
    assert simulation.hold(60, in_flight=1) == 0


def test_the_last_agent_goes_when_the_cooldown_is_over() -> None:
    simulation = Simulation(polling_interval_s=10, cooldown_s=60)
    simulation.hold(1, visible=1)
    assert simulation.hold(69) == 1, "60 s after the last activity KEDA still waits"
    assert simulation.hold(1) == 0


def test_a_job_during_the_cooldown_starts_it_anew() -> None:
    simulation = Simulation(polling_interval_s=1, cooldown_s=60)
    simulation.hold(1, visible=1)
    simulation.hold(50)
    simulation.hold(1, visible=1)
    assert simulation.hold(60) == 1
    assert simulation.hold(5) == 0


def test_the_minimum_is_there_before_any_job_and_stays() -> None:
    simulation = Simulation(min_replicas=2, max_replicas=5)
    assert simulation.hold(1) == 2
    assert simulation.hold(4000) == 2


def test_agents_go_one_a_minute_once_nobody_wanted_them_for_five_minutes() -> None:
    simulation = Simulation(max_replicas=5, cooldown_s=3600)
    simulation.hold(60, visible=4)
    assert simulation.scaler.replicas == 4
    assert simulation.hold(285) == 4, "the highest recommendation of the window holds"
    simulation.hold(400)
    times = [at_s for at_s, size in simulation.drops()]
    assert [size for _, size in simulation.drops()] == [1, 1, 1]
    assert all(later - earlier >= 60 for earlier, later in pairwise(times))


def test_a_tenth_more_than_planned_changes_nothing() -> None:
    simulation = Simulation(max_replicas=50)
    simulation.hold(60, visible=20)
    assert simulation.hold(60, visible=21) == 20, "5 % are within the HPA's tolerance"
    assert simulation.hold(60, visible=23) == 23


def test_the_hpas_own_pace_holds_where_the_document_is_silent() -> None:
    scaled = document(max_replicas=100)
    del scaled["spec"]["advanced"]
    simulation = Simulation(scaled)
    assert simulation.hold(1, visible=100) == 5, "4 more than the first, at most"
    assert simulation.hold(15, visible=100) == 10, "twice as many, at most"


@pytest.mark.parametrize(
    ("select", "replicas"),
    [("Max", 10), ("Min", 3), ("Disabled", 1)],
)
def test_the_selected_policy_decides_how_fast_agents_come(select: str, replicas: int) -> None:
    scaled = document(max_replicas=50)
    scaled["spec"]["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]["scaleUp"] = {
        "selectPolicy": select,
        "policies": [
            {"type": "Pods", "value": 2, "periodSeconds": 60},
            {"type": "Percent", "value": 900, "periodSeconds": 60},
        ],
    }
    assert Simulation(scaled).hold(50, visible=40) == replicas


def test_the_lowest_recommendation_of_a_window_holds_on_the_way_up() -> None:
    scaled = document(max_replicas=5)
    scaled["spec"]["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]["scaleUp"]["stabilizationWindowSeconds"] = (
        120
    )
    simulation = Simulation(scaled)
    simulation.hold(60, visible=1)
    assert simulation.hold(100, visible=4) == 1
    assert simulation.hold(60, visible=4) == 4


def test_numbers_that_came_over_pulumis_wire_as_fractions_count_as_whole() -> None:
    scaled = json.loads(json.dumps(document(max_replicas=5)), parse_int=float)
    replicas = Simulation(scaled).hold(30, visible=9)
    assert (replicas, type(replicas)) == (5, int)


@pytest.mark.parametrize("name", ["idleReplicaCount", "initialCooldownPeriod"])
def test_a_field_that_is_not_modelled_is_refused_by_name(name: str) -> None:
    scaled = document()
    scaled["spec"][name] = 1
    with pytest.raises(UnknownScalingError, match=name):
        Autoscaler(scaled)


@pytest.mark.parametrize("kinds", [["kafka"], ["aws-sqs-queue", "cpu"], ["cron"], ["aws-sqs-queue", "cron", "cron"]])
def test_another_trigger_is_refused(kinds: list[str]) -> None:
    scaled = document()
    scaled["spec"]["triggers"] = [{"type": kind, "metadata": {}} for kind in kinds]
    with pytest.raises(UnknownScalingError, match="aws-sqs-queue"):
        Autoscaler(scaled)


# Long enough to pass the windows, and often enough without work for agents to go.
COUNTS = st.one_of(st.just(0), st.integers(0, 12))
LOADS = st.lists(st.tuples(st.sampled_from([1, 7, 40, 350, 800]), COUNTS, COUNTS), min_size=2, max_size=8)
SCALINGS = st.fixed_dictionaries(
    {
        "max_replicas": st.integers(3, 12),
        "min_replicas": st.integers(0, 3),
        "queue_length": st.integers(1, 4),
        "polling_interval_s": st.integers(1, 40),
        "cooldown_s": st.integers(0, 600),
    }
)


@given(SCALINGS, LOADS)
def test_whatever_comes_the_number_stays_within_its_bounds(
    scaling: dict[str, int], loads: list[tuple[int, int, int]]
) -> None:
    simulation = Simulation(**scaling)
    for seconds, visible, in_flight in loads:
        simulation.hold(seconds, visible=visible, in_flight=in_flight)
    assert all(scaling["min_replicas"] <= replicas <= scaling["max_replicas"] for _, replicas in simulation.history)


@given(SCALINGS, LOADS)
def test_whatever_comes_agents_never_go_to_none_while_there_is_work(
    scaling: dict[str, int], loads: list[tuple[int, int, int]]
) -> None:
    simulation = Simulation(**scaling)
    for seconds, visible, in_flight in loads:
        for _ in range(seconds):
            before = simulation.scaler.replicas
            after = simulation.hold(1, visible=visible, in_flight=in_flight)
            assert after or not before or visible + in_flight == 0


@given(SCALINGS, LOADS)
def test_whatever_comes_the_last_agents_stay_for_the_cooldown(
    scaling: dict[str, int], loads: list[tuple[int, int, int]]
) -> None:
    simulation = Simulation(**scaling)
    last_seen_s = 0.0
    for seconds, visible, in_flight in loads:
        for _ in range(seconds):
            before, at_s = simulation.scaler.replicas, simulation.now_s
            is_poll = at_s >= simulation.scaler._poll_due_s  # what comes and goes between two polls is never seen
            after = simulation.hold(1, visible=visible, in_flight=in_flight)
            last_seen_s = at_s if is_poll and visible + in_flight else last_seen_s
            assert after or not before or at_s - last_seen_s > scaling["cooldown_s"]


@given(SCALINGS, LOADS)
def test_whatever_comes_agents_leave_one_a_minute_and_none_before_five_minutes(
    scaling: dict[str, int], loads: list[tuple[int, int, int]]
) -> None:
    simulation = Simulation(**scaling)
    for seconds, visible, in_flight in loads:
        simulation.hold(seconds, visible=visible, in_flight=in_flight)
    drops = simulation.drops()
    assert all(size == 1 for _, size in drops)
    assert all(later - earlier >= 60 for (earlier, _), (later, _) in pairwise(drops))
    rises = [at_s for (_, before), (at_s, after) in pairwise(simulation.history) if 0 < before < after]
    assert not [(up, down) for up in rises for down, _ in drops if 0 < down - up < 300]


@given(SCALINGS, st.integers(1, 60))
def test_whatever_is_set_lasting_work_gets_all_the_agents_it_may_have(scaling: dict[str, int], total: int) -> None:
    simulation = Simulation(**scaling)
    replicas = simulation.hold(200, in_flight=total)
    wanted = -(-total // scaling["queue_length"])
    expected = min(max(wanted, 1, scaling["min_replicas"]), scaling["max_replicas"])
    assert abs(replicas - expected) <= max(1, expected // 10), "the HPA leaves a difference of a tenth alone"
