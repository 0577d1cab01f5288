"""Lines of levels to readings."""

import dataclasses
import re

from hypothesis import given, strategies as st
import pytest

from custom_components.nl43.rion import CHANNELS, QUANTITIES, Channel, DesyncError, Reading
from custom_components.nl43.rion.dod import parse_channel, parse_level, parse_reading

from .tools import MEASURING_LINE, STOPPED_LINE, recorded

NO_LEVELS = dict.fromkeys(QUANTITIES)
UNUSED = Channel(**NO_LEVELS, over=None, under=None)

HOSTILE = (
    "nan",
    "NaN",
    "inf",
    "-inf",
    "1e3",
    "1e3.0",
    "1_0.5",
    "0x1F",
    "0x1.8",
    "--.-",
    "-.--",
    "- .-",
    "-,-",
    "\uff14\uff16.\uff12",
    "46.\uff12",
    "\u0664\u0666.\u0662",
    "12.34",
    ".5",
    "5.",
    "5",
    "4 6.2",
    "+ 46.2",
    "+-46.2",
    "--46.2",
    "1234.5",
    "46,2",
    "46.2\t",
    "\t46.2",
    "46.2\r",
    "46.2\0",
    "\xa046.2",
    "46.2dB",
    "R+0000",
    "$46.2",
    "None",
    "",
    " ",
)

LEVELS = st.integers(-9999, 9999).map(lambda tenths: tenths / 10) | st.none()
FLAGS = st.sampled_from([False, True, None])


@st.composite
def level_fields(draw: st.DrawFn) -> tuple[float | None, str]:
    """Return a level and one way in which a meter may write it."""
    level = draw(LEVELS)
    text = "-.-" if level is None else f"{level:.1f}"
    if level is not None and level > 0:
        text = draw(st.sampled_from(["", "+"])) + text
    return level, " " * draw(st.integers(0, 4)) + text + " " * draw(st.integers(0, 2))


@st.composite
def channel_fields(draw: st.DrawFn) -> tuple[Channel, list[str]]:
    """Return a channel and its sixteen fields."""
    written = draw(st.lists(level_fields(), min_size=len(QUANTITIES), max_size=len(QUANTITIES)))
    flags = draw(st.tuples(FLAGS, FLAGS))
    words = {False: "0", True: "1", None: "-"}
    pad = " " * draw(st.integers(0, 2))
    channel = Channel(
        **dict(zip(QUANTITIES, (level for level, _ in written), strict=True)),
        over=flags[0],
        under=flags[1],
    )
    return channel, [*(text for _, text in written), *(pad + words[flag] for flag in flags)]


FRAMES = st.lists(channel_fields(), min_size=4, max_size=4)


@st.composite
def spoilt_lines(draw: st.DrawFn) -> str:
    """Return a frame in which some fields are something else, or missing, or too many."""
    fields = [field for _, each in draw(FRAMES) for field in each]
    odd = st.sampled_from(HOSTILE) | st.text("0123456789.+-eExXnaif_ ,\0", max_size=7) | st.text()
    for _ in range(draw(st.integers(1, 3))):
        index = draw(st.integers(0, len(fields) - 1))
        fields[index : index + draw(st.integers(0, 2))] = [draw(odd)]
    return ",".join(fields)


def assert_stands_in(reading: Reading, line: str) -> None:
    """Check that each value of a reading is, digit by digit, what stands in its field."""
    fields = line.split(",")
    for number, name in enumerate(CHANNELS):
        channel = reading.channel(name)
        own = fields[16 * number : 16 * number + 16]
        for quantity, field in zip(QUANTITIES, own, strict=False):
            level = channel.level(quantity)
            if level is None:
                assert field.strip(" ") == "-.-"
            else:
                sign = "-" if field.strip(" ").startswith("-") else r"\+?"
                digits = re.escape(f"{abs(level):.1f}")
                assert re.fullmatch(rf"{sign}0*{digits}", field.strip(" "))
                assert (level < 0) <= (sign == "-")
        flags = {"0": False, "1": True, "-": None}
        assert channel.over is flags[own[14].strip(" ")]
        assert channel.under is flags[own[15].strip(" ")]


def test_recorded_while_measuring() -> None:
    """A real meter's frame, whose quantities do not agree with each other, is taken as it is."""
    assert parse_reading(MEASURING_LINE) == Reading(
        main=Channel(
            lp=46.2,
            leq=43.7,
            le=53.7,
            lmax=44.1,
            lmin=43.4,
            ln1=44.2,
            ln2=44.2,
            ln3=43.7,
            ln4=43.4,
            ln5=43.3,
            lpeak=59.0,
            lieq=None,
            leq_mov=None,
            ltm5=None,
            over=False,
            under=False,
        ),
        sub1=UNUSED,
        sub2=UNUSED,
        sub3=UNUSED,
    )


