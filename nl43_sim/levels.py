"""What a channel of the meter makes of the sound: time weighting, Leq, extremes, percentiles."""

from bisect import bisect_left
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
import math
from typing import Final

from .sound import STEP

_FLOOR: Final = -20.0
"""Level of the histogram's first class, in dB."""
_CLASSES: Final = 2_000
"""Classes of 0.1 dB, up to 180 dB."""
_MOVING_STEPS: Final = 100
_TAKT_STEPS: Final = 50
_IMPULSE_DECAY: Final = 1.5

TIME_CONSTANTS: Final[Mapping[str, float]] = {"F": 0.125, "S": 1.0, "I": 0.035}
"""Seconds, by the word for the time weighting."""
FREQUENCY_OFFSETS: Final[Mapping[str, float]] = {"A": 0.0, "C": 7.5, "Z": 10.5}
"""By how many dB this site is louder with another frequency weighting than A."""


def _db(energy: float) -> float:
    """Return the level of an energy with the one decimal that the meter keeps."""
    return round(10.0 * math.log10(energy), 1)


@dataclass(slots=True)
class _Sums:
    """All that is kept of a running measurement."""

    steps: int = 0
    energy: float = 0.0
    impulse: float = 0.0
    maximum: float = -math.inf
    minimum: float = math.inf
    peak: float = -math.inf
    classes: list[int] = field(default_factory=lambda: [0] * _CLASSES)
    moving: deque[float] = field(default_factory=lambda: deque(maxlen=_MOVING_STEPS))
    takt_energy: float = 0.0
    takts: int = 0
    takt_maximum: float = 0.0
    takt_steps: int = 0


class ChannelLevels:
    """The quantities of one channel."""

    def __init__(self) -> None:
        """Start with a detector at rest and no measurement."""
        self._fast: float | None = None
        self._impulse: float | None = None
        self._sums: _Sums | None = None
        self.lp = 0.0

    def start(self) -> None:
        """Begin a measurement."""
        self._sums = _Sums()

    def discard(self) -> None:
        """Have no measurement."""
        self._sums = None

    def step(
        self, energy: float, crest: float, *, time_weighting: str, steps: int, adding: bool
    ) -> None:
        """Take in one sample that stands for a number of steps."""
        seconds = steps * STEP
        impulse = self._detect(self._impulse, energy, "I", seconds)
        detected = (
            impulse
            if time_weighting == "I"
            else self._detect(self._fast, energy, time_weighting, seconds)
        )
        self._fast, self._impulse = detected, impulse
        self.lp = lp = _db(detected)
        sums = self._sums
        if sums is None or not adding:
            return
        sums.steps += steps
        sums.energy += energy * steps
        sums.impulse += impulse * steps
        sums.maximum = max(sums.maximum, lp)
        sums.minimum = min(sums.minimum, lp)
        sums.peak = max(sums.peak, round(max(_db(energy), lp) + crest, 1))
        sums.classes[min(max(round((lp - _FLOOR) * 10.0), 0), _CLASSES - 1)] += steps
        sums.moving.append(energy)
        sums.takt_maximum = max(sums.takt_maximum, detected)
        sums.takt_steps += steps
        if sums.takt_steps >= _TAKT_STEPS:
            sums.takt_energy += sums.takt_maximum
            sums.takts += 1
            sums.takt_maximum, sums.takt_steps = 0.0, 0

    def quantities(self, percentiles: Sequence[float]) -> dict[str, float | None]:
        """Return all levels by name; without a measurement there is Lp only."""
        sums = self._sums
        if sums is None or sums.steps == 0:
            return {"Lp": self.lp}
        leq = _db(sums.energy / sums.steps)
        exceeded = self._percentiles(sums, percentiles)
        return {
            "Lp": self.lp,
            "Leq": leq,
            "LE": round(leq + 10.0 * math.log10(sums.steps * STEP), 1),
            "Lmax": sums.maximum,
            "Lmin": sums.minimum,
            **{f"LN{slot}": value for slot, value in enumerate(exceeded, start=1)},
            "Lpeak": sums.peak,
            "LIeq": _db(sums.impulse / sums.steps),
            "Leq_mov": _db(sum(sums.moving) / len(sums.moving)),
            "Ltm5": _db(sums.takt_energy / sums.takts) if sums.takts else None,
        }

    @staticmethod
    def _detect(last: float | None, energy: float, weighting: str, seconds: float) -> float:
        """Return the output of the exponential detector."""
        if last is None:
            return energy
        constant = TIME_CONSTANTS[weighting]
        if weighting == "I" and energy < last:
            constant = _IMPULSE_DECAY
        return energy + (last - energy) * math.exp(-seconds / constant)

    @staticmethod
    def _percentiles(sums: _Sums, percentiles: Sequence[float]) -> list[float]:
        """Return the levels exceeded for these shares of the time, in per cent."""
        low = max(round((sums.minimum - _FLOOR) * 10.0), 0)
        high = round((sums.maximum - _FLOOR) * 10.0)
        running = list(accumulate(sums.classes[low : high + 1]))
        total = running[-1]
        return [
            round(
                _FLOOR + (low + bisect_left(running, total * (100.0 - percent) / 100.0)) / 10.0, 1
            )
            for percent in percentiles
        ]
