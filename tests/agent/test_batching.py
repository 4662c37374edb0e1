"""Many single things in one call, each with an answer of its own."""

import asyncio
from collections.abc import Sequence

import pytest

from agent.aws import Clients, entry_error
from agent.batching import MAX_BYTES, Batcher
from agent.edges.sns import SnsTopic
from agent.edges.sqs import SqsQueue
from agent.errors import AwsRefusedError, AwsUnavailableError, AwsUnusableError
from tests.agent.scenario import in_loop


class Calls:
    """faults: what goes wrong with an item. whole: what goes wrong with the call."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.faults: dict[int, Exception] = {}
        self.whole: Exception | None = None

    async def send(self, items: Sequence[int]) -> Sequence[int | Exception]:
        self.batches.append(list(items))
        if self.whole is not None:
            raise self.whole
        return [self.faults.get(item, item * 10) for item in items]


@in_loop
async def test_what_comes_together_goes_together_and_each_gets_its_own_answer() -> None:
    calls = Calls()
    batcher = Batcher(calls.send, linger_s=0.01)
    assert await asyncio.gather(*(batcher.done(item) for item in range(3))) == [0, 10, 20]
    assert await batcher.done(7) == 70
    assert calls.batches == [[0, 1, 2], [7]]


@in_loop
async def test_ten_do_not_wait_for_more() -> None:
    calls = Calls()
    batcher = Batcher(calls.send, linger_s=1000)
    await asyncio.gather(*(batcher.done(item) for item in range(20)))
    assert [len(batch) for batch in calls.batches] == [10, 10]


@in_loop
async def test_fewer_wait_where_few_may() -> None:
    calls = Calls()
    batcher = Batcher(calls.send, linger_s=0.01, most=2)
    await asyncio.gather(*(batcher.done(item) for item in range(3)))
    assert calls.batches == [[0, 1], [2]]


@in_loop
async def test_what_would_be_too_large_together_goes_apart() -> None:
    calls = Calls()
    batcher = Batcher(calls.send, linger_s=0.01, size=lambda _: MAX_BYTES // 2)
    await asyncio.gather(*(batcher.done(item) for item in range(5)))
    assert [len(batch) for batch in calls.batches] == [2, 2, 1]


@in_loop
async def test_one_items_failure_is_not_the_others() -> None:
    calls = Calls()
    calls.faults = {1: AwsRefusedError("no")}
    batcher = Batcher(calls.send, linger_s=0.01)
    results = await asyncio.gather(*(batcher.done(item) for item in range(3)), return_exceptions=True)
    assert (results[0], results[2]) == (0, 20)
    assert isinstance(results[1], AwsRefusedError)


@in_loop
async def test_the_calls_failure_is_everyones() -> None:
    calls = Calls()
    calls.whole = AwsUnavailableError("busy")
    batcher = Batcher(calls.send, linger_s=0.01)
    results = await asyncio.gather(*(batcher.done(item) for item in range(3)), return_exceptions=True)
    assert [type(result) for result in results] == [AwsUnavailableError] * 3


@in_loop
async def test_whoever_stops_waiting_takes_nothing_from_the_others() -> None:
    calls = Calls()
    batcher = Batcher(calls.send, linger_s=0.01)
    left, stays = asyncio.create_task(batcher.done(1)), asyncio.create_task(batcher.done(2))
    await asyncio.sleep(0)
    left.cancel()
    assert await stays == 20
    assert calls.batches == [[1, 2]]


@in_loop
async def test_sqs_and_sns_are_called_once_for_several(clients: Clients, queue_url: str, topic_arn: str) -> None:
    names: list[str] = []
    for client in (clients.sqs, clients.sns):
        client.meta.events.register("before-call", lambda model, **_: names.append(model.name))
    queue, topic = SqsQueue(clients.sqs, queue_url), SnsTopic(clients.sns, topic_arn)
    for number in range(4):
        clients.sqs.send_message(QueueUrl=queue_url, MessageBody=str(number))
    held = list(await queue.receive(0, 10))
    names.clear()
    await asyncio.gather(*(queue.extend(delivery, 30) for delivery in held))
    await asyncio.gather(*(queue.delete(delivery) for delivery in held))
    assert await asyncio.gather(*(queue.extend(delivery, 0) for delivery in held)) == [False] * len(held)
    await asyncio.gather(*(topic.publish(b"{}", {"runtime": "x"}) for _ in range(3)))
    assert names == [
        "ChangeMessageVisibilityBatch",
        "DeleteMessageBatch",
        "ChangeMessageVisibilityBatch",
        "PublishBatch",
    ]


@pytest.mark.parametrize(
    ("entry", "kind"),
    [
        ({"Code": "InternalError", "SenderFault": False}, AwsUnavailableError),
        ({"Code": "ThrottlingException", "SenderFault": True}, AwsUnavailableError),
        ({"Code": "AccessDenied", "SenderFault": True}, AwsUnusableError),
        ({"Code": "InvalidParameter", "SenderFault": True}, AwsRefusedError),
    ],
    ids=lambda value: value["Code"] if isinstance(value, dict) else "",
)
def test_an_entrys_failure_is_told_apart_as_a_calls(entry: dict[str, object], kind: type) -> None:
    assert type(entry_error(entry, "PublishBatch")) is kind
