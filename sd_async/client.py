"""The API's client: submit, get, wait, download. Errors are drawn in `sd_async.errors`."""

import re
import time
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

import httpx

from sd_async.contract.codec import encode
from sd_async.contract.errors import ContractError
from sd_async.contract.jobs import Job, JobRequest
from sd_async.contract.limits import MAX_BODY_BYTES, MAX_IDEMPOTENCY_KEY_CHARS
from sd_async.download import Downloads
from sd_async.errors import UsageError
from sd_async.waiting import Wait, patiently
from sd_async.wire import checked, mapped_errors, retry_after_s, value_of

# API Gateway gives a function 29 s, so an answer that is not there by then will not come.
TIMEOUT_S = 30.0

_JOB_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,127}")
_HEADER_TEXT = re.compile(r"[!-~]+")

# A proxy from the environment is never asked for this machine's own addresses.
_DIRECT: dict[str, httpx.BaseTransport | None] = {
    "all://127.0.0.1": None,
    "all://localhost": None,
    "all://[::1]": None,
}


class Client:
    """One API, one key. Use it as a context manager, or call `close`.

    endpoint: address under which `/v1/jobs` lives, stage included. timeout: seconds for connecting and for each
    read or write. transport: the seam for tests and special networks. clock, sleep: seconds, as in `time`.
    Raises: UsageError for an endpoint or a key that cannot be sent.
    """

    def __init__(
        self,
        endpoint: str,
        api_key: str,
        *,
        transport: httpx.BaseTransport | None = None,
        timeout: float = TIMEOUT_S,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._endpoint = checked_endpoint(endpoint)
        self._key = checked_key(api_key)
        self._clock = clock
        self._sleep = sleep
        self._http = httpx.Client(transport=transport, timeout=timeout, mounts=_DIRECT)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._http.close()

    def submit(self, request: JobRequest, idempotency_key: str | None = None) -> Job:
        """The accepted job; the same job again for a repeated key.

        A key is always sent, so that a request whose answer was lost is repeated without a second job.
        Raises: ContractError when the body is too large to be sent, UsageError, ApiError, Unreachable.
        """
        body = encode(request)
        if len(body) > MAX_BODY_BYTES:
            raise ContractError("too_large", f"{len(body)} bytes are over the limit of {MAX_BODY_BYTES}.")
        key = checked_idempotency_key(str(uuid.uuid4()) if idempotency_key is None else idempotency_key)
        headers = {"content-type": "application/json", "idempotency-key": key}
        answer = patiently(lambda: self._once("POST", "/v1/jobs", body, headers), self._sleep)
        return value_of(answer, Job)

    def get(self, job_id: str) -> Job:
        """Raises: UsageError, ApiError (status 404 for an unknown job), Unreachable."""
        path = _job_path(job_id)
        return value_of(patiently(lambda: self._once("GET", path), self._sleep), Job)

    def wait(
        self, job_id: str, *, timeout_s: float | None = None, on_change: Callable[[Job], None] | None = None
    ) -> Job:
        """The job in its final state, whichever that is.

        on_change: called when the job is first seen and whenever its state or progress differs.
        Raises: WaitTimeout when `timeout_s` passed before that; UsageError, ApiError, Unreachable.
        """
        path = _job_path(job_id)

        def look() -> tuple[Job, float]:
            answer = self._once("GET", path)
            return value_of(answer, Job), retry_after_s(answer) or 0.0

        wait = Wait(look, clock=self._clock, sleep=self._sleep, timeout_s=timeout_s, on_change=on_change)
        return wait.until_final()

    def download(self, job: Job, folder: Path | str) -> list[Path]:
        """Paths of the job's outputs, saved in `folder`, which is made. See `sd_async.download` for their names.

        Raises: ApiError, Unreachable, SaveError.
        """
        return Downloads(self._http, self._sleep, self.get).save(job, Path(folder))

    def _once(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> httpx.Response:
        # The key goes with each request to the API and never into the client, which also fetches presigned URLs.
        sent = {"x-api-key": self._key, "accept": "application/json", **(headers or {})}
        url = self._endpoint + path
        with mapped_errors(url):
            answer = self._http.request(method, url, content=body, headers=sent)
        return checked(answer)


def checked_endpoint(endpoint: str) -> str:
    """The endpoint without a closing slash. Raises: UsageError, which never repeats a password in it."""
    text = endpoint.strip().rstrip("/")
    try:
        parts = urlsplit(text)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and (parts.port or 1) > 0
        httpx.URL(text)
    except (ValueError, httpx.InvalidURL):
        usable = False
    if not usable:
        raise UsageError("The endpoint is no address such as https://host/stage.")
    if parts.username is not None or parts.query or parts.fragment:
        raise UsageError("The endpoint holds a user name, query or fragment; give scheme, host and path only.")
    return text


def checked_key(api_key: str) -> str:
    """The key without white space around it. Raises: UsageError, which never repeats the key."""
    text = api_key.strip()
    if not _HEADER_TEXT.fullmatch(text):
        raise UsageError("The API key is empty or holds characters that a header cannot carry.")
    return text


def checked_idempotency_key(key: str) -> str:
    if len(key) > MAX_IDEMPOTENCY_KEY_CHARS or not _HEADER_TEXT.fullmatch(key):
        raise UsageError(
            f"An idempotency key is 1 to {MAX_IDEMPOTENCY_KEY_CHARS} visible ASCII characters without spaces."
        )
    return key


def _job_path(job_id: str) -> str:
    if not _JOB_ID.fullmatch(job_id):
        raise UsageError(f"`{job_id[:128]}` is no job id; an id looks like 9f0c2b0e-6d0b-4f5e-8a53-3a3f0e6f1c55.")
    return f"/v1/jobs/{job_id}"
