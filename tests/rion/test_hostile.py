"""A peer that answers anything, in any pieces: only errors, or what was really sent."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from hypothesis import HealthCheck, event, given, settings, strategies as st
import pytest

from custom_components.nl43.rion import DesyncError, Meter, Priority, Reading, RionError, connection
from custom_components.nl43.rion.dod import parse_reading
from custom_components.nl43.rion.vocabulary import CLOCK, MEASURE, PAUSE, OnOff, RunState

from .tools import MEASURING_LINE, PATIENCE, STOPPED_LINE, RawMeter, pieces

FRAME = MEASURING_LINE.encode()
LINES = st.sampled_from(
    [FRAME + b"\r\n", STOPPED_LINE.encode() + b"\r\n", b"Start\r\n", b"$Stop\r\n", b"On\r\n"]
)
PARTS = st.sampled_from(
    [
        b"R+0000\r\n",
        b"$R+0000\r\n",
        b"R+0004\r\n",
        b"R+9999\r\n",
        FRAME + b"\r\n",
        STOPPED_LINE.encode() + b"\r\n",
        FRAME.replace(b"46.2", b"nan") + b"\r\n",
        FRAME[:100] + b"\r\n",
        FRAME[1:] + b"\r\n",
        b"Start\r\n",
        b"Stop\r\n",
        b"On\r\n",
        b"Sto",
        b"$",
        b"0019\r\n",
        b"\r\n",
        b"\n",
        b"\0",
    ]
) | st.binary(max_size=20)


@dataclass(slots=True)
class Script:
    """What a peer answers to one question, and whether it hangs up then."""

    pieces: list[bytes]
    hangs_up: bool


ANSWERS = st.builds(
    Script,
    pieces=st.one_of(
        st.lists(PARTS, max_size=5),
        # Nearly right.
        st.tuples(st.just(b"R+0000\r\n"), LINES),
        st.tuples(LINES, st.just(b"R+0000\r\n"), LINES),
        st.tuples(st.just(b"R+0000\r\n"), LINES, PARTS),
    )
    .map(b"".join)
    .flatmap(pieces),
    hangs_up=st.sampled_from([False, False, False, True]),
)


@dataclass(slots=True)
class Peer:
    """Answers one question after the other from a script, and remembers what it sent."""

    script: list[Script]
    sent: bytes = b""
    asked: list[str] = field(default_factory=list)

    async def answer(self, line: str) -> AsyncIterator[bytes]:
        """Send the next answer."""
        self.asked.append(line)
        if not self.script:
            raise ConnectionResetError
        script = self.script.pop(0)
        for piece in script.pieces:
            self.sent += piece
            yield piece
        if script.hangs_up:
            raise ConnectionResetError

    def lines(self) -> list[str]:
        """Return the lines sent, without prompts and blanks around."""
        texts = (raw.decode("latin-1") for raw in self.sent.split(b"\n"))
        return [text.strip("\r").lstrip("$").strip(" ") for text in texts]


def is_frame(line: str, reading: Reading) -> bool:
    """Tell whether a line is this reading."""
    try:
        return parse_reading(line) == reading
    except DesyncError:
        return False


async def ask_everything(meter: Meter) -> list[object]:
    """Ask some questions and return the values."""
    values: list[object] = []
    for ask in (
        meter.reading,
        lambda: meter.ask(MEASURE, Priority.READING),
        lambda: meter.reading(Priority.SLOW),
        lambda: meter.ask(PAUSE, Priority.READING),
        lambda: meter.ask(CLOCK, Priority.SLOW),
        lambda: meter.set(MEASURE, RunState.STOP, Priority.SLOW),
    ):
        try:
            value: object = await ask()
        except RionError:
            continue
        values.append(value)
    return values


@settings(
    max_examples=20,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(script=st.lists(ANSWERS, min_size=4, max_size=8))
async def test_no_answer_makes_a_value(
    quick: None, monkeypatch: pytest.MonkeyPatch, script: list[Script]
) -> None:
    """Whatever comes, however it is split: an error of this package, or a line that was sent."""
    monkeypatch.setattr(connection, "ANSWER_TIMEOUT", 0.02)
    monkeypatch.setattr(connection, "ANSWER_LIMIT", 0.01)
    peer = Peer(script)
    async with RawMeter(peer.answer) as raw:
        meter = Meter(raw.host, raw.port)
        meter.connection.max_backoff = 0.001
        try:
            async with asyncio.timeout(PATIENCE):
                values = await ask_everything(meter)
        finally:
            await meter.close()
    lines = peer.lines()
    event(f"{len(values)} values")
    for value in values:
        if isinstance(value, Reading):
            assert any(is_frame(line, value) for line in lines)
        elif isinstance(value, RunState | OnOff):
            assert value in lines
        else:
            # A setting that was done, once said so.
            assert value is None
            assert "R+0000" in lines
    # A person's command is never repeated.
    assert peer.asked.count("Measure,Stop") <= 1
