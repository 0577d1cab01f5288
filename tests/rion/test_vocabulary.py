"""The words of the meter."""

from datetime import datetime
from enum import StrEnum
from itertools import product

from hypothesis import given, settings, strategies as st
import pytest

from custom_components.nl43.rion import CHANNELS, DesyncError, Reading, vocabulary
from custom_components.nl43.rion.vocabulary import (
    BATTERY_LEVEL,
    BATTERY_TYPE,
    CLOCK,
    FREQUENCY_WEIGHTING,
    LEQ_INTERVAL,
    LP_STORE_INTERVAL,
    MEASURE,
    MEASUREMENT_TIME_AUTO,
    MEASUREMENT_TIME_MANUAL,
    OVERWRITE,
    PAUSE,
    PERCENTILE,
    POWER_SOURCE,
    READING,
    SD_FREE,
    SD_PERCENTAGE,
    SD_TOTAL,
    SERIAL_NUMBER,
    SLEEP_MODE,
    STORE_MODE,
    STORE_NAME,
    SYSTEM_VERSION,
    TIME_WEIGHTING,
    TYPE,
    WEB,
    BatteryLevel,
    BatteryType,
    Command,
    FrequencyWeighting,
    LpStoreInterval,
    Model,
    OnOff,
    Overwrite,
    PowerSource,
    Preset,
    RunState,
    Setting,
    StoreMode,
    TimeWeighting,
    format_clock,
    format_store_name,
)

from .tools import MEASURING_LINE, all_commands, recorded

COMMANDS = all_commands()
ENUMS = [each for each in vars(vocabulary).values() if isinstance(each, type)]
WORDS = [word.value for each in ENUMS if issubclass(each, StrEnum) for word in each]

STATUS = ",2025/12/24 02:10:55,{},F,30436,M"

NEAR_WORDS = st.sampled_from(
    [*WORDS, "0019", "2025/12/24 02:10:55", "100", "30436 MB", MEASURING_LINE]
).flatmap(
    lambda word: st.tuples(
        st.just(word) | st.just(word.swapcase()) | st.just(word[:-1]),
        st.text(" 0$.-x\0\ufffd", max_size=2),
    ).map("".join)
)


def status_line(letter: str) -> str:
    """Return a line of DRD?status: a recorded one of DRD?, and the status."""
    return recorded("drd_measuring")[0] + STATUS.format(letter)


@pytest.mark.parametrize(
    ("command", "text", "value"),
    [
        (TYPE, "nl-43 ", Model.NL_43),
        (TYPE, "NL-53", Model.NL_53),
        (SERIAL_NUMBER, " 01234567", "01234567"),
        (SYSTEM_VERSION, "01.02.0107 ", "01.02.0107"),
        (CLOCK, " 2025/12/24 02:10:55", datetime(2025, 12, 24, 2, 10, 55)),  # noqa: DTZ001 - local
        (MEASURE, "START", RunState.START),
        (MEASURE, " measure", RunState.MEASURE),
        (MEASURE, "Stop  ", RunState.STOP),
        (PAUSE, "oN", OnOff.ON),
        (STORE_MODE, "MANUAL", StoreMode.MANUAL),
        (STORE_MODE, "auto", StoreMode.AUTO),
        (STORE_NAME, "0019", 19),
        (STORE_NAME, " 7 ", 7),
        (OVERWRITE, "none", Overwrite.NONE),
        (OVERWRITE, "EXIST", Overwrite.EXIST),
        (BATTERY_LEVEL, "full", BatteryLevel.FULL),
        (BATTERY_LEVEL, " 85", 85.0),
        (BATTERY_LEVEL, "100", 100.0),
        (BATTERY_TYPE, "NIMH", BatteryType.NIMH),
        (BATTERY_TYPE, "alkaline", BatteryType.ALKALINE),
        (SD_TOTAL, "30436", 30436.0),
        (SD_FREE, " 30436 MB", 30436.0),
        (SD_FREE, "29.5MB", 29.5),
        (SD_PERCENTAGE, "97", 97.0),
        (LP_STORE_INTERVAL, "100MS", LpStoreInterval.MS_100),
        (LEQ_INTERVAL, " 10M", Preset.M_10),
        (MEASUREMENT_TIME_MANUAL, "24H", Preset.H_24),
        (MEASUREMENT_TIME_AUTO, "off", Preset.OFF),
        (SLEEP_MODE, "off", OnOff.OFF),
        (WEB, "OFF", OnOff.OFF),
        (FREQUENCY_WEIGHTING["main"], " a", FrequencyWeighting.A),
        (FREQUENCY_WEIGHTING["sub3"], "Z", FrequencyWeighting.Z),
        (TIME_WEIGHTING["main"], "f ", TimeWeighting.F),
        (TIME_WEIGHTING["sub1"], "I", TimeWeighting.I),
        (PERCENTILE["ln1"], "5", 5.0),
        (PERCENTILE["ln5"], " 99.9", 99.9),
        (POWER_SOURCE, status_line("E"), PowerSource.EXTERNAL),
        (POWER_SOURCE, status_line("i"), PowerSource.INTERNAL),
        (POWER_SOURCE, status_line(" U "), PowerSource.USB),
    ],
    ids=lambda value: value.name if isinstance(value, Command) else None,
)
def test_answers_are_understood(command: Command[object], text: str, value: object) -> None:
    """Letters' case and blanks around do not matter; the value has its own type."""
    assert command.parse(text) == value
    assert type(command.parse(text)) is type(value)


