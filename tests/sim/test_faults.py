"""Each fault, on and off again."""

import asyncio
import ftplib
import time

import pytest

from nl43_sim import FAULTS, Fault, SimulatedMeter, SimulatorConfig
from nl43_sim.faults import fault_table

from .client import Client, connects, until, with_ftp


async def test_every_fault_is_described() -> None:
    """The table that help texts show has a line for each fault."""
    assert set(FAULTS) == set(Fault)
    assert len(fault_table().splitlines()) == len(Fault)


async def test_a_fault_can_clear_itself(sim: SimulatedMeter, client: Client) -> None:
    """A fault ends after its duration or its number of times."""
    sim.inject(Fault.SILENCE, seconds=0.1)
    sim.inject(Fault.REFUSE_DOD, times=2)
    assert sim.faults == [Fault.SILENCE, Fault.REFUSE_DOD]
    await until(lambda: Fault.SILENCE not in sim.faults)
    answers = [await client.result("DOD?") for _ in range(3)]
    assert answers == ["R+0004", "R+0004", "R+0000"]
    assert sim.faults == []


async def test_all_faults_clear_at_once(sim: SimulatedMeter, client: Client) -> None:
    """Clearing without a name clears everything, also a fault that was to end later."""
    for fault in Fault:
        sim.inject(fault, duration=600.0)
    # A fault that is on can be changed.
    sim.inject(Fault.SLOW, seconds=60.0)
    sim.clear()
    assert sim.faults == []
    assert await client.is_cut()
    async with await Client.connect(sim) as another:
        assert await another.value("Measure?") == "Start"


async def test_wedge(sim: SimulatedMeter, client: Client) -> None:
    """The live connection is cut and connects are refused while FTP goes on."""
    port = sim.port
    sim.inject(Fault.WEDGE)
    assert await client.is_cut()
    assert not await connects(sim, sim.port)
    assert await with_ftp(sim, ftplib.FTP.pwd) == "/"
    sim.clear(Fault.WEDGE)
    assert sim.port == port
    async with await Client.connect(sim) as another:
        assert await another.value("Type?") == "NL-43"


async def test_slot_taken(sim: SimulatedMeter, client: Client) -> None:
    """The live connection is cut, others are accepted and never answered; no rule is broken."""
    sim.inject(Fault.SLOT_TAKEN)
    assert await client.is_cut()
    async with await Client.connect(sim) as waiting:
        waiting.send("Type?")
        assert await waiting.is_silent()
        sim.clear(Fault.SLOT_TAKEN)
        async with await Client.connect(sim) as another:
            assert await another.value("Type?") == "NL-43"


async def test_late_release(sim: SimulatedMeter, client: Client) -> None:
    """A connect soon after a close is never answered, a later one is."""
    sim.inject(Fault.LATE_RELEASE, seconds=0.3)
    await client.close()
    closed = time.monotonic()
    async with await Client.connect(sim) as early:
        early.send("Type?")
        assert await early.is_silent()
        await asyncio.sleep(closed + 0.35 - time.monotonic())
        async with await Client.connect(sim) as later:
            assert await later.value("Type?") == "NL-43"
    sim.clear()
    async with await Client.connect(sim) as another:
        assert await another.value("Type?") == "NL-43"


async def test_silence() -> None:
    """Commands are read and not answered; the connection stays."""
    config = SimulatorConfig(pace_limit=0.0, latency=0.0, answer_limit=0.0)
    async with SimulatedMeter(config) as sim, await Client.connect(sim) as client:
        sim.inject(Fault.SILENCE)
        client.send("Type?")
        assert await client.is_silent()
        sim.clear(Fault.SILENCE)
        assert await client.value("Measure?") == "Start"
        assert [command.answered is None for command in sim.commands] == [True, False]
        assert sim.violations == []


async def test_slow(sim: SimulatedMeter, client: Client) -> None:
    """Answers take as long as the fault says."""
    sim.inject(Fault.SLOW, seconds=0.2)
    await client.value("Type?")
    sim.clear(Fault.SLOW)
    await client.value("Type?")
    first, second = sim.commands
    assert first.answered is not None
    assert second.answered is not None
    assert first.answered - first.received >= 0.2
    assert second.answered - second.received < 0.2


async def test_drop(sim: SimulatedMeter, client: Client) -> None:
    """A part of the answer comes, then the end of the connection."""
    sim.inject(Fault.DROP, times=1)
    client.send("DOD?")
    assert 0 < len(await client.reader.read()) < 350
    sim.inject(Fault.DROP, times=1)
    async with await Client.connect(sim) as another:
        another.send("FTP,Off")
        assert await another.is_cut()
    # Done all the same: only its answer was lost.
    assert sim.state.settings["FTP"] == "Off"
    async with await Client.connect(sim) as another:
        assert len((await another.value("DOD?")).split(",")) == 64


