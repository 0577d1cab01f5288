"""The control protocol, asked over a real socket."""

from datetime import datetime, timedelta
from types import SimpleNamespace

import pytest

from nl43_sim import Asleep, Prompt, SimulatedMeter, SimulatorConfig

from .client import Client, connects, until
from .test_wire import recorded


def quick(**changes: object) -> SimulatorConfig:
    """Return a quick meter without a pace to keep, with some changes."""
    config = SimulatorConfig(pace_limit=0.0, latency=0.0)
    for name, value in changes.items():
        setattr(config, name, value)
    return config


def fields(line: str) -> list[str]:
    """Return the fields of a DOD line without their padding."""
    return [field.strip() for field in line.split(",")]


@pytest.mark.parametrize(
    ("request_", "data"),
    [
        ("Type?", "NL-43"),
        ("Serial Number?", "01234567"),
        ("System Version?", "01.02.0107"),
        ("Measure?", "Start"),
        ("Pause?", "Off"),
        ("Store Mode?", "Auto"),
        ("Store Name?", "0019"),
        ("Overwrite?", "Exist"),
        ("Battery Level?", "Full"),
        ("Battery Type?", "Alkaline"),
        ("SD Card Total Size?", "30436"),
        ("SD Card Free Size?", "30435"),
        ("SD Card Percentage?", "100"),
        ("Frequency Weighting (Main)?", "A"),
        ("Frequency Weighting (Sub3)?", "A"),
        ("Time Weighting (Main)?", "S"),
        ("Time Weighting (Sub1)?", "S"),
        ("Percentile 1?", "5"),
        ("Percentile 5?", "95"),
        ("Lp Store Interval?", "100ms"),
        ("Leq Calculation Interval Preset?", "10m"),
        ("Measurement Time Preset Manual?", "Off"),
        ("Measurement Time Preset Auto?", "Off"),
        ("Sleep Mode?", "Off"),
        ("FTP?", "On"),
        ("TCP?", "On"),
        ("Web?", "Off"),
        ("sErIaL nUmBeR?", "01234567"),
    ],
)
async def test_requests(client: Client, request_: str, data: str) -> None:
    """Each request is answered by a result and a data line, whatever the case of its name."""
    assert await client.ask(request_) == ("R+0000", data)


@pytest.mark.parametrize(
    ("line", "result"),
    [
        ("Nonsense?", "R+0001"),
        ("Serial  Number?", "R+0001"),
        ("SerialNumber?", "R+0001"),
        ("$DOD?", "R+0001"),
        ("DOD", "R+0001"),
        ("", "R+0001"),
        ("Manual Store", "R+0001"),
        ("Measure,start", "R+0002"),
        ("Measure, Stop", "R+0002"),
        ("Pause,Maybe", "R+0002"),
        ("Percentile 1,0", "R+0002"),
        ("Percentile 1,100", "R+0002"),
        ("Store Name,20", "R+0002"),
        ("Store Name,00a0", "R+0002"),
        ("Clock,2025/12/24,02:10:55", "R+0002"),
        ("Clock,2025/13/24 02:10:55", "R+0002"),
        ("Clock,2025-12-24 02:10:55", "R+0002"),
        ("Frequency Weighting (Main),B", "R+0002"),
        ("DRD?other", "R+0002"),
        ("Type?x", "R+0002"),
        ("Type,NL-43", "R+0003"),
        ("DOD,On", "R+0003"),
        ("DRD,On", "R+0003"),
        ("Manual Store?", "R+0003"),
        ("Measure,Start", "R+0004"),
        ("Store Name,0020", "R+0004"),
        ("Sleep Mode,On", "R+0004"),
        ("Manual Store,Start", "R+0004"),
    ],
)
async def test_refusals(client: Client, line: str, result: str) -> None:
    """Each kind of mistake has its result, while a measurement runs; the next line is in step."""
    assert await client.ask(line) == (result, None)
    assert await client.value("Type?") == "NL-43"


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("Store Mode", "Manual"),
        ("Store Name", "0020"),
        ("Lp Store Interval", "1s"),
        ("Leq Calculation Interval Preset", "24h"),
        ("Measurement Time Preset Manual", "8h"),
        ("Measurement Time Preset Auto", "15m"),
        ("Frequency Weighting (Main)", "C"),
        ("Frequency Weighting (Sub2)", "Z"),
        ("Time Weighting (Main)", "F"),
        ("Time Weighting (Sub3)", "I"),
        ("Percentile 1", "1"),
        ("Percentile 5", "99"),
        ("Sleep Mode", "Off"),
        ("Web", "Off"),
    ],
)
async def test_settings(sim: SimulatedMeter, client: Client, name: str, word: str) -> None:
    """What is set while stopped is what is asked afterwards."""
    sim.state.measuring = False
    assert await client.ask(f"{name},{word}") == ("R+0000", None)
    assert await client.value(f"{name}?") == word
    assert sim.state.settings[name] == word


