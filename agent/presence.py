"""Tells the job table what this agent is, so that the API can say why a job waits that nobody has taken.

One call when that changes and one now and then; none for a job. Others ask the runtime, the worker and the kubelet's
probe; here it is only looked at what they found.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from agent.errors import AgentError
from agent.ports import Clock, Store
from agent.race import within
from agent.telemetry import LOGGER
from sd_async.contract.agents import AgentNote, AgentState

LOOK_S = 1.0
# A word lasts for two beats and a half: one may be lost, and that of an agent that died is believed for 150 s at most,
# for 50 s where it could take no job.
BEAT_S, BEAT_AWAY_S = 60.0, 20.0
LASTS_BEATS = 2.5
STEADY_S = 5.0  # jobs that come and go faster make no difference to one that waits
LEAVE_S = 0.5  # of the second in which an idle agent ends
DEAD_AFTER_S = 600.0  # of no word: one that could not reach AWS for that long is back with its next
MOST_DEAD = 20  # at once, as an update's expression is 4 KB at most (DynamoDB guide, "Constraints")

_ABLE = frozenset({AgentState.READY, AgentState.BUSY})


@dataclass(frozen=True, slots=True)
class _Seen:
    """since_s: monotonic. since_ms: of the same moment, since the epoch."""

    state: AgentState
    since_s: float
    since_ms: int


class Presence:
    """state: what the agent is, as far as anybody has seen. stop: the agent's own, after which it is nobody's any more.

    runtime, agent: their names.
    """

    def __init__(
        self,
        store: Store,
        clock: Clock,
        state: Callable[[], AgentState],
        stop: asyncio.Event,
        *,
        runtime: str,
        agent: str,
    ) -> None:
        self._store = store
        self._clock = clock
        self._state = state
        self._stop = stop
        self._runtime = runtime
        self._agent = agent
        self._latest: _Seen | None = None
        self._told: _Seen | None = None
        self._due_s = 0.0
        self._is_failing = False
        self._dead: list[str] = []

    async def run(self) -> None:
        """Until `stop`, and then one call more."""
        while not self._stop.is_set():
            await within(LOOK_S, self._clock, asyncio.create_task(self._stop.wait()))
            if not self._stop.is_set():
                await self._look()
        if self._told is not None:
            await self._leave()

    async def _look(self) -> None:
        now_s, state = self._clock.monotonic_s(), self._state()
        if self._latest is None or self._latest.state is not state:
            self._latest = _Seen(state, now_s, self._clock.now_ms())
        if self._told is None or self._is_news(self._told, self._latest, now_s):
            self._told, self._due_s = self._latest, now_s
        if now_s >= self._due_s:
            await self._tell(self._told, now_s)

    def _is_news(self, told: _Seen, latest: _Seen, now_s: float) -> bool:
        if {told.state, latest.state} == _ABLE:
            return now_s - latest.since_s >= STEADY_S
        return latest.state is not told.state

    async def _tell(self, seen: _Seen, now_s: float) -> None:
        beat_s, now_ms = BEAT_S if seen.state in _ABLE else BEAT_AWAY_S, self._clock.now_ms()
        self._due_s = now_s + beat_s
        until_ms = now_ms + round(LASTS_BEATS * beat_s * 1000)
        note = AgentNote(state=seen.state, since_ms=seen.since_ms, until_ms=until_ms)
        try:
            notes = await self._store.tell(self._runtime, self._agent, note, forget=self._dead)
        except AgentError as error:
            self._failed(error)
            return
        self._is_failing = False
        dead = (name for name, each in notes.items() if each.until_ms < now_ms - DEAD_AFTER_S * 1000)
        self._dead = list(dead)[:MOST_DEAD]

    async def _leave(self) -> None:
        try:
            await self._store.leave(self._runtime, self._agent)
        except AgentError as error:
            self._failed(error)

    def _failed(self, error: AgentError) -> None:
        """Said once: the next beat tries again, and no job hangs on it."""
        if not self._is_failing:
            LOGGER.warning("presence not told", extra={"fields": {"error": error.message}})
        self._is_failing = True
