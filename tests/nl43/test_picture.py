"""Pictures of stored files: what is on them, and that they cannot act."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from io import BytesIO
from itertools import pairwise
from pathlib import Path
import re
import tracemalloc
from typing import Final
import xml.etree.ElementTree as ET

from hypothesis import given, settings, strategies as st
import pytest

from custom_components.nl43 import picture
from custom_components.nl43.picture import draw_file, draw_note
from custom_components.nl43.rion.stored import read_stored

from .tools import TEXTS

WORDS: Final = TEXTS["common"]
SVG: Final = "{http://www.w3.org/2000/svg}"
BEGAN: Final = datetime(2026, 11, 24, 23, 14)  # noqa: DTZ001 - the meter's local time
LEQ: Final = "Start Time,Leq,LE,Lmax,Lmin,LN1,LN2,LN3,LN4,LN5,Lpeak"
ALLOWED: Final = {"svg", "rect", "text", "line", "path"}

type Points = list[tuple[float, float]]


class Picture:
    """A picture, taken apart."""

    def __init__(self, svg: str) -> None:
        """Parse it; it holds nothing but lines and words."""
        self.root = ET.fromstring(svg)  # noqa: S314 - our own
        for node in self.root.iter():
            assert node.tag.removeprefix(SVG) in ALLOWED
            assert not any(name.startswith("on") or "href" in name for name in node.attrib)
        self.words = [node.text or "" for node in self.root.iter(f"{SVG}text")]

    @property
    def lines(self) -> list[Points]:
        """The lines of levels, in the order of drawing; a break begins another."""
        drawn = (
            node.attrib["d"]
            for node in self.root.iter(f"{SVG}path")
            if node.attrib["fill"] == "none"
        )
        return [
            [(float(x), float(y)) for x, y in re.findall(r"([-\d.]+) ([-\d.]+)", part)]
            for d in drawn
            for part in d.split("M")[1:]
        ]

    @property
    def bands(self) -> int:
        """How many bands are filled."""
        return sum(node.attrib["fill"] != "none" for node in self.root.iter(f"{SVG}path"))

    def axis(self) -> dict[float, float]:
        """Return the places of the levels on the axis."""
        return {
            float(node.text or ""): float(node.attrib["y"]) - 4.5
            for node in self.root.iter(f"{SVG}text")
            if node.attrib["text-anchor"] == "end" and re.fullmatch(r"-?\d+", node.text or "")
        }

    def level(self, y: float) -> float:
        """Return the level at a place."""
        axis = self.axis()
        low, high = min(axis), max(axis)
        return low + (axis[low] - y) / (axis[low] - axis[high]) * (high - low)


def lp_lines(levels: list[str], step: float = 1.0, names: str = "Main") -> Iterator[str]:
    """Yield the lines of an Lp store."""
    yield "CSV"
    yield f"Start Time,{names}"
    for number, level in enumerate(levels):
        moment = BEGAN + timedelta(seconds=number * step)
        yield f"{moment:%Y/%m/%d %H:%M:%S}.{moment.microsecond // 1000:03},{level}"


@pytest.fixture
def draw(tmp_path: Path) -> Draw:
    """Return what writes a file and draws it."""
    return Draw(tmp_path)


class Draw:
    """Write a file and draw it."""

    def __init__(self, folder: Path) -> None:
        """Keep where to write."""
        self.folder = folder

    def __call__(self, lines: list[str] | bytes, name: str = "NL_0001.rnd") -> Picture:
        """Return the picture."""
        place = self.folder / name
        content = lines if isinstance(lines, bytes) else "".join(f"{x}\r\n" for x in lines).encode()
        place.write_bytes(content)
        return Picture(draw_file(place, WORDS))


# Levels


def test_lp(draw: Draw) -> None:
    """Each level is where it belongs; what, when and how many is said."""
    levels = [52.0, 55.5, 71.2, 60.3]
    shown = draw(list(lp_lines([f"{level:5.1f}" for level in levels])))
    (line,) = shown.lines
    assert [shown.level(y) for _, y in line] == pytest.approx(levels, abs=0.05)
    xs = [x for x, _ in line]
    assert xs == sorted(xs)
    assert {b - a for a, b in pairwise(xs)} == {xs[1] - xs[0]}
    assert shown.bands == 0
    assert shown.words[:2] == [
        "NL_0001.rnd",
        "2026-11-24 23:14:00 to 23:14:03 · 4 rows, one every 1 s",
    ]
    assert {
        "dB",
        "Lp",
        "Local time of the meter",
        "2026-11-24",
        "23:14:00.000",
        "23:14:02.500",
    } <= set(shown.words)


def test_what_is_missing_is_left_open(draw: Draw) -> None:
    """Neither a level that was not stored nor a pause is bridged."""
    levels = ["50.0", "51.0", "-.-", "53.0", "54.0", "55.0"]
    lines = list(lp_lines(levels))
    del lines[-2]
    shown = draw(lines)
    found = [[round(shown.level(y), 1) for _, y in line] for line in shown.lines]
    assert found == [[50.0, 51.0], [53.0, 53.0], [55.0, 55.0]]


def test_channels(draw: Draw) -> None:
    """Each channel has its line, the main one on top."""
    shown = draw(list(lp_lines(["50.0, 40.0", "51.0, 41.0"], names="Main,Sub1")))
    assert [round(shown.level(line[0][1]), 1) for line in shown.lines] == [40.0, 50.0]
    assert [word for word in shown.words if word.startswith("Lp")] == ["Lp", "Lp Sub1"]


def test_leq(draw: Draw) -> None:
    """A level of an interval is a step; quantities on other scales are named, not drawn."""
    rows = [
        "2026/11/24 23:10:00, 54.3, 82.1, 71.9, 38.2, 60.0, 58.0, 50.0, 44.0, 41.0, 88.0",
        "2026/11/24 23:20:00, 55.3, 83.1, 72.9, 39.2, 61.0, 59.0, 51.0, 45.0, 42.0, 89.0",
    ]
    shown = draw(["CSV", LEQ, *rows])
    found = [[round(shown.level(y), 1) for _, y in line] for line in shown.lines]
    assert found[-1] == [54.3, 54.3, 55.3, 55.3]
    assert found[-2] == [71.9, 71.9, 72.9, 72.9]
    assert [line[0] for line in found] == [41.0, 44.0, 50.0, 58.0, 60.0, 38.2, 71.9, 54.3]
    names = ["Leq", "Lmax", "Lmin", "LN1", "LN2", "LN3", "LN4", "LN5"]
    assert [word for word in shown.words if word in names] == names
    assert "Not drawn: LE, Lpeak" in shown.words
    assert "2026-11-24 23:10:00 to 23:20:00 · 2 rows, one every 10 min" in shown.words
    (step, after) = (shown.lines[-1][0], shown.lines[-1][2])
    assert after[0] - step[0] == pytest.approx((shown.lines[-1][3][0] - step[0]) / 2)


def test_leq_of_channels(draw: Draw) -> None:
    """Of more columns than can be told apart the main channel's are drawn, within the sheet."""
    quantities = LEQ.split(",")[1:]
    names = [f"{quantity}({channel})" for channel in ("Main", "Sub1") for quantity in quantities]
    row = ",".join(["2026/11/24 23:10:00", *(f"{50 + n}.0" for n in range(len(names)))])
    shown = draw(["CSV", ",".join(["Start Time", *names]), row])
    assert len(shown.lines) == 8
    legend = [
        node
        for node in shown.root.iter(f"{SVG}text")
        if (node.text or "").endswith("(Main)") and "Not" not in (node.text or "")
    ]
    assert [node.text for node in legend] == [
        f"{name}(Main)" for name in quantities if name not in ("LE", "Lpeak")
    ]
    assert max(float(node.attrib["x"]) for node in legend) < 780