async def test_drop_connection(sim: SimulatedMeter, client: Client) -> None:
    """The live connection can be cut at any time; the slot is free at once."""
    await client.value("Type?")
    await sim.drop_connection()
    assert sim.connections_open == 0
    assert await client.is_cut()
    await sim.drop_connection()


async def test_stray(sim: SimulatedMeter, client: Client) -> None:
    """A line that belongs to nothing comes before the result line."""
    sim.inject(Fault.STRAY)
    client.send("Type?")
    lines = [await client.line()]
    while lines[-1] != "NL-43":
        lines.append(await client.line())
    assert lines[0] != "R+0000"
    assert lines[-2:] == ["R+0000", "NL-43"]
    sim.clear(Fault.STRAY)
    assert await client.ask("Type?") == ("R+0000", "NL-43")


async def test_glued(sim: SimulatedMeter, client: Client) -> None:
    """The answer before comes once more."""
    await client.value("Type?")
    sim.inject(Fault.GLUED)
    client.send("Measure?")
    lines = [await client.line() for _ in range(4)]
    assert lines == ["R+0000", "NL-43", "R+0000", "Start"]
    sim.clear(Fault.GLUED)
    assert await client.ask("Type?") == ("R+0000", "NL-43")


async def test_split(sim: SimulatedMeter, client: Client) -> None:
    """An answer comes in many small packets and is whole all the same."""
    sim.inject(Fault.SPLIT, seconds=0.001)
    client.send("Type?")
    packets: list[bytes] = []
    while b"NL-43\r\n" not in b"".join(packets):
        packets.append(await client.reader.read(4096))
    assert len(packets) > 1
    sim.clear(Fault.SPLIT)
    assert await client.value("Measure?") == "Start"


async def test_junk(sim: SimulatedMeter) -> None:
    """No answer looks like one, and all sorts of junk come."""
    sim.inject(Fault.JUNK)
    seen = set()
    for _ in range(60):
        async with await Client.connect(sim) as client:
            client.send("DOD?")
            data = await client.reader.read(200_000)
            while len(data) < 100_000 and not await _nothing_more(client):
                data += await client.reader.read(200_000)
        assert data.count(b",") == 0 or not data.endswith(b"\r\n")
        seen |= {
            name
            for name, found in {
                "high": any(byte > 127 for byte in data),
                "nul": b"\0" in data,
                "number": b"R+0000\r\n1e3" in data or b"R+0000\r\nnan" in data,
                "endless": len(data) > 10_000 and b"\n" not in data,
            }.items()
            if found
        }
        if len(seen) == 4:
            break
    assert seen == {"high", "nul", "number", "endless"}
    sim.clear(Fault.JUNK)
    async with await Client.connect(sim) as client:
        assert await client.value("Type?") == "NL-43"


async def _nothing_more(client: Client) -> bool:
    """Tell whether no more bytes come at once."""
    await asyncio.sleep(0.01)
    return not client.reader._buffer  # type: ignore[attr-defined]


async def test_bad_values(sim: SimulatedMeter, client: Client) -> None:
    """No frame is as it should be; other data is no word the meter knows."""
    sim.inject(Fault.BAD_VALUES)
    bad = {"nan", "1e3", "1_0.5", "0x1F", "--.-", "inf", "", "+-4.0", "45", "6", "4 5.1"}
    for _ in range(40):
        fields = (await client.value("DOD?")).split(",")
        assert len(fields) < 64 or bad & set(fields)
    sim.inject(Fault.BAD_VALUES, times=1)
    client.send("Measure?")
    assert await client.line() == "R+0000"
    assert "Start" not in (await client.reader.readuntil(b"\r\n")).decode()
    frame = (await client.value("DOD?")).split(",")
    assert len(frame) == 64
    assert not bad & set(frame)


async def test_refuse_dod(sim: SimulatedMeter, client: Client) -> None:
    """DOD? is in the wrong state, all else goes on."""
    sim.inject(Fault.REFUSE_DOD)
    assert await client.result("DOD?") == "R+0004"
    assert await client.value("Measure?") == "Start"
    sim.clear(Fault.REFUSE_DOD)
    assert await client.result("DOD?") == "R+0000"


async def test_missing_options(sim: SimulatedMeter, client: Client) -> None:
    """Only the essential commands are left."""
    sim.inject(Fault.MISSING_OPTIONS)
    optional = ("Battery Level?", "Percentile 1?", "FTP?", "SD Card Free Size?", "Pause,On")
    assert {await client.result(line) for line in optional} == {"R+0003"}
    essential = ("Type?", "Serial Number?", "Measure?", "DOD?", "Clock?")
    assert {await client.result(line) for line in essential} == {"R+0000"}
    sim.clear(Fault.MISSING_OPTIONS)
    assert {await client.result(line) for line in optional} == {"R+0000"}


