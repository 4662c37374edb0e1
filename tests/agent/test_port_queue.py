"""One suite over the fake queue and SQS."""

import asyncio
import threading

import pytest

from agent.aws import Clients
from agent.edges.sqs import SqsQueue
from agent.errors import AwsUnusableError
from tests.agent.ports import QueueUnderTest
from tests.agent.scenario import in_loop


@in_loop
async def test_an_empty_queue_gives_nothing(queue: QueueUnderTest) -> None:
    assert await queue.port.receive(0, 1) == []


@in_loop
async def test_a_message_arrives_with_what_is_known_about_it(queue: QueueUnderTest) -> None:
    queue.send("hello")
    [delivery] = await queue.port.receive(0, 1)
    assert (delivery.body, delivery.receive_count) == ("hello", 1)
    assert delivery.message_id
    assert delivery.sent_at_ms > 1_000_000_000_000, "milliseconds, not seconds"


@in_loop
async def test_a_received_message_is_hidden_until_it_is_shown_again(queue: QueueUnderTest) -> None:
    queue.send("hello")
    [first] = await queue.port.receive(0, 1)
    assert await queue.port.receive(0, 1) == []
    assert await queue.port.extend(first, 0)
    [second] = await queue.port.receive(0, 1)
    assert (second.message_id, second.receive_count) == (first.message_id, 2)


@in_loop
async def test_several_messages_arrive_together_and_never_more_than_asked_for(queue: QueueUnderTest) -> None:
    for number in range(4):
        queue.send(f"hello {number}")
    first = await queue.port.receive(0, 3)
    rest = await queue.port.receive(0, 10)
    assert len(first) <= 3
    assert sorted(delivery.body for delivery in [*first, *rest]) == [f"hello {number}" for number in range(4)]


@in_loop
async def test_a_deleted_message_is_gone_and_deleting_it_again_is_no_error(queue: QueueUnderTest) -> None:
    queue.send("hello")
    [delivery] = await queue.port.receive(0, 1)
    await queue.port.delete(delivery)
    await queue.port.delete(delivery)
    assert queue.left() == 0


@in_loop
async def test_extending_a_message_that_is_gone_says_so(queue: QueueUnderTest) -> None:
    queue.send("hello")
    [delivery] = await queue.port.receive(0, 1)
    await queue.port.delete(delivery)
    assert await queue.port.extend(delivery, 30) is False


@in_loop
async def test_a_long_poll_is_canceled_at_once_and_its_message_is_handed_back(clients: Clients, queue_url: str) -> None:
    queue = SqsQueue(clients.sqs, queue_url)
    waiting = asyncio.create_task(queue.receive(20, 1))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    [poll] = [thread for thread in threading.enumerate() if thread.name == "long-poll"]
    await asyncio.to_thread(clients.sqs.send_message, QueueUrl=queue_url, MessageBody="late")
    await asyncio.to_thread(poll.join)
    [delivery] = await queue.receive(0, 1)  # it would be hidden for 60 s
    assert (delivery.body, delivery.receive_count) == ("late", 2)


@in_loop
async def test_a_queue_that_is_not_there_makes_the_process_unfit(clients: Clients) -> None:
    with pytest.raises(AwsUnusableError):
        await SqsQueue(clients.sqs, f"{clients.sqs.meta.endpoint_url}/000000000000/missing").receive(0, 1)