def test_unusual_columns(draw: Draw) -> None:
    """A store of what is usually not drawn is drawn all the same."""
    shown = draw(["CSV", "Start Time,LE", "2026/11/24 23:10:00, 80.0"])
    assert [round(shown.level(y)) for _, y in shown.lines[0]] == [80, 80]


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (["CSV", "Start Time,Main"], "0 rows"),
        (list(lp_lines([" -.-"] * 3)), "3 rows, one every 1 s"),
    ],
)
def test_no_levels(draw: Draw, lines: list[str], words: str) -> None:
    """A store without a level says so, and makes none up."""
    shown = draw(lines)
    assert shown.lines == []
    assert "No levels are stored" in shown.words
    assert words in shown.words[1]


def test_read_up_to_an_error(draw: Draw) -> None:
    """What was read before a line that does not fit stands, and the line is told."""
    shown = draw([*lp_lines(["50.0", "51.0"]), "2026/11/24 23:15:00,abc"])
    assert len(shown.lines[0]) == 2
    assert any(word.startswith("Shown up to what cannot be read: line 5") for word in shown.words)


@pytest.mark.parametrize(
    ("step", "count", "labels"),
    [
        (0.01, 20, {"23:14:00.000", "23:14:00.050"}),
        (1, 100, {"23:14:00", "23:14:15"}),
        (600, 144, {"00:00", "03:00", "2026-11-25"}),
        (3600, 24 * 20, {"2026-11-29", "2026-12-04"}),
        (86400 * 30, 200, {"2029-08-20"}),
    ],
)
def test_times(draw: Draw, step: float, count: int, labels: set[str]) -> None:
    """There are a few round times, of any length."""
    shown = draw(list(lp_lines(["50.0"] * count, step)))
    assert labels <= set(shown.words), shown.words
    times = [word for word in shown.words if re.match(r"\d\d:\d\d", word)]
    assert len(times) <= 9