def test_recorded_while_stopped() -> None:
    """While stopped a real meter shows Lp alone."""
    reading = parse_reading(STOPPED_LINE)
    assert reading.main == Channel(**{**NO_LEVELS, "lp": 45.8}, over=False, under=False)
    assert [reading.sub1, reading.sub2, reading.sub3] == [UNUSED] * 3
    assert reading.main.in_use
    assert not reading.sub1.in_use


@pytest.mark.parametrize(
    ("number", "levels"),
    [
        (0, (43.7, 53.7, 44.1, 43.4, 44.2, 44.2, 43.7, 43.4, 43.3, 59.0)),
        (1, (44.9, 49.8, 45.3, 44.6, 45.2, 45.2, 44.7, 44.6, 44.6, 62.6)),
    ],
)
def test_recorded_final_results(number: int, levels: tuple[float, ...]) -> None:
    """A real meter's final results have no Lp."""
    channel = parse_channel(recorded("dlc_prefix")[number].split(","))
    expected = dict(zip(QUANTITIES, (None, *levels, None, None, None), strict=True))
    assert channel == Channel(**expected, over=False, under=False)


def test_a_final_result_is_a_reading() -> None:
    """The channels of DLC? stand in one line like those of DOD?."""
    main, sub = recorded("dlc_prefix")
    unused = ",".join(MEASURING_LINE.split(",")[-16:])
    reading = parse_reading(f"{main},{sub},{unused},{unused}")
    assert reading.main.lp is None
    assert reading.main.leq == 43.7
    assert reading.sub1.lpeak == 62.6
    assert reading.sub1.in_use
    assert reading.sub3 == UNUSED


@given(FRAMES, st.lists(st.text(max_size=6), max_size=40))
def test_what_is_written_is_read(frame: list[tuple[Channel, list[str]]], bands: list[str]) -> None:
    """Every frame comes back, however it is padded and whatever follows the 64 fields."""
    line = ",".join([*(field for _, fields in frame for field in fields), *bands])
    reading = parse_reading(line)
    assert [reading.channel(name) for name in CHANNELS] == [channel for channel, _ in frame]
    assert_stands_in(reading, line)


@given(spoilt_lines() | st.text())
def test_nothing_is_made_up(line: str) -> None:
    """Any text is a reading of just what stands in it, or does not fit."""
    try:
        reading = parse_reading(line)
    except DesyncError:
        return
    assert_stands_in(reading, line)


@given(st.lists(st.text(max_size=6), max_size=20))
def test_any_fields_are_a_channel_or_do_not_fit(parts: list[str]) -> None:
    """Nothing but a DesyncError comes of odd fields."""
    try:
        parse_channel(parts)
    except DesyncError:
        return
    assert len(parts) == 16


@pytest.mark.parametrize("field", HOSTILE)
def test_what_is_no_level(field: str) -> None:
    """What Python would take for a number, or nearly is one, is no level."""
    with pytest.raises(DesyncError):
        parse_level(field)
    fields = MEASURING_LINE.split(",")
    with pytest.raises(DesyncError):
        parse_reading(",".join([field, *fields[1:]]))


@pytest.mark.parametrize(
    ("field", "level"),
    [
        ("46.2", 46.2),
        ("  46.2 ", 46.2),
        ("+46.2", 46.2),
        ("-0.1", -0.1),
        ("0.0", 0.0),
        ("130.0", 130.0),
        ("-.-", None),
        ("  -.-", None),
    ],
)
def test_what_is_a_level(field: str, level: float | None) -> None:
    """A sign at most, digits, a point, one decimal; or no value, which is not 0."""
    assert parse_level(field) == level


@pytest.mark.parametrize("flag", ["2", "00", "", "true", "--", "\uff10", "0.0"])
def test_what_is_no_flag(flag: str) -> None:
    """Over and under are 0, 1 or -."""
    fields = MEASURING_LINE.split(",")
    fields[14] = flag
    with pytest.raises(DesyncError):
        parse_reading(",".join(fields))


@pytest.mark.parametrize("count", [0, 1, 16, 63])
def test_too_few_fields(count: int) -> None:
    """A frame that was cut is no frame."""
    with pytest.raises(DesyncError):
        parse_reading(",".join(MEASURING_LINE.split(",")[:count]))


@pytest.mark.parametrize("count", [15, 17])
def test_a_channel_has_sixteen_fields(count: int) -> None:
    """No more and no less."""
    with pytest.raises(DesyncError):
        parse_channel(MEASURING_LINE.split(",")[:count])


def test_a_reading_cannot_be_changed() -> None:
    """Who gets a reading can hand it on."""
    reading = parse_reading(MEASURING_LINE)
    with pytest.raises(dataclasses.FrozenInstanceError):
        reading.main.lp = 0.0  # type: ignore[misc] # that is the point
