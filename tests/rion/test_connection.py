"""The one connection: cancelled callers, closing, losses, left-overs, odd parsers."""

import asyncio
from collections.abc import AsyncIterator
from itertools import pairwise
import socket
import time

import pytest

from custom_components.nl43.rion import (
    ClosedError,
    DesyncError,
    Meter,
    NoAnswerError,
    Priority,
    Reading,
    RefusedError,
    RionError,
    StateError,
    UnreachableError,
    WrongMeterError,
    backoff,
    connection,
    history,
)
from custom_components.nl43.rion.connection import Connection
from custom_components.nl43.rion.link import MAX_WAITING_LINES
from custom_components.nl43.rion.protocol import MAX_LINE
from custom_components.nl43.rion.vocabulary import (
    CLOCK,
    MEASURE,
    POWER_SOURCE,
    TYPE,
    Model,
    RunState,
)
from nl43_sim import Fault, SimulatedMeter

from .tools import (
    MEASURING_LINE,
    PATIENCE,
    QUICK,
    RawMeter,
    asked,
    recorded,
    recorded_readings,
    until,
)

DONE = b"R+0000\r\n"
FRAME = DONE + MEASURING_LINE.encode() + b"\r\n"


async def finished[T](task: asyncio.Task[T]) -> T:
    """Return what a task ends in, which must not hang."""
    async with asyncio.timeout(PATIENCE):
        return await task


def is_open(client: Meter) -> bool:
    """Tell whether a client's socket is open."""
    return client.connection.is_open


def is_closed(client: Meter) -> bool:
    """Tell whether a client has been given up for good."""
    return client.connection.is_closed


async def frames(_line: str) -> AsyncIterator[bytes]:
    """Answer everything with the recorded frame."""
    yield FRAME


# Backoff


def test_backoff_doubles_up_to_its_limit() -> None:
    """1, 2, 4 ... seconds, and no number of failures is too large."""
    assert [backoff(failures) for failures in range(1, 9)] == [1, 2, 4, 8, 16, 32, 60, 60]
    assert backoff(10**9) == 60
    assert [backoff(failures, 5.0) for failures in range(1, 5)] == [1, 2, 4, 5]


# Cancelled callers


async def test_cancelled_in_flight(sim: SimulatedMeter, meter: Meter) -> None:
    """The answer of a caller that is gone is read and thrown away; the next one is right."""
    await meter.ask(TYPE)
    sim.inject(Fault.SLOW, seconds=0.05, times=1)
    caller = asyncio.create_task(meter.ask(CLOCK))
    await until(lambda: "Clock?" in asked(sim))
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    assert await meter.ask(MEASURE) is RunState.START
    assert isinstance(await meter.reading(), Reading)
    assert asked(sim).count("Clock?") == 1
    assert sim.connections_opened == 1


async def test_cancelled_while_queued(sim: SimulatedMeter, meter: Meter) -> None:
    """What nobody waits for any more is not sent."""
    await meter.ask(TYPE)
    sim.inject(Fault.SLOW, seconds=0.05, times=1)
    first = asyncio.create_task(meter.ask(CLOCK))
    second = asyncio.create_task(meter.set(MEASURE, RunState.STOP))
    third = asyncio.create_task(meter.ask(MEASURE))
    await until(lambda: "Clock?" in asked(sim))
    second.cancel()
    with pytest.raises(asyncio.CancelledError):
        await second
    await finished(first)
    assert await finished(third) is RunState.START
    assert "Measure,Stop" not in asked(sim)
    assert sim.connections_opened == 1


async def test_cancelled_while_connecting(sim: SimulatedMeter, meter: Meter) -> None:
    """The connection that was begun for a caller that is gone serves the next one."""
    sim.inject(Fault.SLOW, seconds=0.05, times=1)
    caller = asyncio.create_task(meter.set(MEASURE, RunState.STOP))
    await until(lambda: asked(sim) == ["Serial Number?"])
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    assert await meter.ask(TYPE) is Model.NL_43
    assert sim.connections_opened == 1


async def test_cancelled_by_the_dozen(sim: SimulatedMeter, meter: Meter) -> None:
    """Callers that give up at any moment never get the connection out of step."""
    for number in range(60):
        caller = asyncio.create_task(meter.ask(CLOCK if number % 2 else TYPE))
        await asyncio.sleep(number * QUICK / 20)
        caller.cancel()
        await asyncio.wait([caller])
    for _ in range(3):
        assert await meter.ask(MEASURE) is RunState.START
        assert isinstance(await meter.reading(), Reading)
    assert sim.connections_opened == 1
    assert meter.connection.statistics.errors == 0


