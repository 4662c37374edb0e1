"""One JSON line per event, on the standard output, which Lambda sends to CloudWatch Logs.

Never given to it: headers, bodies, API keys, presigned URLs.
"""

import sys
import traceback

import msgspec


def line(event: str, level: str = "INFO", **facts: str | int | None) -> None:
    present = {name: value for name, value in facts.items() if value is not None}
    sys.stdout.write(msgspec.json.encode({"level": level, "event": event, **present}).decode() + "\n")
    sys.stdout.flush()


def trace_of(error: BaseException) -> str:
    return "".join(traceback.format_exception(error))
