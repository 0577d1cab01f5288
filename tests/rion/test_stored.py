"""Stored files to rows."""

from collections.abc import Buffer, Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
import io
from itertools import pairwise
import re
import tracemalloc
from typing import Final, override

from hypothesis import given, strategies as st
import pytest

from custom_components.nl43.rion import StoredError, stored
from custom_components.nl43.rion.stored import Result, Row, Stored, StoredKind, read_stored
from nl43_sim import SimulatedMeter, SimulatorConfig
from nl43_sim.card import Rows
from nl43_sim.store import INTERVALS

from .test_dod import HOSTILE

LP: Final = b"""CSV
Start Time,Main,Sub1
2025/12/24 02:10:55.100, 54.3, 61.0
2025/12/24 02:10:55.200,  -.-,+62.5
2025/12/24 02:10:55.300, -0.1,130.0
"""
LEQ: Final = b"""CSV
Start Time,Leq,LE,Lmax,Lmin,LN1,Lpeak
2025/12/24 02:10:00, 54.3, 72.1, 60.0, 41.2, 58.8, -.-
2025/12/24 02:20:00, 55.3, 73.1, 61.0, 42.2, 59.8,88.0
"""
MANUAL: Final = b"""Address,1
Start Time,2025/12/24 02:10:55
Measurement Time,000d 00:00:10.0
,Main
Leq, 54.3
Lmax, 71.9
LN1,  -.-
Address,12
Start Time,2025/12/24 03:00:00
Measurement Time,001d 02:03:04.5
,Main,Sub1
Leq, 44.3, 45.3
Lmax, 61.9,  -.-
"""
LP_COLUMNS: Final = ("Main", "Sub1", "Sub2", "Sub3")
LEQ_COLUMNS: Final = ("Leq", "LE", "Lmax", "Lmin", "LN1", "LN2", "LN3", "LN4", "LN5", "Lpeak")


def read(data: bytes) -> Stored:
    """Return what bytes hold."""
    return read_stored(io.BytesIO(data))


def rows(data: bytes) -> list[Row]:
    """Return the rows in bytes."""
    return list(read(data).rows)


def at(second: int, tenths: int = 0) -> datetime:
    """Return a time in the minute of most examples."""
    return datetime(2025, 12, 24, 2, 10, second, tenths * 100_000)  # noqa: DTZ001 - the meter's


# What is read


def test_lp_store() -> None:
    """A row an interval, a column a channel; no value is None."""
    lp = read(LP)
    assert lp.kind is StoredKind.LP
    assert lp.columns == ("Main", "Sub1")
    assert list(lp.rows) == [
        Row(start=at(55, 1), levels={"Main": 54.3, "Sub1": 61.0}),
        Row(start=at(55, 2), levels={"Main": None, "Sub1": 62.5}),
        Row(start=at(55, 3), levels={"Main": -0.1, "Sub1": 130.0}),
    ]


def test_leq_store() -> None:
    """A column a quantity."""
    leq = read(LEQ)
    assert leq.kind is StoredKind.LEQ
    assert leq.columns == ("Leq", "LE", "Lmax", "Lmin", "LN1", "Lpeak")
    first, second = leq.rows
    assert first.start == at(0)
    assert first.levels == dict(zip(leq.columns, (54.3, 72.1, 60.0, 41.2, 58.8, None), strict=True))
    assert second.levels["Lpeak"] == 88.0


def test_manual() -> None:
    """A result for each channel of each block."""
    manual = read(MANUAL)
    assert manual.kind is StoredKind.MANUAL
    assert manual.columns == ()
    later = datetime(2025, 12, 24, 3)  # noqa: DTZ001 - the meter's
    took = timedelta(days=1, hours=2, minutes=3, seconds=4.5)
    assert list(manual.rows) == [
        Result(
            start=at(55),
            levels={"Leq": 54.3, "Lmax": 71.9, "LN1": None},
            address=1,
            channel="Main",
            duration=timedelta(seconds=10),
        ),
        Result(
            start=later,
            levels={"Leq": 44.3, "Lmax": 61.9},
            address=12,
            channel="Main",
            duration=took,
        ),
        Result(
            start=later,
            levels={"Leq": 45.3, "Lmax": None},
            address=12,
            channel="Sub1",
            duration=took,
        ),
    ]


