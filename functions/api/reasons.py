"""Why a queued job waits, in words for whoever sent it."""

from collections.abc import Mapping

from sd_async.contract.agents import AgentNote, AgentState, counting
from sd_async.contract.records import Record
from sd_async.contract.states import Status

ON_ITS_WAY = "It is recorded and on its way to the queue."
NOT_TAKEN = "It is in the queue, and no agent has taken it yet."
NO_AGENT = "It is in the queue; no agent of its runtime runs yet, and a machine may have to start first."
_OF_ONE = {
    AgentState.READY: "its runtime is ready for it",
    AgentState.BUSY: "its runtime works on other jobs",
    AgentState.RUNTIME_LOADING: "its runtime's container has started and loads",
    AgentState.STARTING: "its runtime's container has not answered yet",
    AgentState.RUNTIME_GONE: "its runtime has answered before and does not now",
    AgentState.RUNTIME_STUCK: "its runtime still works on a job that was stopped",
}


def is_untaken(record: Record) -> bool:
    """Whether it is in its queue and never left it, so that only the agents can say why."""
    return record.status is Status.QUEUED and record.outbox is None and not record.waiting


def of_record(record: Record) -> str | None:
    """What the record itself says; None of one that does not wait."""
    if record.status is not Status.QUEUED:
        return None
    return ON_ITS_WAY if record.outbox is not None else record.waiting or NOT_TAKEN


def of_agents(notes: Mapping[str, AgentNote], now_ms: int) -> str:
    """notes: of all agents of the job's runtime. Told is the one that is nearest to taking it."""
    present = counting(notes, now_ms)
    if not present:
        return NO_AGENT
    order = list(AgentState)
    agent, best = min(present.items(), key=lambda one: (order.index(one[1].state), one[1].since_ms))
    who = f"agent {agent}" if len(present) == 1 else f"agent {agent} of {len(present)}"
    return f"It is in the queue; {_OF_ONE[best.state]} ({who}, for {_lasting(now_ms - best.since_ms)})."


def _lasting(passed_ms: int) -> str:
    """Never negative: the two clocks are those of different machines."""
    seconds = max(passed_ms, 0) // 1000
    if seconds < 120:
        return f"{seconds} s"
    return f"{seconds // 60} min" if seconds < 2 * 3600 else f"{seconds // 3600} h"
