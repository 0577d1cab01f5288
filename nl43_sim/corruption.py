"""What faults make of an answer on its way out."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from .faults import Fault, FaultSet
from .noise import Noise

_STRAYS: Final = (b"0019\r\n", b"Stop\r\n", b"On\r\n", b"$\r\n0019\r\n")
_BAD_WORDS: Final = ("nan", "1e3", "1_0.5", "0x1F", "--.-", "inf", "", "+-4.0", "45,6", "4 5.1")
_OVERLONG: Final = 100_000
_LARGEST_PACKET: Final = 7
_DOD_FIELDS: Final = 64
_MAIN_FIELDS: Final = 16
_SHORT_FRAMES: Final = 0.25


@dataclass(frozen=True, slots=True)
class Packet:
    """A piece of an answer: what is written after a delay, and whether the line is cut then."""

    data: bytes
    delay: float = 0.0
    cut: bool = False


def _random_bytes(noise: Noise) -> bytes:
    """Return bytes of any value, with line ends in some places."""
    size = 8 + int(noise.draw() * 200)
    junk = bytes(int(noise.draw() * 256) for _ in range(size))
    return junk + noise.pick((b"", b"\r\n", b"\n", b"\0\r\n"))


def _nulls(noise: Noise) -> bytes:
    """Return NULs around something that looks like a result."""
    return b"\0" * (1 + int(noise.draw() * 8)) + b"R+0000\r\n\0\0\r\n"


def _odd_number(noise: Noise) -> bytes:
    """Return an answer whose data is a number in a form no meter uses."""
    return b"R+0000\r\n" + noise.pick((b"nan", b"1e3", b"0x1F", b"1_0.5")) + b"\r\n"


def _odd_result(noise: Noise) -> bytes:
    """Return a result line that is none."""
    return noise.pick((b"R+00", b"R-0000", b"R+9999", b"r+0000", b"R+000\xb2")) + b"\r\n"


def _overlong(noise: Noise) -> bytes:
    """Return a line that does not end."""
    return noise.pick((b"4", b" ", b"45.6,")) * _OVERLONG


_JUNK: Final[tuple[Callable[[Noise], bytes], ...]] = (
    _random_bytes,
    _nulls,
    _odd_number,
    _odd_result,
    _overlong,
)


class Corruption:
    """Puts the faults that are on into the answers."""

    def __init__(self, faults: FaultSet, noise: Noise) -> None:
        """Watch a set of faults."""
        self._faults = faults
        self._noise = noise
        self._last = b""

    def values(self, data: str) -> str:
        """Return the data of an answer, spoilt if that fault is on."""
        if not self._faults.strike(Fault.BAD_VALUES):
            return data
        fields = data.split(",")
        if len(fields) < _DOD_FIELDS:
            return self._noise.pick(_BAD_WORDS)
        if self._noise.draw() < _SHORT_FRAMES:
            return ",".join(fields[: 1 + int(self._noise.draw() * (_DOD_FIELDS - 2))])
        # In the main channel: what a client shows must be hit.
        for _ in range(1 + int(self._noise.draw() * 4)):
            fields[int(self._noise.draw() * _MAIN_FIELDS)] = self._noise.pick(_BAD_WORDS)
        return ",".join(fields)

    def answer(self, whole: bytes) -> list[Packet]:
        """Return the packets of an answer."""
        strike = self._faults.strike
        sent = self._noise.pick(_JUNK)(self._noise) if strike(Fault.JUNK) else whole
        if strike(Fault.STRAY):
            sent = self._noise.pick(_STRAYS) + sent
        if strike(Fault.GLUED):
            sent = self._last + sent
        self._last = whole
        return self.packets(sent)

    def packets(self, data: bytes) -> list[Packet]:
        """Return the packets that carry some bytes."""
        if self._faults.strike(Fault.DROP):
            return [Packet(data[: len(data) // 2], cut=True)]
        gap = self._faults.seconds(Fault.SPLIT)
        if gap is None or not self._faults.strike(Fault.SPLIT):
            return [Packet(data)]
        packets = []
        start = 0
        while start < len(data):
            size = 1 + int(self._noise.draw() * _LARGEST_PACKET)
            packets.append(Packet(data[start : start + size], delay=gap))
            start += size
        return packets
