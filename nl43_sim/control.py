"""The control service: one connection, one command at a time."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
import socket
import time
from typing import Final, cast, override

from .commands import UNKNOWN, Reply, execute
from .config import Prompt
from .corruption import Corruption, Packet
from .faults import Fault
from .ledger import CommandEntry, Ledger
from .machine import Machine
from .noise import Noise
from .wire import answer

_LINE_LIMIT: Final = 256
_SUB: Final = b"\x1a"
_STREAM_INTERVAL: Final = 0.1
# A slow reader of the stream loses lines instead of filling our memory.
_STREAM_BACKLOG: Final = 65_536
# The end of one connection and the start of the next may be seen in either order.
_HANDOVER: Final = 0.05
_CHARACTER_GAP: Final = 0.1


class ControlService:
    """Gives the one slot to a connection and answers it."""

    def __init__(self, machine: Machine, ledger: Ledger) -> None:
        """Serve a machine."""
        self.machine = machine
        self.ledger = ledger
        self.noise = Noise(machine.config.seed + 4711)
        self.corruption = Corruption(machine.faults, self.noise)
        self._holder: ControlConnection | None = None
        self._held: set[_HeldConnection] = set()
        self._admissions: set[asyncio.Task[None]] = set()
        self._freed = asyncio.Event()
        self._freed_at: float | None = None
        self._closed: set[asyncio.Task[None]] = set()

    def accept(self, sock: socket.socket) -> None:
        """Take a connection from the listener."""
        # Started at once: a task cancelled before its first step would not close the socket.
        task = asyncio.get_running_loop().create_task(self._admit(sock), eager_start=True)
        self._admissions.add(task)
        task.add_done_callback(self._admissions.discard)

    def cut(self) -> None:
        """Cut the live connection."""
        if self._holder is not None:
            self._holder.cut()

    def cut_held(self) -> None:
        """Cut the connections that wait in vain."""
        for held in list(self._held):
            held.cut()

    async def drop_connection(self) -> None:
        """Cut the live connection and wait until it is gone."""
        holder = self._holder
        if holder is not None:
            holder.cut()
            await holder.lost.wait()

    def freeze(self, *, on: bool) -> None:
        """Stop or go on reading, as when the network is gone."""
        if self._holder is not None:
            self._holder.freeze(on=on)

    async def close(self) -> None:
        """End everything and wait for it."""
        for task in self._admissions:
            task.cancel()
        await asyncio.gather(*self._admissions, return_exceptions=True)
        self.cut_held()
        for held in list(self._held):
            await held.lost.wait()
        await self.drop_connection()
        await asyncio.gather(*self._closed, return_exceptions=True)

    def released(self, connection: ControlConnection, task: asyncio.Task[None]) -> None:
        """Hear that a connection has ended; its task is still to be waited for."""
        self.ledger.connections_open -= 1
        self._closed.add(task)
        task.add_done_callback(self._closed.discard)
        if self._holder is connection:
            self._holder = None
            self._freed_at = time.monotonic()
            self._freed.set()

    def held_released(self, held: _HeldConnection) -> None:
        """Hear that a connection that waited has ended."""
        self.ledger.connections_open -= 1
        self._held.discard(held)

    async def _admit(self, sock: socket.socket) -> None:
        """Give a connection the slot, or hold it."""
        self.ledger.connections_opened += 1
        try:
            free = await self._slot_is_free(sock)
        except asyncio.CancelledError:
            sock.close()
            raise
        protocol: ControlConnection | _HeldConnection
        if free:
            protocol = self._holder = ControlConnection(self)
        else:
            protocol = _HeldConnection(self)
            self._held.add(protocol)
        self.ledger.connections_open += 1
        await asyncio.get_running_loop().connect_accepted_socket(lambda: protocol, sock)

    async def _slot_is_free(self, sock: socket.socket) -> bool:
        """Tell whether a connection may have the slot; note it if it should not have come."""
        if Fault.SLOT_TAKEN in self.machine.faults:
            return False
        if self._holder is not None:
            self._freed.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._freed.wait(), _HANDOVER)
            if self._holder is not None:
                self.ledger.violate("second_connection", f"from {sock.getpeername()[:2]}")
                return False
        late = self.machine.faults.seconds(Fault.LATE_RELEASE)
        if late is not None and self._freed_at is not None:
            return time.monotonic() >= self._freed_at + late
        return True


class _Connection(asyncio.Protocol):
    """A connection that can be cut and whose end can be waited for."""

    def __init__(self, service: ControlService) -> None:
        """Belong to a service."""
        self._service = service
        self._transport: asyncio.Transport | None = None
        self._cut = False
        self.lost = asyncio.Event()

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Note the transport."""
        self._transport = cast("asyncio.Transport", transport)
        if self._cut:
            self._transport.abort()

    def cut(self) -> None:
        """Close the connection at once, or as soon as it is there."""
        self._cut = True
        if self._transport is not None:
            self._transport.abort()


class _HeldConnection(_Connection):
    """A connection that is accepted and never answered."""

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        """Go."""
        self._service.held_released(self)
        self.lost.set()