# Closing


async def test_close_at_rest(sim: SimulatedMeter, meter: Meter) -> None:
    """Closing gives the meter's slot back, once and for all."""
    await meter.reading()
    assert is_open(meter)
    await meter.close()
    assert not is_open(meter)
    await until(lambda: sim.connections_open == 0)
    await meter.close()
    with pytest.raises(ClosedError):
        await meter.reading()
    assert sim.connections_opened == 1


async def test_close_leaves_the_meter_at_rest(sim: SimulatedMeter) -> None:
    """Who connects right after a close has returned does not speak too soon."""
    for _ in range(5):
        client = Meter(sim.host, sim.port)
        await client.reading()
        await client.close()
    times = [(command.received, command.answered) for command in sim.commands]
    for (_, answered), (received, _) in pairwise(times):
        assert answered is not None
        assert received - answered >= QUICK


async def test_close_in_flight_leaves_the_meter_at_rest(sim: SimulatedMeter, meter: Meter) -> None:
    """The same when an answer was still to come."""
    await meter.reading()
    sim.inject(Fault.SILENCE, times=1)
    caller = asyncio.create_task(meter.reading())
    await until(lambda: asked(sim).count("DOD?") == 2)
    await meter.close()
    with pytest.raises(ClosedError):
        await finished(caller)
    other = Meter(sim.host, sim.port)
    await other.reading()
    await other.close()
    assert sim.commands[3].line == "Serial Number?"
    assert sim.commands[3].received - sim.commands[2].received >= connection.ANSWER_LIMIT


async def test_close_before_anything(sim: SimulatedMeter, meter: Meter) -> None:
    """A client that never asked has nothing to close."""
    await meter.close()
    assert sim.connections_opened == 0


async def test_close_in_flight(sim: SimulatedMeter, meter: Meter) -> None:
    """Whoever waits is told: the one whose answer is due, and those in the queue."""
    await meter.ask(TYPE)
    sim.inject(Fault.SILENCE)
    callers = [
        asyncio.create_task(meter.reading()),
        asyncio.create_task(meter.ask(MEASURE)),
        asyncio.create_task(meter.ask(CLOCK)),
    ]
    await until(lambda: sim.commands[-1].line == "Measure?")
    await meter.close()
    for caller in callers:
        with pytest.raises(ClosedError):
            await finished(caller)
    await until(lambda: sim.connections_open == 0)
    assert sim.connections_opened == 1


async def test_close_while_greeting(sim: SimulatedMeter, meter: Meter) -> None:
    """A connection that is open but not known yet is closed when close returns."""
    sim.inject(Fault.SILENCE)
    caller = asyncio.create_task(meter.reading())
    await until(lambda: asked(sim) == ["Serial Number?"])
    link = meter.connection._link
    assert link is not None
    await meter.close()
    assert not link.alive
    with pytest.raises(ClosedError):
        await finished(caller)
    await until(lambda: sim.connections_open == 0)


async def test_close_while_connecting(sim: SimulatedMeter, meter: Meter) -> None:
    """A connect that hangs is given up."""
    sim.inject(Fault.GONE)
    caller = asyncio.create_task(meter.reading())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    await meter.close()
    with pytest.raises(ClosedError):
        await finished(caller)
    sim.clear()
    assert sim.connections_opened == 0


async def test_close_while_waiting_for_the_backoff(sim: SimulatedMeter, meter: Meter) -> None:
    """A client in its backoff closes at once."""
    sim.inject(Fault.WEDGE)
    with pytest.raises(RefusedError):
        await meter.reading()
    meter.connection.max_backoff = 3600.0
    caller = asyncio.create_task(meter.reading())
    await asyncio.sleep(0)
    await meter.close()
    with pytest.raises(ClosedError):
        await finished(caller)


