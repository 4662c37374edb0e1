"""KEDA's cron scaler: agents through business hours, from the trigger alone; no clock of its own.

Source: KEDA documentation, "Cron", and `pkg/scalers/cron_scaler.go`: it is on when the next end comes no later than the
next start, both after now, and then asks for `desiredReplicas`, at other times for one.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError

_FIELDS = {"timezone", "start", "end", "desiredReplicas"}
REPLICAS_OFF_HOURS = 1  # KEDA's defaultDesiredReplicas; it counts only where something else wants agents


class UnknownScheduleError(ValueError):
    """The trigger can't be read; the message names what is wrong in it."""


@dataclass(frozen=True)
class WarmHours:
    """start, end: five fields of cron, in the time of zone. replicas: wanted between them."""

    start: str
    end: str
    zone: ZoneInfo
    replicas: int

    @classmethod
    def read(cls, metadata: Mapping[str, Any]) -> "WarmHours":
        """Raises: UnknownScheduleError."""
        if missing := sorted(_FIELDS ^ metadata.keys()):
            raise UnknownScheduleError(f"a cron trigger has {', '.join(sorted(_FIELDS))}; see {', '.join(missing)}.")
        try:
            zone = ZoneInfo(metadata["timezone"])
            hours = cls(metadata["start"], metadata["end"], zone, int(metadata["desiredReplicas"]))
            hours.is_on(datetime.now(zone))
        except (ZoneInfoNotFoundError, CronSimError, ValueError) as error:
            raise UnknownScheduleError(f"a cron trigger's {dict(metadata)} can't be read: {error}.") from error
        return hours

    def is_on(self, at: datetime) -> bool:
        """Whether business hours are at a time, which knows its zone."""
        here = at.astimezone(self.zone)
        return next(CronSim(self.end, here)) <= next(CronSim(self.start, here))

    def wanted(self, at: datetime) -> int:
        return self.replicas if self.is_on(at) else REPLICAS_OFF_HOURS
