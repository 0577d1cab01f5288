"""The meter's commands and the words it answers with (Communication Guide No. 66132).

A word outside these tables is a DesyncError, never a value. Where the guide's summary leaves
the words open, what is not listed here shows as unknown.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
import re
from typing import Final

from .dod import CHANNELS, parse_reading
from .errors import DesyncError


class Model(StrEnum):
    """The meters that speak this protocol."""

    NL_43 = "NL-43"
    NL_53 = "NL-53"


class OnOff(StrEnum):
    """A setting that is on or off."""

    ON = "On"
    OFF = "Off"


class RunState(StrEnum):
    """Whether a measurement runs; some firmware says `Measure` for `Start`."""

    START = "Start"
    MEASURE = "Measure"
    STOP = "Stop"

    @property
    def measuring(self) -> bool:
        """Whether a measurement runs, paused or not."""
        return self is not RunState.STOP


class FrequencyWeighting(StrEnum):
    """Frequency weighting (IEC 61672-1)."""

    A = "A"
    C = "C"
    Z = "Z"


class TimeWeighting(StrEnum):
    """Time weighting (IEC 61672-1): fast, slow; impulse."""

    F = "F"
    S = "S"
    I = "I"  # noqa: E741 - the standard's symbol


class StoreMode(StrEnum):
    """What is stored on the card."""

    MANUAL = "Manual"
    AUTO = "Auto"
    TIMER_AUTO = "Timer Auto"


class Overwrite(StrEnum):
    """Whether the store name's folder is free or would be overwritten."""

    NONE = "None"
    EXIST = "Exist"


class BatteryLevel(StrEnum):
    """How full the batteries are, where the meter says it in a word."""

    FULL = "Full"
    MIDDLE = "Middle"
    LOW = "Low"
    DEAD = "Dead"
    EMPTY = "Empty"


class BatteryType(StrEnum):
    """Which batteries the meter is told it has."""

    ALKALINE = "Alkaline"
    NIMH = "NiMH"


class LpStoreInterval(StrEnum):
    """How often Lp is stored."""

    OFF = "Off"
    MS_10 = "10ms"
    MS_25 = "25ms"
    MS_100 = "100ms"
    MS_200 = "200ms"
    S_1 = "1s"


class Preset(StrEnum):
    """Preset Leq calculation intervals and measurement times."""

    OFF = "Off"
    S_10 = "10s"
    M_1 = "1m"
    M_5 = "5m"
    M_10 = "10m"
    M_15 = "15m"
    M_30 = "30m"
    H_1 = "1h"
    H_8 = "8h"
    H_24 = "24h"


class PowerSource(StrEnum):
    """What the meter runs on (DRD?status)."""

    INTERNAL = "I"
    EXTERNAL = "E"
    USB = "U"


MAX_STORE_NAME: Final = 9999
_CLOCK_FORMAT: Final = "%Y/%m/%d %H:%M:%S"
_CLOCK: Final = re.compile(r"[0-9]{4}/[0-9]{2}/[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}")
_NUMBER: Final = re.compile(r"[0-9]{1,9}(\.[0-9]{1,3})?")
_MEGABYTES: Final = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,3})?)(?: ?MB)?")
_STORE_NAME: Final = re.compile(r"[0-9]{1,4}")
_SERIAL_NUMBER: Final = re.compile(r"[0-9]{8}")
# Points are what tells a version (01.02.0107) from a stray word.
_VERSION: Final = re.compile(r"[0-9A-Za-z]{1,8}(\.[0-9A-Za-z]{1,8}){1,3}")
_PERCENT: Final = 100
# DRD: a counter, then eight fields a channel; DRD?status adds five more.
_DRD_FIELDS: Final = 1 + 8 * len(CHANNELS)
_STATUS_FIELDS: Final = ("time", "power source", "battery", "SD free", "state")


def _unfit(kind: str, text: str) -> DesyncError:
    """Return the error of a text that is not what was asked for."""
    return DesyncError(f"not a {kind}: {text[:40]!r}")


def _word[E: StrEnum](words: type[E]) -> Callable[[str], E]:
    """Return the parser of one of a setting's words."""
    table = {word.value.lower(): word for word in words}

    def parse(text: str) -> E:
        word = table.get(text.strip(" ").lower())
        # Some letters outside ASCII become ASCII ones in lower case.
        if word is None or not text.isascii():
            raise _unfit(words.__name__, text)
        return word

    return parse


def _pattern(kind: str, form: re.Pattern[str]) -> Callable[[str], str]:
    """Return the parser of a text of one form."""

    def parse(text: str) -> str:
        if not form.fullmatch(text.strip(" ")):
            raise _unfit(kind, text)
        return text.strip(" ")

    return parse


def _clock(text: str) -> datetime:
    """Return the meter's clock, a local time without a zone."""
    if not _CLOCK.fullmatch(text.strip(" ")):
        raise _unfit("clock", text)
    try:
        # The meter knows no zone: whoever asks compares it with the site's own clock.
        return datetime.strptime(text.strip(" "), _CLOCK_FORMAT)  # noqa: DTZ007
    except ValueError as err:
        raise _unfit("clock", text) from err


