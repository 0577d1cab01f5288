"""The meter's stored files (`.rnd`) to typed rows: by the names found, never by position.

Source of the facts: public programs that read such files of this meter's family; no NL-43 file
was at hand. Text, comma-separated, padded with blanks, `-.-` is no value. Two forms:

- Lp and Leq store: a line `CSV`, a line of column names, then a row an interval.
- Manual: blocks of an `Address`, a `Start Time` and a `Measurement Time`, then a line of
  channels and a line for each quantity.

A file is read a line at a time: its size costs no memory.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from itertools import islice
import re
from typing import BinaryIO, Final, Self

from .dod import parse_level
from .errors import DesyncError, StoredError

# A row has about 100 characters, about 1500 with every band of NX-43RT in four channels.
_MAX_LINE: Final = 8192
_MAX_COLUMNS: Final = 512
# The names stand in the second line; what else other firmware may write above them is short.
_MAX_HEAD: Final = 32
# How much of what was found instead is told.
_TOLD_LINES: Final = 4
_TOLD_LENGTH: Final = 40

_BOM: Final = b"\xef\xbb\xbf"
_START: Final = "Start Time"
_ADDRESS: Final = "Address"
_DURATION: Final = "Measurement Time"
_CHANNEL: Final = re.compile(r"Main|Sub[1-3]?")
# LN1 to LN5 are also known by their percentage: L5, L10, L50, L90, L95.
_QUANTITY: Final = re.compile(r"L(?:p|eq|E|max|min|N[1-5]|[0-9]{1,2}|peak|Ieq|eqmov|tm5)")
_QUANTITY_OF_CHANNEL: Final = re.compile(rf"{_QUANTITY.pattern}(?:\((?:{_CHANNEL.pattern})\))?")

_NUMBER: Final = re.compile(r"[0-9]{1,9}")
# `fromisoformat` takes 24:00:00 for the next day and more than six decimals.
_HOURS: Final = r"(?:[01][0-9]|2[0-3])"
_TIME: Final = re.compile(
    rf"[0-9]{{4}}/[0-9]{{2}}/[0-9]{{2}} {_HOURS}:[0-5][0-9]:[0-5][0-9](?:\.[0-9]{{1,6}})?"
)
_ELAPSED: Final = re.compile(
    rf"([0-9]{{1,3}})d ({_HOURS}):([0-5][0-9]):([0-5][0-9])(?:\.([0-9]{{1,6}}))?"
)

# Levels repeat; what is not one is not kept, and blanks are off, so that a key is short.
_level: Final = lru_cache(maxsize=1024)(parse_level)

type _Line = tuple[int, str, bool]
"""A line's number from 1, its text, and whether it has its end."""