@pytest.mark.parametrize(
    ("header", "kind", "columns"),
    [
        ("Start Time,Main", StoredKind.LP, ("Main",)),
        ("Main,Sub1,Sub2,Sub3,Start Time", StoredKind.LP, ("Main", "Sub1", "Sub2", "Sub3")),
        ("Start Time,Main,Sub", StoredKind.LP, ("Main", "Sub")),
        ("  Start Time , Main  ,Over,Main [dB],12.5 Hz", StoredKind.LP, ("Main",)),
        ("Start Time,Partial Over All,Main,,,", StoredKind.LP, ("Main",)),
        ("Address,Start Time,Measurement Time,Leq(Main)", StoredKind.LEQ, ("Leq(Main)",)),
        ("Start Time,L5,L95,LN5", StoredKind.LEQ, ("L5", "L95", "LN5")),
        ("Start Time,LIeq,Leqmov,Ltm5,LAeq,LN6", StoredKind.LEQ, ("LIeq", "Leqmov", "Ltm5")),
    ],
)
def test_columns_are_known_by_name(header: str, kind: StoredKind, columns: tuple[str, ...]) -> None:
    """Names count, not places; what is not known is skipped, whatever it holds."""
    names = [name.strip() for name in header.rstrip(",").split(",")]
    values = {name: f"{50 + index}.0" for index, name in enumerate(columns)}
    values["Start Time"] = "2025/12/24 02:10:55"
    line = ",".join(values.get(name, "anything") for name in names)
    found = read(f"CSV\n{header}\n{line}\n".encode())
    assert (found.kind, found.columns) == (kind, columns)
    (row,) = found.rows
    assert row == Row(start=at(55), levels={name: float(values[name]) for name in columns})


@pytest.mark.parametrize(
    "change",
    [
        lambda data: data.replace(b"\n", b"\r\n"),
        lambda data: b"\xef\xbb\xbf" + data,
        lambda data: data.replace(b"\n", b"\n\n  \n"),
        lambda data: data.replace(b"\n", b",\n"),
        lambda data: data.replace(b"\n", b" , ,\n"),
        lambda data: data.replace(b",", b"  ,   "),
        lambda data: data.removesuffix(b"\n"),
        lambda data: data.removeprefix(b"CSV\n"),
    ],
)
@pytest.mark.parametrize("data", [LP, LEQ, MANUAL])
def test_ways_to_write_it(data: bytes, change: Callable[[bytes], bytes]) -> None:
    """Line ends, a byte order mark, blank lines, commas at the end and blanks say nothing."""
    assert rows(change(data)) == rows(data)


@pytest.mark.parametrize(
    ("encoding", "word"),
    [
        ("utf-8", "ソ表騒音"),
        ("utf-8-sig", "Größe"),
        ("cp932", "ソ表騒音"),
        ("euc-jp", "騒音"),
        ("cp949", "소음 뷁"),
        ("gb18030", "噪声㐀"),
        ("cp1252", "Größe ²"),
    ],
)
@pytest.mark.parametrize("data", [LP, MANUAL])
def test_encodings(data: bytes, encoding: str, word: str) -> None:
    """Names in any language stand beside those that matter."""
    text = data.decode().replace("CSV\n", f"CSV {word}\n")
    text = text.replace(",Main", f",Main,{word}").replace("54.3", f"54.3,{word}")
    # Every other line of levels needs the field, too.
    text = re.sub(r"(?m)^(2025.*(?:-\.-|-0\.1))(,.*)$", rf"\1,{word}\2", text)
    text = re.sub(r"(?m)^(Lmax,[^,\n]*|LN1,[^,\n]*|Leq, 44.3)", rf"\1,{word}", text)
    assert rows(text.encode(encoding)) == rows(data)