def format_clock(clock: datetime) -> str:
    """Return a local time as the meter takes it, with a blank before the hours."""
    return clock.strftime(_CLOCK_FORMAT)


def _percent(text: str) -> float:
    """Return a number from 0 to 100."""
    if not _NUMBER.fullmatch(text.strip(" ")) or float(text) > _PERCENT:
        raise _unfit("percentage", text)
    return float(text)


def _megabytes(text: str) -> float:
    """Return a size in MB, with or without its unit."""
    match = _MEGABYTES.fullmatch(text.strip(" "))
    if match is None:
        raise _unfit("size in MB", text)
    return float(match[1])


def _store_name(text: str) -> int:
    """Return the index of a store, 0 to 9999."""
    if not _STORE_NAME.fullmatch(text.strip(" ")):
        raise _unfit("store name", text)
    return int(text)


def format_store_name(index: int) -> str:
    """Return a store's index as the meter takes it; ValueError outside 0 to 9999."""
    if not 0 <= index <= MAX_STORE_NAME:
        msg = f"not a store name: {index}"
        raise ValueError(msg)
    return f"{index:04d}"


def _battery_level(text: str) -> BatteryLevel | float:
    """Return the batteries' level: a word, or per cent on some firmware."""
    if _NUMBER.fullmatch(text.strip(" ")):
        return _percent(text)
    return _word(BatteryLevel)(text)


def _power_source(text: str) -> PowerSource:
    """Return the power source from a line of DRD?status: the levels, then the status."""
    parts = text.split(",")
    if len(parts) != _DRD_FIELDS + len(_STATUS_FIELDS):
        raise _unfit("DRD status", text)
    return _word(PowerSource)(parts[_DRD_FIELDS + _STATUS_FIELDS.index("power source")])


@dataclass(frozen=True, slots=True)
class Command[T]:
    """One thing the meter can be asked: its name, and what the answer's text means.

    With `stream` the meter sends lines until it is told to stop.
    """

    name: str
    parse: Callable[[str], T]
    argument: str = ""
    stream: bool = False

    @property
    def request(self) -> str:
        """The line that asks for it."""
        return f"{self.name}?{self.argument}"


@dataclass(frozen=True, slots=True)
class Setting[T](Command[T]):
    """One thing that can be asked and set: `word` is how a value is written."""

    word: Callable[[T], str] = str


def _words[E: StrEnum](name: str, words: type[E]) -> Setting[E]:
    """Return the setting whose values are these words."""
    return Setting(name, _word(words))


MANUAL_STORE: Final = "Manual Store"
READING: Final = Command("DOD", parse_reading)
FINAL_RESULT: Final = Command("DLC", parse_reading)
POWER_SOURCE: Final = Command("DRD", _power_source, argument="status", stream=True)
TYPE: Final = Command("Type", _word(Model))
SERIAL_NUMBER: Final = Command("Serial Number", _pattern("serial number", _SERIAL_NUMBER))
SYSTEM_VERSION: Final = Command("System Version", _pattern("version", _VERSION))
CLOCK: Final = Setting("Clock", _clock, word=format_clock)
MEASURE: Final = _words("Measure", RunState)
PAUSE: Final = _words("Pause", OnOff)
STORE_MODE: Final = _words("Store Mode", StoreMode)
STORE_NAME: Final = Setting("Store Name", _store_name, word=format_store_name)
OVERWRITE: Final = Command("Overwrite", _word(Overwrite))
BATTERY_LEVEL: Final = Command("Battery Level", _battery_level)
BATTERY_TYPE: Final = _words("Battery Type", BatteryType)
SD_TOTAL: Final = Command("SD Card Total Size", _megabytes)
SD_FREE: Final = Command("SD Card Free Size", _megabytes)
# Whether it counts the used or the free part is not known: show SD_FREE by SD_TOTAL.
SD_PERCENTAGE: Final = Command("SD Card Percentage", _percent)
LP_STORE_INTERVAL: Final = _words("Lp Store Interval", LpStoreInterval)
LEQ_INTERVAL: Final = _words("Leq Calculation Interval Preset", Preset)
MEASUREMENT_TIME_MANUAL: Final = _words("Measurement Time Preset Manual", Preset)
MEASUREMENT_TIME_AUTO: Final = _words("Measurement Time Preset Auto", Preset)
SLEEP_MODE: Final = _words("Sleep Mode", OnOff)
FTP: Final = _words("FTP", OnOff)
TCP: Final = _words("TCP", OnOff)
WEB: Final = _words("Web", OnOff)
FREQUENCY_WEIGHTING: Final = {
    channel: _words(f"Frequency Weighting ({channel.capitalize()})", FrequencyWeighting)
    for channel in CHANNELS
}
TIME_WEIGHTING: Final = {
    channel: _words(f"Time Weighting ({channel.capitalize()})", TimeWeighting)
    for channel in CHANNELS
}
PERCENTILE: Final = {
    f"ln{slot}": Setting(f"Percentile {slot}", _percent, word="{:g}".format) for slot in range(1, 6)
}
