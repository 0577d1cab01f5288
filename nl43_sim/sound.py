"""The sound at the meter: a site with days, nights, traffic and hammering."""

from collections.abc import Callable
from dataclasses import dataclass
import math
from typing import Final

from .noise import Noise

STEP: Final = 0.1
"""Seconds between two samples; the meter itself updates its display this often."""

_STEPS_A_SECOND: Final = 10
_STEPS_A_SLOT: Final = 300
"""At most one event happens in each slot of half a minute."""
_SECONDS_A_DAY: Final = 86_400.0
_NIGHT_LEVEL: Final = 34.0
_DAY_RISE: Final = 13.0
_NOISIEST_HOUR: Final = 14.0
_DRIFTS: Final = ((1020.0, 1.8), (187.0, 1.1))
"""Periods (s) and amplitudes (dB) of the slow drift."""
_SAMPLE_SPREAD: Final = 1.6
_SECOND_SPREAD: Final = 1.4
# Streams of the noise, one for each use.
_OF_SAMPLE, _OF_SECOND, _OF_CHANCE, _OF_KIND, _OF_PEAK, _OF_PLACE, _OF_CREST = range(7)
_SILENT: Final = -50.0
_HAMMERING_SECONDS: Final = 8.0
_SHOUTING_SECONDS: Final = 12.0

type _Shape = Callable[[float, float], float]


def _passing(seconds: float, peak: float) -> float:
    """Return the level of a truck that is nearest at 0 s."""
    return peak - 16.0 * math.log10(1.0 + (seconds / 1.6) ** 2)


def _hammering(seconds: float, peak: float) -> float:
    """Return the level of blows, two a second."""
    if abs(seconds) > _HAMMERING_SECONDS / 2.0:
        return _SILENT
    return peak - 45.0 * (seconds % 0.5)


def _shouting(seconds: float, peak: float) -> float:
    """Return the level of voices that come and go."""
    if abs(seconds) > _SHOUTING_SECONDS / 2.0:
        return _SILENT
    return peak - 8.0 * abs(math.sin(seconds * 2.4))


@dataclass(frozen=True, slots=True)
class _Kind:
    """A kind of event: its shape, quietest and loudest peak."""

    shape: _Shape
    quietest: float
    loudest: float


_KINDS: Final = (
    _Kind(_passing, 58.0, 76.0),
    _Kind(_passing, 62.0, 82.0),
    _Kind(_hammering, 66.0, 85.0),
    _Kind(_shouting, 52.0, 64.0),
)


class Source:
    """A-weighted level at the microphone as a function of the step, the same for a seed."""

    def __init__(self, seed: int, day_seconds: float, *, busy: bool = False) -> None:
        """Make the source; `day_seconds` is the meter's time of day at step 0."""
        self._noise = Noise(seed)
        self._busy = busy
        self.day_seconds = day_seconds
        self._phases = [self._noise.at(index, 17) * math.tau for index in range(len(_DRIFTS))]
        self._floor: tuple[int, float] | None = None
        self._event: tuple[int, _Kind | None, int, float] | None = None

    def level(self, step: int) -> float:
        """Return the level of a step in dB."""
        return 10.0 * math.log10(self.energy(step))

    def energy(self, step: int) -> float:
        """Return the mean square of a step against the reference pressure."""
        noise = self._noise.at(step, _OF_SAMPLE) - 0.5
        level = self._background(step // _STEPS_A_SECOND) + noise * _SAMPLE_SPREAD
        energy: float = 10.0 ** (level / 10.0)
        _, kind, centre, peak = self._slot(step // _STEPS_A_SLOT)
        if kind is not None:
            energy += 10.0 ** (kind.shape((step - centre) * STEP, peak) / 10.0)
        return energy

    def crest(self, step: int) -> float:
        """Return by how many dB the peak of a step exceeds its level."""
        return 10.0 + 6.0 * self._noise.at(step, _OF_CREST)

    def _dayness(self, second: int) -> float:
        """Return 0 in the dead of night to 1 in the early afternoon."""
        hour = ((self.day_seconds + second) % _SECONDS_A_DAY) / 3600.0
        return 0.5 + 0.5 * math.cos((hour - _NOISIEST_HOUR) / 24.0 * math.tau)

    def _background(self, second: int) -> float:
        """Return the background level of a second."""
        if self._floor is not None and self._floor[0] == second:
            return self._floor[1]
        level = _NIGHT_LEVEL + _DAY_RISE * self._dayness(second)
        for (period, amplitude), phase in zip(_DRIFTS, self._phases, strict=True):
            level += amplitude * math.sin(math.tau * second / period + phase)
        level += (self._noise.at(second, _OF_SECOND) - 0.5) * _SECOND_SPREAD
        self._floor = (second, level)
        return level

    def _slot(self, slot: int) -> tuple[int, _Kind | None, int, float]:
        """Return the event of a slot: kind, the step it is centred on, peak level."""
        if self._event is not None and self._event[0] == slot:
            return self._event
        second = slot * _STEPS_A_SLOT // _STEPS_A_SECOND
        kind: _Kind | None = None
        peak = 0.0
        chance = 1.0 if self._busy else 0.08 + 0.45 * self._dayness(second)
        if self._noise.at(slot, _OF_CHANCE) < chance:
            kind = _KINDS[int(self._noise.at(slot, _OF_KIND) * len(_KINDS))]
            spread = kind.loudest - kind.quietest
            peak = kind.quietest + spread * self._noise.at(slot, _OF_PEAK)
        # Kept off the ends of the slot, so that no event is cut.
        place = 0.3 + 0.4 * self._noise.at(slot, _OF_PLACE)
        centre = slot * _STEPS_A_SLOT + int(place * _STEPS_A_SLOT)
        self._event = (slot, kind, centre, peak)
        return self._event