def test_a_clock_that_was_set(draw: Draw) -> None:
    """Times that go back are drawn where they say they are."""
    lines = list(lp_lines([f"{50 + number}.0" for number in range(10)]))
    shown = draw([*lines[:2], *lines[7:], *lines[2:7]])
    (line,) = shown.lines
    assert [round(shown.level(y)) for _, y in line] == list(range(50, 60))


@pytest.mark.parametrize("moment", ["0001/01/01 00:00:00", "9999/12/31 23:59:59"])
def test_the_ends_of_time(draw: Draw, moment: str) -> None:
    """The first and the last possible time are times."""
    row = f"{moment}, 50.0"
    for rows in ([row], [row, row], ["2026/11/24 23:59:59, 50.0", row]):
        assert draw(["CSV", "Start Time,Leq", *rows]).lines


@pytest.mark.parametrize("levels", [["-999.9", "999.9"], ["0.0"], ["50.0", "50.1"], ["-0.5"]])
def test_extreme_levels(draw: Draw, levels: list[str]) -> None:
    """Any level is within the axis."""
    shown = draw(list(lp_lines(levels)))
    axis = shown.axis()
    assert 2 <= len(axis) <= 10
    for line in shown.lines:
        for _, y in line:
            assert min(axis.values()) <= y <= max(axis.values())


@settings(max_examples=60, deadline=None)
@given(
    levels=st.lists(st.none() | st.integers(200, 1200), min_size=1, max_size=400),
    limit=st.integers(2, 40),
)
def test_extremes_stay(levels: list[int | None], limit: int) -> None:
    """However much is merged: the lowest and the highest stay, and nothing lies beyond them."""
    texts = ["-.-" if level is None else f"{level / 10:.1f}" for level in levels]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(picture, "MAX_BUCKETS", limit)
        envelope = picture._Envelope(("Main",))
        content = "".join(f"{line}\n" for line in lp_lines(texts)).encode()
        envelope.take(read_stored(BytesIO(content)).rows)
    known = [level / 10 for level in levels if level is not None]
    stretches = list(envelope.stretches(0))
    assert bool(stretches) == bool(known)
    if known:
        buckets = [bucket for stretch in stretches for bucket in stretch]
        assert len(buckets) <= limit
        assert min(bucket.low[0] for bucket in buckets) == min(known)
        assert max(bucket.high[0] for bucket in buckets) == max(known)
    assert envelope.rows == len(levels)


def test_bands(draw: Draw) -> None:
    """More rows than dots become bands from the lowest to the highest."""
    levels = [f"{40 + number % 7}.0" for number in range(10_000)]
    levels[5000] = "95.0"
    shown = draw(list(lp_lines(levels, 0.1)))
    assert shown.bands == 1
    assert "Bands: lowest to highest" in shown.words
    high, low = shown.lines
    assert len(high) <= picture.MAX_BUCKETS
    assert round(max(shown.level(y) for _, y in high)) == 95
    assert {round(shown.level(y)) for _, y in low} == {40}