async def test_a_measurement_starts_and_stops(sim: SimulatedMeter, client: Client) -> None:
    """Start and Stop change the run state; DOD shows it, DLC keeps the result."""
    assert await client.result("Measure,Stop") == "R+0000"
    assert await client.value("Measure?") == "Stop"
    assert await client.result("Measure,Stop") == "R+0004"
    stopped = fields(await client.value("DOD?"))
    assert stopped[0] != "-.-"
    assert stopped[1:] == fields(recorded("dod_stopped.txt")[0])[1:]
    final = await client.value("DLC?")
    assert final.startswith(" -.-, ")
    assert "-.-" not in fields(final)[1:11]
    assert await client.result("Measure,Start") == "R+0000"
    assert await client.value("Measure?") == "Start"
    running = fields(await client.value("DOD?"))
    assert "-.-" not in running[:11]
    assert running[11:] == fields(recorded("dod_measuring.txt")[0])[11:]
    assert sim.state.measuring


async def test_there_is_no_result_before_the_first_measurement() -> None:
    """DLC of a meter that has not measured has no values; there is nothing to store."""
    config = quick(measuring=False, settings={"Store Mode": "Manual"})
    async with SimulatedMeter(config) as sim, await Client.connect(sim) as client:
        assert set(fields(await client.value("DLC?"))) == {"-.-", "0", "-"}
        assert await client.result("Manual Store,Start") == "R+0004"
        assert await client.result("Pause,On") == "R+0004"


async def test_pause(sim: SimulatedMeter, client: Client) -> None:
    """A measurement can be held."""
    assert await client.result("Pause,On") == "R+0000"
    assert await client.value("Pause?") == "On"
    assert await client.value("Measure?") == "Start"
    assert sim.state.paused
    assert await client.result("Pause,Off") == "R+0000"
    assert await client.value("Pause?") == "Off"


async def test_the_clock_is_set(sim: SimulatedMeter, client: Client) -> None:
    """The meter's clock shows what it was set to, and runs on from there."""
    assert await client.result("Clock,2025/12/24 02:10:55") == "R+0000"
    shown = datetime.strptime(await client.value("Clock?"), "%Y/%m/%d %H:%M:%S")  # noqa: DTZ007
    assert timedelta(0) <= shown - datetime(2025, 12, 24, 2, 10, 55) <= timedelta(seconds=2)  # noqa: DTZ001
    assert sim.state.clock_offset < -300 * 86_400


async def test_the_clock_keeps_the_meters_local_time() -> None:
    """The clock shows UTC plus its time zone plus its error."""
    config = quick(utc_offset=9 * 3600.0, clock_offset=120.0)
    async with SimulatedMeter(config) as sim, await Client.connect(sim) as client:
        shown = datetime.fromisoformat(f"{await client.value('Clock?')}+09:00".replace("/", "-"))
        ahead = shown.timestamp() - datetime.now().astimezone().timestamp()
        assert 118.0 < ahead <= 120.0


async def test_a_stored_result_is_on_the_card(sim: SimulatedMeter, client: Client) -> None:
    """Manual Store adds a block to the file of its name, as often as asked."""
    sim.state.measuring = False
    assert await client.result("Store Mode,Manual") == "R+0000"
    assert await client.value("Overwrite?") == "None"
    for _ in range(2):
        assert await client.result("Manual Store,Start") == "R+0000"
    assert await client.value("Overwrite?") == "Exist"
    text = content(sim, "/NL-43/Manual_0019/NL_0001_SLM_MAN_0019_0000.rnd").decode("ascii")
    assert [line for line in text.splitlines() if line.startswith("Address")] == [
        "Address,1",
        "Address,2",
    ]


