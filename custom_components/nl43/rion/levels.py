"""Arithmetic on levels in dB: by energy, and nowhere else."""

import math


def measured_seconds(leq: float, le: float) -> float:
    """Return how long a measurement has integrated, in seconds, from its Leq and LE in dB.

    LE = Leq + 10 lg(T / 1 s) (ISO 1996-1). The meter rounds both to 0.1 dB, so that the result
    is right to 2.4 % at worst. Pauses do not count.
    """
    seconds: float = 10.0 ** ((le - leq) / 10.0)
    return seconds


class EnergyMean:
    """The mean of levels in dB by energy: 10 lg of the mean of 10^(L / 10) (ISO 1996-1)."""

    def __init__(self, level: float) -> None:
        """Begin with one level in dB."""
        self._energy = 10.0 ** (level / 10.0)
        self._count = 1

    def add(self, level: float) -> None:
        """Take another level in dB in."""
        self._energy += 10.0 ** (level / 10.0)
        self._count += 1

    @property
    def level(self) -> float:
        """The mean in dB."""
        return 10.0 * math.log10(self._energy / self._count)