def test_unknown_lines_of_a_result() -> None:
    """Lines that are not known are skipped; a duration may lack; channels may come in two lots."""
    data = b"""Model,NL-52
Address,3
Start Time,2025/12/24 02:10:55
Frequency Weighting,A
,Main
Leq, 54.3
Over,0
,Partial Over All,16 Hz
Leq, 50.0, 40.0
,Sub1
Leq, 45.3
LAeq, nonsense
"""
    assert rows(data) == [
        Result(start=at(55), levels={"Leq": level}, address=3, channel=channel, duration=None)
        for channel, level in (("Main", 54.3), ("Sub1", 45.3))
    ]


# The simulated meter's card


@pytest.fixture
def sim() -> Iterator[SimulatedMeter]:
    """Return a meter that measures on a card with earlier jobs; its ports stay closed."""
    simulated = SimulatedMeter(SimulatorConfig(sub_channels=3, settings={"Store Mode": "Auto"}))
    yield simulated
    assert simulated.violations == []


@pytest.mark.parametrize(
    ("path", "kind", "columns", "interval"),
    [
        ("Auto_0017/Auto_Lp_01/NL_0001_SLM_Lp _0017", StoredKind.LP, LP_COLUMNS[:1], "1s"),
        ("Auto_0018/Auto_Leq_01/NL_0001_SLM_Leq_0018", StoredKind.LEQ, LEQ_COLUMNS, "10m"),
    ],
)
def test_stores_on_a_card(
    sim: SimulatedMeter, path: str, kind: StoredKind, columns: tuple[str, ...], interval: str
) -> None:
    """What a meter stored is read as a row an interval."""
    content = sim.state.card.file(f"/NL-43/{path}_0001.rnd").content
    found = read(content.read(0, content.size))
    assert (found.kind, found.columns) == (kind, columns)
    held = list(found.rows)
    assert len(held) == {"1s": 3600, "10m": 3}[interval]
    for before, after in pairwise(held):
        assert (after.start - before.start).total_seconds() == INTERVALS[interval]
    assert all(20 < level < 140 for row in held for level in row.levels.values() if level)


@pytest.mark.parametrize(
    ("path", "columns"),
    [("Lp_01/NL_0001_SLM_Lp ", LP_COLUMNS), ("Leq_01/NL_0001_SLM_Leq", LEQ_COLUMNS)],
)
def test_stores_that_have_just_begun(
    sim: SimulatedMeter, path: str, columns: tuple[str, ...]
) -> None:
    """A file without a row is no error, and is read with those that come."""
    content = sim.state.card.file(f"/NL-43/Auto_0019/Auto_{path}_0019_0001.rnd").content
    assert isinstance(content, Rows)
    assert rows(content.header) == []
    coming = rows(content.header + content.row(0) + content.row(1)[:-3])
    assert [tuple(row.levels) for row in coming] == [columns]


def test_results_on_a_card(sim: SimulatedMeter) -> None:
    """What a person stored is read as a result each."""
    started = at(55)
    sim.state._store.add_manual("0018", started, 93_784.5, {"Leq": 61.2, "Lpeak": None})
    content = sim.state.card.file("/NL-43/Manual_0018/NL_0001_SLM_MAN_0018_0000.rnd").content
    first, second = rows(content.read(0, content.size))
    assert set(first.levels) == {"Leq", "LE", "Lmax", "Lmin", "Lpeak"}
    assert second == Result(
        start=started,
        levels={"Leq": 61.2, "Lpeak": None},
        address=2,
        channel="Main",
        duration=timedelta(seconds=93_784.5),
    )


