"""One TCP socket to a meter: lines in, bytes out, and when the last byte came."""

import asyncio
from collections import deque
import socket
from typing import Final, cast

from .errors import ClosedError, DesyncError, NoAnswerError
from .protocol import LineDecoder

# Lines kept while nobody reads them: more than fit an answer, so that a flood costs no memory.
MAX_WAITING_LINES: Final = 32
# Seconds: after these a cellular link that has died without a word is noticed.
KEEPALIVE_IDLE: Final = 15
KEEPALIVE_INTERVAL: Final = 10
KEEPALIVE_PROBES: Final = 3


def keep_alive(sock: socket.socket) -> None:
    """Have the operating system probe a connection that is silent: 15 s, then thrice in 30 s."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    # macOS names the idle time otherwise.
    idle = getattr(socket, "TCP_KEEPIDLE", getattr(socket, "TCP_KEEPALIVE", None))
    for option, value in (
        (idle, KEEPALIVE_IDLE),
        (getattr(socket, "TCP_KEEPINTVL", None), KEEPALIVE_INTERVAL),
        (getattr(socket, "TCP_KEEPCNT", None), KEEPALIVE_PROBES),
    ):
        if option is not None:
            sock.setsockopt(socket.IPPROTO_TCP, option, value)


class Link(asyncio.Protocol):
    """One socket's life: lines in, bytes out, when the last byte came."""

    def __init__(self) -> None:
        """Start with nothing received."""
        self._loop = asyncio.get_running_loop()
        self._decoder = LineDecoder()
        self._lines: deque[str] = deque(maxlen=MAX_WAITING_LINES)
        self._broken: DesyncError | None = None
        self._news = asyncio.Event()
        self._transport: asyncio.Transport | None = None
        self.arrived = 0.0
        self.received: list[str] = []
        self.closed = self._loop.create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Switch the OS keepalive on: a dead cellular link is noticed without traffic."""
        self._transport = cast("asyncio.Transport", transport)
        keep_alive(transport.get_extra_info("socket"))

    def data_received(self, data: bytes) -> None:
        """Take in what came, and when."""
        self.arrived = self._loop.time()
        try:
            lines = self._decoder.feed(data)
        except DesyncError as err:
            self._broken = err
        else:
            self._lines.extend(lines)
        self._news.set()

    def connection_lost(self, _exc: Exception | None) -> None:
        """Wake whoever waits for a line."""
        if not self.closed.done():
            self.closed.set_result(None)
        self._news.set()

    @property
    def alive(self) -> bool:
        """Whether the socket is open."""
        return not self.closed.done()

    def send(self, data: bytes) -> None:
        """Drop what is waiting and write: left-overs must not pass for the answer."""
        self.drain()
        self.write(data)

    def write(self, data: bytes) -> None:
        """Write without dropping anything."""
        if self._transport is not None:
            self._transport.write(data)

    def drain(self) -> None:
        """Forget all that has been received."""
        self._decoder.clear()
        self._lines.clear()
        self._broken = None
        self.received = []
        self._news.clear()

    def note_leftover(self) -> bool:
        """Tell whether more came than was asked for, and keep it with what was received."""
        self.received.extend(self._lines)
        return bool(self._lines) or self._broken is not None

    async def line(self, deadline: float) -> str:
        """Return the next line; NoAnswerError, ClosedError or DesyncError if none comes."""
        while not self._lines:
            if self._broken is not None:
                raise self._broken
            if not self.alive:
                msg = "the meter closed the connection"
                raise ClosedError(msg)
            self._news.clear()
            try:
                async with asyncio.timeout_at(deadline):
                    await self._news.wait()
            except TimeoutError:
                msg = "no answer in time"
                raise NoAnswerError(msg) from None
        line = self._lines.popleft()
        self.received.append(line)
        return line

    async def quiet(self, seconds: float, deadline: float) -> None:
        """Return when nothing has come for so long; NoAnswerError if it never stops."""
        while self._loop.time() < deadline:
            self._decoder.clear()
            self._lines.clear()
            self._news.clear()
            try:
                async with asyncio.timeout(seconds):
                    await self._news.wait()
            except TimeoutError:
                return
        msg = "the stream did not stop"
        raise NoAnswerError(msg)

    def close(self) -> None:
        """Close the socket."""
        if self._transport is not None:
            self._transport.close()
