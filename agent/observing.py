"""Puts the observers around a worker's ports: health, presence, metrics, and traces where somebody asks for them."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace

from agent import health
from agent.config import Config
from agent.health import State
from agent.ports import Backend, Ports, TellsGpuMemory, TellsLoading
from agent.presence import LEAVE_S, Presence
from agent.race import within
from agent.telemetry import LOGGER, METRICS
from agent.telemetry.busy import WatchedBackend
from agent.telemetry.closing import LISTENERS, Listener
from agent.telemetry.emf import Emf
from agent.telemetry.scrape import page_of
from agent.watch import Watched
from sd_async import __version__
from sd_async.contract.agents import AgentState


@contextlib.asynccontextmanager
async def observing(config: Config, ports: Ports, stop: asyncio.Event) -> AsyncIterator[Ports]:
    """The ports for the worker, until whose end `/livez`, `/readyz` and `/metrics` are served.

    `stop` is set then, if it was not before. Raises: ConfigError.
    """
    METRICS.about(version=__version__, runtime=config.runtime_name, runtime_type=config.runtime_type)
    backend = WatchedBackend(ports.backend, METRICS.busy, METRICS.ran_out_of_memory)

    def seen() -> State:
        if stop.is_set():
            return State.DRAINING
        if backend.is_ready:
            return State.READY
        return _why_not(ports.backend) or (State.RUNTIME_GONE if backend.has_answered else State.STARTING)

    async def asked() -> State:
        if not stop.is_set():
            await backend.ready()
        return seen()

    def told() -> AgentState:
        state = seen()
        return AgentState.BUSY if state is State.READY and METRICS.busy.held else AgentState(state)

    inside = _inside(ports.backend)
    memory = inside.gpu_memory if isinstance(inside, TellsGpuMemory) else None
    page = page_of(METRICS, asked, memory) if config.is_scraped else None
    with _listening(config):
        async with health.serving(config.pod_ip, config.health_port, asked, page), _present(config, ports, told, stop):
            yield replace(ports, backend=backend)


@contextlib.asynccontextmanager
async def _present(
    config: Config, ports: Ports, state: Callable[[], AgentState], stop: asyncio.Event
) -> AsyncIterator[None]:
    presence = Presence(ports.store, ports.clock, state, stop, runtime=config.runtime_name, agent=config.agent_id)
    telling = asyncio.create_task(presence.run())
    try:
        yield
    finally:
        stop.set()
        await within(LEAVE_S, ports.clock, telling)
        [ended] = await asyncio.gather(telling, return_exceptions=True)
        if isinstance(ended, Exception):
            LOGGER.error("presence ended", exc_info=ended)


def _inside(backend: Backend) -> Backend:
    """The runtime's own, as the one around it is a Backend and nothing more."""
    return backend.inside if isinstance(backend, Watched) else backend


def _why_not(backend: Backend) -> State | None:
    """Of one that is not ready; None when it does not answer."""
    if isinstance(backend, Watched) and backend.is_stuck:
        return State.RUNTIME_STUCK
    inside = _inside(backend)
    return State.RUNTIME_LOADING if isinstance(inside, TellsLoading) and inside.is_loading else None


@contextlib.contextmanager
def _listening(config: Config) -> Iterator[None]:
    with contextlib.ExitStack() as stack:
        stack.callback(LISTENERS.clear)
        LISTENERS[:] = [METRICS.closed]
        if config.is_emf:
            LISTENERS.append(Emf(config.queue_url))
        if config.otlp_endpoint is not None:
            LISTENERS.append(_spans(config, config.otlp_endpoint, stack))
        yield


def _spans(config: Config, endpoint: str, stack: contextlib.ExitStack) -> Listener:
    # 2 MB, for those who have a collector
    from agent.telemetry.otlp import OtlpJsonExporter  # noqa: PLC0415
    from agent.telemetry.traces import Spans  # noqa: PLC0415

    about = {
        "service.name": "sd-async-agent",
        "service.version": __version__,
        "service.instance.id": config.agent_id,
        "cloud.provider": "aws",
        "cloud.region": config.region,
        "sd_async.runtime": config.runtime_name,
    }
    spans = Spans(OtlpJsonExporter(endpoint, METRICS.exported), about, config.queue_url, __version__)
    stack.callback(spans.close)
    return spans