# What is refused


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (b"", "the file is empty"),
        (b" \r\n\n", "the file is empty"),
        (b"CSV\n", "['CSV']"),
        (b"CSV\nTime,Main\n2025/12/24 02:10:55,54.3\n", "['CSV', 'Time,Main', '2025/12"),
        (b"CSV\nStart Time,LAeq\n", "['CSV', 'Start Time,LAeq']"),
        (b"RIFF\x24\x08\0\0WAVEfmt ", r"['RIFF$\x08\x00\x00WAVEfmt ']"),
        (b"a\nb\nc\nd\ne\n", "['a', 'b', 'c', 'd']"),
        (b"x" * 8000, f"['{'x' * 40}']"),
        ("CSV\nStart Time,Main\n".encode("utf-16"), "but ['"),
        (b"\n" * 32 + LP, "the file is empty"),
        (b"a" * 8193, "line 1: more than 8192 bytes"),
        (b"CSV\n" + b"a" * 8193 + b"\n", "line 2: more than 8192 bytes"),
        (b"CSV\nStart Time,Main" + b",x" * 511, "line 2: more than 512 columns"),
        (b"CSV\nStart Time,Main,Main\n", "line 2: Main stands twice"),
        (b"Address\n", "line 1: not an address: ''"),
        (b"Address,1.5\n", "line 1: not an address: '1.5'"),
        (b"Address,1_0\n", "line 1: not an address: '1_0'"),
    ],
)
def test_what_is_no_stored_file(data: bytes, found: str) -> None:
    """The error says what is there instead, and not too much of it."""
    with pytest.raises(StoredError) as caught:
        read(data)
    assert found in str(caught.value)
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize("level", [text for text in HOSTILE if not text.endswith("\r")])
def test_what_is_no_level(level: str) -> None:
    """What Python would take for a number is no level here either."""
    for data in (LP.replace(b" 61.0", level.encode()), MANUAL.replace(b" 54.3", level.encode())):
        line = "line 3: " if data.startswith(b"CSV") else "line 5: "
        with pytest.raises(StoredError, match=line):
            rows(data)


@pytest.mark.parametrize(
    "time",
    [
        "",
        "2025/12/24",
        "2025-12-24 02:10:55",
        "2025/12/24T02:10:55",
        "2025/12/24  02:10:55",
        "25/12/24 02:10:55",
        "2025/2/4 02:10:55",
        "2025/13/24 02:10:55",
        "2025/02/29 02:10:55",
        "0000/01/01 00:00:00",
        "2025/12/24 24:00:00",
        "2025/12/24 02:60:55",
        "2025/12/24 02:10:60",
        "2025/12/24 02:10",
        "2025/12/24 02:10:55.",
        "2025/12/24 02:10:55,1",
        "2025/12/24 02:10:55.1234567",
        "2025/12/24 02:10:55Z",
        "2025/12/24 02:10:55+09:00",
        "２０２５/12/24 02:10:55",  # noqa: RUF001 - meant
        "x" * 1000,
    ],
)
def test_what_is_no_time(time: str) -> None:
    """One form of a time is taken, and no other; the error is short."""
    lp = LP.replace(b"2025/12/24 02:10:55.100", time.encode())
    manual = MANUAL.replace(b"2025/12/24 02:10:55", time.encode())
    for data, line in ((lp, "line 3: "), (manual, "line 2: ")):
        with pytest.raises(StoredError, match=line) as caught:
            rows(data)
        assert len(str(caught.value)) < 200


@pytest.mark.parametrize(
    "took",
    ["", "10.0", "00:00:10.0", "0d 24:00:00", "000d 00:60:00.0", "1000d 00:00:00", "000d 0:0:1"],
)
def test_what_is_no_measurement_time(took: str) -> None:
    """Days, hours, minutes, seconds, in one form."""
    with pytest.raises(StoredError, match="line 3: not a measurement time"):
        rows(MANUAL.replace(b"000d 00:00:10.0", took.encode()))


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (b", 61.0\n", b"\n", "line 3: 2 fields instead of 3"),
        (b", 61.0\n", b", 61.0, 0.0\n", "line 3: 4 fields instead of 3"),
        (b", 61.0\n", b",\n", "line 3: not a level: ''"),
        (b", 61.0\n", b", 61.0\n\nCSV\n", "line 5: 1 fields instead of 3"),
        (b", 61.0\n", b", 61.0\n" + b"," * 9000, "line 4: more than 8192 bytes"),
    ],
)
def test_rows_that_do_not_fit(old: bytes, new: bytes, said: str) -> None:
    """The line is named, and the rows before it stand."""
    found = read(LP.replace(old, new)).rows
    if not said.startswith("line 3"):
        assert next(found).start == at(55, 1)
    with pytest.raises(StoredError, match=said):
        next(found)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (b",Main\n", b"", "line 4: Leq before the channels"),
        (b",Main\n", b",Main,Main\n", "line 4: Main stands twice"),
        (b"Lmax, 71.9", b"Leq, 71.9", "line 6: Leq stands twice"),
        (b"Lmax, 71.9", b"Lmax, 71.9, 1.0", "line 6: 3 fields instead of 2"),
        (b"Address,12", b"Address,x", "line 8: not an address: 'x'"),
        (
            b"Start Time,2025/12/24 02:10:55\n",
            b"",
            "line 1: address 1 has no Start Time",
        ),
        (
            b",Main\nLeq, 54.3\nLmax, 71.9\nLN1,  -.-\n",
            b",Main\nLAeq, 54.3\n",
            "02:10:55', 'Measurement Time,000d 00:00:10.0', ',Main', 'LAeq, 54.3']",
        ),
        (b",Main\nLeq", b",Partial Over All\nLeq", "line 1: address 1 has no levels"),
    ],
)
def test_results_that_do_not_fit(old: bytes, new: bytes, said: str) -> None:
    """The line is named: that of the address where something is missing."""
    first, second = MANUAL.split(b"Address,12")
    with pytest.raises(StoredError, match=re.escape(said)):
        rows(first.replace(old, new, 1) + b"Address,12".replace(old, new) + second)


