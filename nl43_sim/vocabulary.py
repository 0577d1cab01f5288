"""The settings a meter has, the words they take and what they are from the factory."""

from collections.abc import Callable
from dataclasses import dataclass
import re
from typing import Final

CHANNELS: Final = ("main", "sub1", "sub2", "sub3")

_ON_OFF: Final = ("On", "Off")
_INTERVALS: Final = ("Off", "10s", "1m", "5m", "10m", "15m", "30m", "1h", "8h", "24h")
_LP_INTERVALS: Final = ("Off", "10ms", "25ms", "100ms", "200ms", "1s")
_STORE_MODES: Final = ("Manual", "Auto", "Timer Auto")
_FREQUENCY_WEIGHTINGS: Final = ("A", "C", "Z")
_TIME_WEIGHTINGS: Final = ("F", "S", "I")
_PERCENTILES: Final = ("5", "10", "50", "90", "95")
_STORE_NAME: Final = re.compile(r"\d{4}", re.ASCII)
_PERCENT: Final = re.compile(r"[1-9]\d?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Setting:
    """A setting that is asked and set by its word alone."""

    name: str
    factory: str
    accepts: Callable[[str], object]
    stopped_only: bool = True
    """Whether it cannot be changed while a measurement runs."""


def _one_of(words: tuple[str, ...]) -> Callable[[str], object]:
    """Return the check for a fixed set of words."""
    return words.__contains__


SETTINGS: Final = (
    Setting("store mode", "Auto", _one_of(_STORE_MODES)),
    Setting("store name", "0019", _STORE_NAME.fullmatch),
    Setting("lp store interval", "100ms", _one_of(_LP_INTERVALS)),
    Setting("leq calculation interval preset", "10m", _one_of(_INTERVALS)),
    Setting("measurement time preset manual", "Off", _one_of(_INTERVALS)),
    Setting("measurement time preset auto", "Off", _one_of(_INTERVALS)),
    *(
        Setting(f"frequency weighting ({name})", "A", _one_of(_FREQUENCY_WEIGHTINGS))
        for name in CHANNELS
    ),
    *(Setting(f"time weighting ({name})", "S", _one_of(_TIME_WEIGHTINGS)) for name in CHANNELS),
    *(
        Setting(f"percentile {slot}", percent, _PERCENT.fullmatch)
        for slot, percent in enumerate(_PERCENTILES, start=1)
    ),
    Setting("ftp", "On", _one_of(_ON_OFF), stopped_only=False),
    Setting("tcp", "On", _one_of(_ON_OFF), stopped_only=False),
    Setting("web", "Off", _one_of(_ON_OFF), stopped_only=False),
    Setting("sleep mode", "Off", _one_of(_ON_OFF)),
)

FACTORY: Final = {setting.name: setting.factory for setting in SETTINGS}
