"""A process that dies, stands still or loses an answer at any of its calls: the outcome is right every time.

The calls are those that a run really makes, and every method of a port has to be among them.
"""

import contextlib
import inspect
from collections.abc import Callable

import pytest

from agent import ports
from agent.ports import Ports
from sd_async.contract.states import Status
from tests.agent.model.wire import AT_RUNTIME, Fault
from tests.agent.model.world import World

# Methods that are no call of these three ways, and where they are tried instead.
ELSEWHERE = {
    "create": "a job published straight to the topic: test_endings",
    "get": "a release that is refused, at DynamoDB: test_port_store",
    "free": "a GPU whose memory was too small: the attempt's own tests",
    "tell": "what the agent is, which no job hangs on: test_presence",
    "leave": "likewise",
}
# What the model's runtime is asked over its wire without being a method of its own: parts of `run`.
PARTS_OF_RUN = {"history", "stop"}


pytestmark = [
    pytest.mark.usefixtures("left_behind"),
    pytest.mark.filterwarnings("ignore:Implicitly cleaning up:ResourceWarning"),
]


def finished(world: World) -> None:
    world.run_for(40)


def canceled(world: World) -> None:
    world.run_for(3)
    [job_id] = world.store.records
    world.cancel(job_id)
    world.run_for(30)


def handed_back(world: World) -> None:
    world.run_for(3)
    world.sigterm(world.pods[0])
    world.run_for(80)


WAYS: dict[str, tuple[Callable[[World], None], float, Status]] = {
    "finished": (finished, 12, Status.SUCCEEDED),
    "canceled": (canceled, 100, Status.CANCELED),
    "handed back": (handed_back, 100, Status.SUCCEEDED),
}


def lived(way: str, plan: tuple[str, int, Fault] | None = None) -> World:
    """The world after one job went that way, with at most one thing gone wrong in it."""
    go, run_s, _ = WAYS[way]
    world = World(seed=7)
    if plan is not None:
        world.pods[0].faults.append(plan)
    world.start(world.pods[0])
    world.submit(run_s=run_s, has_file=True)
    go(world)
    return world


def calls_of(way: str) -> list[tuple[str, int]]:
    """Name of each call, and how many of that name came before it."""
    with contextlib.closing(lived(way)) as world:
        wire = world.graves[0][1] if world.graves else world.pods[0].wire
        assert wire is not None
        calls = [(name, wire.calls[:index].count(name)) for index, name in enumerate(wire.calls)]
    # Long polls of an idle agent are all alike.
    return [(name, before) for name, before in calls if name not in {"receive", "ready"} or before < 2]


CALLS = {way: calls_of(way) for way in WAYS}


@pytest.mark.parametrize("fault", list(Fault))
@pytest.mark.parametrize("way", list(WAYS))
def test_whatever_happens_at_any_call_the_job_ends_once_and_rightly(way: str, fault: Fault) -> None:
    for name, before in CALLS[way]:
        where = f"{fault} at call {before + 1} of `{name}`"
        with contextlib.closing(lived(way, (name, before, fault))) as world:
            world.drain()
            [record] = world.store.records.values()
            assert world.violations == [], where
            assert record.status is WAYS[way][2], where
            assert len({result.status for result in world.topic.told[record.id]}) == 1, where
            assert world.queue.is_empty, where


def test_every_method_of_every_port_is_one_of_these_calls() -> None:
    protocols = [getattr(ports, kind) for kind in ("Queue", "Store", "Topic", "Files", "Backend")]
    methods = {
        name for port in protocols for name, _ in inspect.getmembers(port, inspect.isfunction) if name[:1] != "_"
    }
    called = {name for calls in CALLS.values() for name, _ in calls}
    assert called - PARTS_OF_RUN == methods - ELSEWHERE.keys()
    assert called & AT_RUNTIME == AT_RUNTIME - ELSEWHERE.keys()
    others = {"sources", "clock"}  # a source is one of the files' methods; a clock is asked, not called
    assert set(Ports.__dataclass_fields__) - others == {port.__name__.lower() for port in protocols}


def test_a_run_passes_record_announcement_and_deletion_in_this_order() -> None:
    order = [name for name, _ in CALLS["finished"] if name in {"put", "finish", "publish", "delete"}]
    assert order == ["put", "put", "finish", "publish", "delete"], "the picture and its result.json come first"
