"""A drain takes no more jobs and ends when the queues stay empty, not when they look empty once."""

from collections.abc import Mapping
from typing import Any

import pytest

from components import naming
from local.emulator import Emulator
from ops.drain import EMPTY_POLLS, POLL_S, Count, Drain
from ops.errors import OpsError
from tests.components.example import stack
from tests.support.clock import WaitedClock

SETTINGS = stack()
RUNTIMES = [runtime.name for runtime in SETTINGS.runtimes]


@pytest.fixture
def queues(emulator: Emulator) -> dict[str, str]:
    emulator.reset()
    client = emulator.client("sqs")
    return {name: client.create_queue(QueueName=naming.queue(SETTINGS, name))["QueueUrl"] for name in RUNTIMES}


def told_by(drain: Drain, timeout_s: float) -> tuple[bool, list[Mapping[str, Count]]]:
    told: list[Mapping[str, Count]] = []
    return drain.wait(timeout_s, told.append), told


def test_empty_queues_are_believed_only_after_a_minute(emulator: Emulator, queues: dict[str, str]) -> None:
    clock = WaitedClock()
    is_empty, told = told_by(Drain(SETTINGS, emulator.client, clock), 600)
    assert (is_empty, len(told)) == (True, EMPTY_POLLS)
    assert clock.seconds == (EMPTY_POLLS - 1) * POLL_S
    assert set(told[0]) == set(queues)


def test_a_job_that_runs_is_waited_for(emulator: Emulator, queues: dict[str, str]) -> None:
    sqs, url = emulator.client("sqs"), queues["sdxl"]
    sqs.send_message(QueueUrl=url, MessageBody="job")
    taken: list[str] = []

    def take() -> None:
        taken.append(sqs.receive_message(QueueUrl=url)["Messages"][0]["ReceiptHandle"])

    def finish() -> None:
        sqs.delete_message(QueueUrl=url, ReceiptHandle=taken[0])

    is_empty, told = told_by(Drain(SETTINGS, emulator.client, WaitedClock(take, finish)), 600)
    assert [counts["sdxl"] for counts in told[:3]] == [Count(1, 0), Count(0, 1), Count(0, 0)]
    assert (is_empty, len(told)) == (True, 2 + EMPTY_POLLS)


def test_jobs_that_are_left_when_the_time_is_up_are_no_success(emulator: Emulator, queues: dict[str, str]) -> None:
    emulator.client("sqs").send_message(QueueUrl=queues["sd15"], MessageBody="job")
    is_empty, told = told_by(Drain(SETTINGS, emulator.client, WaitedClock()), 25)
    assert (is_empty, len(told)) == (False, 3)


def test_a_stack_that_is_not_there_cannot_be_drained(emulator: Emulator) -> None:
    emulator.reset()
    with pytest.raises(OpsError, match="sd-async-dev can't be drained"):
        Drain(SETTINGS, emulator.client, WaitedClock()).wait(0, lambda _counts: None)


class Recording:
    """A Lambda client that keeps what it was told."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, dict[str, Any]]] = []

    def __getattr__(self, name: str) -> Any:
        return lambda **given: self.calls.append((name, given))


def test_the_api_takes_no_job_until_it_is_told_to_take_them_again() -> None:
    client = Recording()
    drain = Drain(SETTINGS, lambda _service: client, WaitedClock())
    drain.close()
    drain.open()
    assert client.calls == [
        ("put_function_concurrency", {"FunctionName": "sd-async-dev-api", "ReservedConcurrentExecutions": 0}),
        ("delete_function_concurrency", {"FunctionName": "sd-async-dev-api"}),
    ]
