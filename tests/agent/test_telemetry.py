"""What a log line holds, and what it must not."""

import io
import json
import logging
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from agent import telemetry
from agent.errors import AwsRefusedError, AwsUnavailableError, NodeFailedError
from agent.telemetry import LOGGER, METRICS, Closing
from agent.telemetry.closing import LISTENERS
from tests.agent.closings import value
from tests.agent.said import saying
from tests.agent.scenario import CONFIG, JOB_ID, Scenario, ended, in_loop, message_of

KEYS = [
    "job_id",
    "runtime",
    "attempt",
    "outcome",
    "decision",
    "error",
    "wait_s",
    "fetch_s",
    "generate_s",
    "store_s",
    "total_s",
    "images",
    "bytes_out",
    "receive_s",
    "claim_s",
    "settle_s",
    "trace_id",
]


@pytest.fixture
def lines() -> Iterator[Callable[[], list[dict[str, Any]]]]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    stream = io.StringIO()
    telemetry.configure("DEBUG", stream)
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    root.handlers[:] = handlers
    root.setLevel(level)


def closing(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [line for line in lines if line["message"] == "job closed"]


@pytest.mark.parametrize(
    ("error", "outcome", "decision", "said"),
    [
        (None, "succeeded", "finish", None),
        (NodeFailedError("a cat in a hat cannot be parsed"), "failed", "finish", "node_execution_error"),
        (AwsUnavailableError("Throttled."), "released", "release", "aws_unavailable: Throttled."),
        (ValueError("a cat in a hat"), "released", "release", "ValueError"),
    ],
)
def test_every_ending_has_one_closing_line_of_the_same_keys(
    lines: Callable[[], list[dict[str, Any]]],
    error: Exception | None,
    outcome: str,
    decision: str,
    said: str | None,
) -> None:
    @in_loop
    async def run() -> None:
        scene = Scenario(replace(CONFIG, agent_id="comfy-0"))
        await scene.submit()
        if error:
            scene.backend.faults.add("run", error)
        agent = scene.agent()
        await scene.clock.advance(11)
        await ended([agent])

    run()
    [line] = closing(lines())
    assert list(line) == ["time", "level", "message", *KEYS]
    assert (line["job_id"], line["outcome"], line["decision"], line["error"]) == (JOB_ID, outcome, decision, said)
    if error is None:
        assert (line["generate_s"], line["total_s"], line["images"], line["bytes_out"]) == (10.0, 10.0, 1, 9)


SECRETS = [
    "https://b.s3.amazonaws.com/k.png?X-Amz-Credential=AKIA&X-Amz-Signature=5ecre7",
    "https://files.example/a.png?sig=5ecre7&se=2030",
    "see https://user:5ecre7@example.com/a for more",
    "Authorization: Bearer 5ecre7",
    "{'x-api-key': '5ecre7'}",
    '{"token": "5ecre7"}',
    "X-Amz-Security-Token=5ecre7",
    "password=5ecre7",
]


@pytest.mark.parametrize("secret", SECRETS)
def test_secrets_are_taken_out_wherever_they_stand(lines: Callable[[], list[dict[str, Any]]], secret: str) -> None:
    child = logging.getLogger("agent.some.child")
    child.warning("said %s", secret)
    child.warning("said", extra={"fields": {"error": secret, "nested": [{"url": secret}]}})
    child.error("raised", exc_info=ValueError(secret))
    text = json.dumps(lines())
    assert len(lines()) == 3
    assert "5ecre7" not in text


def test_of_an_exception_only_its_kind_and_place_and_our_own_words_are_told(
    lines: Callable[[], list[dict[str, Any]]],
) -> None:
    prompt = f"a {JOB_ID} fox"  # not as it stands in this file's lines, which a traceback shows
    error = AwsRefusedError("AWS refuses the call.")
    try:
        int(prompt)
    except ValueError as inner:
        error.__cause__ = inner
    logging.getLogger("agent").warning("raised", exc_info=error)
    logging.getLogger("agent").warning("raised", exc_info=NodeFailedError(prompt))
    first, second = (line["exception"] for line in lines())
    assert "ValueError" in first
    assert "test_telemetry.py" in first
    assert first.endswith("AwsRefusedError: AWS refuses the call.")
    assert second == "NodeFailedError"
    assert prompt not in json.dumps(lines())


def test_keys_of_accounts_are_taken_out(lines: Callable[[], list[dict[str, Any]]]) -> None:
    logging.getLogger("agent").warning("key %s", "AKIA" + "A" * 16)
    assert "AKIA" not in lines()[0]["message"]


def test_fields_that_hold_what_the_client_sent_are_hidden(lines: Callable[[], list[dict[str, Any]]]) -> None:
    logging.getLogger("agent").warning("x", extra={"fields": {"prompt": "a cat", "inner": {"text": "a cat"}}})
    assert "a cat" not in json.dumps(lines())


def test_libraries_that_log_requests_are_kept_quiet_at_any_level(lines: Callable[[], list[dict[str, Any]]]) -> None:
    logging.getLogger("botocore.endpoint").debug("body")
    logging.getLogger("httpx").info("GET")
    assert lines() == []


def test_a_message_that_is_not_ours_is_told_in_one_line_without_its_body(
    lines: Callable[[], list[dict[str, Any]]],
) -> None:
    @in_loop
    async def run() -> None:
        scene = Scenario()
        scene.queue.send("a private letter", "the-message")
        agent = scene.agent()
        await scene.clock.advance(1)
        await ended([agent])

    run()
    [line] = lines()
    assert (line["message"], line["message_id"], line["code"]) == ("message is not ours", "the-message", "invalid_json")
    assert "letter" not in json.dumps(line)


def test_a_jobs_phases_and_its_trace_stand_in_its_closing_line(lines: Callable[[], list[dict[str, Any]]]) -> None:
    trace = f"00-{'5' * 32}-{'6' * 16}-01"
    closings: list[Closing] = []

    def listener(closing: Closing) -> dict[str, Any]:
        closings.append(closing)
        return {}

    @in_loop
    async def run() -> None:
        scene = Scenario()
        await scene.submit(message_of(trace=trace))
        agent = scene.agent()
        await scene.clock.advance(11)
        await ended([agent])

    LISTENERS.append(listener)
    try:
        run()
    finally:
        LISTENERS.remove(listener)
    [line] = closing(lines())
    [told] = closings
    assert line["trace_id"] == "5" * 32
    assert set(told.marks) == {"receive", "claim", "fetch", "execution", "store", "settle"}
    assert told.seconds["execution"] == 10
    assert told.marks["receive"][1] == told.marks["claim"][0]
    assert told.marks["store"][1] <= told.marks["settle"][0]
    assert all(line[f"{phase}_s"] is not None for phase in ("receive", "claim", "settle"))


def test_the_age_of_each_message_is_told_when_it_is_received() -> None:
    before = value(METRICS, "sd_agent_queue_age_seconds_sum") or 0

    @in_loop
    async def run() -> None:
        scene = Scenario()
        await scene.submit()
        await scene.clock.advance(90)
        agent = scene.agent()
        await scene.clock.advance(1)
        await ended([agent])

    run()
    assert (value(METRICS, "sd_agent_queue_age_seconds_sum") or 0) - before == 90


def test_a_heartbeat_that_fails_is_counted() -> None:
    before = value(METRICS, "sd_agent_heartbeat_failures_total") or 0

    @in_loop
    async def run() -> None:
        scene = Scenario()
        await scene.submit()
        scene.store.faults.add("beat", AwsUnavailableError("Throttled."))
        agent = scene.agent()
        await scene.clock.advance(6)
        await ended([agent])

    run()
    assert (value(METRICS, "sd_agent_heartbeat_failures_total") or 0) - before == 1


def test_a_person_reads_a_line_of_words_that_nothing_in_it_can_break() -> None:
    with saying("text") as stream:
        LOGGER.warning("said\nso", extra={"fields": {"error": "one\ntwo = 3", "attempt": 1, "token": "5ecre7"}})
    [line] = stream.getvalue().splitlines()
    time, _, rest = line.partition(" ")
    assert time.endswith("Z")
    assert rest == 'WARNING  said\\nso error="one\\ntwo = 3" attempt=1 token="[hidden]"'
