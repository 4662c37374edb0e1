"""Log lines: one JSON object each on standard error, with secrets and clients' data taken out."""

import json
import logging
import re
import sys
import traceback
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, TextIO

from agent.errors import AgentError, JobError
from sd_async.contract.times import rfc3339

LOGGER = logging.getLogger("agent")

_HIDDEN = "[hidden]"
# A query may be a presigned URL's signature; what is before it says enough.
_QUERY = re.compile(r"((?:https?|s3|wss?)://[^\s?\"'<>]+)\?[^\s\"'<>]*")
_USERINFO = re.compile(r"((?:https?|wss?)://)[^/\s@\"'<>]+@")
_SIGNED = re.compile(
    r"(?i)\b(X-Amz-(?:Signature|Credential|Security-Token)|Signature|AWSAccessKeyId|access_token|token|x-api-key"
    r"|api[_-]?key|password|secret)([\"']?\s*[=:]\s*[\"']?)[^\s&\"',}]+"
)
_AUTHORIZATION = re.compile(r"(?i)\b(authorization[\"']?\s*[:=]\s*[\"']?)[^\r\n\"']+")
_KEY_ID = re.compile(r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b")
_HIDDEN_KEYS = frozenset(
    {"prompt", "input", "body", "graph", "text", "token", "secret", "password", "context", "files"}
)


@dataclass(frozen=True, slots=True)
class ClosingLine:
    """The one line about a job's attempt; every ending has the same keys.

    outcome: succeeded, failed, canceled, released, dropped or unsettled. decision: finish, release or drop.
    error: a code, with our own sentence where it holds nothing of the client's. Times ending in _s are seconds:
    wait_s from creation to claim, total_s from claim to close. images: files stored. None where it never came to it.
    """

    job_id: str
    runtime: str
    attempt: int
    outcome: str
    decision: str
    error: str | None
    wait_s: float
    fetch_s: float | None
    generate_s: float | None
    store_s: float | None
    total_s: float
    images: int
    bytes_out: int


def configure(level: str, stream: TextIO | None = None) -> None:
    """Route every logger to one handler; redaction sits there, as a logger's filter misses its children."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for chatty in ("botocore", "boto3", "urllib3", "httpx", "httpcore", "websockets", "asyncio"):
        # At DEBUG these write requests and bodies, whatever level we ourselves are at.
        logging.getLogger(chatty).setLevel(logging.WARNING)


def close(line: ClosingLine) -> None:
    LOGGER.info("job closed", extra={"fields": asdict(line)})


class JsonFormatter(logging.Formatter):
    """`time`, `level`, `message`, then the record's `fields`; a traceback as `exception`."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": rfc3339(int(record.created * 1000)),
            "level": record.levelname,
            "message": record.getMessage(),
        }
        fields = getattr(record, "fields", None)
        if isinstance(fields, Mapping):
            line |= fields
        if record.exc_info:
            line["exception"] = _told(record.exc_info[1])
        return json.dumps(redacted(line), ensure_ascii=False, default=str)


def _told(error: BaseException | None) -> str:
    """Kinds and places of an exception and its causes; words only of our own that quote no client."""
    parts: list[str] = []
    while error is not None:
        kind = type(error).__name__
        is_ours = isinstance(error, AgentError) and not isinstance(error, JobError)
        parts.append("".join(traceback.format_tb(error.__traceback__)) + (f"{kind}: {error}" if is_ours else kind))
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return "\n".join(reversed(parts))


def redacted(value: Any) -> Any:
    """The value without queries, user names in URLs, keys, tokens, and without fields that hold clients' data."""
    if isinstance(value, str):
        return _redacted_text(value)
    if isinstance(value, Mapping):
        return {
            str(key): _HIDDEN if str(key).lower() in _HIDDEN_KEYS else redacted(item) for key, item in value.items()
        }
    if isinstance(value, list | tuple | set | frozenset):
        return [redacted(item) for item in value]
    return value if isinstance(value, int | float | None) else _redacted_text(str(value))


def _redacted_text(text: str) -> str:
    text = _USERINFO.sub(r"\1", _QUERY.sub(r"\1", text))
    text = _SIGNED.sub(rf"\1\2{_HIDDEN}", _AUTHORIZATION.sub(rf"\1{_HIDDEN}", text))
    return _KEY_ID.sub(_HIDDEN, text)
