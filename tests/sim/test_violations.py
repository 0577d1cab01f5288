"""The rules a client can break, and that keeping them is not held against it."""

import asyncio
from collections.abc import AsyncGenerator

import pytest

from nl43_sim import Fault, SimulatedMeter, SimulatorConfig

from .client import Client


@pytest.fixture
async def sim() -> AsyncGenerator[SimulatedMeter]:
    """Run a quick meter that judges its clients as strictly as a real one."""
    async with SimulatedMeter(SimulatorConfig(latency=0.0)) as meter:
        yield meter


def kinds(sim: SimulatedMeter) -> list[str]:
    """Return the kinds of the violations."""
    return [violation.kind for violation in sim.violations]


async def test_a_command_too_soon(sim: SimulatedMeter, client: Client) -> None:
    """The first command may come at once, the next only a second after the answer."""
    await client.value("Type?")
    assert sim.violations == []
    await client.value("Type?")
    assert kinds(sim) == ["too_soon"]
    (violation,) = sim.violations
    assert "Type?" in violation.detail
    first, second = sim.commands
    assert first.answered is not None
    assert first.answered <= second.received < first.answered + 1.0
    assert violation.at >= second.received


async def test_a_command_in_time() -> None:
    """A command that waits for as long as it has to is no violation."""
    config = SimulatorConfig(latency=0.0, pace_limit=0.05)
    async with SimulatedMeter(config) as sim, await Client.connect(sim) as client:
        for _ in range(5):
            await client.value("DOD?")
            await asyncio.sleep(0.05)
        assert sim.violations == []


async def test_the_pace_holds_across_connections(sim: SimulatedMeter) -> None:
    """A new connection does not shorten the wait."""
    for _ in range(2):
        async with await Client.connect(sim) as client:
            await client.value("Type?")
    assert kinds(sim) == ["too_soon"]


async def test_a_second_connection(sim: SimulatedMeter, client: Client) -> None:
    """While one is open, another is accepted by the kernel and never answered."""
    async with await Client.connect(sim) as second:
        second.send("Type?")
        assert await second.is_silent()
        assert kinds(sim) == ["second_connection"]
        assert (sim.connections_opened, sim.connections_open) == (2, 2)
        assert await client.value("Type?") == "NL-43"
        # Nor does it inherit the slot.
        await client.close()
        assert await second.is_silent()
    async with await Client.connect(sim) as third:
        assert await third.value("Measure?") == "Start"
    assert "second_connection" not in kinds(sim)[1:]


async def test_connecting_anew_at_once(sim: SimulatedMeter) -> None:
    """A connect right after a close is not taken for a second connection."""
    client = await Client.connect(sim)
    for _ in range(20):
        client.writer.close()
        client = await Client.connect(sim)
    assert await client.value("Type?") == "NL-43"
    assert sim.violations == []
    assert (sim.connections_opened, sim.connections_open) == (21, 1)
    await client.close()


@pytest.mark.parametrize("line", [b"DOD?\n", b"DOD?\r\r\n", b"DO\rD?\r\n"])
async def test_a_bad_line_end(sim: SimulatedMeter, client: Client, line: bytes) -> None:
    """A line not ended by CR LF alone is noted and not understood."""
    client.send(line)
    assert await client.line() == "R+0001"
    assert kinds(sim) == ["bad_line_end"]


async def test_a_command_while_one_is_unanswered(sim: SimulatedMeter, client: Client) -> None:
    """Two commands at once are answered in turn, and noted."""
    client.send(b"Type?\r\nMeasure?\r\n")
    assert [await client.line() for _ in range(4)] == ["R+0000", "NL-43", "R+0000", "Start"]
    assert kinds(sim) == ["pipelined"]


async def test_a_command_during_the_stream(sim: SimulatedMeter, client: Client) -> None:
    """While it streams, the meter takes SUB only."""
    client.send("DRD?")
    await client.line()
    client.send("Type?")
    await client.line()
    client.send(b"\x1a")
    while await client.line() != "NL-43":
        pass
    assert kinds(sim) == ["pipelined"]


async def test_a_lost_answer_frees_the_client() -> None:
    """Once the time for an answer is over, the client may ask again."""
    config = SimulatorConfig(latency=0.0, answer_limit=0.1)
    async with SimulatedMeter(config) as sim, await Client.connect(sim) as client:
        sim.inject(Fault.SILENCE, times=1)
        client.send("Type?")
        assert await client.is_silent()
        assert await client.value("Measure?") == "Start"
        assert sim.violations == []
        lost, answered = sim.commands
        assert (lost.answered, answered.answered is None) == (None, False)


async def test_an_overlong_line(sim: SimulatedMeter, client: Client) -> None:
    """A line of any length is bounded, noted and not understood."""
    client.send(b"A" * 100_000 + b"?\r\n")
    assert await client.line() == "R+0001"
    assert kinds(sim) == ["overlong"]
    assert len(sim.commands[0].line) < 1000


async def test_characters_too_slow(sim: SimulatedMeter, client: Client) -> None:
    """The characters of a line must not be more than 100 ms apart."""
    client.send(b"Ty")
    await asyncio.sleep(0.15)
    client.send(b"pe?\r\n")
    assert await client.line() == "R+0000"
    assert kinds(sim) == ["slow_characters"]


async def test_a_line_that_is_not_ascii(sim: SimulatedMeter, client: Client) -> None:
    """Other characters than ASCII are noted and not understood."""
    client.send("Größe?")
    assert await client.line() == "R+0001"
    assert kinds(sim) == ["not_ascii"]


async def test_the_report_says_it_all(sim: SimulatedMeter, client: Client) -> None:
    """The report counts commands, connections, and violations by kind."""
    client.send(b"Type?\r\nMeasure?\r\n")
    for _ in range(4):
        await client.line()
    report = sim.report()
    assert f"NL-43 01234567 on port {sim.port}" in report
    assert "commands: 2 received, 2 answered" in report
    assert "connections: 1 opened, 1 open" in report
    assert "pipelined: 1" in report