async def test_a_cancelled_close_closes_all_the_same(sim: SimulatedMeter, meter: Meter) -> None:
    """Who closes can be cancelled like everybody, and the socket is not forgotten."""
    await meter.ask(TYPE)
    sim.inject(Fault.SILENCE)
    callers = [asyncio.create_task(meter.reading()), asyncio.create_task(meter.ask(MEASURE))]
    await until(lambda: sim.commands[-1].line == "Measure?")
    closing = asyncio.create_task(meter.close())
    await asyncio.sleep(0)
    closing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await closing
    for caller in callers:
        with pytest.raises(ClosedError):
            await finished(caller)
    await until(lambda: sim.connections_open == 0)


# Losses


async def test_closed_by_the_meter_while_idle(sim: SimulatedMeter, meter: Meter) -> None:
    """The next command reconnects, after the backoff, and first asks who it is."""
    await meter.reading()
    await sim.drop_connection()
    await until(lambda: not meter.connection.is_open)
    begun = time.monotonic()
    await meter.reading()
    assert asked(sim) == ["Serial Number?", "DOD?", "Serial Number?", "DOD?"]
    assert sim.commands[2].received - begun >= QUICK
    assert sim.connections_opened == 2


async def test_a_socket_that_dies_young_is_reopened_ever_later(
    sim: SimulatedMeter, meter: Meter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One good answer does not end the backoff: that would be a connect a second."""
    for _ in range(4):
        await meter.reading()
        await sim.drop_connection()
        await until(lambda: not meter.connection.is_open)
    connects = [each.received for each in sim.commands if each.line == "Serial Number?"]
    gaps = [later - earlier for earlier, later in pairwise(connects)]
    assert all(gap >= QUICK * 2**losses for losses, gap in enumerate(gaps))
    monkeypatch.setattr(connection, "MAX_BACKOFF", 0.0)
    await meter.reading()
    await sim.drop_connection()
    await until(lambda: not meter.connection.is_open)
    assert meter.connection.reconnect_in <= QUICK


async def test_a_shorter_backoff_counts_at_once(
    sim: SimulatedMeter, meter: Meter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When somebody begins to watch, a reconnect that was far off is brought forward."""
    monkeypatch.setattr(connection, "backoff", lambda _failures, limit: limit)
    meter.connection.max_backoff = 3600.0
    assert meter.connection.max_backoff == 3600.0
    sim.inject(Fault.WEDGE)
    with pytest.raises(RefusedError):
        await meter.reading()
    sim.clear()
    caller = asyncio.create_task(meter.reading())
    done, _ = await asyncio.wait([caller], timeout=10 * QUICK)
    assert not done
    assert sim.connections_opened == 0
    meter.connection.max_backoff = 0.0
    assert isinstance(await finished(caller), Reading)


async def test_keepalive_is_on(sim: SimulatedMeter, meter: Meter) -> None:
    """The operating system looks after an idle connection: 15 s, 10 s, 3 probes."""
    await meter.reading()
    link = meter.connection._link
    assert link is not None
    assert link._transport is not None
    sock: socket.socket = link._transport.get_extra_info("socket")
    assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
    idle = getattr(socket, "TCP_KEEPIDLE", getattr(socket, "TCP_KEEPALIVE", None))
    assert idle is not None
    assert sock.getsockopt(socket.IPPROTO_TCP, idle) == 15
    assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL) == 10
    assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT) == 3


@pytest.mark.parametrize(("host", "port"), [("127.0.0.1", 65536), ("127.0.0.1\0", 2255)])
async def test_what_is_no_address(quick: None, host: str, port: int) -> None:
    """An address that cannot be one is unreachable, each time it is tried."""
    meter = Meter(host, port)
    for _ in range(2):
        async with asyncio.timeout(PATIENCE):
            with pytest.raises(UnreachableError):
                await meter.reading()
    await meter.close()


