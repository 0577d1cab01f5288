"""What the tests of the protocol share."""

import asyncio
from collections.abc import AsyncIterator, Callable
import contextlib
from pathlib import Path
import time
from types import TracebackType
from typing import Self

from hypothesis import strategies as st

from custom_components.nl43.rion import vocabulary
from custom_components.nl43.rion.dod import Reading, parse_reading
from custom_components.nl43.rion.vocabulary import Command
from nl43_sim import SimulatedMeter, SimulatorConfig

# The tests' meters are a hundred times as quick, and judge their clients by that pace.
QUICK = 0.01
PATIENCE = 20.0
SERIAL = "01234567"

_RECORDINGS = Path(__file__).parents[1] / "recordings"


def recorded(name: str) -> list[str]:
    """Return the lines of a recording of a real meter."""
    return (_RECORDINGS / f"{name}.txt").read_text("ascii").splitlines()


MEASURING_LINE = recorded("dod_measuring")[0]
STOPPED_LINE = recorded("dod_stopped")[0]


def recorded_readings() -> tuple[Reading, Reading]:
    """Return what the recorded frames say: measuring, then stopped."""
    return parse_reading(MEASURING_LINE), parse_reading(STOPPED_LINE)


def quick_meter() -> SimulatorConfig:
    """Return a measuring meter that allows the tests' quick pace."""
    return SimulatorConfig(pace_limit=QUICK, answer_limit=3 * QUICK, latency=0.0)


def all_commands() -> list[Command[object]]:
    """Return every command of the vocabulary."""
    found: list[Command[object]] = []
    for value in vars(vocabulary).values():
        values = value.values() if isinstance(value, dict) else (value,)
        found += [each for each in values if isinstance(each, Command)]
    return found


async def until(condition: Callable[[], object]) -> None:
    """Wait for a condition; TimeoutError if it never comes about."""
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110 - any condition, not only an event
            await asyncio.sleep(0.001)


def asked(sim: SimulatedMeter) -> list[str]:
    """Return the command lines that a simulated meter got."""
    return [command.line for command in sim.commands]


@st.composite
def pieces(draw: st.DrawFn, data: bytes) -> list[bytes]:
    """Cut bytes anywhere."""
    cuts = sorted(draw(st.lists(st.integers(0, len(data)), max_size=12)))
    return [data[start:end] for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True)]


type Answer = Callable[[str], AsyncIterator[bytes]]


class RawMeter:
    """A server that answers each command line with whatever bytes a test wants."""

    def __init__(self, answer: Answer) -> None:
        """Answer with the pieces that `answer` yields, each sent as it is yielded."""
        self._answer = answer
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.host = "127.0.0.1"
        self.port = 0
        self.lines: list[str] = []
        self.received: list[float] = []
        self.opened = 0

    async def __aenter__(self) -> Self:
        """Listen."""
        self._server = await asyncio.start_server(self._serve, self.host, 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End everything and wait for it."""
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one connection."""
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        self.opened += 1
        try:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
                await self._answer_lines(reader, writer)
        finally:
            writer.transport.abort()

    async def _answer_lines(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Answer one line after the other."""
        while True:
            raw = await reader.readuntil(b"\r\n")
            self.received.append(time.monotonic())
            line = raw.decode("ascii").removesuffix("\r\n").lstrip("\x1a")
            self.lines.append(line)
            if line == "Serial Number?":
                writer.write(f"R+0000\r\n{SERIAL}\r\n".encode())
                continue
            async for piece in self._answer(line):
                writer.write(piece)
                await writer.drain()
                # Each piece has its chance of being a packet of its own.
                await asyncio.sleep(0)
