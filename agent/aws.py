"""AWS clients, and AWS's ways to say no as the agent's own errors."""

import asyncio
import contextlib
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, cast

from agent.boto import (
    BotoCoreError,
    ClientError,
    CredentialRetrievalError,
    NoCredentialsError,
    PartialCredentialsError,
    boto3,
)
from agent.boto import Config as BotoConfig
from agent.errors import AgentError, AwsRefusedError, AwsUnavailableError, AwsUnusableError

if TYPE_CHECKING:  # stubs only; the image does not carry them
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sns import SNSClient
    from mypy_boto3_sqs import SQSClient

P = ParamSpec("P")
T = TypeVar("T")

# As many threads make calls at once, beside the long poll (`__main__`); a connection too many is made anew each time.
THREADS = 12
POOL_CONNECTIONS = THREADS + 1
CONNECT_TIMEOUT_S = 5
READ_TIMEOUT_S = 30  # the longest long poll is 20 s

_UNUSABLE = frozenset(
    {
        "AccessDenied",
        "AccessDeniedException",
        "AuthorizationError",
        "AWS.SimpleQueueService.NonExistentQueue",
        "ExpiredToken",
        "ExpiredTokenException",
        "InvalidAccessKeyId",
        "InvalidClientTokenId",
        "NoSuchBucket",
        "NotFound",
        "QueueDoesNotExist",
        "ResourceNotFoundException",
        "SignatureDoesNotMatch",
        "UnrecognizedClientException",
    }
)
_THROTTLED = frozenset(
    {
        "LimitExceededException",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "RequestThrottled",
        "SlowDown",
        "Throttled",
        "ThrottledException",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
        "TransactionConflictException",
    }
)


@dataclass(frozen=True, slots=True)
class Clients:
    """Built once; boto3 clients may be shared between threads."""

    sqs: "SQSClient"
    s3: "S3Client"
    sns: "SNSClient"
    dynamodb: "DynamoDBClient"


def clients(region: str, endpoint_url: str | None) -> Clients:
    """Raises: AwsUnusableError."""
    session = boto3.session.Session(region_name=region)
    config = BotoConfig(
        retries={"mode": "standard", "total_max_attempts": 3},
        max_pool_connections=POOL_CONNECTIONS,
        connect_timeout=CONNECT_TIMEOUT_S,
        read_timeout=READ_TIMEOUT_S,
        # Both are worked out anew for every call otherwise, which is a quarter of what a call costs.
        user_agent="sd-async-agent",
        parameter_validation=False,
    )
    # A body is signed by its checksum, which is a signed header; a second digest of it would say the same once more.
    for_s3 = config.merge(BotoConfig(s3={"payload_signing_enabled": False}))
    if endpoint_url:  # an emulator has one name for all buckets, so the bucket's name goes into the path there
        for_s3 = config.merge(
            BotoConfig(signature_version="s3v4", s3={"payload_signing_enabled": False, "addressing_style": "path"})
        )
    try:
        return Clients(
            sqs=session.client("sqs", config=config, endpoint_url=endpoint_url),
            s3=session.client("s3", config=for_s3, endpoint_url=endpoint_url),
            sns=session.client("sns", config=config, endpoint_url=endpoint_url),
            dynamodb=session.client("dynamodb", config=config, endpoint_url=endpoint_url),
        )
    except (BotoCoreError, ValueError) as error:
        raise AwsUnusableError(f"The AWS clients cannot be made: {error}.") from error


async def call(method: Callable[P, T], /, *arguments: P.args, **named: P.kwargs) -> T:
    """Result of a blocking call, made in a thread. Raises: TransientError, FatalError."""
    try:
        return await asyncio.to_thread(method, *arguments, **named)
    except (BotoCoreError, ClientError) as error:
        raise translated(error) from error


async def call_aside(method: Callable[P, T], /, *arguments: P.args, **named: P.kwargs) -> T:
    """As `call`, in a thread that does not hold up the end of the process when nobody waits for it any more."""
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[T] = loop.create_future()

    def tell(result: T | None, error: Exception | None) -> None:
        if answer.cancelled():
            return
        if error is not None:
            answer.set_exception(error)
        else:
            answer.set_result(cast("T", result))

    def work() -> None:
        result, failure = None, None
        try:
            result = method(*arguments, **named)
        except Exception as error:  # noqa: BLE001 - a thread's boundary: whoever awaits the answer gets it
            failure = error
        with contextlib.suppress(RuntimeError):  # the loop has ended, and nobody waits any more
            loop.call_soon_threadsafe(tell, result, failure)

    threading.Thread(target=work, name="aside", daemon=True).start()
    try:
        return await answer
    except (BotoCoreError, ClientError) as error:
        raise translated(error) from error


def error_code(error: BaseException | None) -> str:
    """AWS's own code of the error, or of the one that it was translated from; empty for any other."""
    if isinstance(error, AgentError):
        error = error.__cause__
    return error.response.get("Error", {}).get("Code", "") if isinstance(error, ClientError) else ""


def error_item(error: AgentError) -> Mapping[str, Any] | None:
    """The item that made a conditional write fail, where DynamoDB was asked to tell it."""
    cause = error.__cause__
    found = cause.response.get("Item") if isinstance(cause, ClientError) else None
    return found if isinstance(found, dict) else None


def translated(error: BotoCoreError | ClientError) -> AgentError:
    if isinstance(error, ClientError):
        return _of_answer(error)
    if isinstance(error, NoCredentialsError | PartialCredentialsError | CredentialRetrievalError):
        return AwsUnusableError(f"AWS credentials are missing: {error}")
    return AwsUnavailableError(f"AWS cannot be reached ({type(error).__name__}).")


def entry_error(entry: Any, operation: str) -> AgentError:
    """What went wrong with one entry of a batch. entry: of the answer's `Failed`."""
    code, is_ours = entry.get("Code", ""), bool(entry.get("SenderFault"))
    return _of_code(code, 400 if is_ours else 500, f"{code} on {operation}")


def _of_answer(error: ClientError) -> AgentError:
    code = error_code(error)
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    return _of_code(code, status, f"{code or status} on {error.operation_name}")


def _of_code(code: str, status: int, what: str) -> AgentError:
    if code in _THROTTLED or status >= 500 or status == 429:
        return AwsUnavailableError(f"AWS is busy or failing: {what}.")
    if code in _UNUSABLE:
        return AwsUnusableError(f"AWS refuses this agent: {what}.")
    return AwsRefusedError(f"AWS refuses the call: {what}.")
