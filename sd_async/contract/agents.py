"""What the agents of one runtime tell of themselves: one DynamoDB item beside the jobs, with an attribute per agent.

Its key is no job's id, which is a UUID, and it has no attribute by which an index would find it. Each agent writes
its own attribute and no other, so that none overwrites another's.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

import msgspec

from sd_async.contract.errors import ContractError
from sd_async.contract.records import from_attribute, to_attribute
from sd_async.contract.times import MAX_S, Milliseconds

KEEP_S = 24 * 60 * 60  # after the last word of the last agent the table's TTL takes the item away

_ATTRIBUTE = "agent/"


class AgentState(StrEnum):
    """What an agent is to a job that waits, the nearest to taking it first.

    A runtime that works has shown that it can; of the others, one that listens is nearer than one that never answered,
    and one that may have crashed is better off than one that has to be restarted.
    """

    READY = "ready"
    BUSY = "busy"
    RUNTIME_LOADING = "runtime_loading"
    STARTING = "starting"
    RUNTIME_GONE = "runtime_gone"
    RUNTIME_STUCK = "runtime_stuck"


class AgentNote(msgspec.Struct, frozen=True, kw_only=True):
    """One agent's word. since_ms: from when on it is in that state. until_ms: after which its word counts no more."""

    state: AgentState
    since_ms: Milliseconds
    until_ms: Milliseconds


def agents_key(runtime: str) -> str:
    """Key of the item of a runtime's agents, in the table of the jobs."""
    return f"agents/{runtime}"


def agent_attribute(agent: str) -> str:
    """Name of an agent's attribute in that item."""
    return f"{_ATTRIBUTE}{agent}"


def told_by(agent: str, note: AgentNote) -> dict[str, Any]:
    """Attributes that an agent sets when it tells something."""
    expires_at_s = min(note.until_ms // 1000 + KEEP_S, MAX_S)
    return {agent_attribute(agent): to_attribute(note), "expires_at_s": expires_at_s}


def agents_in(item: Mapping[str, Any]) -> dict[str, AgentNote]:
    """Notes by agent, those that are over too; a note that this version does not understand is left out.

    item: as DynamoDB holds it; numbers may be Decimals. Empty where there is none.
    """
    found: dict[str, AgentNote] = {}
    for name, value in item.items():
        if not name.startswith(_ATTRIBUTE):
            continue
        try:
            found[name.removeprefix(_ATTRIBUTE)] = from_attribute(value, AgentNote)
        except ContractError:  # a newer agent's, while a stack is being updated
            continue
    return found


def counting(notes: Mapping[str, AgentNote], now_ms: int) -> dict[str, AgentNote]:
    """Those whose word still counts. Agents' clocks and the reader's may differ, and so does the end of a word."""
    return {agent: note for agent, note in notes.items() if note.until_ms >= now_ms}