def test_the_only_result_has_levels() -> None:
    """A file that holds no level at all is no result of one."""
    with pytest.raises(StoredError, match=r"line 1: address 1 has no levels, but \['Start Time"):
        rows(MANUAL[: MANUAL.index(b"Leq")])


# A file that grows while it is read


@given(st.data())
def test_a_cut_store_is_read_as_far_as_it_goes(data: st.DataObject) -> None:
    """Wherever a file ends, what is read of it is the beginning of what it becomes."""
    whole = data.draw(st.sampled_from([LP, LEQ])).replace(b"\n", b"\r\n")
    cut = data.draw(st.integers(whole.index(b"2025"), len(whole)))
    expected = whole[:cut].count(b"\n", whole.index(b"2025"))
    found = rows(whole[:cut])
    assert found == rows(whole)[: len(found)]
    assert expected <= len(found) <= expected + 1


@given(st.integers(MANUAL.index(b" 54.3") + 5, len(MANUAL)))
def test_a_cut_manual_file_is_read_as_far_as_it_goes(cut: int) -> None:
    """The last result may have fewer levels than it will have, but none that it will not."""
    complete = rows(MANUAL)
    found = rows(MANUAL[:cut])
    assert found
    for row, later in zip(found, complete, strict=False):
        assert isinstance(row, Result)
        assert isinstance(later, Result)
        assert row.levels.items() <= later.levels.items()
        assert row.levels
        assert (row.start, row.address, row.channel) == (later.start, later.address, later.channel)


def test_only_the_last_line_may_be_cut() -> None:
    """A whole line that does not fit is an error, though it is the last."""
    cut = LP.removesuffix(b".0\n")
    assert len(rows(cut)) == 2
    with pytest.raises(StoredError, match="line 5: not a level"):
        rows(cut + b"\n")
    cut = MANUAL.removesuffix(b".-\n")
    assert [dict(row.levels) for row in rows(cut)][1:] == [{"Leq": 44.3}, {"Leq": 45.3}]
    with pytest.raises(StoredError, match="line 13: not a level"):
        rows(cut + b"\n")


# Whatever comes


@dataclass(frozen=True)
class Style:
    """How a file is written."""

    before: int
    after: int
    end: str
    comma: str
    bom: bytes
    encoding: str
    extra: str | None

    def line(self, *fields: str) -> str:
        """Return a line."""
        padded = (" " * self.before + field + " " * self.after for field in fields)
        return ",".join(padded) + self.comma + self.end

    def encode(self, lines: list[str], *, last_end: bool) -> bytes:
        """Return the bytes of a file."""
        text = "".join(lines)
        return self.bom + (text if last_end else text.removesuffix(self.end)).encode(self.encoding)


