"""What an agent tells of itself: log lines, numbers and traces, none of which holds a secret or what a client sent."""

from agent.telemetry.closing import Closing, ClosingLine, Marks, close
from agent.telemetry.lines import LOGGER, configure
from agent.telemetry.metrics import METRICS

__all__ = ["LOGGER", "METRICS", "Closing", "ClosingLine", "Marks", "close", "configure"]
