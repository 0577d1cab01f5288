"""A meter's verbs, over the one connection to a simulated meter."""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import replace
from datetime import datetime
from itertools import count, pairwise

import pytest

from custom_components.nl43.rion import (
    CommandError,
    Meter,
    NoAnswerError,
    ParameterError,
    Priority,
    Reading,
    ResultError,
    RionError,
    SpecificationError,
    StateError,
    WrongMeterError,
    connection,
)
from custom_components.nl43.rion.vocabulary import (
    BATTERY_TYPE,
    CLOCK,
    FTP,
    LEQ_INTERVAL,
    LP_STORE_INTERVAL,
    MEASURE,
    MEASUREMENT_TIME_AUTO,
    PAUSE,
    PERCENTILE,
    POWER_SOURCE,
    READING,
    SERIAL_NUMBER,
    STORE_MODE,
    STORE_NAME,
    TYPE,
    Command,
    LpStoreInterval,
    Model,
    OnOff,
    PowerSource,
    Preset,
    RunState,
    Setting,
    StoreMode,
)
from nl43_sim import Fault, SimulatedMeter, SimulatorConfig

from .tools import (
    MEASURING_LINE,
    QUICK,
    SERIAL,
    all_commands,
    asked,
    quick_meter,
    recorded_readings,
    until,
)


async def fails(meter: Meter, priority: Priority = Priority.READING) -> RionError:
    """Return the error that a reading ends in."""
    with pytest.raises(RionError) as raised:
        await meter.reading(priority)
    return raised.value


async def test_one_connection_for_everything(sim: SimulatedMeter, meter: Meter) -> None:
    """The serial number is asked first, and nothing else is sent than what was asked."""
    before = meter.serial
    assert isinstance(await meter.reading(), Reading)
    assert (before, meter.serial) == (None, SERIAL)
    assert await meter.ask(TYPE) is Model.NL_43
    assert await meter.ask(MEASURE) is RunState.START
    await meter.reading()
    assert asked(sim) == ["Serial Number?", "DOD?", "Type?", "Measure?", "DOD?"]
    assert sim.connections_opened == meter.connection.statistics.connects == 1


@pytest.fixture
async def full_meter(quick: None) -> AsyncGenerator[SimulatedMeter]:
    """Run a stopped meter with every channel in use."""
    config = replace(quick_meter(), measuring=False, sub_channels=3)
    async with SimulatedMeter(config) as simulated:
        yield simulated
        assert simulated.violations == []


async def test_every_question_is_answered(full_meter: SimulatedMeter) -> None:
    """Each command of the vocabulary gets a value of its own type from a meter."""
    meter = Meter(full_meter.host, full_meter.port)
    for command in all_commands():
        assert await meter.ask(command) is not None
    assert meter.lacking == {}
    assert full_meter.connections_opened == 1
    await meter.close()


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        (MEASURE, RunState.START),
        (STORE_MODE, StoreMode.MANUAL),
        (STORE_NAME, 42),
        (LP_STORE_INTERVAL, LpStoreInterval.S_1),
        (LEQ_INTERVAL, Preset.M_15),
        (MEASUREMENT_TIME_AUTO, Preset.H_24),
        (PERCENTILE["ln1"], 7.0),
        (FTP, OnOff.OFF),
    ],
    ids=lambda value: value.name if isinstance(value, Command) else None,
)
async def test_what_is_set_is_so(
    full_meter: SimulatedMeter, setting: Setting[object], value: object
) -> None:
    """A setting is taken by the meter, and asked back."""
    meter = Meter(full_meter.host, full_meter.port)
    assert await meter.ask(setting) != value
    await meter.set(setting, value)
    assert await meter.ask(setting) == value
    await meter.close()


async def test_final_result_and_manual_store(full_meter: SimulatedMeter) -> None:
    """A measurement is begun, ended, its result asked for and stored."""
    meter = Meter(full_meter.host, full_meter.port)
    await meter.set(STORE_MODE, StoreMode.MANUAL)
    with pytest.raises(StateError):
        await meter.store()
    await meter.set(MEASURE, RunState.START)
    await meter.set(MEASURE, RunState.STOP)
    result = await meter.final_result()
    assert result.main.lp is None
    assert result.main.leq is not None
    await meter.store()
    await meter.close()


