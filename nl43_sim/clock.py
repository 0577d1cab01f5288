"""The meter's clock, in its local time."""

from datetime import UTC, datetime, timedelta
import re
from typing import Final

TIME_FORMAT: Final = "%Y/%m/%d %H:%M:%S"
_TIME: Final = re.compile(r"\d{4}/\d\d/\d\d \d\d:\d\d:\d\d", re.ASCII)


def parse_time(text: str) -> datetime | None:
    """Read a date and time as the meter writes it; None if it is none."""
    if not _TIME.fullmatch(text):
        return None
    try:
        return datetime.strptime(text, TIME_FORMAT)  # noqa: DTZ007 - local time by nature
    except ValueError:
        return None


class MeterClock:
    """A clock that runs on this machine's time, some way off."""

    def __init__(self, utc_offset: float | None, ahead: float) -> None:
        """Take the local time's offset from UTC (None: this machine's) and the error, in s."""
        self._utc_offset = None if utc_offset is None else timedelta(seconds=utc_offset)
        self.ahead = ahead

    def true_time(self) -> datetime:
        """Return the right local time."""
        now = datetime.now(UTC)
        offset = self._utc_offset
        if offset is None:
            return now.astimezone().replace(tzinfo=None)
        return (now + offset).replace(tzinfo=None)

    def now(self) -> datetime:
        """Return what the clock shows."""
        return self.true_time() + timedelta(seconds=self.ahead)

    def set(self, shown: datetime) -> None:
        """Set the clock."""
        self.ahead = (shown - self.true_time()).total_seconds()