@pytest.mark.parametrize(
    "error",
    [
        socket.gaierror(socket.EAI_NONAME, "Name or service not known"),
        UnicodeEncodeError("idna", "..", 0, 1, "label empty"),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_a_name_that_nobody_knows(
    quick: None, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """A host name without an address, or that cannot be one, is unreachable."""

    async def unknown(*_: object, **__: object) -> object:
        raise error

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", unknown)
    meter = Meter("meter.example")
    for _ in range(2):
        async with asyncio.timeout(PATIENCE):
            with pytest.raises(UnreachableError):
                await meter.reading()
    await meter.close()


def resolve_to(monkeypatch: pytest.MonkeyPatch, *ports: int) -> None:
    """Give every host name one address for each of these ports."""

    async def resolved(*_: object, **__: object) -> list[object]:
        kind = (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "")
        return [(*kind, ("127.0.0.1", port)) for port in ports]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", resolved)


async def test_refused_by_each_address_of_a_name(
    quick: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A host name with more than one address is refused when they refuse."""
    with socket.socket() as first, socket.socket() as second:
        for bound in (first, second):
            bound.bind(("127.0.0.1", 0))
        resolve_to(monkeypatch, first.getsockname()[1], second.getsockname()[1])
        meter = Meter("meter.example")
        with pytest.raises(RefusedError):
            await meter.reading()
        await meter.close()


async def test_the_address_that_answers_is_taken(
    sim: SimulatedMeter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A host name's second address is tried when the first one refuses."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        resolve_to(monkeypatch, bound.getsockname()[1], sim.port)
        meter = Meter("meter.example")
        assert isinstance(await meter.reading(), Reading)
        await meter.close()
    assert sim.connections_opened == 1


# What was sent


@pytest.mark.parametrize(
    "error",
    [
        ClosedError("gone"),
        UnreachableError("no route"),
        StateError("Measure,Start"),
        WrongMeterError("01234567", "76543210"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_the_error_of_what_was_not_sent(error: RionError) -> None:
    """It is the same error in all but one thing, and another object."""
    unsent = error.of_unsent()
    assert type(unsent) is type(error)
    assert str(unsent) == str(error)
    assert (unsent.unsent, error.unsent) == (True, False)
    assert vars(unsent) == {**vars(error), "unsent": True}


async def test_a_command_without_an_answer_may_have_been_done(
    sim: SimulatedMeter, meter: Meter, hasty: None
) -> None:
    """Neither silence nor a close in mid-answer says that it was not sent."""
    await meter.reading()
    sim.inject(Fault.SILENCE)
    with pytest.raises(NoAnswerError) as silent:
        await meter.set(MEASURE, RunState.STOP)
    assert not silent.value.unsent
    sim.clear()
    meter.connection.max_backoff = QUICK
    await meter.reading()
    sim.inject(Fault.DROP, times=1)
    with pytest.raises(ClosedError) as dropped:
        await meter.set(MEASURE, RunState.STOP)
    assert not dropped.value.unsent
    assert asked(sim).count("Measure,Stop") == 2


async def test_a_command_without_a_connection_was_not_sent(
    sim: SimulatedMeter, meter: Meter, hasty: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No connect, no greeting, a backoff, a closed client: each is told as such."""
    monkeypatch.setattr(connection, "PACE", 0.0)
    for fault, error in ((Fault.WEDGE, RefusedError), (Fault.SILENCE, NoAnswerError)):
        sim.inject(fault)
        with pytest.raises(error) as raised:
            await meter.set(MEASURE, RunState.STOP, Priority.READING)
        assert raised.value.unsent
        sim.clear()
    # In the backoff a person is told at once.
    assert meter.connection.reconnect_in > 0
    with pytest.raises(NoAnswerError) as waiting:
        await meter.set(MEASURE, RunState.STOP)
    assert waiting.value.unsent
    assert waiting.value is not raised.value
    queued = asyncio.create_task(meter.set(MEASURE, RunState.STOP, Priority.READING))
    await asyncio.sleep(0)
    assert not is_closed(meter)
    await meter.close()
    assert is_closed(meter)
    with pytest.raises(ClosedError) as given_up:
        await finished(queued)
    with pytest.raises(ClosedError) as closed:
        await meter.set(MEASURE, RunState.STOP)
    assert given_up.value.unsent
    assert closed.value.unsent
    assert set(asked(sim)) == {"Serial Number?"}


# A new connection because a person wants it


async def test_renew_before_anything(sim: SimulatedMeter, meter: Meter) -> None:
    """Without a socket there is nothing to give up, and nothing to wait for."""
    meter.connection.renew()
    assert meter.connection.reconnect_in == 0
    await meter.reading()
    assert sim.connections_opened == 1


async def test_renew_a_healthy_connection(sim: SimulatedMeter, meter: Meter) -> None:
    """It costs one connection, and the meter has its second of rest before it."""
    await meter.reading()
    begun = time.monotonic()
    meter.connection.renew()
    assert not is_open(meter)
    assert 0 < meter.connection.reconnect_in <= QUICK
    await until(lambda: sim.connections_open == 0)
    await meter.reading()
    assert asked(sim) == ["Serial Number?", "DOD?"] * 2
    assert sim.commands[2].received - begun >= QUICK
    assert sim.connections_opened == 2


async def test_renew_in_flight(sim: SimulatedMeter, meter: Meter) -> None:
    """Whose answer was due is told; the next command has a new connection."""
    await meter.reading()
    sim.inject(Fault.SILENCE, times=1)
    caller = asyncio.create_task(meter.reading())
    await until(lambda: asked(sim).count("DOD?") == 2)
    meter.connection.renew()
    with pytest.raises(ClosedError) as raised:
        await finished(caller)
    assert not raised.value.unsent
    await meter.reading()
    assert sim.connections_opened == 2


async def test_renew_shortens_a_long_backoff(
    sim: SimulatedMeter, meter: Meter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A minute becomes some seconds, also for who waits already."""
    sim.inject(Fault.WEDGE)
    with pytest.raises(RefusedError):
        await meter.reading()
    meter.connection._losses = 12
    assert meter.connection.reconnect_in > 50 * QUICK
    caller = asyncio.create_task(meter.reading())
    # It waits by now.
    await asyncio.sleep(2 * QUICK)
    sim.clear()
    begun = time.monotonic()
    meter.connection.renew()
    assert meter.connection.reconnect_in <= backoff(connection.ASKED_LOSSES) * QUICK
    await finished(caller)
    assert time.monotonic() - begun < 30 * QUICK


async def test_renewed_over_and_over(sim: SimulatedMeter, meter: Meter) -> None:
    """Who asks again and again gets a connection only as often as the backoff allows."""
    await meter.reading()
    opened = []
    for _ in range(6):
        meter.connection.renew()
        await meter.reading()
        opened.append(sim.commands[-2].received)
    gaps = [later - earlier for earlier, later in pairwise(opened)]
    assert all(gap >= wait * QUICK for wait, gap in zip((2, 4, 4, 4, 4), gaps, strict=True))
    # And no longer than that: a loss that came by itself would wait 64 times the pace now.
    assert meter.connection._losses == connection.ASKED_LOSSES
    assert sim.connections_opened == 7


async def test_renewed_in_vain(sim: SimulatedMeter, meter: Meter) -> None:
    """Without a socket it is no loss of its own: the wait counts from the last attempt."""
    sim.inject(Fault.WEDGE)
    with pytest.raises(RefusedError):
        await meter.reading()
    meter.connection._losses = 2
    before = meter.connection._lost_at
    for _ in range(20):
        meter.connection.renew()
    assert meter.connection._losses == 2
    assert meter.connection._lost_at == before


# Parsers


async def test_a_faulty_parser_is_its_callers_matter(quick: None) -> None:
    """What a parser raises reaches who brought it; the others are served as before."""

    def faulty(_text: str) -> str:
        msg = "a bug"
        raise RuntimeError(msg)

    async with RawMeter(frames) as raw:
        client = Connection(raw.host, raw.port)
        with pytest.raises(RuntimeError, match="a bug"):
            await client.ask("DOD?", faulty, Priority.READING)
        async with asyncio.timeout(PATIENCE):
            assert await client.ask("DOD?", str, Priority.READING) == MEASURING_LINE
        await client.close()


async def test_what_is_no_command_is_not_sent(sim: SimulatedMeter, meter: Meter) -> None:
    """A line that cannot be a command is refused before anything is queued."""
    for command in ("Measure,Stop\r\nDOD?", "$DOD?", ""):
        with pytest.raises(ValueError, match="not a command line"):
            await meter.connection.tell(command, Priority.PERSON)
    assert sim.connections_opened == 0


# Left-overs and floods


async def test_a_flood_while_idle_costs_no_memory(quick: None) -> None:
    """Lines that nobody asked for are dropped, and the next answer is right."""
    flood = b"R+0000\r\n 12.3\r\n" * 200_000
    flooded = asyncio.Event()

    async def answer(line: str) -> AsyncIterator[bytes]:
        yield FRAME
        if line == "DLC?":
            await flooded.wait()
            yield flood + b"END"

    async with RawMeter(answer) as raw:
        client = Meter(raw.host, raw.port)
        await client.final_result()
        link = client.connection._link
        assert link is not None
        flooded.set()
        await until(lambda: link._decoder._rest == b"END")
        assert len(link._lines) <= MAX_WAITING_LINES
        assert await client.reading() == recorded_readings()[0]
        assert raw.opened == 1
        await client.close()


async def test_an_endless_line_costs_no_memory(quick: None) -> None:
    """A line without an end is an error of its answer, and nothing of it is kept."""

    async def answer(line: str) -> AsyncIterator[bytes]:
        yield b"R+0000\r\n" + b" 12.3," * 500_000 if line == "DLC?" else FRAME

    async with RawMeter(answer) as raw:
        client = Meter(raw.host, raw.port)
        with pytest.raises(DesyncError):
            await client.final_result()
        link = client.connection._link
        assert link is not None
        assert len(link._decoder._rest) <= MAX_LINE
        assert await client.reading() == recorded_readings()[0]
        await client.close()


async def test_an_old_frame_in_a_packet_of_its_own_is_not_new(
    quick: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A frame that is sent again before the right one is not taken for it."""
    monkeypatch.setattr(connection, "SETTLE", 0.1)
    frames = 0

    def frame(number: int) -> bytes:
        return DONE + MEASURING_LINE.replace("46.2", f"{50 + number}.0").encode() + b"\r\n"

    async def answer(_line: str) -> AsyncIterator[bytes]:
        nonlocal frames
        frames += 1
        if frames > 1:
            yield frame(frames - 1)
            await asyncio.sleep(QUICK)
        yield frame(frames)

    async with RawMeter(answer) as raw:
        client = Meter(raw.host, raw.port)
        assert (await client.reading()).main.lp == 51.0
        with pytest.raises(DesyncError):
            await client.reading()
        await client.close()


async def test_a_command_nobody_waits_for_is_not_sent_after_the_greeting(
    sim: SimulatedMeter, meter: Meter
) -> None:
    """Who gives up while the socket is opened has not commanded anything."""
    caller = asyncio.create_task(meter.set(MEASURE, RunState.STOP))
    await until(lambda: asked(sim) == ["Serial Number?"])
    caller.cancel()
    await meter.reading()
    assert asked(sim) == ["Serial Number?", "DOD?"]


async def test_a_person_who_waits_is_told_when_the_connection_is_lost(
    sim: SimulatedMeter, meter: Meter, hasty: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A command is not sent a backoff later than it was given."""
    await meter.reading()
    monkeypatch.setattr(connection, "backoff", lambda _failures, limit: limit)
    sim.inject(Fault.SILENCE)
    reading = asyncio.create_task(meter.reading())
    await until(lambda: asked(sim).count("DOD?") == 2)
    command = asyncio.create_task(meter.set(MEASURE, RunState.STOP))
    with pytest.raises(NoAnswerError):
        await finished(reading)
    with pytest.raises(NoAnswerError):
        await finished(command)
    assert "Measure,Stop" not in asked(sim)


async def test_left_overs_are_drained(quick: None) -> None:
    """What came after an answer is not taken for the next one."""
    late = asyncio.Event()

    async def answer(line: str) -> AsyncIterator[bytes]:
        if line == "Clock?":
            yield DONE + b"2025/12/24 02:10:55\r\n"
            await late.wait()
            yield DONE + b"Stop\r\n$"
        else:
            yield DONE + b"Start\r\n"

    async with RawMeter(answer) as raw:
        client = Meter(raw.host, raw.port)
        await client.ask(CLOCK)
        link = client.connection._link
        assert link is not None
        late.set()
        await until(lambda: link._decoder._rest == b"$")
        assert await client.ask(MEASURE) is RunState.START
        assert raw.opened == 1
        await client.close()


@pytest.mark.parametrize("priority", list(Priority))
async def test_two_answers_to_one_question(quick: None, priority: Priority) -> None:
    """Which one was meant nobody knows: neither is taken, and the next question is right."""
    answers = iter([DONE + b"Stop\r\n" + DONE + b"Start\r\n", DONE + b"Start\r\n"])

    async def answer(_line: str) -> AsyncIterator[bytes]:
        yield next(answers)

    async with RawMeter(answer) as raw:
        client = Meter(raw.host, raw.port)
        with pytest.raises(DesyncError):
            await client.ask(MEASURE, priority)
        assert await client.ask(MEASURE, priority) is RunState.START
        assert raw.opened == 1
        await client.close()


async def test_stray_lines_before_an_answer(quick: None) -> None:
    """A few lines may come before the result code; a meter that sends only such is given up."""
    answers = iter(
        [
            b"0019\r\nStop\r\n$\r\n" + DONE + b"Start\r\n",
            b"0019\r\n" * connection.MAX_STRAY_LINES + DONE + b"Stop\r\n",
            b"0019\r\n" * (connection.MAX_STRAY_LINES - 1) + DONE + b"Start\r\n",
        ]
    )

    async def answer(_line: str) -> AsyncIterator[bytes]:
        yield next(answers)

    async with RawMeter(answer) as raw:
        client = Meter(raw.host, raw.port)
        assert await client.ask(MEASURE) is RunState.START
        with pytest.raises(DesyncError):
            await client.ask(MEASURE)
        assert await client.ask(MEASURE) is RunState.START
        assert raw.opened == 1
        await client.close()


async def test_a_question_that_never_fits_costs_the_connection(quick: None) -> None:
    """When draining does not help, the connection is closed, and a new one is tried."""
    words = iter([b"0019", b"0019", b"Start"])

    async def answer(_line: str) -> AsyncIterator[bytes]:
        yield DONE + next(words) + b"\r\n"

    async with RawMeter(answer) as raw:
        client = Meter(raw.host, raw.port)
        with pytest.raises(DesyncError):
            await client.ask(MEASURE)
        assert is_open(client)
        with pytest.raises(DesyncError):
            await client.ask(MEASURE)
        assert not is_open(client)
        assert await client.ask(MEASURE) is RunState.START
        assert raw.opened == 2
        await client.close()


async def test_after_a_misfit_the_right_answer_is_waited_for(quick: None) -> None:
    """The next command leaves only when an answer that was still on its way has had its time."""

    async def answer(line: str) -> AsyncIterator[bytes]:
        if line == "Clock?":
            yield b"R+9999\r\n"
            await asyncio.sleep(QUICK)
            yield DONE + b"Stop\r\n"
        else:
            yield DONE + b"Start\r\n"

    async with RawMeter(answer) as raw:
        client = Meter(raw.host, raw.port)
        with pytest.raises(DesyncError):
            await client.ask(CLOCK)
        assert await client.ask(MEASURE) is RunState.START
        _, clock, measure = raw.received
        assert measure - clock >= connection.ANSWER_LIMIT
        await client.close()


# Streams


async def test_a_stream_that_does_not_stop(hasty: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """It ends in NoAnswerError, and the connection is closed rather than asked on."""
    # However slow this machine is, the stream does not look still.
    monkeypatch.setattr(connection, "STILL", PATIENCE)
    streaming = True

    async def answer(line: str) -> AsyncIterator[bytes]:
        if line != "DRD?status":
            yield FRAME
            return
        yield DONE
        while streaming:
            yield f"{recorded('drd_measuring')[0]},2025/12/24 02:10:55,E,F,1,M\r\n".encode()
            await asyncio.sleep(0.001)

    async with RawMeter(answer) as raw:
        client = Meter(raw.host, raw.port)
        with pytest.raises(NoAnswerError):
            await client.ask(POWER_SOURCE)
        assert not is_open(client)
        streaming = False
        assert await client.reading() == recorded_readings()[0]
        assert raw.opened == 2
        await client.close()


# Diagnostics


async def test_exchanges_are_kept(sim: SimulatedMeter, meter: Meter) -> None:
    """The last answers are kept raw, with times and errors, and no more than some."""
    for _ in range(history.HISTORY):
        await meter.reading()
    with pytest.raises(RionError):
        await meter.set(MEASURE, RunState.START)
    statistics = meter.connection.statistics
    assert statistics.connects == 1
    assert statistics.commands == history.HISTORY + 2
    assert statistics.errors == 1
    assert len(statistics.recent) == history.HISTORY
    assert set(statistics.last) == {"Serial Number?", "DOD?", "Measure"}
    frame = statistics.last["DOD?"]
    assert frame.lines[-2] == "R+0000"
    assert frame.error is None
    refused = statistics.last["Measure"]
    assert refused.command == "Measure,Start"
    assert refused.lines[-1] == "R+0004"
    assert refused.error == "StateError: 'Measure,Start' was answered with R+0004"
    assert refused.seconds >= 0