async def test_clock_is_set(sim: SimulatedMeter, meter: Meter) -> None:
    """The clock is written in the one form that the meter takes."""
    shown = await meter.ask(CLOCK)
    moved = shown.replace(year=2031, month=2, day=3)
    await meter.set(CLOCK, moved)
    assert (await meter.ask(CLOCK)).date() == moved.date()


async def test_the_clock_is_worded_when_it_is_sent(sim: SimulatedMeter, meter: Meter) -> None:
    """A time does not grow old in the queue behind a slow answer."""
    await meter.ask(TYPE)
    times = count(1)
    worded: list[tuple[datetime, int]] = []

    def local() -> datetime:
        time = datetime(2031, 2, 3, 4, 5, next(times))  # noqa: DTZ001 - the meter knows no zone
        worded.append((time, len(sim.commands)))
        return time

    sim.inject(Fault.SLOW, seconds=0.05, times=1)
    first = asyncio.create_task(meter.ask(TYPE))
    await until(lambda: asked(sim).count("Type?") == 2)
    await meter.set_clock(local)
    assert first.done()
    assert sim.commands[-1].line == f"Clock,{worded[-1][0]:%Y/%m/%d %H:%M:%S}"
    assert sim.commands[-2].answered is not None
    assert len(worded) == 2
    assert asked(sim).count(sim.commands[-1].line) == 1


async def test_the_clock_is_worded_after_a_reconnect(sim: SimulatedMeter, meter: Meter) -> None:
    """Nor while a new connection is opened and the meter asked who it is."""
    await meter.ask(TYPE)
    await sim.drop_connection()
    await until(lambda: not meter.connection.is_open)
    when: list[list[str]] = []

    def local() -> datetime:
        when.append(asked(sim))
        return datetime(2031, 2, 3, 4, 5, 6)  # noqa: DTZ001 - the meter knows no zone

    await meter.set_clock(local)
    assert when[-1] == ["Serial Number?", "Type?", "Serial Number?"]
    assert asked(sim)[3:] == ["Clock,2031/02/03 04:05:06"]


@pytest.mark.parametrize("result", ["R+0001", "R+0003"])
async def test_a_meter_that_cannot_store(quick: None, result: str) -> None:
    """That it lacks Manual Store is learnt by trying; it is tried whenever a person asks."""
    config = replace(quick_meter(), missing=["Manual Store"], missing_result=result)
    async with SimulatedMeter(config) as sim:
        meter = Meter(sim.host, sim.port)
        for _ in range(2):
            with pytest.raises(ResultError) as raised:
                await meter.store()
            assert raised.value.code == result
            assert set(meter.lacking) == {"Manual Store"}
        await meter.close()
        assert sim.violations == []


async def test_a_refused_greeting_says_nothing_of_the_store(quick: None) -> None:
    """What was refused is the serial number."""
    config = replace(quick_meter(), missing=["Serial Number"])
    async with SimulatedMeter(config) as sim:
        meter = Meter(sim.host, sim.port)
        with pytest.raises(SpecificationError):
            await meter.store()
        assert meter.lacking == {}
        await meter.close()


async def test_refusals(sim: SimulatedMeter, meter: Meter) -> None:
    """Each result code ends in its error, and the connection stays in step."""
    with pytest.raises(StateError):
        await meter.set(MEASURE, RunState.START)
    with pytest.raises(ParameterError):
        await meter.connection.tell("Store Mode,Nonsense", Priority.PERSON)
    with pytest.raises(CommandError):
        await meter.connection.ask("Nonsense?", str, Priority.PERSON)
    with pytest.raises(SpecificationError):
        await meter.connection.tell("Type,NL-53", Priority.PERSON)
    assert await meter.ask(MEASURE) is RunState.START
    assert sim.connections_opened == 1


@pytest.mark.parametrize("result", ["R+0001", "R+0003"])
async def test_what_is_lacking_is_learnt(quick: None, result: str) -> None:
    """A command that the meter lacks is asked once, and costs nothing else."""
    config = replace(quick_meter(), missing=["Battery Type", "Pause"], missing_result=result)
    async with SimulatedMeter(config) as sim:
        meter = Meter(sim.host, sim.port)
        for command in (BATTERY_TYPE, PAUSE, BATTERY_TYPE, PAUSE, BATTERY_TYPE):
            with pytest.raises(ResultError) as raised:
                await meter.ask(command)
            assert raised.value.code == result
            assert raised.value.command == command.request
        await meter.reading()
        assert set(meter.lacking) == {"Battery Type", "Pause"}
        assert asked(sim) == ["Serial Number?", "Battery Type?", "Pause?", "DOD?"]
        await meter.close()
        assert sim.violations == []


