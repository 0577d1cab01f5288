"""The displayed values (DOD?) and final results (DLC?): one line to a frozen Reading.

Form, recorded on an NL-43: comma-separated, padded with blanks, 16 fields a channel, four
channels; `-.-` is no value. A frame is judged by its form alone: its quantities come from
different moments and need not agree with each other.
"""

from dataclasses import dataclass, fields
import re
from typing import Final

from .errors import DesyncError

# A sign at most, digits, a point, one decimal: what `float` takes beyond that never was a level.
_LEVEL: Final = re.compile(r"[+-]?[0-9]{1,3}\.[0-9]")
_NO_VALUE: Final = "-.-"
_FLAGS: Final = {"0": False, "1": True, "-": None}


@dataclass(frozen=True, slots=True, kw_only=True)
class Channel:
    """One channel's levels in dB (None = the meter sent no value) and its two flags.

    `ln1` to `ln5` hold whatever percentiles the meter is set to. `over` (overload) and
    `under` (under-range) say that the levels beside them are not valid for a report; they
    are None where the channel is not in use.
    """

    lp: float | None
    leq: float | None
    le: float | None
    lmax: float | None
    lmin: float | None
    ln1: float | None
    ln2: float | None
    ln3: float | None
    ln4: float | None
    ln5: float | None
    lpeak: float | None
    lieq: float | None
    leq_mov: float | None
    ltm5: float | None
    over: bool | None
    under: bool | None

    def level(self, quantity: str) -> float | None:
        """Return a level by the name of its quantity."""
        level: float | None = getattr(self, quantity)
        return level

    @property
    def in_use(self) -> bool:
        """Whether the meter measures on this channel."""
        return self.over is not None or self.under is not None


QUANTITIES: Final = tuple(field.name for field in fields(Channel))[:-2]
_NO_CHANNEL: Final = Channel(**dict.fromkeys((*QUANTITIES, "over", "under")))
_CHANNEL_FIELDS: Final = len(QUANTITIES) + 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """One frame: the main channel and the three sub channels, in use or not."""

    main: Channel
    sub1: Channel
    sub2: Channel
    sub3: Channel

    def channel(self, name: str) -> Channel:
        """Return a channel by its name."""
        channel: Channel = getattr(self, name)
        return channel


CHANNELS: Final = tuple(field.name for field in fields(Reading))
# What is known before the first frame: no value at all.
NO_READING: Final = Reading(**dict.fromkeys(CHANNELS, _NO_CHANNEL))
_READING_FIELDS: Final = _CHANNEL_FIELDS * len(CHANNELS)


def parse_level(field: str) -> float | None:
    """Return a level in dB, None for `-.-`; DesyncError for anything else."""
    text = field.strip(" ")
    if text == _NO_VALUE:
        return None
    if not _LEVEL.fullmatch(text):
        msg = f"not a level: {text[:20]!r}"
        raise DesyncError(msg)
    return float(text)


def _parse_flag(field: str) -> bool | None:
    """Return an over or under flag, None for a channel not in use."""
    text = field.strip(" ")
    if text not in _FLAGS:
        msg = f"not a flag: {text[:20]!r}"
        raise DesyncError(msg)
    return _FLAGS[text]


def parse_channel(parts: list[str]) -> Channel:
    """Return the Channel of exactly 16 fields; DesyncError if they are not that."""
    if len(parts) != _CHANNEL_FIELDS:
        msg = f"{len(parts)} fields instead of {_CHANNEL_FIELDS}"
        raise DesyncError(msg)
    *levels, over, under = parts
    return Channel(
        **dict(zip(QUANTITIES, map(parse_level, levels), strict=True)),
        over=_parse_flag(over),
        under=_parse_flag(under),
    )


def parse_reading(line: str) -> Reading:
    """Return the Reading of a DOD? or DLC? data line; DesyncError if it is not one.

    Fields after the 64th (bands of the option NX-43RT) are left alone.
    """
    parts = line.split(",", _READING_FIELDS)[:_READING_FIELDS]
    if len(parts) < _READING_FIELDS:
        msg = f"{len(parts)} fields instead of {_READING_FIELDS}"
        raise DesyncError(msg)
    return Reading(
        **{
            name: parse_channel(parts[start : start + _CHANNEL_FIELDS])
            for name, start in zip(
                CHANNELS, range(0, _READING_FIELDS, _CHANNEL_FIELDS), strict=True
            )
        }
    )
