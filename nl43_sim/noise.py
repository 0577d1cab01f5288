"""Repeatable noise: the same seed and keys always give the same number."""

from collections.abc import Sequence

_MASK = 0xFFFFFFFF


class Noise:
    """A hash of a seed and integer keys, spread evenly over [0, 1).

    A hash instead of a generator: any moment's value can be asked for in any order, so a stored
    row and a live frame of the same moment agree without remembering either.
    """

    __slots__ = ("_draws", "_seed")

    def __init__(self, seed: int) -> None:
        """Start the noise of a seed."""
        self._seed = (seed * 0x9E3779B1 + 0x7F4A7C15) & _MASK
        self._draws = 0

    def at(self, key: int, stream: int = 0) -> float:
        """Return the number that belongs to a key in a stream."""
        value = (self._seed ^ (key * 0x85EBCA6B) ^ (stream * 0xC2B2AE35)) & _MASK
        value = ((value ^ (value >> 16)) * 0x7FEB352D) & _MASK
        value = ((value ^ (value >> 15)) * 0x846CA68B) & _MASK
        return (value ^ (value >> 16)) / 4294967296.0

    def draw(self) -> float:
        """Return the next number of the seed's own sequence."""
        self._draws += 1
        return self.at(self._draws, 99)

    def pick[T](self, choices: Sequence[T]) -> T:
        """Return one of the choices, by the seed's own sequence."""
        return choices[int(self.draw() * len(choices))]
