"""What the agent's logging writes while a block runs."""

import contextlib
import io
import logging
from collections.abc import Iterator, Sequence

from agent import telemetry


@contextlib.contextmanager
def saying(log_format: str = "json", secrets: Sequence[str] = ()) -> Iterator[io.StringIO]:
    """Everything from DEBUG up; the loggers are as before when the block has ended."""
    root = logging.getLogger()
    handlers, level, raising = list(root.handlers), root.level, logging.raiseExceptions
    stream = io.StringIO()
    telemetry.configure("DEBUG", stream, log_format=log_format, secrets=secrets)
    try:
        yield stream
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
        logging.raiseExceptions = raising