def content(sim: SimulatedMeter, path: str) -> bytes:
    """Return what is in a file on the card."""
    file = sim.state.card.file(path)
    return file.content.read(0, file.content.size)


async def test_frames_can_be_replayed(sim: SimulatedMeter, client: Client) -> None:
    """Given lines are served byte for byte, in turn; none bring the sound back."""
    lines = recorded("dod_measuring.txt") + recorded("dod_stopped.txt")
    sim.replay_frames(f"{line}\n" for line in lines)
    assert [await client.value("DOD?") for _ in range(3)] == [*lines, lines[0]]
    sim.replay_frames(())
    assert await client.value("DOD?") not in lines


async def test_sub_channels_and_hidden_quantities() -> None:
    """Channels in use have values and flags of their own; hidden quantities have none."""
    config = quick(sub_channels=2, hidden={"LE"}, settings={"Frequency Weighting (Sub1)": "C"})
    async with SimulatedMeter(config) as sim, await Client.connect(sim) as client:
        shown = fields(await client.value("DOD?"))
        channels = [shown[start : start + 16] for start in range(0, 64, 16)]
        assert [channel[14] for channel in channels] == ["0", "0", "0", "-"]
        assert [channel[2] for channel in channels] == ["-.-"] * 4
        assert float(channels[1][0]) - float(channels[0][0]) == pytest.approx(7.5, abs=0.11)
        assert channels[2][11] != "-.-"


async def test_flags_and_loudness(sim: SimulatedMeter, client: Client) -> None:
    """Overload follows the level, or is forced."""
    sim.state.over, sim.state.under = True, True
    assert fields(await client.value("DOD?"))[14:16] == ["1", "1"]
    sim.state.over = sim.state.under = None
    quiet = float(fields(await client.value("DOD?"))[0])
    sim.state.level_offset = 110.0
    await until(lambda: float(fields(sim.state.dod())[0]) > quiet + 90.0)
    await until(lambda: fields(sim.state.dod())[14] == "1")


async def test_drd_streams_until_sub(sim: SimulatedMeter, client: Client) -> None:
    """The stream counts a line each 100 ms and ends with SUB; then requests are answered."""
    client.send("DRD?")
    assert await client.line() == "R+0000"
    lines = [await client.line() for _ in range(3)]
    assert [fields(line)[0] for line in lines] == ["1", "2", "3"]
    assert {len(fields(line)) for line in lines} == {33}
    client.send(b"\x1a")
    await settle(client)
    assert await client.value("Type?") == "NL-43"
    assert len(sim.commands) == 2


async def test_drd_status_appends_the_state(client: Client) -> None:
    """The stream with status tells time, power, battery, card and run state."""
    client.send("DRD?status")
    assert await client.line() == "R+0000"
    shown = fields(await client.line())
    assert len(shown) == 38
    assert shown[34:] == ["E", "F", "30435", "M"]
    client.send(b"\x1a")
    await settle(client)


async def settle(client: Client) -> None:
    """Read what is still on its way."""
    while not await client.is_silent():
        pass


@pytest.mark.parametrize("code", ["R+0001", "R+0003"])
async def test_missing_commands(code: str) -> None:
    """A command this meter lacks is refused, asked or set, with the configured result."""
    config = quick(missing={"Battery Level", "Percentile 1"}, missing_result=code)
    async with SimulatedMeter(config) as sim, await Client.connect(sim) as client:
        assert await client.ask("battery level?") == (code, None)
        assert await client.ask("Percentile 1,10") == (code, None)
        assert await client.value("Percentile 2?") == "10"


async def test_another_word_for_measuring() -> None:
    """Some firmware says Measure where others say Start."""
    config = quick(measuring_word="Measure")
    async with SimulatedMeter(config) as sim, await Client.connect(sim) as client:
        assert await client.value("Measure?") == "Measure"


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        (Prompt.NONE, b"R+0000\r\nStart\r\n"),
        (Prompt.BEFORE, b"$R+0000\r\nStart\r\n"),
        (Prompt.ALONE, b"$\r\nR+0000\r\nStart\r\n"),
        (Prompt.LEFT_OVER, b"R+0000\r\nStart\r\n$"),
        (Prompt.DATA, b"R+0000\r\n$Start\r\n"),
    ],
)
async def test_prompts_are_configured(prompt: Prompt, expected: bytes) -> None:
    """With one kind of prompt, every answer has it."""
    config = quick(prompts=(prompt,))
    async with SimulatedMeter(config) as sim, await Client.connect(sim) as client:
        for _ in range(3):
            client.send("Measure?")
            assert await client.reader.readexactly(len(expected)) == expected


