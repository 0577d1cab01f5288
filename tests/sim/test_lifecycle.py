"""Starting and ending a meter, and what the package may depend on."""

import ast
import asyncio
from pathlib import Path
import socket
import sys

import pytest

import nl43_sim
from nl43_sim import Fault, SimulatedMeter, SimulatorConfig
from nl43_sim.card import Pattern
from nl43_sim.state import Settings

from .client import Client, listing, with_ftp

PACKAGE = Path(nl43_sim.__file__).parent


async def test_nothing_is_left_behind() -> None:
    """Whatever is under way when a meter closes, no task and no open port stays."""
    before = asyncio.all_tasks()
    async with SimulatedMeter(SimulatorConfig(latency=60.0)) as sim:
        sim.state.card.add_file("/big.rnd", Pattern(10**9), sim.state.clock.now())
        client = await Client.connect(sim)
        client.send("DOD?")
        held = await Client.connect(sim)
        assert await held.is_silent()
        # One whose admission is still being decided.
        undecided = await Client.connect(sim)
        session = await Client.connect(sim, sim.ftp_port)
        # It takes the data connection and never reads.
        listener = socket.create_server((sim.host, 0))
        port = listener.getsockname()[1]
        for line in ("USER USER", "PASS 0000", f"EPRT |1|{sim.host}|{port}|", "RETR /big.rnd"):
            session.send(line)
        while not (await session.line()).startswith("150"):
            pass
        sim.inject(Fault.SLOW, duration=600.0)
        sim.press("FTP,Off")
        sim.press("FTP,On")
    assert asyncio.all_tasks() == before
    for each in (client, held, undecided, session):
        assert await each.is_cut()
        await each.close()
    listener.close()
    for closed in (sim.port, sim.ftp_port):
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection(sim.host, closed)


@pytest.mark.parametrize("fault", list(Fault))
async def test_closing_under_a_fault(fault: Fault) -> None:
    """A fault that is on keeps no meter from closing."""
    before = asyncio.all_tasks()
    async with SimulatedMeter() as sim, await Client.connect(sim) as client:
        client.send("DOD?")
        sim.inject(fault, duration=600.0)
        async with asyncio.timeout(1):
            await sim.close()
    assert asyncio.all_tasks() == before


async def test_a_wedge_ends_waiting_connections_too(sim: SimulatedMeter) -> None:
    """When the port closes, those that wait in vain are cut as well."""
    sim.inject(Fault.SLOT_TAKEN)
    async with await Client.connect(sim) as waiting:
        assert await waiting.is_silent()
        sim.inject(Fault.WEDGE)
        assert await waiting.is_cut()
    assert sim.connections_open == 0


async def test_a_taken_port_leaves_nothing_open() -> None:
    """When one port is taken, the other is given back."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        sim = SimulatedMeter(SimulatorConfig(ftp_port=taken.getsockname()[1]))
        with pytest.raises(OSError, match="cannot listen on"):
            await sim.start()
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection(sim.host, sim.port)


async def test_a_restarted_meter_has_its_port_again() -> None:
    """Open connections of the last run do not keep a port taken."""
    async with SimulatedMeter() as first:
        client = await Client.connect(first)
    async with SimulatedMeter(SimulatorConfig(port=first.port, ftp_port=first.ftp_port)) as second:
        await client.close()
        async with await Client.connect(second) as another:
            assert await another.value("Type?") == "NL-43"


async def test_many_meters_in_one_process() -> None:
    """Meters are independent of each other."""
    meters = [SimulatedMeter(SimulatorConfig(serial=f"{number:08}")) for number in range(20)]
    async with asyncio.TaskGroup() as group:
        for meter in meters:
            group.create_task(meter.start())
    meters[3].inject(Fault.WEDGE)
    for meter in meters[4:]:
        async with await Client.connect(meter) as client:
            assert await client.value("Serial Number?") == meter.config.serial
    for meter in meters:
        await meter.close()
        assert meter.violations == []


async def test_dates_follow_a_clock_set_by_hand(sim: SimulatedMeter) -> None:
    """A clock set into another year changes which listings show the year."""
    sim.state.clock_offset = 366 * 86_400.0

    year = str(sim.state.clock.now().year - 1)
    assert any(
        f" {year} Auto_0019" in line
        for line in await with_ftp(sim, lambda ftp: listing(ftp, "/NL-43"))
    )


def test_settings_have_names_in_any_case() -> None:
    """A setting is found by its command name, and its changes are heard."""
    heard: list[str] = []
    settings = Settings({"Store Name": "0019"}, heard.append)
    settings["STORE NAME"] = "0020"
    assert settings["store name"] == "0020"
    assert "Store Name" in settings
    assert heard == ["store name"]


@pytest.mark.parametrize("path", sorted(PACKAGE.glob("*.py")), ids=lambda path: path.name)
def test_it_stands_alone(path: Path) -> None:
    """The package uses itself and the standard library, nothing of the integration."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names = [node.module or ""]
        else:
            continue
        assert {name.partition(".")[0] for name in names} <= sys.stdlib_module_names
