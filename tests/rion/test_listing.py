"""Listings of the card: whatever a line holds, it is an entry or it is counted."""

from datetime import MAXYEAR, datetime, timedelta
import string

from hypothesis import example, given, strategies as st
import pytest

from custom_components.nl43.rion.listing import (
    MAX_LINE,
    MAX_NAME,
    MAX_SIZE,
    Entry,
    Listing,
    is_safe_name,
    parse_listing,
)

NOW = datetime(2026, 1, 7, 14, 20)  # noqa: DTZ001 - the meter tells no zone
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
STEM = "-rw-rw-rw-   1 root     root "

times = st.datetimes()
minutes = times.map(lambda time: time.replace(second=0, microsecond=0))
names = st.text(
    st.characters(codec="utf-8", exclude_characters="/\\"), min_size=1, max_size=80
).filter(is_safe_name)


def parsed(line: str, now: datetime = NOW) -> Entry:
    """Return the one entry of a line."""
    listing = parse_listing([line], now)
    assert listing.unusable == 0, line
    (entry,) = listing.entries
    return entry


def at(year: int, month: int, day: int, hour: int = 0, minute: int = 0) -> datetime:
    """Return a time of the meter."""
    return datetime(year, month, day, hour, minute)  # noqa: DTZ001 - the meter tells no zone


def dated(date: str, now: datetime = NOW) -> tuple[datetime | None, bool]:
    """Return what is made of a date."""
    entry = parsed(f"{STEM} 1 {date} x", now)
    return entry.modified, entry.to_the_minute


def test_a_recorded_form() -> None:
    """Files and folders, with and without the year, and the name with its blank."""
    listing = parse_listing(
        [
            "total 3",
            "drwxrwxrwx   1 root     root            0 Jan 01 00:00 .",
            "drwxrwxrwx   1 root     root            0 Jan 01 00:00 ..",
            "",
            "drwxrwxrwx   1 root     root         4096 Dec 25 2025 Auto_0018",
            f"{STEM}      1234 Jan 07 14:23 NL_0001_SLM_Lp _0019_0001.rnd",
        ],
        NOW,
    )
    assert listing == Listing(
        (
            Entry("Auto_0018", True, 0, at(2025, 12, 25), to_the_minute=False),
            Entry(
                "NL_0001_SLM_Lp _0019_0001.rnd",
                False,
                1234,
                at(2026, 1, 7, 14, 23),
                to_the_minute=True,
            ),
        ),
        0,
    )


@pytest.mark.parametrize(
    "line",
    [
        "-rw-rw-rw- 1 root root 5 Jan 07 14:23 a b",
        "-rw-rw-rw-   12 0        0     5 jan  7 14:23 a b",
        "-rwxr-xr-x+ 1 owner 5 JAN 7 14:23 a b",
        "-rwSr-sr-t. 5 Jan 7 14:23 a b",
        "---------- links owner of group 5 Jan 7 14:23 a b",
    ],
)
def test_servers_differ(line: str) -> None:
    """The words between the rights and the size may be others, fewer or more."""
    assert parsed(line) == Entry("a b", False, 5, at(2026, 1, 7, 14, 23), to_the_minute=True)


@pytest.mark.parametrize(
    "name",
    [
        " a",
        "a ",
        "a  b",
        "a .rnd",
        "  ",
        "5 Jan 07 14:23 x",
        "a -> b",
        "%41",
        "\xe9\xff",
        "~",
        "x" * MAX_NAME,
    ],
)
def test_a_name_is_kept_exactly(name: str) -> None:
    """Blanks and all: everything behind the one blank after the time is the name."""
    for time in ("14:23", "2025"):
        assert parsed(f"{STEM} 5 Jan 07 {time} {name}").name == name


@pytest.mark.parametrize(
    "line",
    [
        "x",
        "total",
        "lrwxrwxrwx   1 root     root  5 Jan 07 14:23 a -> b",
        "crw-rw-rw-   1 root     root  5 Jan 07 14:23 a",
        f"{STEM} 5 Jan 07 14:23 ",
        f"{STEM} 5 Jan 07 14:23",
        f"{STEM} 5 Jan 07 14:2 a",
        f"{STEM} 5 Jan 123 14:23 a",
        f"{STEM} 5 \u017fep 07 14:23 a",
        f"{STEM} 5 Mai 07 14:23 a",
        f"{STEM} -5 Jan 07 14:23 a",
        f"{STEM} \u0665 Jan 07 14:23 a",
        f"{STEM} {MAX_SIZE + 1} Jan 07 14:23 a",
        f"{STEM} {10**17} Jan 07 14:23 a",
        f"{STEM} 5 Jan 07 14:23 {'x' * (MAX_NAME + 1)}",
        f"{STEM} {' ' * MAX_LINE} 5 Jan 07 14:23 a",
        "01-07-26  02:23PM       <DIR>          Auto_0019",
    ],
)
def test_what_is_no_entry_is_counted(line: str) -> None:
    """A line of another form, a link, or one beyond the bounds is left out."""
    good = f"{STEM} {MAX_SIZE} Jan 07 14:23 a"
    assert parse_listing([good, line, good], NOW) == Listing((parsed(good),) * 2, 1)


