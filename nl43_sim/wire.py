"""Lines as the meter writes them, byte for byte as recorded from a real one."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from .config import Prompt

LINE_END: Final = b"\r\n"

# The order of a channel's levels in DOD and DLC.
QUANTITIES: Final = (
    "Lp",
    "Leq",
    "LE",
    "Lmax",
    "Lmin",
    "LN1",
    "LN2",
    "LN3",
    "LN4",
    "LN5",
    "Lpeak",
    "LIeq",
    "Leq_mov",
    "Ltm5",
)
_DRD_QUANTITIES: Final = ("Lp", "Leq", "Lmax", "Lmin", "Lpeak", "LIeq")
_DRD_INDEXES: Final = tuple(QUANTITIES.index(name) for name in _DRD_QUANTITIES)

NO_VALUE: Final = "-.-"
_FLAGS: Final[dict[bool | None, str]] = {False: "0", True: "1", None: "-"}


@dataclass(frozen=True, slots=True)
class Channel:
    """What a channel displays; flags of a channel not in use are None."""

    levels: Sequence[float | None]
    over: bool | None
    under: bool | None


UNUSED: Final = Channel((None,) * len(QUANTITIES), None, None)


def level(value: float | None) -> str:
    """Write a level."""
    return NO_VALUE if value is None else f"{value:.1f}"


def _fields(levels: Iterable[float | None], channel: Channel) -> list[str]:
    """Write the fields of a channel."""
    fields = [f"{level(value):>5}" for value in levels]
    return [*fields, _FLAGS[channel.over], _FLAGS[channel.under]]


def dod_line(channels: Sequence[Channel]) -> str:
    """Write the data line of `DOD?` or `DLC?`."""
    fields = [field for channel in channels for field in _fields(channel.levels, channel)]
    # The first field of a line is one narrower than the others.
    return ",".join(fields).removeprefix(" ")


def drd_line(counter: int, channels: Sequence[Channel], status: Sequence[str] = ()) -> str:
    """Write one line of the `DRD?` stream."""
    fields = [str(counter)]
    for channel in channels:
        fields += _fields((channel.levels[index] for index in _DRD_INDEXES), channel)
    return ",".join([*fields, *status])


def answer(result: str, data: str | None, prompt: Prompt) -> bytes:
    """Write a whole answer."""
    lines = [result] if data is None else [result, data]
    match prompt:
        case Prompt.BEFORE:
            lines[0] = f"${lines[0]}"
        case Prompt.ALONE:
            lines.insert(0, "$")
        case Prompt.DATA:
            lines[-1] = f"${lines[-1]}"
        case Prompt.NONE | Prompt.LEFT_OVER:
            pass
    text = b"".join(line.encode("ascii") + LINE_END for line in lines)
    return text + b"$" if prompt is Prompt.LEFT_OVER else text
