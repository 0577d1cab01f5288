"""Pictures of stored files, as SVG: what a meter has stored, as one would put it in a report.

Levels are drawn in one pass, in memory that does not grow with the file: neighbours are merged
to what is the lowest and the highest of them. They are never averaged.
"""

from codecs import getincrementaldecoder
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
import math
from pathlib import Path
import re
from typing import Final, Self
import xml.etree.ElementTree as ET

from .rion import StoredError
from .rion.stored import Result, Row, Stored, StoredKind, read_stored

# More than there are dots across the picture.
MAX_BUCKETS: Final = 1600
MAX_SERIES: Final = 8
MAX_RESULTS: Final = 200
MAX_QUANTITIES: Final = 12
MAX_LINES: Final = 200
MAX_COLUMNS: Final = 110
# Bytes that more than fill the lines.
_HEAD: Final = 16 * MAX_LINES * MAX_COLUMNS
# How many different pauses between rows are counted.
_MAX_PAUSES: Final = 64

_INK: Final = "#1b2530"
_FAINT: Final = "#5b6775"
_GRID: Final = "#e2e6eb"
_TROUBLE: Final = "#a8321f"
_SANS: Final = "'Helvetica Neue', Helvetica, Arial, 'Liberation Sans', sans-serif"
_MONO: Final = "'DejaVu Sans Mono', Menlo, Consolas, 'Liberation Mono', monospace"
_MARGIN: Final = 28.0

_LAST: Final = datetime.max  # noqa: DTZ901 - local time by nature

# The chart's place on its sheet.
_WIDTH: Final = 860.0
_HEIGHT: Final = 540.0
_LEFT: Final = 64.0
_RIGHT: Final = _WIDTH - _MARGIN
_TOP: Final = 112.0
_BOTTOM: Final = 452.0

# The first for what matters most; each can be told from the others on grey paper, too.
_STROKES: Final = (
    ("#0b4f9e", "2", ""),
    ("#c0392b", "1.3", ""),
    ("#2c7a4b", "1.3", ""),
    ("#7d3c98", "1.3", "7 3"),
    ("#b9640f", "1.3", "4 3"),
    ("#4b5563", "1.3", "2 3"),
    ("#0e7c86", "1.3", "9 3 2 3"),
    ("#8a6d00", "1.3", "1 2"),
)
# What is drawn of a Leq store: sound exposure and peaks are on scales of their own.
_DRAWN: Final = ("Leq", "Lmax", "Lmin")
_PERCENTILE: Final = re.compile(r"LN?[0-9]{1,2}")

_LEVEL_STEPS: Final = (1, 2, 5, 10, 20, 50, 100, 200, 500)
_MINUTE: Final = 60
_HOUR: Final = 3600
_DAY: Final = 86_400
_TIME_STEPS: Final = (
    *(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5),
    *(1, 2, 5, 10, 15, 30),
    *(_MINUTE * minutes for minutes in (1, 2, 5, 10, 15, 30)),
    *(_HOUR * hours for hours in (1, 2, 3, 6, 12)),
    *(_DAY * days * 10**zeros for zeros in range(7) for days in (1, 2, 5)),
)
_MOST_LEVEL_TICKS: Final = 8
_MOST_TIME_TICKS: Final = 8
_UNITS: Final = ((_DAY, "d"), (_HOUR, "h"), (_MINUTE, "min"), (1, "s"), (0.001, "ms"))

type Words = Mapping[str, str]
"""The texts on a picture, in a person's language."""


def draw_file(place: Path, words: Words) -> str:
    """Return a picture of a file of levels, or of the first lines of another; blocking."""
    with place.open("rb") as file:
        try:
            stored = read_stored(file)
        except StoredError:
            file.seek(0)
            return _draw_text(place.name, file.read(_HEAD), words)
        if stored.kind is StoredKind.MANUAL:
            return _draw_results(place.name, stored.rows, words)
        return _draw_levels(place.name, stored, words)