def test_memory(tmp_path: Path) -> None:
    """A big file takes no more memory than a small one, and its picture is no bigger."""
    peaks, sizes = [], []
    for rows in (20_000, 200_000):
        place = tmp_path / f"{rows}.rnd"
        with place.open("w", encoding="ascii") as out:
            out.writelines(
                f"{line}\r\n" for line in lp_lines(["50.0", "60.0", "-.-", "70.0"] * (rows // 4))
            )
        tracemalloc.start()
        sizes.append(len(draw_file(place, WORDS)))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.5 * peaks[0] < 6_000_000
    assert sizes[1] < 1.5 * sizes[0]


# Results


def results(count: int, quantities: dict[str, str], channels: str = ",Main") -> list[str]:
    """Return the lines of a Manual file."""
    return [
        line
        for address in range(1, count + 1)
        for line in (
            f"Address,{address}",
            "Start Time,2026/11/24 23:14:05",
            "Measurement Time,001d 02:00:10.1",
            channels,
            *(f"{name}, {value}" for name, value in quantities.items()),
        )
    ]


def test_results(draw: Draw) -> None:
    """Results are a table, a line a channel."""
    shown = draw(results(2, {"Leq": "54.3, 50.1", "Lmax": "71.9,-.-"}, ",Main,Sub1"))
    heads = ["Address", "Start", "Duration", "Channel", "Leq", "Lmax"]
    assert shown.words[1:7] == heads
    start, duration = "2026-11-24 23:14:05", "1 day, 2:00:10.1"
    assert shown.words[7:19] == [
        *("1", start, duration, "Main", "54.3", "71.9"),
        *("1", start, duration, "Sub1", "50.1", ""),
    ]
    assert shown.words[-1] == "Local time of the meter · dB"


def test_result_without_a_duration(draw: Draw) -> None:
    """What the file does not say is left open."""
    lines = [line for line in results(1, {"Leq": "54.3"}) if not line.startswith("Measurement")]
    assert "" in draw(lines).words


def test_many_results(draw: Draw) -> None:
    """There is an end to a table, and it says what is beyond."""
    quantities = {f"L{number}": "50.0" for number in range(20)}
    shown = draw(results(250, quantities))
    assert "50 more results are not shown" in shown.words
    assert "Not drawn: L12, L13, L14, L15, L16, L17, L18, L19" in shown.words
    assert shown.words.count("Main") == picture.MAX_RESULTS


def test_results_up_to_an_error(draw: Draw) -> None:
    """Results before a line that does not fit stand."""
    shown = draw([*results(2, {"Leq": "54.3"}), "Address,x"])
    assert any("cannot be read: line 11" in word for word in shown.words)
    assert shown.words.count("Main") == 1


# Other texts


def test_text(draw: Draw) -> None:
    """A short text is shown whole, as it stands."""
    shown = draw(["Model  NL-43", "", "a\tb"], "info.txt")
    assert shown.words == ["info.txt", "Model  NL-43", "", "a       b"]


def test_long_text(draw: Draw) -> None:
    """Of a long one the first lines and columns are shown, and that they are."""
    shown = draw([f"{number} {'x' * 500}" for number in range(5000)], "log.txt")
    assert shown.words[1] == "The first lines"
    assert len(shown.words) == 2 + picture.MAX_LINES
    assert {len(word) for word in shown.words[2:]} == {picture.MAX_COLUMNS}


@pytest.mark.parametrize(
    ("content", "word"),
    [
        ("größer".encode(), "größer"),
        ("größer".encode("utf-8-sig"), "größer"),
        ("größer".encode("latin-1"), "größer"),
        (b"\x00\x01a\x1b[31mb\x7f\xc2\x85", "a[31mb"),
        ("a\u202eb\ufffe\u200bc\ue000".encode(), "abc"),
        (b"<script>alert(1)</script>&amp;]]>", "<script>alert(1)</script>&amp;]]>"),
    ],
)
def test_any_bytes(draw: Draw, content: bytes, word: str) -> None:
    """Whatever is in a text is words on a picture."""
    assert word in draw(content, "a.txt").words


def test_cut_character(draw: Draw, monkeypatch: pytest.MonkeyPatch) -> None:
    """A text whose beginning ends in the middle of a character is UTF-8 all the same."""
    monkeypatch.setattr(picture, "_HEAD", 6)
    assert "größ" in draw("größer".encode(), "a.txt").words[-1]


@given(st.binary(max_size=300), st.text(min_size=1, max_size=300))
def test_any_file(tmp_path_factory: pytest.TempPathFactory, content: bytes, title: str) -> None:
    """Of any file and any words there is a picture that is well-formed."""
    place = tmp_path_factory.getbasetemp() / "any.rnd"
    for head in (b"", b"CSV\nStart Time,Main\n2026/11/24 23:10:00,", b"Address,1\n"):
        place.write_bytes(head + content)
        Picture(draw_file(place, WORDS))
    Picture(draw_note([title, title], title))


def test_long_name(draw: Draw) -> None:
    """A name that is too long for the sheet is cut off."""
    shown = draw(list(lp_lines(["50.0"])), "n" * 200 + "<&>.rnd")
    assert shown.words[0] == "n" * 65 + "…"


def test_note() -> None:
    """Sentences are wrapped; a title is on top."""
    shown = Picture(draw_note(["word " * 40, "<b>"], "Title & more"))
    assert shown.words[0] == "Title & more"
    assert shown.words[-1] == "<b>"
    assert " ".join(shown.words[1:-1]).split() == ["word"] * 40
    assert max(map(len, shown.words)) < 90


def test_every_word_is_used() -> None:
    """Each text of a picture is on one, or in the media browser."""
    folder = Path(picture.__file__).parent
    sources = "".join(
        (folder / f"{name}.py").read_text(encoding="utf-8")
        for name in ("picture", "views", "media_source")
    )
    for key in (key for key in WORDS if not key.startswith(("card_", "dashboard_"))):
        assert f'"{key}"' in sources, key
    for key in re.findall(r'words\["(\w+)"', sources):
        assert key in WORDS, key