async def test_refusing_what_is_lacking_costs_no_memory(quick: None) -> None:
    """The error of what is lacking does not grow with each time that it is raised."""
    config = replace(quick_meter(), missing=["Pause"])
    async with SimulatedMeter(config) as sim:
        meter = Meter(sim.host, sim.port)
        depths = []
        for _ in range(4):
            with pytest.raises(SpecificationError) as raised:
                await meter.ask(PAUSE)
            depths.append(len(raised.traceback))
        assert depths[1] == depths[2] == depths[3]
        await meter.close()
        assert sim.violations == []


async def test_readings_are_always_asked(sim: SimulatedMeter, meter: Meter) -> None:
    """Levels are what the meter is for: that it cannot give them is never learnt."""
    sim.config.missing = ["DOD"]
    for _ in range(2):
        with pytest.raises(SpecificationError):
            await meter.reading()
    sim.config.missing = []
    await meter.reading()
    assert meter.lacking == {}
    assert asked(sim).count(READING.request) == 3


async def test_a_refused_greeting_says_nothing_of_the_question(
    sim: SimulatedMeter, meter: Meter
) -> None:
    """What the meter answers to the serial number is not learnt of the command behind it."""
    sim.config.missing = ["Serial Number"]
    with pytest.raises(SpecificationError):
        await meter.ask(MEASURE)
    assert asked(sim) == ["Serial Number?"]
    sim.config.missing = []
    assert await meter.ask(MEASURE) is RunState.START
    assert meter.lacking == {}


async def test_the_serial_number_is_a_question_too(sim: SimulatedMeter, meter: Meter) -> None:
    """Who asks for it gets it."""
    assert await meter.ask(SERIAL_NUMBER) == SERIAL


@pytest.mark.parametrize("config", [replace(quick_meter(), replay=[MEASURING_LINE])])
async def test_a_reading_is_what_the_meter_shows(sim: SimulatedMeter, meter: Meter) -> None:
    """The recorded frame arrives as it was recorded."""
    assert await meter.reading() == recorded_readings()[0]


# Streams


async def test_a_stream_is_ended(sim: SimulatedMeter, meter: Meter) -> None:
    """The power source is in a stream: one line is taken, and the connection stays in step."""
    for _ in range(3):
        assert await meter.ask(POWER_SOURCE) is PowerSource.EXTERNAL
        assert isinstance(await meter.reading(), Reading)
        assert await meter.ask(MEASURE) is RunState.START
    assert sim.connections_opened == 1
    assert meter.connection.statistics.errors == 0


async def test_a_stream_that_does_not_fit_is_ended_too(sim: SimulatedMeter, meter: Meter) -> None:
    """Whatever its lines say, the meter is told to stop before the next command."""
    sim.config.power_source = "X"
    with pytest.raises(RionError):
        await meter.ask(POWER_SOURCE)
    assert isinstance(await meter.reading(), Reading)
    assert sim.connections_opened == 1


async def test_a_stream_that_is_refused(sim: SimulatedMeter, meter: Meter) -> None:
    """There is nothing to end then."""
    sim.config.missing = ["DRD"]
    with pytest.raises(SpecificationError):
        await meter.ask(POWER_SOURCE)
    assert isinstance(await meter.reading(), Reading)
    assert sim.connections_opened == 1


# A person's command


@pytest.mark.parametrize("fault", [Fault.DROP, Fault.SILENCE])
async def test_a_setting_is_sent_once(
    sim: SimulatedMeter, meter: Meter, hasty: None, fault: Fault
) -> None:
    """When its answer is lost, the command is not repeated, then or on the next connection."""
    await meter.reading()
    sim.inject(fault, times=1)
    with pytest.raises(RionError):
        await meter.set(MEASURE, RunState.STOP)
    for _ in range(3):
        await meter.reading()
    await meter.ask(MEASURE)
    assert asked(sim).count("Measure,Stop") == 1
    assert sim.connections_opened == 2


