"""When a limit holds: a time of the day on some days of the week."""

from dataclasses import dataclass
from datetime import datetime, time, timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """From one time of the day to another on some weekdays; all day and every day by itself.

    A window across midnight belongs to the day on which it begins. One that begins when it
    ends lasts a whole day.
    """

    after: time | None = None
    before: time | None = None
    weekdays: frozenset[int] = frozenset(range(7))

    def holds(self, local: datetime) -> bool:
        """Tell whether a local time is in it; weekdays count from Monday, which is 0."""
        clock, day = local.time(), local.date()
        after, before = self.after or time.min, self.before
        if before is not None and before <= after:
            if clock < before:
                day -= timedelta(days=1)
            elif clock < after:
                return False
        elif clock < after or (before is not None and clock >= before):
            return False
        return day.weekday() in self.weekdays
