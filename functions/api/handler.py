"""API Gateway's proxy events in, its proxy answers out: the only file that knows HTTP, and the process boundary."""

import base64
import binascii
import hashlib
import os
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from functions import log
from functions.api import env, pages
from functions.api.ports import UnavailableError
from functions.api.routes import Route, page_for, route_for
from functions.api.service import Call, Reply, Service
from functions.api.store import AwsStore
from sd_async.contract.errors import ContractError
from sd_async.contract.jobs import ErrorBody, ErrorDetail
from sd_async.contract.limits import MAX_BODY_BYTES
from sd_async.contract.traces import parse_trace

STATUS_OF = {
    "invalid_json": 400,
    "invalid_type": 400,
    "missing_field": 400,
    "unknown_field": 400,
    "forbidden": 403,
    "not_found": 404,
    "idempotency_conflict": 409,
    "too_large": 413,
    "unsupported_media_type": 415,
    "empty_workflow": 422,
    "file_bucket": 422,
    "file_scheme": 422,
    "invalid_value": 422,
    "invalid_workflow": 422,
    "not_available": 422,
    "unknown_runtime": 422,
    "workflow_format_ui": 422,
    "internal": 500,
    "unavailable": 503,
}
RETRY_AFTER_S = 5
_HEADERS = {"Content-Type": "application/json", "Cache-Control": "no-store"}

Event = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    value: msgspec.Struct
    job_id: str | None = None
    code: str | None = None
    trace: str | None = None


class Api:
    """Serves events; whatever happens, an event gets an answer in JSON and one log line."""

    def __init__(self, service: Service, *, is_emulated: bool = False) -> None:
        self._service = service
        self._is_emulated = is_emulated
        self._pages = pages.load()

    def __call__(self, event: Event, _context: object = None) -> dict[str, Any]:
        started_s = time.monotonic()
        request = event.get("requestContext") or {}
        request_id = str(request.get("requestId") or uuid.uuid4())
        page = page_for(str(event.get("httpMethod")), str(event.get("resource")))
        if page is not None:
            return self._shown(page, request_id)
        route = route_for(str(event.get("httpMethod")), str(event.get("resource")))
        owner = owner_of(event, is_emulated=self._is_emulated)
        answer = self._answer(event, route, owner, request_id)
        log.line(
            "request",
            _level(answer.status),
            method=event.get("httpMethod"),
            route=route.path if route else None,
            status=answer.status,
            code=answer.code,
            request_id=request_id,
            owner=owner,
            job_id=answer.job_id,
            duration_ms=round((time.monotonic() - started_s) * 1000),
            trace=answer.trace,
        )
        headers = _HEADERS | ({"Retry-After": str(RETRY_AFTER_S)} if answer.status == 503 else {})
        return {
            "statusCode": answer.status,
            "headers": headers,
            "body": msgspec.json.encode(answer.value).decode(),
            "isBase64Encoded": False,
        }

    def _shown(self, row: Route, request_id: str) -> dict[str, Any]:
        """A page, to whoever asks: no key is looked at, and no store."""
        log.line("page", "INFO", route=row.path, status=200, request_id=request_id)
        page = self._pages[row]
        return {"statusCode": 200, "headers": dict(page.headers), "body": page.text, "isBase64Encoded": False}

    def _answer(self, event: Event, route: Route | None, owner: str | None, request_id: str) -> Answer:
        try:
            reply = self._served(event, route, owner)
        except ContractError as error:
            return _refusal(error.code, error.message, request_id, error.field)
        except UnavailableError as error:
            sentence = f"A service behind the API is busy; ask again in {RETRY_AFTER_S} s."
            return _refusal("unavailable", sentence, request_id, trace=str(error))
        except Exception as error:  # noqa: BLE001 - the process boundary
            return _refusal("internal", _OURS, request_id, trace=log.trace_of(error))
        return Answer(202 if reply.is_accepted else 200, reply.value, reply.job_id)

    def _served(self, event: Event, route: Route | None, owner: str | None) -> Reply:
        if owner is None:
            raise ContractError("forbidden", "Send your API key in the header `x-api-key`.")
        if route is None:
            raise ContractError("not_found", "There is no such route.")
        function: Callable[[Call], Reply] = getattr(self._service, route.function)
        return function(call_of(event, owner))


