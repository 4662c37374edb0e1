"""AWS's ways to say no."""

import pytest
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    EndpointConnectionError,
    NoCredentialsError,
    ReadTimeoutError,
)

from agent.aws import clients, error_code, translated
from agent.errors import AgentError, AwsRefusedError, AwsUnavailableError, AwsUnusableError


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
