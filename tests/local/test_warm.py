"""Agents through business hours, as KEDA's cron scaler keeps them; the time of day is passed in."""

from datetime import UTC, datetime
from typing import Any

import pytest

from components.settings_runtimes import WarmSettings
from local.scaler import Autoscaler, UnknownScalingError
from local.warm import WarmHours
from tests.local.test_scaler import document

FRIDAY_MORNING = datetime(2026, 11, 27, 7, 0, tzinfo=UTC)
HOUR_S = 3600
HOURS = {"timezone": "UTC", "start": "0 8 * * 1-5", "end": "0 18 * * 1-5", "desiredReplicas": "2"}


class Day:
    """A runtime with business hours, looked at every ten seconds from seven o'clock on."""

    def __init__(self, origin: datetime = FRIDAY_MORNING, *, warm: WarmSettings | None = None, **scaling: Any) -> None:
        self.now_s = 0.0
        scaled = document(warm=warm or WarmSettings(replicas=2), max_replicas=5, **scaling)
        self.scaler = Autoscaler(scaled, lambda: self.now_s, origin)

    def until(self, hour: float, *, visible: int = 0) -> int:
        """Replicas at an hour of the first day, with as many jobs waiting until then."""
        while self.now_s < (hour - 7) * HOUR_S:
            self.scaler.observe(visible, 0)
            self.now_s += 10
        return self.scaler.observe(visible, 0)


def test_nobody_is_there_before_business_hours() -> None:
    assert Day().until(7.99) == 0


def test_agents_come_with_the_hour_and_without_a_job() -> None:
    assert Day().until(8.02) == 2


def test_they_stay_all_day_and_go_when_the_cooldown_after_the_last_hour_is_over() -> None:
    day = Day(cooldown_s=600)
    assert day.until(17.99) == 2
    assert day.until(18.1) >= 1, "six minutes later the cooldown holds"
    assert day.until(18.5) == 0


def test_of_two_triggers_the_larger_number_holds() -> None:
    day = Day()
    assert day.until(9, visible=4) == 4
    assert day.until(10) == 2, "once nobody has wanted more for the window"


def test_off_hours_the_queue_alone_decides() -> None:
    day = Day()
    assert day.until(7.5, visible=3) == 3
    assert day.until(7.99) == 0


def test_a_weekend_has_no_business_hours() -> None:
    assert Day(datetime(2026, 11, 28, 7, 0, tzinfo=UTC)).until(12) == 0


def test_hours_are_those_of_the_time_zone() -> None:
    berlin = WarmSettings(replicas=1, timezone="Europe/Berlin")
    assert Day(warm=berlin).until(7.01) == 1, "eight o'clock there"
    assert Day(warm=berlin).until(17.5) == 0


@pytest.mark.parametrize(
    ("at", "is_on"),
    [
        (datetime(2026, 11, 27, 7, 59, 59, tzinfo=UTC), False),
        (datetime(2026, 11, 27, 8, 0, 0, tzinfo=UTC), True),
        (datetime(2026, 11, 27, 17, 59, 59, tzinfo=UTC), True),
        (datetime(2026, 11, 27, 18, 0, 0, tzinfo=UTC), False),
        (datetime(2026, 11, 29, 12, 0, 0, tzinfo=UTC), False),
    ],
)
def test_the_first_second_belongs_to_it_and_the_last_does_not(at: datetime, *, is_on: bool) -> None:
    hours = WarmHours.read(HOURS)
    assert hours.is_on(at) is is_on
    assert hours.wanted(at) == (2 if is_on else 1)


def test_a_night_shift_goes_over_midnight() -> None:
    night = WarmHours.read(HOURS | {"start": "0 22 * * *", "end": "0 6 * * *"})
    assert night.is_on(datetime(2026, 11, 27, 23, 0, tzinfo=UTC))
    assert night.is_on(datetime(2026, 11, 28, 5, 59, tzinfo=UTC))
    assert not night.is_on(datetime(2026, 11, 28, 6, 0, tzinfo=UTC))


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"timezone": "Europe/Nowhere"}, "Europe/Nowhere"),
        ({"start": "0 25 * * *"}, "0 25"),
        ({"desiredReplicas": "some"}, "some"),
        ({"surprise": "1"}, "surprise"),
    ],
)
def test_what_can_not_be_read_is_refused_by_name(change: dict[str, str], named: str) -> None:
    scaled = document()
    scaled["spec"]["triggers"].append({"type": "cron", "metadata": HOURS | change})
    with pytest.raises(UnknownScalingError, match=f"spec.triggers: .*{named}"):
        Autoscaler(scaled)