def draw_note(lines: Sequence[str], title: str = "") -> str:
    """Return a picture of some sentences."""
    wrapped = [part for line in lines for part in _wrapped(line, 84)]
    sheet = _Sheet(_WIDTH * 0.75, 60 + 26 * (len(wrapped) + bool(title)))
    y = 48.0
    if title:
        sheet.text(_MARGIN, y, _clipped(title, 52), size=18, weight="bold")
        y += 30
    for line in wrapped:
        sheet.text(_MARGIN, y, line, size=15)
        y += 26
    return str(sheet)


# A sheet


class _Sheet:
    """White paper, whatever is around it."""

    def __init__(self, width: float, height: float) -> None:
        """Begin an empty one."""
        size = {"width": f"{width:g}", "height": f"{height:g}"}
        self._root = ET.Element(
            "svg",
            {
                "xmlns": "http://www.w3.org/2000/svg",
                "viewBox": f"0 0 {width:g} {height:g}",
                "font-family": _SANS,
                **size,
            },
        )
        self.add("rect", fill="#fff", **size)

    def add(self, tag: str, /, **attributes: str) -> ET.Element:
        """Draw something."""
        names = {name.rstrip("_").replace("_", "-"): value for name, value in attributes.items()}
        return ET.SubElement(self._root, tag, names)

    def text(
        self,
        x: float,
        y: float,
        text: str,
        *,
        size: float = 13,
        anchor: str = "start",
        colour: str = _INK,
        weight: str = "normal",
        family: str = _SANS,
    ) -> None:
        """Write a line, of what can be seen."""
        self.add(
            "text",
            x=_dot(x),
            y=_dot(y),
            font_size=f"{size:g}",
            text_anchor=anchor,
            fill=colour,
            font_weight=weight,
            font_family=family,
            style="white-space: pre",
        ).text = _printable(text)

    def line(self, x1: float, y1: float, x2: float, y2: float, **attributes: str) -> None:
        """Draw a straight line."""
        self.add("line", x1=_dot(x1), y1=_dot(y1), x2=_dot(x2), y2=_dot(y2), **attributes)

    def __str__(self) -> str:
        """Return the picture."""
        return ET.tostring(self._root, encoding="unicode")


def _dot(value: float) -> str:
    """Return a coordinate."""
    return f"{value:.1f}"


def _printable(text: str) -> str:
    """Return what can be seen of a text: all else could act on it, or be no XML."""
    return "".join(filter(str.isprintable, text))


def _clipped(text: str, length: int) -> str:
    """Return as much of a text as there is room for."""
    return text if len(text) <= length else f"{text[: length - 1]}…"


def _wrapped(text: str, length: int) -> Iterator[str]:
    """Yield the lines of a text."""
    line = ""
    for word in text.split():
        if line and len(line) + len(word) >= length:
            yield line
            line = ""
        line = f"{line} {word}" if line else word
    yield line


# Levels over time


@dataclass(slots=True)
class _Bucket:
    """The rows of a stretch of time: when the first and the last began, and the extremes."""

    start: float
    end: float
    low: list[float]
    high: list[float]

    def merge(self, other: Self) -> None:
        """Take over what is in another."""
        self.start = min(self.start, other.start)
        self.end = max(self.end, other.end)
        self.low = list(map(min, self.low, other.low, strict=True))
        self.high = list(map(max, self.high, other.high, strict=True))