class StoredKind(StrEnum):
    """What a stored file holds: Lp or Leq values, a row an interval; or results, one by one."""

    LP = "lp"
    LEQ = "leq"
    MANUAL = "manual"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One row: when it began (the meter's local time, no zone) and levels in dB by name.

    A name is as the file has it: channels for Lp (`Main`, `Sub1`), quantities for all else
    (`Leq`, `LN1`). None is `-.-`: the meter stored no value. Levels have one decimal and lie
    between -999.9 and 999.9.
    """

    start: datetime
    levels: Mapping[str, float | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Result(Row):
    """One result of a Manual file, a channel: its address (0 and up) and how long it took.

    Each channel of a measurement is a result of its own, with the same address. `duration` is
    None where the file does not say it.
    """

    address: int
    channel: str
    duration: timedelta | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """A stored file, known by its names: iterate `rows` once, while the file is open.

    `columns` are the names of the levels in each row; none for Manual, whose results may differ.
    `rows` holds a `Result` for Manual and a `Row` for all else. Iterating raises StoredError,
    with the number of the line, at what does not fit; the rows before it stand. A last line
    that does not fit because the meter has not written its end yet is left out.
    """

    kind: StoredKind
    columns: tuple[str, ...]
    rows: Iterator[Row]


def read_stored(file: BinaryIO) -> Stored:
    """Return what a buffered binary file holds, from where it stands; blocking.

    Raises StoredError where none of the expected names is found, saying what is.
    """
    lines = _lines(file)
    found: list[str] = []
    for line in islice(lines, _MAX_HEAD):
        try:
            if stored := _recognized(line, lines):
                return stored
        except DesyncError as err:
            raise _misfit(line, err) from err
        _tell(found, line[1])
    if not found:
        raise StoredError("the file is empty")
    raise StoredError(f"none of the names of stored levels, but {found}")


def _recognized(line: _Line, lines: Iterator[_Line]) -> Stored | None:
    """Return the file that a line of names begins, None if the line is none."""
    names = _names(line[1])
    if _START in names:
        for kind, form in ((StoredKind.LEQ, _QUANTITY_OF_CHANNEL), (StoredKind.LP, _CHANNEL)):
            if columns := _known(names, form):
                rows = _rows(lines, len(names), names.index(_START), columns)
                return Stored(kind=kind, columns=tuple(columns), rows=rows)
    if names[0] == _ADDRESS:
        results = _results(_Block.begun_by(line), lines)
        return Stored(kind=StoredKind.MANUAL, columns=(), rows=results)
    return None


def _lines(file: BinaryIO) -> Iterator[_Line]:
    """Yield the lines, of bounded length, less their ends; StoredError when one is too long.

    Whatever the encoding, what matters is ASCII: other bytes become U+FFFD, which fits no form,
    so that they cannot end up in a value. In UTF-8, Shift-JIS and its kin no part of another
    character looks like a digit, a comma or a line end.
    """
    for number, raw in enumerate(iter(lambda: file.readline(_MAX_LINE + 1), b""), 1):
        if len(raw) > _MAX_LINE:
            raise StoredError(f"line {number}: more than {_MAX_LINE} bytes")
        line = raw.removeprefix(_BOM) if number == 1 else raw
        yield number, line.decode("ascii", "replace").rstrip("\r\n"), line.endswith(b"\n")


def _tell(found: list[str], text: str) -> None:
    """Keep a little of what is not known, for the error."""
    if text.strip(" ") and len(found) < _TOLD_LINES:
        found.append(text[:_TOLD_LENGTH])


def _names(text: str) -> list[str]:
    """Return the names in a line; commas at its end add none. DesyncError for too many."""
    names = [name.strip(" ") for name in text.rstrip(" ,").split(",", _MAX_COLUMNS)]
    if len(names) > _MAX_COLUMNS:
        raise DesyncError(f"more than {_MAX_COLUMNS} columns")
    return names


def _known(names: list[str], form: re.Pattern[str]) -> dict[str, int]:
    """Return where the names of a form stand; DesyncError if one stands twice."""
    columns: dict[str, int] = {}
    for index, name in enumerate(names):
        if form.fullmatch(name):
            if name in columns:
                raise DesyncError(f"{name} stands twice")
            columns[name] = index
    return columns


def _fields(text: str, width: int) -> list[str]:
    """Return the fields of a line, one for each name; commas at its end add none."""
    fields = text.split(",")
    if len(fields) != width and (len(fields) < width or "".join(fields[width:]).strip(" ")):
        raise DesyncError(f"{len(fields)} fields instead of {width}")
    return fields


def _time(text: str) -> datetime:
    """Return a local time; DesyncError for anything but `YYYY/MM/DD HH:MM:SS[.f]`."""
    if not _TIME.fullmatch(text):
        raise DesyncError(f"not a time: {text[:_TOLD_LENGTH]!r}")
    try:
        return datetime.fromisoformat(text.replace("/", "-"))
    except ValueError as err:
        raise DesyncError(f"not a time: {text!r}") from err


def _elapsed(text: str) -> timedelta:
    """Return a measurement time; DesyncError for anything but `DDDd HH:MM:SS[.f]`."""
    match = _ELAPSED.fullmatch(text)
    if match is None:
        raise DesyncError(f"not a measurement time: {text[:_TOLD_LENGTH]!r}")
    days, hours, minutes, seconds = map(int, match.groups()[:4])
    micro = int((match[5] or "").ljust(6, "0"))
    return timedelta(days, seconds, micro, hours=hours, minutes=minutes)


def _misfit(line: _Line, err: DesyncError) -> StoredError:
    """Return the error of a line that does not fit."""
    return StoredError(f"line {line[0]}: {err}")


def _rows(
    lines: Iterable[_Line], width: int, start_at: int, columns: dict[str, int]
) -> Iterator[Row]:
    """Yield the rows of an Lp or Leq store."""
    places = tuple(columns.items())
    for line in lines:
        _, text, whole = line
        if not text.strip(" "):
            continue
        try:
            fields = _fields(text, width)
            row = Row(
                start=_time(fields[start_at].strip(" ")),
                levels={name: _level(fields[index].strip(" ")) for name, index in places},
            )
        except DesyncError as err:
            if not whole:
                return
            raise _misfit(line, err) from err
        yield row


@dataclass(slots=True, kw_only=True)
class _Block:
    """What is known so far of one measurement of a Manual file."""

    number: int
    address: int
    start: datetime | None = None
    duration: timedelta | None = None
    width: int = 0
    channels: dict[str, int] = field(default_factory=dict)
    levels: dict[str, dict[str, float | None]] = field(default_factory=dict)
    found: list[str] = field(default_factory=list)

    @classmethod
    def begun_by(cls, line: _Line) -> Self:
        """Return the block that an address begins; DesyncError if it is none."""
        _, address = _pair(line[1])
        if not _NUMBER.fullmatch(address):
            raise DesyncError(f"not an address: {address[:_TOLD_LENGTH]!r}")
        return cls(number=line[0], address=int(address))

    def take(self, text: str) -> None:
        """Take another line; DesyncError if it is known and does not fit."""
        name, value = _pair(text)
        if name == _START:
            self.start = _time(value)
        elif name == _DURATION:
            self.duration = _elapsed(value)
        elif _QUANTITY.fullmatch(name):
            self._take_levels(name, text)
        elif not name and value:
            names = _names(text)
            self.width, self.channels = len(names), _known(names, _CHANNEL)
        if not self.levels:
            _tell(self.found, text)

    def _take_levels(self, quantity: str, text: str) -> None:
        """Take the levels of a quantity, one a channel."""
        if not self.width:
            raise DesyncError(f"{quantity} before the channels")
        fields = _fields(text, self.width)
        # All or none: a line that was cut leaves nothing behind.
        taken = {name: _level(fields[at].strip(" ")) for name, at in self.channels.items()}
        for channel, level in taken.items():
            levels = self.levels.setdefault(channel, {})
            if quantity in levels:
                raise DesyncError(f"{quantity} stands twice")
            levels[quantity] = level

    def results(self) -> Iterator[Result]:
        """Yield a result for each channel; StoredError if the block is none."""
        if self.start is None:
            raise StoredError(f"line {self.number}: address {self.address} has no {_START}")
        if not self.levels:
            raise StoredError(
                f"line {self.number}: address {self.address} has no levels, but {self.found}"
            )
        for channel, levels in self.levels.items():
            yield Result(
                start=self.start,
                levels=levels,
                address=self.address,
                channel=channel,
                duration=self.duration,
            )


def _pair(text: str) -> tuple[str, str]:
    """Return the name and the value of a line; commas at its end are no part of it."""
    name, _, value = text.partition(",")
    return name.strip(" "), value.strip(" ,")


def _results(block: _Block, lines: Iterator[_Line]) -> Iterator[Result]:
    """Yield the results of a Manual file, whose first block has begun.

    A last block without levels is one that the meter has not written yet, but for the only one.
    """
    only = True
    for line in lines:
        _, text, whole = line
        try:
            if _pair(text)[0] != _ADDRESS:
                block.take(text)
                continue
            following = _Block.begun_by(line)
        except DesyncError as err:
            if not whole:
                break
            raise _misfit(line, err) from err
        yield from block.results()
        block, only = following, False
    if only or block.levels:
        yield from block.results()
