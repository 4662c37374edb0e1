"""Fixtures shared by all rooms, in which order these come, and how a test process looks for garbage."""

import gc
from collections.abc import Iterator

import pytest

from local import emulator as local_emulator
from local.emulator import Emulator

# The SDKs are hundreds of thousands of objects that stay. Python would look through all of them again and again while
# they are loaded, and then once for each test that has its garbage collected; that took more than the tests did.
gc.disable()


WAITING = ("tests/journeys/", "tests/local/")  # for processes, leases and schedules, most of their time


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Who waits begins first: the others fill that time, and nobody is left to wait alone at the end."""
    items.sort(key=lambda item: not item.nodeid.startswith(WAITING))


@pytest.hookimpl(trylast=True)
def pytest_collection_finish() -> None:
    gc.collect()
    gc.freeze()
    gc.enable()


@pytest.fixture(scope="session")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    """One AWS emulator per test process; tests name their own resources and do not reset it."""
    with local_emulator.running(tmp_path_factory.mktemp("aws")) as started:
        yield started