class _Envelope:
    """The extremes of rows over time, in a bounded number of buckets, however many rows come.

    Buckets are as wide as is needed. Where there are no rows there are no buckets.
    """

    def __init__(self, columns: tuple[str, ...]) -> None:
        """Begin without a row."""
        self.columns = columns
        self.first: datetime | None = None
        self.rows = 0
        self.error = ""
        self._width = 0.001
        self._buckets: dict[int, _Bucket] = {}
        self._pauses: Counter[float] = Counter()
        self._last = 0.0

    def take(self, rows: Iterable[Row]) -> None:
        """Take all rows, up to the one that cannot be read."""
        try:
            for row in rows:
                self._take(row)
        except StoredError as err:
            self.error = str(err)

    def _take(self, row: Row) -> None:
        """Take a row."""
        if self.first is None:
            self.first = row.start
        offset = (row.start - self.first).total_seconds()
        pause = round(offset - self._last, 3)
        if pause > 0 and (pause in self._pauses or len(self._pauses) < _MAX_PAUSES):
            self._pauses[pause] += 1
        self._last = offset
        self.rows += 1
        key = int(offset // self._width)
        bucket = self._buckets.get(key)
        if bucket is None:
            width = len(self.columns)
            bucket = _Bucket(offset, offset, [math.inf] * width, [-math.inf] * width)
            self._buckets[key] = bucket
        else:
            bucket.start = min(bucket.start, offset)
            bucket.end = max(bucket.end, offset)
        low, high = bucket.low, bucket.high
        for index, name in enumerate(self.columns):
            level = row.levels[name]
            if level is not None:
                low[index] = min(low[index], level)
                high[index] = max(high[index], level)
        while len(self._buckets) > MAX_BUCKETS:
            self._halve()

    def _halve(self) -> None:
        """Make the buckets twice as wide."""
        self._width *= 2
        merged: dict[int, _Bucket] = {}
        for key, bucket in self._buckets.items():
            kept = merged.setdefault(key // 2, bucket)
            if kept is not bucket:
                kept.merge(bucket)
        self._buckets = merged

    @property
    def interval(self) -> float:
        """Return the usual time from row to row in seconds, 0 if there is none."""
        return self._pauses.most_common(1)[0][0] if self._pauses else 0.0

    @property
    def is_merged(self) -> bool:
        """Tell whether there are more rows than can be drawn."""
        return self.rows > len(self._buckets)

    def buckets(self) -> list[_Bucket]:
        """Return the buckets in the order of their times."""
        return sorted(self._buckets.values(), key=lambda bucket: bucket.start)

    def stretches(self, index: int) -> Iterator[list[_Bucket]]:
        """Yield the buckets of a column without what is missing between them."""
        longest = 1.5 * self.interval
        stretch: list[_Bucket] = []
        for bucket in self.buckets():
            has_level = bucket.low[index] <= bucket.high[index]
            if stretch and not (has_level and bucket.start - stretch[-1].end <= longest):
                yield stretch
                stretch = []
            if has_level:
                stretch.append(bucket)
        if stretch:
            yield stretch


@dataclass(frozen=True, slots=True)
class _Axes:
    """The scales: seconds since midnight of the first day, and dB."""

    base: datetime
    left: float
    right: float
    bottom: float
    top: float
    level_step: float

    @classmethod
    def around(cls, first: datetime, envelope: _Envelope) -> Self | None:
        """Return the scales that all fits in; None if there is no level."""
        buckets = envelope.buckets()
        low = min(min(bucket.low) for bucket in buckets)
        high = max(max(bucket.high) for bucket in buckets)
        if low > high:
            return None
        start = first + timedelta(seconds=buckets[0].start)
        base = datetime.combine(start, datetime.min.time())
        left = (start - base).total_seconds()
        length = max(bucket.end for bucket in buckets) - buckets[0].start + envelope.interval
        # No time lies beyond the last year that there is.
        right = min(left + (length or 1.0), (_LAST - base).total_seconds())
        step = _step(max(high - low, _MOST_LEVEL_TICKS), _LEVEL_STEPS, _MOST_LEVEL_TICKS)
        bottom = math.floor(low / step) * step
        top = max(math.ceil(high / step) * step, bottom + step)
        return cls(base, left, right, bottom, top, step)

    def x(self, seconds: float) -> float:
        """Return where a time is."""
        return _LEFT + (seconds - self.left) / (self.right - self.left) * (_RIGHT - _LEFT)

    def y(self, level: float) -> float:
        """Return where a level is."""
        return _BOTTOM - (level - self.bottom) / (self.top - self.bottom) * (_BOTTOM - _TOP)


def _step(span: float, steps: Sequence[float], most: int) -> float:
    """Return the least step that leaves at most that many."""
    return next((step for step in steps if span / step <= most), steps[-1])


def _draw_levels(name: str, stored: Stored, words: Words) -> str:
    """Return the chart of an Lp or Leq store."""
    is_lp = stored.kind is StoredKind.LP
    columns = stored.columns[:MAX_SERIES] if is_lp else _chosen(stored.columns)
    envelope = _Envelope(columns)
    envelope.take(stored.rows)
    sheet = _Sheet(_WIDTH, _HEIGHT)
    sheet.text(_MARGIN, 40, _clipped(name, 66), size=19, weight="bold")
    sheet.text(_MARGIN, 63, _summary(envelope, words), colour=_FAINT)
    axes = None if envelope.first is None else _Axes.around(envelope.first, envelope)
    if envelope.first is None or axes is None:
        sheet.text(_MARGIN, 112, words["no_levels"])
    else:
        _draw_scales(sheet, axes, words)
        shift = (envelope.first - axes.base).total_seconds()
        for index in reversed(range(len(columns))):
            _draw_series(sheet, axes, envelope, index, shift, steps=not is_lp)
        _draw_legend(sheet, [_label(column, is_lp=is_lp) for column in columns])
    _draw_remarks(sheet, stored.columns, envelope, words)
    return str(sheet)


def _chosen(columns: tuple[str, ...]) -> tuple[str, ...]:
    """Return the columns of a Leq store that are drawn, what matters most first."""

    def rank(column: str) -> tuple[str, int]:
        quantity, _, channel = column.partition("(")
        return channel, _DRAWN.index(quantity) if quantity in _DRAWN else len(_DRAWN)

    def is_drawn(column: str) -> bool:
        quantity = column.partition("(")[0]
        return quantity in _DRAWN or bool(_PERCENTILE.fullmatch(quantity))

    chosen = sorted(filter(is_drawn, columns), key=rank)
    return tuple(chosen or columns)[:MAX_SERIES]


def _label(column: str, *, is_lp: bool) -> str:
    """Return what a line is called; the columns of an Lp store are channels."""
    if not is_lp:
        return column
    return "Lp" if column == "Main" else f"Lp {column}"


def _summary(envelope: _Envelope, words: Words) -> str:
    """Return from when to when the levels are, and how many."""
    every = _duration(envelope.interval) if envelope.interval else ""
    form = words["rows_every" if every else "rows"]
    parts = [form.format(count=f"{envelope.rows:,}".replace(",", " "), interval=every)]
    if envelope.first is not None:
        buckets = envelope.buckets()
        first = envelope.first + timedelta(seconds=buckets[0].start)
        last = envelope.first + timedelta(seconds=max(bucket.end for bucket in buckets))
        spec = "milliseconds" if first.microsecond or last.microsecond else "seconds"
        until = last.time() if last.date() == first.date() else last
        begin = first.isoformat(" ", spec)
        end = until.isoformat(" ", spec) if isinstance(until, datetime) else until.isoformat(spec)
        parts.insert(0, words["span"].format(begin=begin, end=end))
    return " · ".join(parts)


def _duration(seconds: float) -> str:
    """Return a duration in the unit that suits it."""
    size, unit = next(unit for unit in _UNITS if seconds >= unit[0])
    return f"{seconds / size:.4g} {unit}"


def _draw_scales(sheet: _Sheet, axes: _Axes, words: Words) -> None:
    """Draw the grid with its levels and times."""
    sheet.text(_LEFT - 9, _TOP - 14, "dB", anchor="end", colour=_FAINT)
    level = axes.bottom
    while level <= axes.top:
        y = axes.y(level)
        sheet.line(_LEFT, y, _RIGHT, y, stroke=_GRID)
        sheet.text(_LEFT - 9, y + 4.5, f"{level:g}", anchor="end")
        level += axes.level_step
    step = _step(axes.right - axes.left, _TIME_STEPS, _MOST_TIME_TICKS)
    day = None
    for number in range(math.ceil(axes.left / step), math.floor(axes.right / step) + 1):
        seconds = number * step
        moment = axes.base + timedelta(seconds=seconds)
        x = axes.x(seconds)
        sheet.line(x, _TOP, x, _BOTTOM, stroke=_GRID)
        sheet.line(x, _BOTTOM, x, _BOTTOM + 5, stroke=_INK)
        if step < _DAY:
            sheet.text(x, _BOTTOM + 21, _clock(moment, step), anchor="middle")
        if moment.date() != day:
            day = moment.date()
            y = _BOTTOM + (21 if step >= _DAY else 38)
            sheet.text(x, y, day.isoformat(), anchor="middle", colour=_FAINT)
    sheet.line(_LEFT, _BOTTOM, _RIGHT, _BOTTOM, stroke=_INK)
    sheet.line(_LEFT, _TOP, _LEFT, _BOTTOM, stroke=_INK)
    sheet.text(_RIGHT, _HEIGHT - 20, words["clock_time"], anchor="end", colour=_FAINT)


def _clock(moment: datetime, step: float) -> str:
    """Return the time of a day, as exactly as the steps are."""
    spec = "minutes" if step >= _MINUTE else "seconds" if step >= 1 else "milliseconds"
    return moment.time().isoformat(spec)


def _draw_series(
    sheet: _Sheet, axes: _Axes, envelope: _Envelope, index: int, shift: float, *, steps: bool
) -> None:
    """Draw a column: a line where its rows are shown one by one, a band where they are merged."""
    colour, width, dash = _STROKES[index]
    lines, bands = [], []
    for stretch in envelope.stretches(index):
        ends = [*(bucket.start for bucket in stretch[1:]), stretch[-1].end + envelope.interval]
        high: list[tuple[float, float]] = []
        low: list[tuple[float, float]] = []
        for bucket, end in zip(stretch, ends, strict=True):
            # A level of a Leq store is that of the time until the next one.
            for seconds in (bucket.start, end)[: 1 + (steps or len(stretch) == 1)]:
                x = axes.x(min(seconds + shift, axes.right))
                high.append((x, axes.y(bucket.high[index])))
                low.append((x, axes.y(bucket.low[index])))
        lines.append(_path(high))
        if high != low:
            lines.append(_path(low))
            bands.append(f"{_path([*high, *reversed(low)])}Z")
    if bands:
        sheet.add("path", d="".join(bands), fill=colour, fill_opacity="0.45")
        width = "0.8"
    sheet.add(
        "path",
        d="".join(lines),
        fill="none",
        stroke=colour,
        stroke_width=width,
        stroke_dasharray=dash or "none",
        stroke_linejoin="round",
    )


def _path(points: Iterable[tuple[float, float]]) -> str:
    """Return the line through points."""
    return "M" + "L".join(f"{_dot(x)} {_dot(y)}" for x, y in points)


def _draw_legend(sheet: _Sheet, labels: Sequence[str]) -> None:
    """Draw which line is which."""
    length = sum(50 + 7.5 * len(label) for label in labels)
    scale = min(1.0, (_RIGHT - _LEFT) / length)
    x = _LEFT
    for label, (colour, width, dash) in zip(labels, _STROKES, strict=False):
        style = {"stroke": colour, "stroke_width": width, "stroke_dasharray": dash or "none"}
        sheet.line(x, 87.5, x + 26 * scale, 87.5, **style)
        sheet.text(x + 32 * scale, 92, label, size=13 * scale)
        x += (50 + 7.5 * len(label)) * scale


def _draw_remarks(sheet: _Sheet, columns: Sequence[str], envelope: _Envelope, words: Words) -> None:
    """Say what is not seen."""
    remarks = []
    if envelope.is_merged:
        remarks.append(words["bands"])
    if omitted := [column for column in columns if column not in envelope.columns]:
        remarks.append(words["not_drawn"].format(names=_clipped(", ".join(omitted), 48)))
    if remarks:
        sheet.text(_MARGIN, _HEIGHT - 20, " · ".join(remarks), colour=_FAINT)
    if envelope.error:
        told = words["read_up_to"].format(error=envelope.error)
        sheet.text(_MARGIN, _HEIGHT - 2, _clipped(told, 110), colour=_TROUBLE, size=12)


# Results, one by one


def _draw_results(name: str, rows: Iterator[Row], words: Words) -> str:
    """Return the table of a Manual file."""
    results: list[Result] = []
    count, remarks = 0, []
    try:
        for count, row in enumerate(rows, 1):
            if isinstance(row, Result) and count <= MAX_RESULTS:
                results.append(row)
    except StoredError as err:
        remarks.append(words["read_up_to"].format(error=err))
    if count > MAX_RESULTS:
        remarks.append(words["more_results"].format(count=count - MAX_RESULTS))
    quantities = list(dict.fromkeys(name for result in results for name in result.levels))
    shown, omitted = quantities[:MAX_QUANTITIES], quantities[MAX_QUANTITIES:]
    if omitted:
        remarks.append(words["not_drawn"].format(names=_clipped(", ".join(omitted), 48)))
    heads = [words["address"], words["start"], words["duration"], words["channel"], *shown]
    table = [heads, *(_cells(result, shown) for result in results)]
    return _draw_table(name, table, [f"{words['clock_time']} · dB", *remarks])


def _cells(result: Result, quantities: Sequence[str]) -> list[str]:
    """Return the line of a result; what is not stored is left open."""
    levels = (result.levels.get(name) for name in quantities)
    return [
        str(result.address),
        result.start.isoformat(" "),
        "" if result.duration is None else str(result.duration).removesuffix("00000"),
        result.channel,
        *("" if level is None else f"{level:.1f}" for level in levels),
    ]


def _draw_table(name: str, table: list[list[str]], remarks: list[str]) -> str:
    """Return a table below its name, above remarks."""
    widths = [28 + 7.5 * max(map(len, column)) for column in zip(*table, strict=True)]
    height = 100 + 24 * (len(table) + len(remarks))
    sheet = _Sheet(max(sum(widths) + 2 * _MARGIN, _WIDTH * 0.75), height)
    sheet.text(_MARGIN, 40, _clipped(name, 50), size=19, weight="bold")
    y = 78.0
    for number, cells in enumerate(table):
        x = _MARGIN
        for cell, width in zip(cells, widths, strict=True):
            x += width
            weight = "normal" if number else "bold"
            sheet.text(x - 14, y, cell, anchor="end", weight=weight)
        sheet.line(_MARGIN, y + 8, x, y + 8, stroke=_GRID if number else _INK)
        y += 24
    for remark in remarks:
        sheet.text(_MARGIN, y + 10, remark, colour=_FAINT)
        y += 24
    return str(sheet)


# Other texts


def _draw_text(name: str, head: bytes, words: Words) -> str:
    """Return the first lines of a text, in an encoding that fits."""
    try:
        # The last character may be cut off.
        text = getincrementaldecoder("utf-8-sig")().decode(head)
    except UnicodeDecodeError:
        text = head.decode("latin-1")
    lines = [line.expandtabs() for line in islice(text.splitlines(), MAX_LINES + 1)]
    shown = [_clipped(_printable(line), MAX_COLUMNS) for line in lines[:MAX_LINES]]
    is_whole = shown == lines
    width = max(7.3 * max(map(len, shown), default=0) + 2 * _MARGIN, _WIDTH * 0.75)
    sheet = _Sheet(width, 92 + 17 * (len(shown) + 1))
    sheet.text(_MARGIN, 40, _clipped(name, 50), size=19, weight="bold")
    if not is_whole:
        sheet.text(_MARGIN, 62, words["first_lines"], colour=_FAINT)
    for number, line in enumerate(shown):
        sheet.text(_MARGIN, 92 + 17 * number, line, size=12, family=_MONO)
    return str(sheet)
