"""`python -m agent`: the one place that names edges.

Exit codes: 0 stopped by SIGTERM or SIGINT with its job finished or given back; 1 a bug; 2 the environment is wrong;
3 the runtime did not come back, or did not let go of a job; 4 AWS refuses this agent; 5 the runtime has eaten the
memory. After 3 and 5 the chart has the whole pod's containers started anew, where Kubernetes can.
"""

import asyncio
import contextlib
import importlib
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from agent import aws, telemetry
from agent.config import Config, load
from agent.edges.clock import SystemClock
from agent.edges.dynamodb import DynamoStore
from agent.edges.s3 import S3Files
from agent.edges.sns import SnsTopic
from agent.edges.sqs import SqsQueue
from agent.errors import AwsUnusableError, ConfigError, FatalError, RuntimeFullError, RuntimeGoneError
from agent.observing import observing
from agent.ports import Backend, Ports
from agent.telemetry import LOGGER, METRICS
from agent.telemetry.calls import watch_calls
from agent.telemetry.redaction import secrets_of
from agent.watch import Watched
from agent.worker import Worker
from sd_async.contract.jobs import RuntimeType


class _Driver(Backend, Protocol):
    async def aclose(self) -> None: ...


# Modules that only some agents, or some jobs, need are loaded by those: an HTTP client alone takes 10 MB.


def _comfyui(config: Config) -> _Driver:
    from agent.edges.comfyui import ComfyUI  # noqa: PLC0415 - see above

    return ComfyUI(config.runtime_url, config.agent_id, output_folder=config.output_folder)


def _a1111(config: Config) -> _Driver:
    from agent.edges.a1111 import A1111  # noqa: PLC0415 - see above

    def warn(problem: str) -> None:
        LOGGER.warning("first checkpoint", extra={"fields": {"problem": problem}})

    return A1111(config.runtime_url, config.runtime_name, wait_s=config.runtime_wait_s, warn=warn)


class _Https:
    """The web, as a Source."""

    async def fetch(self, url: str, target: Path, max_bytes: int) -> int:
        module = await asyncio.to_thread(importlib.import_module, "agent.edges.download")
        fetched: int = await module.HttpsDownload().fetch(url, target, max_bytes)
        return fetched


BACKENDS: Mapping[RuntimeType, Callable[[Config], _Driver]] = {
    RuntimeType.COMFYUI: _comfyui,
    RuntimeType.A1111: _a1111,
}
EXIT_CODES: Mapping[type[FatalError], int] = {
    ConfigError: 2,
    RuntimeGoneError: 3,
    AwsUnusableError: 4,
    RuntimeFullError: 5,
}


def main() -> int:
    secrets = secrets_of(os.environ)
    telemetry.configure("INFO", secrets=secrets)
    try:
        config = load(os.environ)
        telemetry.configure(config.log_level, log_format=config.log_format, secrets=secrets)
        asyncio.run(_serve(config))
    except ConfigError as error:
        LOGGER.critical("configuration error", extra={"fields": {"problems": error.problems}})
        return EXIT_CODES[ConfigError]
    except FatalError as error:
        LOGGER.critical("agent ends", extra={"fields": {"error": f"{error.code}: {error.message}"}})
        return EXIT_CODES.get(type(error), 1)
    except Exception:  # noqa: BLE001 - the process boundary: a bug ends in one JSON line and a code
        LOGGER.critical("agent ends", exc_info=True)
        return 1
    return 0


async def _serve(config: Config) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.set_default_executor(ThreadPoolExecutor(aws.THREADS, thread_name_prefix="call"))
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stop.set)
    async with _ports(config) as ports:
        backend = Watched(
            ports.backend,
            ports.clock,
            stop,
            hung_after_s=config.hung_after_s,
            least_free_mib=config.least_free_mib,
        )
        async with observing(config, replace(ports, backend=backend), stop) as observed:
            LOGGER.info("agent started", extra={"fields": {"agent": config.agent_id, "runtime": config.runtime_name}})
            await Worker(config, observed, stop).run()
            LOGGER.info("agent stopped", extra={"fields": {"agent": config.agent_id}})
        if backend.reason is not None:
            raise backend.reason


@contextlib.asynccontextmanager
async def _ports(config: Config) -> AsyncIterator[Ports]:
    clients = aws.clients(config.region, config.endpoint_url)
    watch_calls((clients.sqs, clients.s3, clients.sns, clients.dynamodb), METRICS.called)
    files = S3Files(clients.s3, config.output_bucket)
    backend = BACKENDS[config.runtime_type](config)
    async with contextlib.aclosing(backend):
        yield Ports(
            queue=SqsQueue(clients.sqs, config.queue_url, shares_calls=config.jobs_ahead > 0),
            store=DynamoStore(clients.dynamodb, config.jobs_table),
            topic=SnsTopic(clients.sns, config.results_topic_arn, shares_calls=config.jobs_ahead > 0),
            files=files,
            sources={"s3": files, "https": _Https()},
            backend=backend,
            clock=SystemClock(),
        )


if __name__ == "__main__":
    sys.exit(main())