# The second bytes of some of these are signs and letters of ASCII in cp932.
EXTRA: Final = st.sampled_from([None, "Over", "ソ表", "騒音", "時刻"])
STYLES: Final = st.builds(
    Style,
    before=st.integers(0, 3),
    after=st.integers(0, 3),
    end=st.sampled_from(["\n", "\r\n"]),
    comma=st.sampled_from(["", ",", " , "]),
    bom=st.sampled_from([b"", b"\xef\xbb\xbf"]),
    encoding=st.sampled_from(["utf-8", "cp932"]),
    extra=EXTRA,
)
LEVELS: Final = st.integers(-9999, 9999).map(lambda tenths: tenths / 10) | st.none()
TIMES: Final = st.datetimes(datetime(1, 1, 1), datetime(9999, 12, 31))  # noqa: DTZ001 - the meter's


def word(level: float | None) -> str:
    """Write a level."""
    return "-.-" if level is None else f"{level:.1f}"


def when(time: datetime, decimals: int) -> tuple[datetime, str]:
    """Return a time with so many decimals, and how it is written."""
    step = 10 ** (6 - decimals)
    time = time.replace(microsecond=time.microsecond // step * step)
    text = f"{time.year:04}/{time:%m/%d %H:%M:%S}"
    return time, text + (f".{time.microsecond:06}"[: decimals + 1] if decimals else "")


@given(
    STYLES,
    st.lists(st.sampled_from(["Main", "Sub1", "Sub2", "Sub3"]), min_size=1, unique=True)
    | st.lists(st.sampled_from(["Leq", "LE", "Lmax", "LN1", "L95"]), min_size=1, unique=True),
    st.integers(0, 6),
    st.data(),
)
def test_stored_rows_come_back(
    style: Style, columns: list[str], decimals: int, data: st.DataObject
) -> None:
    """Whatever was stored, however it is written."""
    table = st.lists(
        st.tuples(TIMES, st.lists(LEVELS, min_size=len(columns), max_size=len(columns))),
        max_size=5,
    )
    written = data.draw(table)
    extra = [style.extra] if style.extra else []
    lines = [style.line("CSV"), style.line("Start Time", *extra, *columns)]
    expected = []
    for time, levels in written:
        start, text = when(time, decimals)
        lines.append(style.line(text, *extra, *map(word, levels)))
        expected.append(Row(start=start, levels=dict(zip(columns, levels, strict=True))))
    found = read(style.encode(lines, last_end=data.draw(st.booleans())))
    assert found.columns == tuple(columns)
    assert list(found.rows) == expected


@given(
    STYLES,
    st.lists(
        st.tuples(
            st.integers(0, 999_999_999),
            TIMES,
            st.timedeltas(timedelta(0), timedelta(days=999, hours=23)),
            st.lists(st.sampled_from(["Main", "Sub1", "Sub2"]), min_size=1, unique=True),
            st.dictionaries(
                st.sampled_from(["Leq", "LE", "Lpeak", "LN5"]),
                st.tuples(LEVELS, LEVELS, LEVELS),
                min_size=1,
            ),
        ),
        min_size=1,
        max_size=4,
    ),
    st.booleans(),
)
def test_stored_results_come_back(
    style: Style,
    blocks: list[
        tuple[
            int,
            datetime,
            timedelta,
            list[str],
            dict[str, tuple[float | None, float | None, float | None]],
        ]
    ],
    last_end: bool,
) -> None:
    """Whatever was stored, however it is written."""
    extra = [style.extra] if style.extra else []
    lines: list[str] = []
    expected: list[Row] = []
    for address, time, took, channels, levels in blocks:
        start, text = when(time, 0)
        clock = (datetime(1, 1, 1) + took).time()  # noqa: DTZ001 - only its time of day
        lines += [
            style.line("Address", str(address)),
            style.line("Start Time", text),
            style.line("Measurement Time", f"{took.days:03}d {clock:%H:%M:%S}.{clock:%f}"),
            style.line("", *extra, *channels),
            *(
                style.line(quantity, *extra, *map(word, values[: len(channels)]))
                for quantity, values in levels.items()
            ),
        ]
        expected += [
            Result(
                start=start,
                levels={quantity: values[index] for quantity, values in levels.items()},
                address=address,
                channel=channel,
                duration=took,
            )
            for index, channel in enumerate(channels)
        ]
    assert rows(style.encode(lines, last_end=last_end)) == expected


@st.composite
def spoilt(draw: st.DrawFn) -> bytes:
    """Return a file in which some bytes are something else."""
    data = bytearray(draw(st.sampled_from([LP, LEQ, MANUAL])))
    odd = st.binary(max_size=4) | st.sampled_from(
        [b"\n", b",", b" ", b"-.-", b"nan", b"\x81", b"\xef\xbb\xbf", b"Address,", b",Main\n"]
    )
    for _ in range(draw(st.integers(1, 4))):
        index = draw(st.integers(0, len(data)))
        data[index : index + draw(st.integers(0, 3))] = draw(odd)
    return bytes(data)


@given(st.binary() | spoilt())
def test_nothing_but_its_own_error(data: bytes) -> None:
    """Any bytes are rows whose levels stand in the file, or a short error."""
    try:
        for row in read(data).rows:
            assert f"{row.start:%H:%M:%S}".encode() in data
            for level in row.levels.values():
                assert word(level).lstrip("-").encode() in data
    except StoredError as err:
        assert len(str(err)) < 1000  # noqa: PT017 - not every file is refused


# Memory


class Endless(io.RawIOBase):
    """A file of some size that costs no memory: a head, then parts, then an end."""

    def __init__(self, size: int, head: bytes, part: Callable[[int], bytes]) -> None:
        """Make each part when it is read."""
        self._left, self._rest, self._part = size, head, part
        self._number = 0

    @override
    def readable(self) -> bool:
        """Be a file to read."""
        return True

    @override
    def readinto(self, buffer: Buffer) -> int:
        """Fill a buffer."""
        view = memoryview(buffer)
        while not self._rest and self._left > 0:
            self._rest = self._part(self._number)
            self._left -= len(self._rest)
            self._number += 1
        taken, self._rest = self._rest[: len(view)], self._rest[len(view) :]
        view[: len(taken)] = taken
        return len(taken)


def lp_part(number: int) -> bytes:
    """Return a minute of Lp, ten rows a second."""
    hour, minute = divmod(number, 60)
    return b"".join(
        b"2025/12/%02d %02d:%02d:%02d.%d00, %d.%d, %d.%d\r\n"
        % (
            1 + hour // 24,
            hour % 24,
            minute,
            row // 10,
            row % 10,
            30 + (number + row) % 100,
            row % 10,
            30 + (number * 7 + row) % 100,
            number % 10,
        )
        for row in range(600)
    )


def manual_part(number: int) -> bytes:
    """Return many results."""
    return b"".join(
        MANUAL.replace(b"Address,12", b"Address,%d" % (1000 * number + index))
        for index in range(20)
    )


LONG_CELL: Final = b" " * 4000


@pytest.mark.parametrize(
    ("size", "head", "part"),
    [
        (20_000_000, b"CSV\r\nStart Time,Main,Sub1\r\n", lp_part),
        (2_000_000, b"", manual_part),
        (20_000_000, b"CSV\n", lambda _: b"no end of a line"),
        (4_000_000, b"Start Time,Main\n", lambda _: b"\n" * 8000),
        (20_000_000, b"Address,1\n", lambda number: b"%d,%s\n" % (number, b"x" * 8000)),
        (
            20_000_000,
            b"Start Time,Main\n",
            lambda number: (
                b"2025/12/24 02:10:55,%s%d.%d%s\n"
                % (LONG_CELL, number // 10 % 1000, number % 10, b"," * 4000)
            ),
        ),
    ],
    ids=["lp", "manual", "no line end", "blank lines", "unknown lines", "much padding"],
)
def test_memory_is_bounded(size: int, head: bytes, part: Callable[[int], bytes]) -> None:
    """However large or odd a file is, a megabyte is enough to read it."""
    stored._level.cache_clear()
    file = io.BufferedReader(Endless(size, head, part))
    tracemalloc.start()
    try:
        for _ in read_stored(file).rows:
            pass
    except StoredError:
        assert head != b"CSV\r\nStart Time,Main,Sub1\r\n"
    finally:
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert peak < 1_000_000
