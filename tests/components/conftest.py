"""Each test has an event loop: an Output made outside of a program wants one too."""

from collections.abc import Iterator

import pytest

import tests.support.engine  # noqa: F401 - the SDK's own warnings are silenced by what its import does
from local.deploy.engine import own_loop


@pytest.fixture(autouse=True)
def _loop() -> Iterator[None]:
    with own_loop():
        yield
