"""The whole system, once for the journeys of a test process; its agents reach AWS through a network that can fail."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from components.settings import parse
from local.system import Options, System, local_config, running
from ops.names import Names, names
from sd_async.client import Client
from tests.journeys.listener import Listener
from tests.support.faulty import FaultyNetwork, faulty_network

LEASE_S = 6  # short, so that a killed agent's job is soon another's; long enough for a busy machine's heartbeats


@dataclass(frozen=True)
class Stage:
    """What a journey works with. results: hears all that is published on the results topic.

    names: as an operator is told them, since a stack's own table and bucket are no outputs.
    """

    system: System
    client: Client
    network: FaultyNetwork
    results: Listener
    names: Names


@pytest.fixture(scope="package")
def _stage() -> Iterator[Stage]:
    overrides = {
        "sd-async:runtimes": [
            {
                "name": "sd15",
                "type": "comfyui",
                "image": "sd-async/comfyui:test",
                "scaling": {"max_replicas": 2, "polling_interval_s": 1, "cooldown_s": 300},
            },
            {
                "name": "webui",
                "type": "a1111",
                "image": "sd-async/a1111:test",
                "scaling": {"max_replicas": 1, "polling_interval_s": 1, "cooldown_s": 300},
            },
            {
                "name": "hanging",
                "type": "comfyui",
                "image": "sd-async/comfyui:test",
                "scaling": {"max_replicas": 1, "polling_interval_s": 1, "cooldown_s": 2},
            },
            {
                "name": "late",
                "type": "a1111",
                "image": "sd-async/a1111:test",
                "scaling": {"max_replicas": 1, "polling_interval_s": 1, "cooldown_s": 300},
            },
        ],
        "sd-async:agent": {
            "image": "sd-async/agent:test",
            "heartbeat_s": 1,
            "lease_s": LEASE_S,
            "max_attempts": 3,
        },
    }
    with faulty_network() as network:
        options = Options(
            overrides=overrides,
            painter=("--seconds-per-step", "0.01", "--faults"),
            agents_endpoint=network.in_front_of,
        )
        with running(options) as system, Client(system.endpoint, system.api_key) as client:
            settings = parse("sd-async", options.stack, local_config(options, system.emulator.endpoint))
            found = names(settings, system.emulator.client)
            yield Stage(system, client, network, Listener.on(system), found)


@pytest.fixture
def stage(_stage: Stage) -> Stage:
    """Its agents are left as they are between tests: a warm agent is what most jobs meet."""
    return _stage
