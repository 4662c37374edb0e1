"""A painter to talk to: one shared by a test module, or one of a test's own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from local.painter.embedded import serving
from local.painter.settings import PainterSettings
from tests.painter.client import Comfy


def _served(data: Path, **changes: object) -> Iterator[Comfy]:
    settings = PainterSettings(data=data, seconds_per_step=0.0, has_faults=True, **changes)  # type: ignore[arg-type] # named by tests
    with serving(settings) as url, Comfy(url, data) as comfy:
        yield comfy


@pytest.fixture(scope="module")
def comfy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Comfy]:
    """Shared by a module's tests; they use names of their own and leave nothing running."""
    yield from _served(tmp_path_factory.mktemp("painter"))


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Comfy]:
    """A painter that has seen nothing yet."""
    yield from _served(tmp_path)
