"""What A1111 tells whoever watches over it."""

import pytest

from agent.ports import TellsWork
from tests.agent.a1111_server import WebUi, backend_of, state
from tests.agent.scenario import in_loop
from tests.support.clock import FakeClock


@pytest.mark.parametrize(("count", "has_work"), [(0, False), (1, True), (-1, True)])
@in_loop
async def test_whether_it_still_works_on_something_is_told(count: int, *, has_work: bool) -> None:
    async with backend_of(WebUi(progress=state(job_count=count)), FakeClock()) as backend:
        assert isinstance(backend, TellsWork)
        assert await backend.has_work() is has_work