async def test_a_person_is_told_at_once(
    sim: SimulatedMeter, meter: Meter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the connection stays lost nobody waits for a long backoff, and nothing is sent."""
    sim.inject(Fault.WEDGE)
    for _ in range(2):
        await fails(meter)
    monkeypatch.setattr(connection, "backoff", lambda _failures, limit: limit)
    meter.connection.max_backoff = 3600.0
    depths = []
    for _ in range(3):
        with pytest.raises(RionError) as raised:
            await meter.set(MEASURE, RunState.STOP)
        depths.append(len(raised.traceback))
    assert depths[0] == depths[1] == depths[2]
    sim.clear()
    meter.connection.max_backoff = 0.0
    await meter.reading()
    assert asked(sim) == ["Serial Number?", "DOD?"]


# Another meter


async def test_another_meter_is_not_spoken_to(sim: SimulatedMeter) -> None:
    """Nothing but its serial number is asked, and each try waits twice as long."""
    meter = Meter(sim.host, sim.port, serial="99999999")
    for _ in range(5):
        err = await fails(meter)
        assert isinstance(err, WrongMeterError)
        assert (err.expected, err.found) == ("99999999", SERIAL)
        assert str(err) == "serial number 01234567 answers instead of 99999999"
    with pytest.raises(WrongMeterError):
        await meter.set(MEASURE, RunState.STOP)
    assert meter.serial == "99999999"
    assert asked(sim) == ["Serial Number?"] * 5
    times = [command.received for command in sim.commands]
    gaps = [later - earlier for earlier, later in pairwise(times)]
    assert all(gap >= QUICK * 2**number for number, gap in enumerate(gaps))
    await meter.close()


async def test_the_meter_of_the_first_answer_stays_the_one(
    sim: SimulatedMeter, meter: Meter
) -> None:
    """An address that changes hands while the client runs is noticed on the next connection."""
    await meter.reading()
    sim.config.serial = "76543210"
    await sim.drop_connection()
    assert isinstance(await fails(meter), WrongMeterError)
    sim.config.serial = SERIAL
    assert isinstance(await meter.reading(), Reading)


# The pace


async def test_the_real_pace() -> None:
    """At real speed a command leaves no sooner than 1.0 s after the answer before it."""
    async with SimulatedMeter(SimulatorConfig(pace_limit=1.0)) as sim:
        meter = Meter(sim.host, sim.port)
        for _ in range(3):
            await meter.reading()
        await meter.close()
        assert asked(sim) == ["Serial Number?", "DOD?", "DOD?", "DOD?"]
        for earlier, later in pairwise(sim.commands):
            assert earlier.answered is not None
            assert later.received - earlier.answered >= 1.0
        assert sim.violations == []


# Order


async def test_people_first_then_readings(sim: SimulatedMeter, meter: Meter) -> None:
    """Who waits is served by priority, and within one priority in the order of asking."""
    await asyncio.gather(
        meter.connection.ask("Clock?", str, Priority.SLOW),
        meter.connection.ask("DOD?", str, Priority.READING),
        meter.connection.ask("Measure?", str, Priority.PERSON),
        meter.connection.ask("Type?", str, Priority.SLOW),
        meter.connection.tell("Pause,On", Priority.PERSON),
        meter.connection.ask("DLC?", str, Priority.READING),
        meter.connection.ask("FTP?", str, Priority.SLOW),
        meter.connection.ask("Pause?", str, Priority.PERSON),
    )
    assert asked(sim) == [
        "Serial Number?",
        *("Measure?", "Pause,On", "Pause?"),
        *("DOD?", "DLC?"),
        *("Clock?", "Type?", "FTP?"),
    ]


async def test_an_unknown_answer_to_a_slow_question_costs_no_connection(
    sim: SimulatedMeter, meter: Meter
) -> None:
    """Words that are not known, in answer to one question after the other, are no desync."""
    sim.config.battery_type = "Lithium"
    sim.state.settings["store mode"] = "Timer"
    sim.config.model = "NL-63"
    for _ in range(3):
        for question in (BATTERY_TYPE, STORE_MODE, TYPE):
            with pytest.raises(RionError):
                await meter.ask(question, Priority.SLOW)
        assert isinstance(await meter.reading(), Reading)
    assert sim.connections_opened == 1


async def test_no_answer_in_time(sim: SimulatedMeter, meter: Meter, hasty: None) -> None:
    """A silent meter is told apart from a closed connection."""
    sim.inject(Fault.SILENCE)
    assert isinstance(await fails(meter), NoAnswerError)
    assert not meter.connection.is_open
