"""Several jobs for one agent, and a bucket and a queue that show what the agent does with them."""

import uuid
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

from agent.ports import NOTHING, Delivery
from sd_async.contract.states import Status
from tests.agent.scenario import Scenario, message_of
from tests.support.fake_queue import FakeQueue
from tests.support.fakes import FakeFiles


async def submitted(scene: Scenario, count: int, **changes: object) -> list[str]:
    ids = [str(uuid.UUID(int=number + 1)) for number in range(count)]
    for job_id in ids:
        await scene.submit(message_of(job_id, **changes))
    return ids


def statuses(scene: Scenario, ids: list[str]) -> list[Status]:
    return [scene.job(job_id).status for job_id in ids]


class SlowFiles(FakeFiles):
    """A bucket that takes its time."""

    def __init__(self, scene: Scenario, put_s: float, fetch_s: float = 0) -> None:
        super().__init__()
        self._clock = scene.clock
        self._put_s = put_s
        self._fetch_s = fetch_s

    async def put(
        self, key: str, chunks: AsyncIterator[bytes], content_type: str, metadata: Mapping[str, str] = NOTHING
    ) -> int:
        size = await super().put(key, chunks, content_type, metadata)
        await self._clock.sleep(self._put_s)
        return size

    async def fetch(self, url: str, target: Path, max_bytes: int) -> int:
        await self._clock.sleep(self._fetch_s)
        return await super().fetch(url, target, max_bytes)


class CountingQueue(FakeQueue):
    """asked: how many messages each receive asked for. shown: messages made visible at once, by their id."""

    def __init__(self, scene: Scenario) -> None:
        super().__init__(scene.clock, max_receives=10)
        self.asked: list[int] = []
        self.shown: list[str] = []

    async def receive(self, wait_s: int, most: int) -> list[Delivery]:
        self.asked.append(most)
        return list(await super().receive(wait_s, most))

    async def extend(self, delivery: Delivery, visibility_s: int) -> bool:
        if visibility_s == 0:
            self.shown.append(delivery.message_id)
        return await super().extend(delivery, visibility_s)
