"""When a limit holds."""

from datetime import datetime, time, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

from hypothesis import given, settings, strategies as st
import pytest

from custom_components.nl43.schedule import Window

MONDAY = datetime(2026, 11, 23)  # noqa: DTZ001 - a local time, in whatever zone
FRIDAY, SATURDAY = 4, 5
DAY = timedelta(days=1)
MINUTE = timedelta(minutes=1)


def at(weekday: int, clock: str) -> datetime:
    """Return a time of the day on a weekday."""
    return datetime.combine(MONDAY + weekday * DAY, time.fromisoformat(clock))


@pytest.mark.parametrize(
    ("window", "holds", "does_not"),
    [
        (Window(), ["00:00", "12:00", "23:59:59"], []),
        (
            Window(after=time(7), before=time(20)),
            ["07:00", "19:59:59"],
            ["06:59:59", "20:00", "00:00"],
        ),
        (
            Window(after=time(22), before=time(6)),
            ["22:00", "23:59:59", "00:00", "05:59:59"],
            ["06:00", "12:00", "21:59:59"],
        ),
        (Window(after=time(22)), ["22:00", "23:59:59"], ["00:00", "21:59"]),
        (Window(before=time(6)), ["00:00", "05:59:59"], ["06:00", "23:00"]),
        (Window(after=time(22), before=time(0)), ["22:00", "23:59:59"], ["00:00", "21:59"]),
        (Window(after=time(8), before=time(8)), ["00:00", "07:59", "08:00", "23:59"], []),
        (Window(after=time(0), before=time(0)), ["00:00", "12:00", "23:59"], []),
    ],
)
def test_time_of_the_day(window: Window, holds: list[str], does_not: list[str]) -> None:
    """It holds from its first moment to the one before its last."""
    for weekday in range(7):
        assert all(window.holds(at(weekday, clock)) for clock in holds)
        assert not any(window.holds(at(weekday, clock)) for clock in does_not)


def test_weekdays_across_midnight() -> None:
    """The night of Friday ends on Saturday."""
    window = Window(after=time(22), before=time(6), weekdays=frozenset({FRIDAY}))
    assert window.holds(at(FRIDAY, "22:00"))
    assert window.holds(at(SATURDAY, "05:59"))
    assert not window.holds(at(FRIDAY, "05:59"))
    assert not window.holds(at(SATURDAY, "22:00"))


def test_a_whole_day_from_eight_to_eight() -> None:
    """A day that begins at eight ends at eight of the next one."""
    window = Window(after=time(8), before=time(8), weekdays=frozenset({FRIDAY}))
    assert window.holds(at(FRIDAY, "08:00"))
    assert window.holds(at(SATURDAY, "07:59"))
    assert not window.holds(at(SATURDAY, "08:00"))
    assert not window.holds(at(FRIDAY, "07:59"))


@pytest.mark.parametrize("day", ["2026-03-29", "2026-10-25"])
def test_change_of_the_clocks(day: str) -> None:
    """On the days when the clocks change, it is the clock on the wall that counts."""
    zone = ZoneInfo("Europe/Berlin")
    window = Window(after=time(22), before=time(6))
    morning = datetime.fromisoformat(f"{day}T00:00").replace(tzinfo=zone)
    hours = [(morning.astimezone(ZoneInfo("UTC")) + timedelta(hours=h)) for h in range(26)]
    for moment in (hour.astimezone(zone) for hour in hours):
        assert window.holds(moment) is (moment.hour < 6 or moment.hour >= 22)


TIMES = st.none() | st.builds(time, st.integers(0, 23), st.sampled_from([0, 30]))


@settings(max_examples=60, deadline=None)
@given(after=TIMES, before=TIMES, weekdays=st.frozensets(st.integers(0, 6)))
def test_a_week(after: time | None, before: time | None, weekdays: frozenset[int]) -> None:
    """It begins on its days at its time, lasts as long as it says, and holds at no other time."""
    window = Window(after=after, before=before, weekdays=weekdays)
    begin = after or time.min
    length = timedelta(
        minutes=(
            (0 if before is None else before.hour * 60 + before.minute)
            - (begin.hour * 60 + begin.minute)
        )
        % 1440
        or 1440
    )
    spans = [
        (start, start + length)
        for weekday in range(-1, 8)
        if weekday % 7 in weekdays
        for start in [datetime.combine(MONDAY + weekday * DAY, begin)]
    ]
    assert all(earlier[1] <= later[0] for earlier, later in pairwise(spans))
    for moment in (MONDAY + 15 * step * MINUTE for step in range(7 * 96)):
        expected = any(start <= moment < end for start, end in spans)
        assert window.holds(moment) is expected, moment
