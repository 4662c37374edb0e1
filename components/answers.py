"""What API Gateway answers by itself, as rows: the one error shape, also where no function is reached."""

import json
from typing import NamedTuple


class Answer(NamedTuple):
    """kind: API Gateway's response type. status: None leaves the one that API Gateway chose."""

    kind: str
    status: int | None
    code: str
    message: str


ANSWERS = (
    Answer("ACCESS_DENIED", 403, "forbidden", "This request is not allowed."),
    Answer("API_CONFIGURATION_ERROR", 500, "internal", "The API is not set up correctly."),
    Answer("AUTHORIZER_CONFIGURATION_ERROR", 500, "internal", "The API is not set up correctly."),
    Answer("BAD_REQUEST_BODY", 400, "invalid_json", "The body could not be read."),
    Answer("INTEGRATION_FAILURE", 503, "unavailable", "The service failed for a moment; ask again."),
    Answer("INTEGRATION_TIMEOUT", 503, "unavailable", "The service took too long; ask again."),
    Answer("INVALID_API_KEY", 403, "forbidden", "The header x-api-key is missing or its key is unknown."),
    # what API Gateway says of a method and path it does not have
    Answer("MISSING_AUTHENTICATION_TOKEN", 404, "not_found", "There is no such route."),
    Answer("QUOTA_EXCEEDED", 429, "too_many_requests", "The quota of this key is used up."),
    Answer("REQUEST_TOO_LARGE", 413, "too_large", "The body is over the limit of 10 MB."),
    Answer("RESOURCE_NOT_FOUND", 404, "not_found", "There is no such route."),
    Answer("THROTTLED", 429, "too_many_requests", "Too many requests with this key; wait a second."),
    Answer("UNSUPPORTED_MEDIA_TYPE", 415, "unsupported_media_type", "Send the body as application/json."),
    Answer("DEFAULT_4XX", None, "bad_request", "The request can't be served."),
    Answer("DEFAULT_5XX", None, "internal", "The service failed."),
)


def template(answer: Answer) -> str:
    """Body of the answer, for API Gateway to fill in."""
    return json.dumps({"error": {"code": answer.code, "message": answer.message, "request_id": "$context.requestId"}})
