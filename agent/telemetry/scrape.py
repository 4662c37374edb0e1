"""What a scrape asks of others, and for how long it waits for them."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence

from agent.errors import AgentError
from agent.ports import GpuMemory
from agent.telemetry.metrics import CONTENT_TYPE, Metrics

ASK_TIMEOUT_S = 2.0  # of Prometheus's 10 s, so that a runtime that is busy or hung never costs a scrape

Memory = Callable[[], Awaitable[Sequence[GpuMemory]]]


def page_of(
    metrics: Metrics, state: Callable[[], Awaitable[str]], memory: Memory | None, timeout_s: float = ASK_TIMEOUT_S
) -> Callable[[], Awaitable[tuple[bytes, str]]]:
    """memory: None where the runtime does not tell it."""

    async def page() -> tuple[bytes, str]:
        known_state: str | None = None
        known_memory: Sequence[GpuMemory] = ()
        with contextlib.suppress(TimeoutError, AgentError):
            async with asyncio.timeout(timeout_s):
                known_state = await state()
                if memory is not None:
                    known_memory = await memory()
        return metrics.page(known_state, known_memory), CONTENT_TYPE

    return page