HOSTILE = [
    "",
    ".",
    "..",
    ".part",
    ".a.part",
    "../a",
    "a/b",
    "/",
    "a\\b",
    "a\0",
    "a\n",
    "a\r",
    "\x1b[2J",
    "\x7f",
    "\x85",
    "\xa0",
    "\u200b",
    "a\u202egpj.exe",
    "\u2066a",
    "\u2028",
    "\ufeff",
    "\ud800",
    "\ue000",
    "\xe9" * (MAX_NAME // 2 + 1),
]


@pytest.mark.parametrize("name", HOSTILE, ids=ascii)
def test_hostile_names(name: str) -> None:
    """What could leave its folder, hide, or look like something else is no name."""
    assert not is_safe_name(name)
    assert parse_listing([f"{STEM} 5 Jan 07 14:23 {name}"], NOW).entries == ()


@given(st.lists(st.sampled_from([*HOSTILE, "a", " "]), max_size=4).map("".join) | st.text())
def test_a_safe_name_stays_in_its_folder(name: str) -> None:
    """A name that is called safe is one printable component, with room for `.` and `.part`."""
    if is_safe_name(name):
        assert name.isprintable()
        assert not set(name) & {"/", "\\", "\0"}
        assert not name.startswith(".")
        assert 1 <= len(name.encode()) <= 255 - len(f".{''}.part")


@given(st.lists(st.text()), times)
def test_any_text(lines: list[str], now: datetime) -> None:
    """No text raises."""
    listing = parse_listing(lines, now)
    assert len(listing.entries) + listing.unusable <= len(lines)


PIECES = [
    "-rw-rw-rw-",
    "drwxrwxrwx",
    "l",
    " ",
    "   1 root     root ",
    "123",
    "9" * 16,
    " Jan 07 14:23 ",
    " Feb 29 ",
    "00:00",
    "99:99",
    "2025",
    "0000",
    *string.ascii_letters,
]


@given(st.lists(st.sampled_from(PIECES + HOSTILE), max_size=12).map("".join), times)
def test_any_text_of_such_pieces(line: str, now: datetime) -> None:
    """Nor does what is nearly a line, and what comes out is within its bounds."""
    for entry in parse_listing([line], now).entries:
        assert is_safe_name(entry.name)
        assert 0 <= entry.size <= MAX_SIZE
        assert line.endswith(entry.name)


@given(names, st.booleans(), st.integers(0, MAX_SIZE), minutes, st.data())
def test_what_is_listed_is_found(
    name: str, is_folder: bool, size: int, modified: datetime, data: st.DataObject
) -> None:
    """An entry that is written as the meter writes it is read as it was."""
    old = data.draw(st.booleans())
    now = data.draw(st.datetimes(modified) if old else st.just(modified))
    rights = "drwxrwxrwx" if is_folder else "-rw-rw-rw-"
    day = f"{MONTHS[modified.month - 1]} {modified.day:02}"
    when = f"{day} {modified.year:04}" if old else f"{day} {modified:%H:%M}"
    entry = parsed(f"{rights}   1 root     root     {size:>10} {when} {name}", now)
    assert entry == Entry(
        name,
        is_folder,
        0 if is_folder else size,
        modified.replace(hour=0, minute=0) if old else modified,
        to_the_minute=not old,
    )


@given(minutes, times)
@example(at(2024, 2, 29, 12), at(2026, 1, 1))
@example(at(1896, 2, 29), at(1904, 2, 28))
@example(at(1, 1, 1), at(1, 1, 1))
@example(at(MAXYEAR, 12, 31, 23, 59), at(MAXYEAR, 12, 31, 23, 59))
def test_the_year(time: datetime, now: datetime) -> None:
    """The year is the latest in which the time is at most a day ahead, whatever both are."""
    day = f"{MONTHS[time.month - 1]} {time.day}"
    found, to_the_minute = dated(f"{day} {time:%H:%M}", now)
    ahead = timedelta(days=1)
    if found is None:
        # Before the calendar's beginning.
        assert now.year <= 4
        assert not to_the_minute
        return
    assert to_the_minute
    assert found.replace(year=4) == time.replace(year=4)
    assert found - now <= ahead
    for year in range(found.year + 1, min(found.year + 9, MAXYEAR + 1)):
        if time.month != 2 or time.day != 29 or (year % 4 == 0 and (year % 100 or not year % 400)):
            assert time.replace(year=year) - now > ahead


@pytest.mark.parametrize(
    ("date", "now", "expected"),
    [
        ("Jan 07 14:23", NOW, at(2026, 1, 7, 14, 23)),
        ("Jan 08 14:20", NOW, at(2026, 1, 8, 14, 20)),
        ("Jan 08 14:21", NOW, at(2025, 1, 8, 14, 21)),
        ("Dec 31 23:59", NOW, at(2025, 12, 31, 23, 59)),
        ("Jan 01 00:10", at(2025, 12, 31, 23, 50), at(2026, 1, 1, 0, 10)),
        ("Feb 29 10:00", NOW, at(2024, 2, 29, 10)),
        ("Feb 29 10:00", at(2024, 2, 28, 9), at(2020, 2, 29, 10)),
        ("Feb 29 10:00", at(2024, 2, 28, 10), at(2024, 2, 29, 10)),
        ("Feb 30 10:00", NOW, None),
        ("Jan 00 10:00", NOW, None),
        ("Jan 07 24:00", NOW, None),
        ("Jan 07 10:60", NOW, None),
    ],
)
def test_years_that_people_meet(date: str, now: datetime, expected: datetime | None) -> None:
    """Around new year and leap days; a date that there is not is no date."""
    assert dated(date, now) == (expected, expected is not None)


@pytest.mark.parametrize(
    ("date", "expected"),
    [
        ("Dec 25 2025", at(2025, 12, 25)),
        ("Dec 25  2025", at(2025, 12, 25)),
        ("Feb 29 2025", None),
        ("Jan 01 0000", None),
    ],
)
def test_dates_with_a_year(date: str, expected: datetime | None) -> None:
    """A day is all that such a date tells."""
    assert dated(date) == (expected, False)
