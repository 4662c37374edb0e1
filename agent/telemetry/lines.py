"""Log lines on standard error, as JSON or as text; every one passes the redaction of the handler's formatter."""

import json
import logging
import sys
import traceback
from collections.abc import Iterable, Mapping
from typing import Any, TextIO

from agent.errors import AgentError, JobError
from agent.telemetry.redaction import Redaction
from sd_async.contract.times import rfc3339

LOGGER = logging.getLogger("agent")
FORMATS = ("json", "text")


def configure(
    level: str, stream: TextIO | None = None, *, log_format: str = "json", secrets: Iterable[str] = ()
) -> None:
    """Route every logger to one handler; redaction sits there, as a logger's filter misses its children.

    log_format: of FORMATS. secrets: values that no line may hold.
    """
    handler = logging.StreamHandler(stream or sys.stderr)
    redaction = Redaction(secrets)
    handler.setFormatter(TextFormatter(redaction) if log_format == "text" else JsonFormatter(redaction))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    # What cannot be formatted would be printed as it is, arguments and all.
    logging.raiseExceptions = False
    for chatty in ("botocore", "boto3", "urllib3", "httpx", "httpcore", "websockets", "asyncio", "opentelemetry"):
        # At DEBUG these write requests and bodies, whatever level we ourselves are at.
        logging.getLogger(chatty).setLevel(logging.WARNING)


class JsonFormatter(logging.Formatter):
    """`time`, `level`, `message`, then the record's `fields`; a traceback as `exception`."""

    def __init__(self, redaction: Redaction) -> None:
        super().__init__()
        self._redaction = redaction

    def format(self, record: logging.LogRecord) -> str:
        return json.dumps(self.line(record), ensure_ascii=False, allow_nan=False, default=str)

    def line(self, record: logging.LogRecord) -> dict[str, Any]:
        line: dict[str, Any] = {
            "time": rfc3339(int(record.created * 1000)),
            "level": record.levelname,
            "message": _message(record, self._redaction),
        }
        fields = getattr(record, "fields", None)
        if isinstance(fields, Mapping):
            line |= fields
        if record.exc_info and record.exc_info[1]:
            line["exception"] = _told(record.exc_info[1])
        redacted: dict[str, Any] = self._redaction(line)
        return redacted


class TextFormatter(JsonFormatter):
    """One line for a person: time, level, message, then `name=value`; values as in JSON, so that none breaks it."""

    def format(self, record: logging.LogRecord) -> str:
        line = self.line(record)
        head = f"{line.pop('time')} {line.pop('level'):<8} {json.dumps(line.pop('message'), ensure_ascii=False)[1:-1]}"
        return " ".join([head, *(f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in line.items())])


def _message(record: logging.LogRecord, redaction: Redaction) -> str:
    """Our own words whole; of a library's only the first line of its template, as the rest may quote a client."""
    template = str(record.msg)
    if record.name.partition(".")[0] != LOGGER.name:
        return f"{record.name}: {template.partition(chr(10))[0]}"
    arguments = record.args or ()
    try:
        return template % (redaction(arguments) if isinstance(arguments, Mapping) else tuple(redaction(arguments)))
    except (TypeError, ValueError, KeyError):
        return template


def _told(error: BaseException) -> str:
    """Kinds and places of an exception, its causes and its parts; words only of our own that quote no client."""
    parts: list[str] = []
    seen: set[int] = set()
    waiting: list[BaseException | None] = [error]
    while waiting:
        each = waiting.pop(0)
        if each is None or id(each) in seen:
            continue
        seen.add(id(each))
        kind = type(each).__name__
        is_ours = isinstance(each, AgentError) and not isinstance(each, JobError)
        parts.append("".join(traceback.format_tb(each.__traceback__)) + (f"{kind}: {each}" if is_ours else kind))
        waiting.append(each.__cause__ or (None if each.__suppress_context__ else each.__context__))
        if isinstance(each, BaseExceptionGroup):
            waiting.extend(each.exceptions)
    return "\n".join(reversed(parts))
