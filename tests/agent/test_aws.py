"""AWS's ways to say no, and a call that holds nobody up."""

import asyncio
import subprocess
import sys
import threading
from pathlib import Path
from typing import Never

import pytest
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    EndpointConnectionError,
    NoCredentialsError,
    ReadTimeoutError,
)

from agent.aws import call_aside, clients, error_code, translated
from agent.errors import AgentError, AwsRefusedError, AwsUnavailableError, AwsUnusableError
from tests.agent.scenario import in_loop

ROOT = Path(__file__).parents[2]


def answer(code: str, status: int) -> ClientError:
    return ClientError(
        {"Error": {"Code": code, "Message": "private"}, "ResponseMetadata": {"HTTPStatusCode": status}},  # type: ignore[typeddict-item] # as much as we read
        "UpdateItem",
    )


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (answer("ThrottlingException", 400), AwsUnavailableError),
        (answer("ProvisionedThroughputExceededException", 400), AwsUnavailableError),
        (answer("SlowDown", 503), AwsUnavailableError),
        (answer("InternalError", 500), AwsUnavailableError),
        (answer("", 429), AwsUnavailableError),
        (EndpointConnectionError(endpoint_url="http://x"), AwsUnavailableError),
        (ReadTimeoutError(endpoint_url="http://x"), AwsUnavailableError),
        (answer("AccessDeniedException", 400), AwsUnusableError),
        (answer("ExpiredTokenException", 400), AwsUnusableError),
        (answer("ResourceNotFoundException", 400), AwsUnusableError),
        (NoCredentialsError(), AwsUnusableError),
        (answer("ValidationException", 400), AwsRefusedError),
        (answer("ConditionalCheckFailedException", 400), AwsRefusedError),
    ],
    ids=str,
)
def test_every_no_is_one_of_our_errors_and_names_code_and_call_only(
    error: ClientError | BotoCoreError, kind: type[AgentError]
) -> None:
    ours = translated(error)
    assert type(ours) is kind
    assert "private" not in ours.message
    if isinstance(error, ClientError):
        assert "UpdateItem" in ours.message
        ours.__cause__ = error
        assert error_code(ours) == error_code(error)


def test_calls_are_retried_by_botocore_in_standard_mode_and_by_nobody_else() -> None:
    config = clients("us-west-2", None).dynamodb.meta.config
    assert config.retries["mode"] == "standard"  # type: ignore[attr-defined] # botocore's Config makes its fields at run time
    assert config.retries["total_max_attempts"] == 3  # type: ignore[attr-defined] # likewise


@in_loop
async def test_a_call_aside_gives_what_the_call_gives() -> None:
    def add(first: int, *, second: int) -> int:
        assert threading.current_thread().daemon
        return first + second

    assert await call_aside(add, 1, second=2) == 3


@in_loop
async def test_a_call_aside_fails_as_any_call_does() -> None:
    def throttled() -> Never:
        raise answer("ThrottlingException", 400)

    def wrong() -> Never:
        raise KeyError("a bug")

    with pytest.raises(AwsUnavailableError):
        await call_aside(throttled)
    with pytest.raises(KeyError):
        await call_aside(wrong)


@in_loop
async def test_a_call_aside_that_nobody_waits_for_any_more_troubles_nobody() -> None:
    goes_on, problems = threading.Event(), list[object]()
    asyncio.get_running_loop().set_exception_handler(lambda _, context: problems.append(context))
    calling = asyncio.create_task(call_aside(goes_on.wait, 10))
    await asyncio.sleep(0)
    calling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await calling
    goes_on.set()
    await asyncio.to_thread(_others_end)
    await asyncio.sleep(0)
    assert problems == []


def _others_end() -> None:
    for thread in threading.enumerate():
        if thread.name == "aside":
            thread.join()


def test_a_call_aside_does_not_hold_up_the_end_of_the_process() -> None:
    code = """
import asyncio, time
from agent.aws import call_aside

async def main():
    calling = asyncio.create_task(call_aside(time.sleep, 60))
    await asyncio.sleep(0.01)
    calling.cancel()

asyncio.run(main())
"""
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, timeout=20)
