"""Arithmetic on levels in dB: by energy, and nowhere else."""


def measured_seconds(leq: float, le: float) -> float:
    """Return how long a measurement has integrated, in seconds, from its Leq and LE in dB.

    LE = Leq + 10 lg(T / 1 s) (ISO 1996-1). The meter rounds both to 0.1 dB, so that the result
    is right to 2.4 % at worst. Pauses do not count.
    """
    seconds: float = 10.0 ** ((le - leq) / 10.0)
    return seconds