@pytest.mark.parametrize(
    "text", ["", " ", "0x1F", "nan", "Starting", "Sto p", "-1", "1e1", "\uff19", "R+0000", "\0"]
)
def test_other_words_do_not_fit(text: str) -> None:
    """A word that is not known never becomes a value, whatever was asked."""
    for command in COMMANDS:
        with pytest.raises(DesyncError):
            command.parse(text)


@pytest.mark.parametrize(
    ("command", "text"),
    [
        (MEASURE, "0019"),
        (MEASURE, "On"),
        (MEASURE, "\u017ftop"),
        (PAUSE, "O\ufb00"),
        (BATTERY_TYPE, "Al\u212aaline"),
        (SERIAL_NUMBER, "1234567"),
        (SERIAL_NUMBER, "123456789"),
        (SERIAL_NUMBER, "0123456\u0667"),
        (CLOCK, "2025/12/24,02:10:55"),
        (CLOCK, "2025/13/24 02:10:55"),
        (CLOCK, "2025/02/30 02:10:55"),
        (CLOCK, "2025/12/24 24:00:00"),
        (CLOCK, "2025/12/24 02:10:60"),
        (CLOCK, "0000/12/24 02:10:55"),
        (CLOCK, "25/12/24 02:10:55"),
        (STORE_NAME, "10000"),
        (STORE_NAME, "19.0"),
        (SD_PERCENTAGE, "100.1"),
        (SD_FREE, "12 GB"),
        (SD_FREE, "1_000"),
        (BATTERY_LEVEL, "101"),
        (SYSTEM_VERSION, "1" * 21),
        (POWER_SOURCE, recorded("drd_measuring")[0]),
        (POWER_SOURCE, status_line("X")),
        (POWER_SOURCE, status_line("E") + ",1"),
    ],
    ids=lambda value: value.name if isinstance(value, Command) else None,
)
def test_near_misses_do_not_fit(command: Command[object], text: str) -> None:
    """What nearly is an answer is none."""
    with pytest.raises(DesyncError):
        command.parse(text)


@settings(max_examples=500)
@given(command=st.sampled_from(COMMANDS), text=st.text() | NEAR_WORDS)
def test_any_text_is_a_value_or_does_not_fit(command: Command[object], text: str) -> None:
    """Nothing but a DesyncError comes of odd text, and only plain ASCII of a right one."""
    try:
        value = command.parse(text)
    except DesyncError:
        return
    # What follows the 64 fields of a frame is left alone.
    assert text.isascii() or isinstance(value, Reading)
    assert isinstance(value, StrEnum | str | float | int | datetime | Reading)


def test_no_error_repeats_much_of_what_came() -> None:
    """An answer of any length makes a short message."""
    for command in COMMANDS:
        with pytest.raises(DesyncError) as raised:
            command.parse("x" * 8000)
        assert len(str(raised.value)) < 100


def test_measuring_has_two_words() -> None:
    """Some firmware says Measure for Start."""
    assert RunState.START.measuring
    assert RunState.MEASURE.measuring
    assert not RunState.STOP.measuring


@given(st.datetimes(min_value=datetime(2000, 1, 1), max_value=datetime(2099, 12, 31)))  # noqa: DTZ001 - local
def test_clock_round_trip(clock: datetime) -> None:
    """The clock is written as it is read, with no comma and in whole seconds."""
    text = format_clock(clock)
    assert "," not in text
    assert CLOCK.parse(text) == clock.replace(microsecond=0)


@given(st.integers(0, 9999))
def test_store_name_round_trip(index: int) -> None:
    """A store's name is four digits."""
    text = format_store_name(index)
    assert len(text) == 4
    assert STORE_NAME.parse(text) == index


@pytest.mark.parametrize("index", [-1, 10000])
def test_what_is_no_store_name(index: int) -> None:
    """There are ten thousand of them."""
    with pytest.raises(ValueError, match="not a store name"):
        format_store_name(index)


def test_settings_are_written_as_they_are_read() -> None:
    """A value is written as the meter writes it."""
    words = [*WORDS, "50", "99.5", "0019", "2025/12/24 02:10:55"]
    commands = [each for each in COMMANDS if isinstance(each, Setting)]
    for command, word in product(commands, words):
        try:
            value = command.parse(word)
        except DesyncError:
            continue
        written = command.word(value)
        assert command.parse(written) == value
        if isinstance(value, StrEnum):
            assert written == word


def test_the_requests() -> None:
    """What is sent for each question, letter by letter."""
    assert READING.request == "DOD?"
    assert POWER_SOURCE.request == "DRD?status"
    assert [FREQUENCY_WEIGHTING[each].request for each in CHANNELS] == [
        "Frequency Weighting (Main)?",
        "Frequency Weighting (Sub1)?",
        "Frequency Weighting (Sub2)?",
        "Frequency Weighting (Sub3)?",
    ]
    assert [each.request for each in PERCENTILE.values()] == [
        f"Percentile {slot}?" for slot in range(1, 6)
    ]