async def test_full_card(sim: SimulatedMeter, client: Client) -> None:
    """There is no room left, and nothing is stored."""
    sim.inject(Fault.FULL_CARD)
    assert await client.value("SD Card Free Size?") == "0"
    assert await client.value("SD Card Percentage?") == "0"
    file = sim.state.card.file("/NL-43/Auto_0019/Auto_Lp_01/NL_0001_SLM_Lp _0019_0001.rnd")
    size = file.content.size
    await asyncio.sleep(0.25)
    assert file.content.size == size
    sim.state.measuring = False
    sim.state.settings["Store Mode"] = "Manual"
    assert await client.result("Manual Store,Start") == "R+0004"
    sim.clear(Fault.FULL_CARD)
    assert await client.value("SD Card Free Size?") != "0"
    assert await client.result("Manual Store,Start") == "R+0000"


async def test_empty_battery(sim: SimulatedMeter, client: Client) -> None:
    """The battery's word says so."""
    sim.inject(Fault.EMPTY_BATTERY)
    assert await client.value("Battery Level?") == "Empty"
    sim.clear(Fault.EMPTY_BATTERY)
    assert await client.value("Battery Level?") == "Full"


async def test_wrong_clock(sim: SimulatedMeter) -> None:
    """The clock is ahead, and right again afterwards."""
    sim.inject(Fault.WRONG_CLOCK, seconds=-60.0)
    assert sim.state.clock_offset == -60.0
    sim.inject(Fault.WRONG_CLOCK)
    assert sim.state.clock_offset == 5400.0
    sim.clear(Fault.WRONG_CLOCK)
    assert sim.state.clock_offset == 0.0


async def test_ftp_off(sim: SimulatedMeter, client: Client) -> None:
    """FTP is refused and cannot be switched on."""
    sim.inject(Fault.FTP_OFF)
    assert not await connects(sim, sim.ftp_port)
    assert await client.value("FTP?") == "Off"
    assert await client.result("FTP,On") == "R+0004"
    sim.clear(Fault.FTP_OFF)
    assert await client.value("FTP?") == "On"
    assert await connects(sim, sim.ftp_port)


async def test_ftp_late(sim: SimulatedMeter, client: Client) -> None:
    """After FTP,On the service takes as long as the fault says."""
    sim.inject(Fault.FTP_LATE, seconds=0.3)
    assert await client.result("FTP,Off") == "R+0000"
    assert await client.result("FTP,On") == "R+0000"
    assert not await connects(sim, sim.ftp_port)
    assert await client.value("FTP?") == "On"
    async with asyncio.timeout(3):
        while not await connects(sim, sim.ftp_port):
            pass


async def test_ftp_login(sim: SimulatedMeter) -> None:
    """Even the right password is refused."""
    sim.inject(Fault.FTP_LOGIN)
    with pytest.raises(ftplib.error_perm, match="530 Login Fail"):
        await with_ftp(sim, ftplib.FTP.pwd)
    sim.clear(Fault.FTP_LOGIN)
    assert await with_ftp(sim, ftplib.FTP.pwd) == "/"


async def test_ftp_data_blocked(sim: SimulatedMeter) -> None:
    """The transfer is announced, its connection never comes; in the end that is said."""
    sim.config.ftp_data_timeout = 0.3
    sim.inject(Fault.FTP_DATA_BLOCKED)

    def never_comes(ftp: ftplib.FTP) -> str:
        with ftp.makeport() as listener:
            listener.settimeout(0.2)
            assert ftp.sendcmd("LIST").startswith("150")
            with pytest.raises(TimeoutError):
                listener.accept()
            return ftp.getmultiline()

    assert (await with_ftp(sim, never_comes)).startswith("425")
    sim.clear(Fault.FTP_DATA_BLOCKED)
    assert await with_ftp(sim, lambda ftp: ftp.nlst("/")) == ["NL-43", "DCIM"]


async def test_gone(sim: SimulatedMeter, client: Client) -> None:
    """Nothing is answered, connects hang; then the old connection goes on."""
    await client.value("Type?")
    sim.inject(Fault.GONE)
    client.send("Measure?")
    assert await client.is_silent()
    for port in (sim.port, sim.ftp_port):
        with pytest.raises(TimeoutError):
            await connects(sim, port, within=0.2)
    sim.clear(Fault.GONE)
    assert [await client.line(), await client.line()] == ["R+0000", "Start"]
    await client.close()
    assert await connects(sim, sim.port)


async def test_gone_freezes_ftp(sim: SimulatedMeter) -> None:
    """An FTP session stands still while the network is gone."""
    loop = asyncio.get_running_loop()

    def session(ftp: ftplib.FTP) -> str:
        loop.call_soon_threadsafe(sim.inject, Fault.GONE)
        time.sleep(0.05)
        loop.call_soon_threadsafe(lambda: loop.call_later(0.2, sim.clear))
        before = time.monotonic()
        ftp.pwd()
        return "stood still" if time.monotonic() - before >= 0.2 else "went on"

    assert await with_ftp(sim, session) == "stood still"