_OURS = "Something went wrong on our side; the request id leads to it in the log."


def owner_of(event: Event, *, is_emulated: bool) -> str | None:
    """Id of the API key that API Gateway has checked; the key itself goes no further than here.

    An emulator checks the key and does not say which it was, so there, and only there, it is the key's hash.
    """
    identity = (event.get("requestContext") or {}).get("identity") or {}
    if key_id := identity.get("apiKeyId"):
        return str(key_id)
    if is_emulated and (key := _header(event, "x-api-key")):
        return f"key-{hashlib.sha256(key.encode(errors='surrogatepass')).hexdigest()[:32]}"
    return None


def call_of(event: Event, owner: str) -> Call:
    """Raises: ContractError."""
    return Call(
        owner=owner,
        body=b"" if event.get("httpMethod") == "GET" else body_of(event),
        params=event.get("pathParameters") or {},
        idempotency_key=_header(event, "idempotency-key"),
        trace=trace_of(event, os.environ),
    )


def trace_of(event: Event, environment: Mapping[str, str]) -> str | None:
    """The caller's own trace, else X-Ray's; None where there is none that somebody could join.

    Lambda names its own span in the environment, anew for each event, and marks it sampled only where X-Ray is on;
    API Gateway always sends a header.
    """
    of_lambda = environment.get("_X_AMZN_TRACE_ID")
    is_traced = (found := parse_trace(of_lambda)) is not None and found.is_sampled
    offered = (_header(event, "traceparent"), of_lambda if is_traced else None, _header(event, "x-amzn-trace-id"))
    return next((text for text in offered if parse_trace(text) is not None), None)


def body_of(event: Event) -> bytes:
    """Raises: ContractError when it is of another type, too large, not what its encoding says, or empty."""
    media_type = _header(event, "content-type")
    if media_type is not None and media_type.partition(";")[0].strip().lower() != "application/json":
        sentence = "Send the body as `Content-Type: application/json`."
        raise ContractError("unsupported_media_type", sentence, "Content-Type")
    body = _decoded(event.get("body") or "", is_base64=bool(event.get("isBase64Encoded")))
    if len(body) > MAX_BODY_BYTES:
        sentence = f"{len(body)} bytes are over the limit of {MAX_BODY_BYTES}; send large files by URL in `files`."
        raise ContractError("too_large", sentence)
    if not body.strip():
        raise ContractError("invalid_json", "The body is empty; send a JSON object.")
    return body


def _decoded(text: str, *, is_base64: bool) -> bytes:
    if not is_base64:
        return text.encode(errors="surrogatepass")
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ContractError("invalid_json", "The body is not base64, as its event says.") from error


def _header(event: Event, name: str) -> str | None:
    """Value of a header, whose name is given in lower case and may arrive in any."""
    headers: Mapping[str, Any] = event.get("headers") or {}
    return next((str(value) for key, value in headers.items() if key.lower() == name and value is not None), None)


def _refusal(code: str, message: str, request_id: str, field: str | None = None, trace: str | None = None) -> Answer:
    detail = ErrorDetail(code=code, message=message, request_id=request_id, field=field)
    return Answer(STATUS_OF[code], ErrorBody(error=detail), code=code, trace=trace)


def _level(status: int) -> str:
    return "ERROR" if status >= 500 else "INFO"


def _handler() -> Api:
    environment = env.load(os.environ)
    service = Service(
        AwsStore.connect(environment),
        environment,
        now_ms=lambda: time.time_ns() // 1_000_000,
        new_id=lambda: str(uuid.uuid4()),
    )
    return Api(service, is_emulated=environment.endpoint_url is not None)


# Made when the module is imported: the start of a function is the one moment without a caller waiting for it twice.
handle = _handler()
