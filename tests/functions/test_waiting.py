"""Why a job waits that nobody has taken: what its runtime's agents tell, in words."""

import itertools
import json
from collections.abc import Callable
from typing import Any

import pytest

from functions.api.ports import StoreError, UnavailableError
from sd_async.contract.agents import AgentNote, AgentState, agents_key
from sd_async.contract.states import Status
from tests.functions.conftest import Caller
from tests.functions.fakes import NOW_MS, WORKFLOW, record_of

JOB_ID = "00000000-0000-4000-8000-00000000abcd"
NOBODY = "It is in the queue; no agent of its runtime runs yet, and a machine may have to start first."


def note(state: AgentState, since_s: float = 40, left_s: float = 60) -> AgentNote:
    return AgentNote(state=state, since_ms=NOW_MS - round(since_s * 1000), until_ms=NOW_MS + round(left_s * 1000))


@pytest.fixture
def waits(caller: Caller) -> Callable[..., str]:
    """What a queued job is told when agents have told this."""

    def told(runtime: str = "comfy", **notes: AgentNote) -> str:
        caller.store.hold([record_of(JOB_ID)])
        if notes:
            caller.store.hear(runtime, **notes)
        return str(caller.get(JOB_ID).body["waiting"])

    return told


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (AgentState.READY, "its runtime is ready for it"),
        (AgentState.BUSY, "its runtime works on other jobs"),
        (AgentState.RUNTIME_LOADING, "its runtime's container has started and loads"),
        (AgentState.STARTING, "its runtime's container has not answered yet"),
        (AgentState.RUNTIME_GONE, "its runtime has answered before and does not now"),
        (AgentState.RUNTIME_STUCK, "its runtime still works on a job that was stopped"),
    ],
)
def test_each_state_of_an_agent_has_its_words(waits: Callable[..., str], state: AgentState, words: str) -> None:
    assert waits(comfy_0=note(state)) == f"It is in the queue; {words} (agent comfy-0, for 40 s)."


def test_every_state_that_an_agent_tells_has_words(waits: Callable[..., str]) -> None:
    assert len({waits(comfy_0=note(state)) for state in AgentState}) == len(AgentState)


def test_without_an_agent_it_says_so(waits: Callable[..., str]) -> None:
    assert waits() == NOBODY


def test_agents_of_other_runtimes_have_nothing_to_say(waits: Callable[..., str]) -> None:
    assert waits(runtime="a1111", a1111_0=note(AgentState.BUSY)) == NOBODY


@pytest.mark.parametrize(("left_s", "counts"), [(0.0, True), (-0.001, False), (-3600.0, False)])
def test_a_word_that_is_over_is_nobodys(waits: Callable[..., str], left_s: float, counts: bool) -> None:  # noqa: FBT001
    assert (waits(comfy_0=note(AgentState.BUSY, left_s=left_s)) != NOBODY) == counts


ORDER = ["ready", "busy", "runtime_loading", "starting", "runtime_gone", "runtime_stuck"]


@pytest.mark.parametrize(("better", "worse"), list(itertools.pairwise(ORDER)))
def test_of_several_agents_the_one_that_is_nearest_to_taking_it_is_told(
    waits: Callable[..., str], better: str, worse: str
) -> None:
    told = waits(a=note(AgentState(worse), since_s=90), b=note(AgentState(better), since_s=1))
    assert told.endswith("(agent b of 2, for 1 s).")


def test_of_two_alike_the_older_is_told_and_one_that_is_over_is_not_counted(waits: Callable[..., str]) -> None:
    told = waits(
        a=note(AgentState.STARTING, since_s=3),
        b=note(AgentState.STARTING, since_s=30),
        c=note(AgentState.STARTING, since_s=300, left_s=-1),
    )
    assert told.endswith("(agent b of 2, for 30 s).")


@pytest.mark.parametrize(
    ("since_s", "words"),
    [
        (-7, "0 s"),
        (0, "0 s"),
        (119.9, "119 s"),
        (120, "2 min"),
        (7199, "119 min"),
        (7200, "2 h"),
    ],
)
def test_how_long_is_told_in_units_that_can_be_read(waits: Callable[..., str], since_s: float, words: str) -> None:
    assert waits(comfy_0=note(AgentState.BUSY, since_s=since_s)).endswith(f"for {words}).")


@pytest.mark.parametrize(
    ("changes", "asks"),
    [
        ({}, 1),
        ({"attempt": 2}, 1),
        ({"outbox": "pending"}, 0),
        ({"waiting": "The runtime does not answer.", "attempt": 1}, 0),
        *(({"status": status}, 0) for status in Status if status is not Status.QUEUED),
    ],
)
def test_one_read_more_is_made_for_jobs_that_nobody_has_taken_only(
    caller: Caller, changes: dict[str, Any], asks: int
) -> None:
    caller.store.hold([record_of(JOB_ID, **changes)])
    caller.get(JOB_ID)
    assert caller.store.calls.count("agents") == asks


def test_a_job_that_came_back_keeps_its_own_reason(caller: Caller) -> None:
    caller.store.hold([record_of(JOB_ID, waiting="The runtime does not answer.", attempt=1)])
    caller.store.hear("comfy", comfy_0=note(AgentState.BUSY))
    assert caller.get(JOB_ID).body["waiting"] == "The runtime does not answer."


def test_a_repeated_submit_says_so_too(caller: Caller) -> None:
    body = {"runtime": "comfy", "input": WORKFLOW}
    headers = {"Idempotency-Key": "order-17"}
    caller.store.hear("comfy", comfy_0=note(AgentState.STARTING))
    first, again = caller.post(body, headers=headers), caller.post(body, headers=headers)
    assert first.body["waiting"] == "It is recorded and on its way to the queue."
    assert "has not answered yet (agent comfy-0" in again.body["waiting"]


@pytest.mark.parametrize("error", [UnavailableError("GetItem: Throttled"), StoreError("GetItem: AccessDenied")])
def test_a_job_is_shown_though_its_agents_cannot_be_read(
    caller: Caller, error: Exception, capsys: pytest.CaptureFixture[str]
) -> None:
    caller.store.hold([record_of(JOB_ID)])
    caller.store.failing["agents"] = error
    answer = caller.get(JOB_ID)
    assert (answer.status, answer.body["status"]) == (200, "queued")
    assert answer.body["waiting"] == "It is in the queue, and no agent has taken it yet."
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(line["job_id"], line["error"]) for line in lines if line["event"] == "agents_unknown"] == [
        (JOB_ID, str(error))
    ]


@pytest.mark.parametrize("job_id", [agents_key("comfy"), "agents%2Fcomfy", "agents"])
def test_what_agents_tell_is_no_job(caller: Caller, job_id: str) -> None:
    caller.store.hear("comfy", comfy_0=note(AgentState.READY))
    answer = caller.get(job_id)
    assert (answer.status, answer.code) == (404, "not_found")
    assert caller.store.calls == [], "nothing is looked up"
