"""Fixtures shared by all rooms."""

from collections.abc import Iterator

import pytest

from local import emulator as local_emulator
from local.emulator import Emulator


@pytest.fixture(scope="session")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    """One AWS emulator per test process; tests name their own resources and do not reset it."""
    with local_emulator.running(tmp_path_factory.mktemp("aws")) as started:
        yield started
