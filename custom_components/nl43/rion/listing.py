"""A Unix style listing of the meter's card, with no I/O.

Source of the facts: recorded on an NL-43. The times are the meter's local time; `Jan 07 14:23`
gives no year, `Dec 25 2025` no time of the day.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import MAXYEAR, MINYEAR, datetime, timedelta
import re
from typing import Final

MAX_LINE: Final = 8192
MAX_SIZE: Final = 2**50
# A file system's 255 bytes, less `.` and `.part` around the name of a file that is not whole yet.
MAX_NAME: Final = 255 - len("..part")

_MONTH: Final = "jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec"
_MONTHS: Final = {name: number for number, name in enumerate(_MONTH.split("|"), 1)}
# ASCII: without it, a long s (U+017F) would be the s of a month.
# Servers differ in the words between the rights and the size: links, owner, group, or none.
_LINE: Final = re.compile(
    r"(?P<kind>[-d])[-rwxst]{9}[+.@]? +"
    r"(?:[^ ]+ +){0,4}?"
    r"(?P<size>[0-9]{1,16}) +"
    rf"(?P<month>{_MONTH}) +(?P<day>[0-9]{{1,2}}) +"
    r"(?:(?P<hour>[0-9]{1,2}):(?P<minute>[0-9]{2})|(?P<year>[0-9]{4})) "
    r"(?P<name>.+)",
    re.ASCII | re.IGNORECASE | re.DOTALL,
)
_TOTAL: Final = re.compile(r" *total +[0-9]+ *", re.IGNORECASE)
# The meter's clock may be set while a listing is under way, and `now` is as old as its answer.
_AHEAD: Final = timedelta(days=1)
# Around a year such as 2100 there are eight years without a 29 February.
_YEARS_BACK: Final = 8


@dataclass(frozen=True, slots=True)
class Entry:
    """A file or folder of the card, as listed."""

    name: str
    is_folder: bool
    size: int
    """Bytes, 0 to 2**50; 0 for a folder."""
    modified: datetime | None
    """The meter's local time, without a zone; None if the listing gives no possible date."""
    to_the_minute: bool
    """Whether `modified` has a time of the day; if not, it is that day's midnight."""


@dataclass(frozen=True, slots=True)
class Listing:
    """What a folder holds."""

    entries: tuple[Entry, ...]
    """In the order of the listing."""
    unusable: int
    """How many lines were left out: of another form, or with a name that is not safe."""


def parse_listing(lines: Iterable[str], now: datetime) -> Listing:
    """Return what the lines of a listing say; what does not parse is counted, never raised.

    `now` is the meter's local time, without a zone. A date without a year is in the latest year
    in which it is at most a day after `now`.
    """
    entries: list[Entry] = []
    unusable = 0
    for line in lines:
        if not line.strip(" ") or _TOTAL.fullmatch(line):
            continue
        found = _LINE.fullmatch(line) if len(line) <= MAX_LINE else None
        if found is not None and found["name"] in {".", ".."}:
            continue
        if found is None or int(found["size"]) > MAX_SIZE or not is_safe_name(found["name"]):
            unusable += 1
            continue
        is_folder = found["kind"].lower() == "d"
        modified = _modified(found, now)
        entries.append(
            Entry(
                name=found["name"],
                is_folder=is_folder,
                size=0 if is_folder else int(found["size"]),
                modified=modified,
                to_the_minute=modified is not None and found["year"] is None,
            )
        )
    return Listing(tuple(entries), unusable)


def is_safe_name(name: str) -> bool:
    """Tell whether a name from the card can be the name of a file here, and be shown.

    Not empty, one path component, printable (so without control or bidi characters and lone
    surrogates), at most 249 bytes of UTF-8. A leading dot is refused: it would hide the file here,
    and `.<name>.part` is the name of one that is not whole yet.
    """
    return (
        name.isprintable()
        and not name.startswith(".")
        and not set("/\\") & set(name)
        and 0 < len(name.encode()) <= MAX_NAME
    )


def _modified(found: re.Match[str], now: datetime) -> datetime | None:
    """Return the time of a line, None if there is no such time."""
    month, day = _MONTHS[found["month"].lower()], int(found["day"])
    if found["year"] is not None:
        return _time(int(found["year"]), month, day)
    hour, minute = int(found["hour"]), int(found["minute"])
    for year in range(min(now.year + 1, MAXYEAR), max(now.year - _YEARS_BACK, MINYEAR) - 1, -1):
        time = _time(year, month, day, hour, minute)
        if time is not None and time - now <= _AHEAD:
            return time
    return None


def _time(year: int, month: int, day: int, hour: int = 0, minute: int = 0) -> datetime | None:
    """Return a time, None if there is no such time."""
    try:
        return datetime(year, month, day, hour, minute)  # noqa: DTZ001 - the meter tells no zone
    except ValueError:
        return None
