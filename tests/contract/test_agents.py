"""What agents tell of themselves, through DynamoDB's attribute values and back."""

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sd_async.contract.adoption import is_job_id
from sd_async.contract.agents import (
    KEEP_S,
    AgentNote,
    AgentState,
    agent_attribute,
    agents_in,
    agents_key,
    counting,
    told_by,
)
from sd_async.contract.errors import ContractError
from sd_async.contract.records import from_item, to_attribute
from sd_async.contract.times import MAX_S
from tests.contract.test_records import stored
from tests.contract.values import JSON, MS, NOTES, TEXT, judged, nearly

NOTE = AgentNote(state=AgentState.READY, since_ms=1_000, until_ms=61_000)
INDEXED = {"owner", "status", "outbox"}  # keys of the table's indexes: an item without them is in none


@given(st.dictionaries(TEXT, NOTES, max_size=5))
def test_each_agents_word_survives_dynamodb_beside_the_others(notes: dict[str, AgentNote]) -> None:
    item: dict[str, Any] = {"id": agents_key("sd15")}
    for agent, note in notes.items():
        item |= told_by(agent, note)
    assert agents_in(stored(item)) == notes


@given(TEXT, NOTES)
def test_an_agent_writes_its_own_attribute_and_the_items_end_only(agent: str, note: AgentNote) -> None:
    told = told_by(agent, note)
    assert set(told) == {agent_attribute(agent), "expires_at_s"}
    assert note.until_ms // 1000 <= told["expires_at_s"] <= MAX_S
    assert not INDEXED & set(told)


def test_an_item_goes_a_day_after_the_last_word() -> None:
    assert told_by("a", NOTE)["expires_at_s"] == 61 + KEEP_S == 61 + 86_400


@given(TEXT)
@example(runtime="8f14e45f-ceea-467f-a830-5d1fd1a4d6c8")
def test_the_items_key_is_no_jobs_id(runtime: str) -> None:
    assert not is_job_id(agents_key(runtime))


@given(TEXT, NOTES)
def test_the_item_is_never_read_as_a_job(runtime: str, note: AgentNote) -> None:
    item = {"id": agents_key(runtime), **told_by("a", note)}
    with pytest.raises(ContractError):
        from_item(stored(item))


@given(st.dictionaries(st.text(), JSON) | nearly(told_by("a", NOTE)))
@example(item={agent_attribute("a"): to_attribute(NOTE) | {"state": "dreaming"}, **told_by("b", NOTE)})
@example(item={agent_attribute("a"): to_attribute(NOTE) | {"since_ms": -1}, **told_by("b", NOTE)})
@example(item={agent_attribute("a"): {}, **told_by("b", NOTE)})
def test_what_is_not_understood_of_one_agent_costs_no_other_its_word(item: dict[str, Any]) -> None:
    found = judged(lambda: agents_in(item))
    assert isinstance(found, dict), "nothing is raised"
    assert all(isinstance(note, AgentNote) for note in found.values())
    if agent_attribute("b") in item and item[agent_attribute("b")] == to_attribute(NOTE):
        assert found["b"] == NOTE


def test_attributes_that_a_newer_version_adds_are_left_out() -> None:
    item = told_by("a", NOTE)
    item[agent_attribute("a")]["models"] = ["sd15.safetensors"]
    assert agents_in(item) == {"a": NOTE}


@pytest.mark.parametrize(("now_ms", "counts"), [(60_999, True), (61_000, True), (61_001, False)])
def test_a_word_counts_until_its_end(now_ms: int, counts: bool) -> None:  # noqa: FBT001
    assert counting({"a": NOTE}, now_ms) == ({"a": NOTE} if counts else {})


@given(st.dictionaries(TEXT, NOTES, max_size=5), MS)
def test_who_counts_is_among_those_who_told(notes: dict[str, AgentNote], now_ms: int) -> None:
    found = counting(notes, now_ms)
    assert found.items() <= notes.items()
    assert {agent for agent, note in notes.items() if note.until_ms >= now_ms} == set(found)


def test_a_record_is_no_list_of_agents() -> None:
    item = {"id": "j", "agent": to_attribute(NOTE), "agents": to_attribute(NOTE), "status": "running"}
    assert agents_in(item) == {}
