"""The edge to httpx: its exceptions and the API's refusals become this package's errors here, and only here."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import TypeVar

import httpx

from sd_async.contract.codec import decode
from sd_async.contract.errors import ContractError
from sd_async.contract.jobs import ErrorBody
from sd_async.errors import ApiError, SdAsyncError, Unreachable

T = TypeVar("T")

# Answers that say "not now": too fast, and what a gateway says while the service behind it restarts.
_TRANSIENT = frozenset({429, 502, 503, 504})

# API Gateway names a request in the first, a load balancer or proxy in the second.
_REQUEST_ID_HEADERS = ("x-amzn-requestid", "x-request-id")


@contextmanager
def mapped_errors(url: httpx.URL | str) -> Iterator[None]:
    """Turns every failure of httpx into Unreachable, naming the host and never the query, which may be signed."""
    try:
        yield
    except httpx.TimeoutException as error:
        raise Unreachable(f"{origin(url)} gave no answer in time; try again, or allow more time.") from error
    except (httpx.RequestError, httpx.InvalidURL) as error:
        reason = str(error).strip().rstrip(".") or type(error).__name__
        raise Unreachable(f"{origin(url)} cannot be reached ({reason}); check the address and the network.") from error


def checked(answer: httpx.Response) -> httpx.Response:
    """The answer, read, when it is a success. Raises: ApiError."""
    if not answer.is_success:
        raise refusal(answer)
    return answer


def value_of(answer: httpx.Response, type_: type[T]) -> T:
    """Raises: ApiError, `unreadable_answer`, when a success does not hold what the API promises."""
    try:
        return decode(answer.content, type_)
    except ContractError as error:
        raise ApiError(
            f"{origin(answer.url)} answered {answer.status_code}, but not as this API does ({error}); "
            "check that the endpoint is the API's address.",
            status=answer.status_code,
            code="unreadable_answer",
            request_id=_request_id(answer),
        ) from error


def refusal(answer: httpx.Response) -> ApiError:
    """The ApiError of an answer, whoever gave it: the API, its gateway or a proxy on the way."""
    try:
        detail = decode(answer.content, ErrorBody).error
    except ContractError:
        return ApiError(
            _sentence(answer),
            status=answer.status_code,
            code=f"http_{answer.status_code}",
            request_id=_request_id(answer),
            retry_after_s=retry_after_s(answer),
        )
    return ApiError(
        detail.message,
        status=answer.status_code,
        code=detail.code,
        field=detail.field,
        request_id=detail.request_id,
        retry_after_s=retry_after_s(answer),
    )


def is_transient(error: SdAsyncError) -> bool:
    """Whether the same request may succeed later."""
    return isinstance(error, Unreachable) or (isinstance(error, ApiError) and error.status in _TRANSIENT)


def retry_after_s(answer: httpx.Response) -> float | None:
    """Seconds of a `Retry-After` header, which is a number or a date (RFC 9110, 10.2.3)."""
    text = answer.headers.get("retry-after", "").strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        moment = parsedate_to_datetime(text).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return max(0.0, (moment - datetime.now(UTC)).total_seconds())


def _sentence(answer: httpx.Response) -> str:
    said = f"{origin(answer.url)} answered {answer.status_code} {_phrase(answer.status_code)}".rstrip()
    if answer.is_redirect:
        target = answer.headers.get("location", "").partition("?")[0]
        return f"{said} and points to {target}; give the endpoint under which the API itself answers."
    if answer.status_code in {401, 403}:
        return f"{said}; check the API key, and that the endpoint holds the API's whole address with its stage."
    if answer.status_code == HTTPStatus.NOT_FOUND:
        return f"{said} in words that are not the API's; check the endpoint."
    return f"{said} in words that are not the API's; a gateway or proxy on the way may have spoken."


def _phrase(status: int) -> str:
    return HTTPStatus(status).phrase if status in set(HTTPStatus) else ""


def _request_id(answer: httpx.Response) -> str | None:
    return next((answer.headers[name] for name in _REQUEST_ID_HEADERS if name in answer.headers), None)


def origin(url: httpx.URL | str) -> str:
    """Scheme, host and port: what an error may show of an address whose query can be a signature."""
    try:
        known = httpx.URL(url)
    except httpx.InvalidURL:
        return "The address"
    return f"{known.scheme}://{known.netloc.decode('ascii')}"