class ControlConnection(_Connection):
    """The connection that holds the slot."""

    def __init__(self, service: ControlService) -> None:
        """Begin with nothing received."""
        super().__init__(service)
        self._machine = service.machine
        self._ledger = service.ledger
        self._buffer = bytearray()
        self._began = 0.0
        self._heard = 0.0
        self._verdict: tuple[str, str] | None = None
        self._waiting: asyncio.Queue[tuple[CommandEntry, bytes]] = asyncio.Queue()
        self._unanswered: set[int] = set()
        self._unanswered_since = 0.0
        self._streaming = False
        self._stop_stream = asyncio.Event()
        self._task = asyncio.get_running_loop().create_task(self._serve())

    @override
    def data_received(self, data: bytes) -> None:
        """Take in what a client sent."""
        now = time.monotonic()
        if self._streaming and _SUB in data:
            self._stop_stream.set()
        data = data.replace(_SUB, b"")
        while data:
            if not self._buffer:
                self._began = now
                self._verdict = self._judge(now)
            elif now - self._heard > _CHARACTER_GAP:
                self._ledger.violate("slow_characters", f"{now - self._heard:.3f} s in a line")
            self._heard = now
            part, newline, data = data.partition(b"\n")
            # Cut one byte beyond the limit, so that the line's end still finds it too long.
            self._buffer += part[: _LINE_LIMIT + 1 - len(self._buffer)] + newline
            if newline:
                line = bytes(self._buffer)
                self._buffer.clear()
                self._received(line)

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        """Free the slot."""
        self._task.cancel()
        self._service.released(self, self._task)
        self.lost.set()

    def freeze(self, *, on: bool) -> None:
        """Stop or go on reading."""
        if self._transport is None or self._transport.is_closing():
            return
        if on:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()

    def _judge(self, now: float) -> tuple[str, str] | None:
        """Return the rule that a command beginning now breaks."""
        config = self._machine.config
        if self._streaming or (
            self._unanswered and now - self._unanswered_since < config.answer_limit
        ):
            return "pipelined", f"{now - self._unanswered_since:.3f} s after an unanswered command"
        last = self._ledger.last_answered
        if last is not None and now - last < config.pace_limit:
            return "too_soon", f"{now - last:.4f} s after an answer"
        return None

    def _received(self, raw: bytes) -> None:
        """Take in a whole line."""
        text = raw.rstrip(b"\r\n").decode("ascii", "backslashreplace")
        entry = self._ledger.received(text, self._began)
        if self._verdict is not None:
            kind, detail = self._verdict
            self._ledger.violate(kind, f"{text!r} {detail}")
        if len(raw) > _LINE_LIMIT:
            self._ledger.violate("overlong", f"{text[:40]!r}...")
        elif not raw.endswith(b"\r\n") or b"\r" in raw[:-2]:
            self._ledger.violate("bad_line_end", repr(raw))
        if not raw.isascii():
            self._ledger.violate("not_ascii", repr(raw))
        self._unanswered.add(id(entry))
        self._unanswered_since = self._began
        self._waiting.put_nowait((entry, raw))

    async def _serve(self) -> None:
        """Answer the commands in the order they came."""
        while True:
            entry, raw = await self._waiting.get()
            faults = self._machine.faults
            slow = faults.seconds(Fault.SLOW)
            faults.strike(Fault.SLOW)
            await asyncio.sleep(self._machine.config.latency if slow is None else slow)
            if Fault.GONE not in faults and not faults.strike(Fault.SILENCE):
                await self._answer(entry, raw)

    async def _answer(self, entry: CommandEntry, raw: bytes) -> None:
        """Answer a command."""
        whole = raw.endswith(b"\r\n") and b"\r" not in raw[:-2] and len(raw) <= _LINE_LIMIT
        reply = execute(self._machine, entry.line) if whole else Reply(UNKNOWN)
        corruption = self._service.corruption
        data = reply.data
        if data is not None:
            data = corruption.values(data)
        prompt = self._service.noise.pick(self._machine.config.prompts)
        if reply.stream is not None and prompt is Prompt.LEFT_OVER:
            prompt = Prompt.NONE
        try:
            await self._send(corruption.answer(answer(reply.result, data, prompt)), entry)
            if reply.stream is not None:
                await self._stream(reply.stream, entry)
        finally:
            # A command is done whether or not its answer gets through.
            if reply.afterwards is not None:
                reply.afterwards()

    async def _stream(self, line: Callable[[int], str], entry: CommandEntry) -> None:
        """Send a line each 100 ms until the client ends it."""
        self._stop_stream.clear()
        self._streaming = True
        loop = asyncio.get_running_loop()
        due, counter = loop.time(), 0
        corruption = self._service.corruption
        try:
            while not self._stop_stream.is_set():
                transport = self._transport
                backlog = 0 if transport is None else transport.get_write_buffer_size()
                if Fault.GONE not in self._machine.faults and backlog < _STREAM_BACKLOG:
                    packets = corruption.packets(line(counter).encode("ascii") + b"\r\n")
                    await self._send(packets, entry)
                counter += 1
                due += _STREAM_INTERVAL
                with suppress(TimeoutError):
                    async with asyncio.timeout_at(due):
                        await self._stop_stream.wait()
        finally:
            self._streaming = False

    async def _send(self, packets: list[Packet], entry: CommandEntry) -> None:
        """Send an answer in its packets and note when it was out."""
        transport = self._transport
        for packet in packets:
            if packet.delay:
                await asyncio.sleep(packet.delay)
            if transport is None or transport.is_closing():
                return
            # Taken before the write: the client may have the last byte before we look again.
            at = time.monotonic()
            transport.write(packet.data)
            if packet.cut:
                self.cut()
                return
        self._unanswered.discard(id(entry))
        self._ledger.answered(entry, at)