async def test_prompts_vary_by_the_seed() -> None:
    """By default all kinds of prompt come, in an order that belongs to the seed."""

    async def raw(seed: int) -> bytes:
        received = bytearray()
        async with SimulatedMeter(quick(seed=seed)) as sim, await Client.connect(sim) as client:
            for _ in range(12):
                client.send("Type?")
                received += await client.reader.readuntil(b"NL-43\r\n")
        return bytes(received)

    assert await raw(5) == await raw(5)
    assert await raw(5) != await raw(6)
    assert b"$R+0000" in await raw(5)


async def test_tcp_off_closes_the_port_after_its_answer(
    sim: SimulatedMeter, client: Client
) -> None:
    """The answer still comes, then the connection ends and connects are refused."""
    assert await client.result("TCP,Off") == "R+0000"
    assert await client.is_cut()
    assert not await connects(sim, sim.port)
    assert await connects(sim, sim.ftp_port)
    sim.state.settings["TCP"] = "On"
    assert await connects(sim, sim.port)


async def test_the_web_app_switches_the_others_off(sim: SimulatedMeter, client: Client) -> None:
    """With the web app on there is neither TCP control nor FTP."""
    assert await client.result("Web,On") == "R+0000"
    assert await client.is_cut()
    assert not await connects(sim, sim.port)
    assert not await connects(sim, sim.ftp_port)


async def test_asleep_the_network_is_gone(sim: SimulatedMeter, client: Client) -> None:
    """A sleeping meter answers nothing, and connects hang; awake it goes on."""
    sim.state.measuring = False
    assert await client.result("Sleep Mode,On") == "R+0000"
    client.send("Type?")
    await settle(client)
    with pytest.raises(TimeoutError):
        await connects(sim, sim.port, within=0.2)
    assert sim.press("Sleep Mode,Off") == "R+0000"
    assert await client.line() == "R+0000"


async def test_asleep_it_may_still_answer() -> None:
    """Where TCP still answers, measuring commands are in the wrong state."""
    config = quick(measuring=False, asleep=Asleep.ANSWERS)
    async with SimulatedMeter(config) as sim, await Client.connect(sim) as client:
        assert await client.result("Sleep Mode,On") == "R+0000"
        refused = ("DOD?", "DRD?", "Measure?", "Measure,Start", "Pause?")
        assert {await client.result(line) for line in refused} == {"R+0004"}
        assert await client.value("Sleep Mode?") == "On"
        assert await client.result("Sleep Mode,Off") == "R+0000"
        assert await client.result("Measure,Start") == "R+0000"


async def test_a_measurement_ends_after_its_preset(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a measurement time set, the measurement stops by itself and its files with it."""
    now = 1000.0
    monkeypatch.setattr("nl43_sim.machine.time", SimpleNamespace(monotonic=lambda: now))
    sim = SimulatedMeter(quick(settings={"Measurement Time Preset Auto": "10s"}))
    now += 9.0
    assert sim.press("Measure?") == "R+0000 Start"
    now += 3600.0
    assert sim.press("Measure?") == "R+0000 Stop"
    assert sim.state.has_result
    rows = content(sim, "/NL-43/Auto_0019/Auto_Lp_01/NL_0001_SLM_Lp _0019_0001.rnd").splitlines()
    assert 100 <= len(rows) - 2 <= 400


async def test_a_long_silence_costs_no_long_computation(monkeypatch: pytest.MonkeyPatch) -> None:
    """A meter that nobody asked for a month catches up at once, and still makes sense."""
    now = 1000.0
    monkeypatch.setattr("nl43_sim.machine.time", SimpleNamespace(monotonic=lambda: now))
    sim = SimulatedMeter(quick())
    now += 30 * 86_400.0
    shown = fields(sim.state.dod())
    assert float(shown[2]) == pytest.approx(float(shown[1]) + 64.1, abs=0.2)
