"""What a person has a meter do: sent once, confirmed, shown at once, refused in plain words."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from itertools import pairwise
from typing import Any

from homeassistant.const import STATE_UNAVAILABLE, STATE_UNKNOWN
from homeassistant.core import HomeAssistant
from homeassistant.exceptions import HomeAssistantError, ServiceValidationError
from homeassistant.util import dt as dt_util
import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry

from custom_components.nl43 import control, coordinator
from custom_components.nl43.const import ConnectionState
from custom_components.nl43.coordinator import Nl43Coordinator
from custom_components.nl43.facts import Facts
from custom_components.nl43.rion import NoAnswerError, Priority, connection, vocabulary
from custom_components.nl43.rion.vocabulary import (
    CLOCK,
    MEASURE,
    OVERWRITE,
    PAUSE,
    SLEEP_MODE,
    STORE_MODE,
    STORE_NAME,
    OnOff,
    Setting,
    StoreMode,
)
from nl43_sim import Asleep, Fault, SimulatedMeter
from nl43_sim.clock import MeterClock
from nl43_sim.commands import _COMMANDS, WRONG_STATE, Reply
from nl43_sim.state import Settings

from .conftest import QUICK, until
from .tools import (
    CONNECTION,
    DEVICE,
    LP,
    MEASUREMENT,
    asked,
    call,
    last_frame,
    set_intervals,
    shown,
    state,
    text_of,
    watch,
)

MEASURING = ("Measure,Start",)
PAUSED = ("Measure,Start", "Pause,On")
BY_HAND = ("Store Mode,Manual",)
# How the tests' meter is before each command, by what is pressed at it.
BASE = (
    "Sleep Mode,Off",
    "Measure,Stop",
    "Store Mode,Auto",
    "Store Name,0019",
    "FTP,On",
    "Lp Store Interval,100ms",
    "Leq Calculation Interval Preset,10m",
    "Measurement Time Preset Manual,Off",
    "Measurement Time Preset Auto,Off",
    "Frequency Weighting (Main),A",
    "Time Weighting (Main),S",
)
STORES = "/NL-43/Auto_0019"
WRONG_TIME = "Clock,2031/02/03 04:05:06"


def entity(name: str) -> str:
    """Return the id of an entity of the tests' meter."""
    platform, _, key = name.partition(".")
    return f"{platform}.{DEVICE}_{key}"


def on_off(sim: SimulatedMeter, *, on: bool) -> str:
    """Return what a switch shows."""
    return "on" if on else "off"


def option_of(name: str) -> Callable[[SimulatedMeter], str]:
    """Return how a select shows what the meter has."""
    symbols = "Weighting" in name

    def option(sim: SimulatedMeter) -> str:
        word = sim.state.settings[name]
        return word if symbols else word.lower().replace(" ", "_")

    return option


@dataclass(frozen=True, kw_only=True)
class Control:
    """A command of a person, what is sent for it and asked afterwards, and what comes of it."""

    entity: str
    service: str
    data: dict[str, Any] = field(default_factory=dict)
    before: tuple[str, ...] = ()
    line: str
    question: str
    true: Callable[[SimulatedMeter], str] | None
    """What the entity has to show of the meter; None for a button."""
    wanted: str = ""

    def __str__(self) -> str:
        """Return its name in a report."""
        return "-".join([self.entity, self.service, *map(str, self.data.values())])

    def sent(self, lines: list[str]) -> int:
        """Count how often it was sent."""
        return sum(line.startswith(self.line) for line in lines)


def _switch(
    name: str, word: str, true: Callable[[SimulatedMeter], bool], *, on: bool, before: Any = ()
) -> Control:
    """Return a switch's command."""
    return Control(
        entity=entity(f"switch.{name}"),
        service="turn_on" if on else "turn_off",
        before=before,
        line=word,
        question=f"{word.partition(',')[0]}?",
        true=lambda sim: on_off(sim, on=true(sim)),
        wanted="on" if on else "off",
    )


def _select(name: str, setting: str, option: str, word: str, before: Any = ()) -> Control:
    """Return a select's command."""
    return Control(
        entity=entity(f"select.{name}"),
        service="select_option",
        data={"option": option},
        before=before,
        line=f"{setting},{word}",
        question=f"{setting}?",
        true=option_of(setting),
        wanted=option,
    )


def _ftp_is_on(sim: SimulatedMeter) -> bool:
    """Tell what the meter says of its FTP server."""
    return Fault.FTP_OFF not in sim.faults and sim.state.settings["FTP"] == "On"


SELECTS = (
    _select("frequency_weighting", "Frequency Weighting (Main)", "C", "C"),
    _select("time_weighting", "Time Weighting (Main)", "F", "F"),
    _select("store_mode", "Store Mode", "manual", "Manual"),
    _select("lp_store_interval", "Lp Store Interval", "10ms", "10ms"),
    _select("leq_calculation_interval", "Leq Calculation Interval Preset", "1h", "1h"),
    _select("measurement_time", "Measurement Time Preset Auto", "24h", "24h"),
)
STORE_NAME_20 = Control(
    entity=entity("number.store_name"),
    service="set_value",
    data={"value": 20},
    line="Store Name,0020",
    question="Store Name?",
    true=lambda sim: str(int(sim.state.settings["Store Name"])),
    wanted="20",
)
SLEEP = _switch(
    "sleep_mode",
    "Sleep Mode,On",
    lambda sim: sim.state.settings["Sleep Mode"] == "On",
    on=True,
)
# What cannot be changed while a measurement runs.
STOPPED_ONLY = (SLEEP, *SELECTS, STORE_NAME_20)
START = _switch("measurement", "Measure,Start", lambda sim: sim.state.measuring, on=True)
STOP = _switch(
    "measurement", "Measure,Stop", lambda sim: sim.state.measuring, on=False, before=MEASURING
)
PAUSE_ON = _switch("pause", "Pause,On", lambda sim: sim.state.paused, on=True, before=MEASURING)
PAUSE_OFF = _switch("pause", "Pause,Off", lambda sim: sim.state.paused, on=False, before=PAUSED)
FTP_OFF = _switch("ftp_server", "FTP,Off", _ftp_is_on, on=False)
FTP_ON = _switch("ftp_server", "FTP,On", _ftp_is_on, on=True, before=("FTP,Off",))
CONFIRMED = (
    START,
    STOP,
    PAUSE_ON,
    PAUSE_OFF,
    FTP_OFF,
    FTP_ON,
    *STOPPED_ONLY,
    _select("store_mode", "Store Mode", "timer_auto", "Timer Auto"),
    _select("measurement_time", "Measurement Time Preset Manual", "10s", "10s", before=BY_HAND),
)
STORE = Control(
    entity=entity("button.manual_store"),
    service="press",
    before=(*BY_HAND, "Measure,Start", "Measure,Stop"),
    line="Manual Store,Start",
    question="",
    true=None,
)
SYNC = Control(
    entity=entity("button.synchronize_clock"),
    service="press",
    before=(WRONG_TIME,),
    line="Clock,",
    question="Clock?",
    true=None,
)
RECONNECT = Control(
    entity=entity("button.reconnect"),
    service="press",
    line="",
    question="",
    true=None,
)


def each(*controls: Control) -> pytest.MarkDecorator:
    """Return the parametrization by controls."""
    return pytest.mark.parametrize("each_control", controls, ids=str)


def press(sim: SimulatedMeter, *lines: str) -> None:
    """Do commands at the meter itself."""
    for line in lines:
        sim.press(line)


async def command(hass: HomeAssistant, wanted: Control) -> None:
    """Command a meter as a person does, in bounded time."""
    async with asyncio.timeout(10):
        await call(hass, wanted.entity, wanted.service, **wanted.data)


async def refusal(hass: HomeAssistant, wanted: Control) -> HomeAssistantError:
    """Command a meter, and return the error that says why not."""
    with pytest.raises(HomeAssistantError) as raised:
        await command(hass, wanted)
    assert text_of(raised.value)
    return raised.value


async def set_up(
    hass: HomeAssistant, entry: MockConfigEntry, sim: SimulatedMeter, *before: str
) -> Nl43Coordinator:
    """Return the poller of a meter in its base state and some more; it is read once an hour."""
    press(sim, *BASE, *before)
    sim.state.card.remove(STORES)
    set_intervals(hass, entry, scan=3600)
    assert await hass.config_entries.async_setup(entry.entry_id)
    poller: Nl43Coordinator = entry.runtime_data.coordinator
    await settled(hass, poller)
    return poller


async def settled(hass: HomeAssistant, poller: Nl43Coordinator) -> None:
    """Wait until everything has been asked."""
    await until(lambda: poller._facts.due(hass.loop.time(), poller.data) is None)
    await hass.async_block_till_done()


@pytest.fixture
def persistent(patient: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Give the meter time to say what came of a command, however busy this machine is."""
    monkeypatch.setattr(control, "CONFIRM_LIMIT", 5.0)


# The ordinary case


@pytest.mark.parametrize("watched", [False, True], ids=["unwatched", "watched"])
@each(*CONFIRMED)
async def test_command(
    hass: HomeAssistant,
    persistent: None,
    entry: MockConfigEntry,
    sim: SimulatedMeter,
    each_control: Control,
    watched: bool,
) -> None:
    """It is sent once, asked about afterwards, and its effect is shown when the service ends."""
    sim.config.asleep = Asleep.ANSWERS
    await set_up(hass, entry, sim, *each_control.before)
    assert each_control.true is not None
    assert each_control.true(sim) != each_control.wanted
    assert state(hass, each_control.entity) == each_control.true(sim)
    if watched:
        watch(hass, entry)
    before = len(sim.commands)
    await command(hass, each_control)
    assert state(hass, each_control.entity) == each_control.wanted
    lines = [line for line in asked(sim)[before:] if line != "DOD?"]
    assert each_control.sent(lines) == 1
    assert lines[lines.index(each_control.line) + 1] == each_control.question
    assert sum("," in line for line in lines) == 1
    assert each_control.true(sim) == each_control.wanted
    assert sim.connections_opened == 1


async def test_levels_follow_a_command(
    hass: HomeAssistant, persistent: None, entry: MockConfigEntry, sim: SimulatedMeter
) -> None:
    """A started measurement has its levels and its state, also if it is read once an hour."""
    await set_up(hass, entry, sim)
    assert state(hass, f"sensor.{DEVICE}_leq") == STATE_UNKNOWN
    await command(hass, START)
    assert state(hass, MEASUREMENT) == "measuring"
    await until(lambda: state(hass, f"sensor.{DEVICE}_leq") != STATE_UNKNOWN)
    await command(hass, STOP)
    assert state(hass, MEASUREMENT) == "stopped"
    await until(shown(hass, f"sensor.{DEVICE}_leq", STATE_UNKNOWN))


async def test_facts_are_shown_while_watched(
    hass: HomeAssistant, persistent: None, entry: MockConfigEntry, sim: SimulatedMeter
) -> None:
    """What a command has changed is shown with it, not at the next write of the levels."""
    await set_up(hass, entry, sim)
    watch(hass, entry)

    def weighting() -> object:
        found = hass.states.get(LP)
        assert found is not None
        return found.attributes["frequency_weighting"]

    assert weighting() == "A"
    await command(hass, SELECTS[0])
    assert weighting() == "C"


async def test_the_measurement_time_goes_with_the_store_mode(
    hass: HomeAssistant, persistent: None, entry: MockConfigEntry, sim: SimulatedMeter
) -> None:
    """The select shows and sets the time that holds in the present mode."""
    await set_up(hass, entry, sim, "Measurement Time Preset Manual,1m")
    time = entity("select.measurement_time")
    assert state(hass, time) == "off"
    await call(hass, entity("select.store_mode"), "select_option", option="manual")
    assert state(hass, time) == "1m"
    await call(hass, entity("select.store_mode"), "select_option", option="timer_auto")
    assert state(hass, time) == "off"


async def test_a_store_name_is_a_whole_number(
    hass: HomeAssistant, persistent: None, entry: MockConfigEntry, sim: SimulatedMeter
) -> None:
    """0 to 9999; the meter gets four digits."""
    await set_up(hass, entry, sim)
    number = entity("number.store_name")
    for value, name in ((0, "0000"), (9999, "9999"), (7.9, "0007")):
        await call(hass, number, "set_value", value=value)
        assert sim.state.settings["Store Name"] == name
        assert state(hass, number) == str(int(value))
    before = len(sim.commands)
    for value in (-1, 10000):
        with pytest.raises(ServiceValidationError):
            await call(hass, number, "set_value", value=value)
    assert "Store Name" not in "".join(asked(sim)[before:])


async def test_store_by_hand(
    hass: HomeAssistant, persistent: None, entry: MockConfigEntry, sim: SimulatedMeter
) -> None:
    """The last result is stored once."""
    await set_up(hass, entry, sim, *STORE.before)
    await command(hass, STORE)
    assert STORE.sent(asked(sim)) == 1
    assert sim.state.card.find("/NL-43/Manual_0019") is not None


@pytest.mark.parametrize(
    "before",
    [(), (*BY_HAND, "Measure,Start"), ("Measure,Start", "Measure,Stop")],
    ids=["nothing", "measuring", "auto"],
)
async def test_nothing_to_store(
    hass: HomeAssistant,
    persistent: None,
    entry: MockConfigEntry,
    sim: SimulatedMeter,
    before: tuple[str, ...],
) -> None:
    """What cannot be stored is said as such."""
    await set_up(hass, entry, sim, *before)
    error = await refusal(hass, STORE)
    assert error.translation_key == "nothing_to_store"
    assert isinstance(error, ServiceValidationError)
    assert STORE.sent(asked(sim)) == 1


# The clock


def clock_ahead(sim: SimulatedMeter) -> float:
    """Return by how many seconds the meter's clock is ahead of the site's."""
    site = dt_util.now().replace(tzinfo=None)
    return (sim.state.clock.now() - site).total_seconds()


def clock_error(sim: SimulatedMeter) -> float:
    """Return by how many seconds the meter's clock differs from the site's."""
    return abs(clock_ahead(sim))


async def test_the_clock_gets_the_sites_time(
    hass: HomeAssistant,
    quick: None,
    entry: MockConfigEntry,
    sim: SimulatedMeter,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Within a second, far from UTC, and also from behind a slow answer."""
    monkeypatch.setattr(connection, "ANSWER_TIMEOUT", 5.0)
    await hass.config.async_set_time_zone("Pacific/Kiritimati")
    poller = await set_up(hass, entry, sim, WRONG_TIME)
    assert clock_error(sim) > 3600
    sim.inject(Fault.SLOW, seconds=1.6, times=1)
    question = asyncio.create_task(poller.async_ask(STORE_NAME, Priority.SLOW))
    await until(lambda: asked(sim)[-1] == "Store Name?")
    await command(hass, SYNC)
    assert question.done()
    assert clock_error(sim) < 1
    lines = asked(sim)
    assert SYNC.sent(lines) == 1
    assert "Clock?" in lines[-2:]
    offset = float(state(hass, f"sensor.{DEVICE}_clock_offset"))
    assert abs(offset) <= 1.5


async def test_a_clock_that_is_right_to_some_seconds_is_set(
    hass: HomeAssistant, persistent: None, entry: MockConfigEntry, sim: SimulatedMeter
) -> None:
    """A small error is put right as well."""
    await set_up(hass, entry, sim)
    sim.state.clock_offset += 4.0 - clock_ahead(sim)
    await command(hass, SYNC)
    assert clock_error(sim) < 1


@pytest.mark.parametrize("ahead", [7.5, -7.5])
async def test_a_clock_that_does_not_take_its_time(
    hass: HomeAssistant,
    persistent: None,
    entry: MockConfigEntry,
    sim: SimulatedMeter,
    monkeypatch: pytest.MonkeyPatch,
    ahead: float,
) -> None:
    """Said done, but it goes on as before: told, if it is more than some seconds."""
    await set_up(hass, entry, sim)
    monkeypatch.setattr(MeterClock, "set", lambda *_: None)
    sim.state.clock_offset += ahead - clock_ahead(sim)
    assert (await refusal(hass, SYNC)).translation_key == "not_taken"
    sim.state.clock_offset -= ahead / 2
    await command(hass, SYNC)


# Refusals


@pytest.mark.parametrize("known", [True, False], ids=["known", "unknown"])
@each(*STOPPED_ONLY)
async def test_refused_while_measuring(
    hass: HomeAssistant,
    persistent: None,
    entry: MockConfigEntry,
    sim: SimulatedMeter,
    each_control: Control,
    known: bool,
) -> None:
    """R+0004 is told as what it is, also if the measurement was started at the meter just now."""
    poller = await set_up(hass, entry, sim, *(MEASURING if known else ()))
    if not known:
        press(sim, *MEASURING)
    assert poller.data.measuring is known
    before = state(hass, each_control.entity)
    error = await refusal(hass, each_control)
    assert error.translation_key == "refused_measuring"
    assert each_control.sent(asked(sim)) == 1
    assert each_control.true is not None
    assert state(hass, each_control.entity) == before == each_control.true(sim)
    assert state(hass, entity("switch.measurement")) == "on"


async def test_refused_for_another_reason(
    hass: HomeAssistant, persistent: None, entry: MockConfigEntry, sim: SimulatedMeter
) -> None:
    """A measurement that runs is not blamed for what it does not forbid."""
    poller = await set_up(hass, entry, sim, *MEASURING, "FTP,Off")
    sim.inject(Fault.FTP_OFF)
    for known in (True, False):
        before = len(sim.commands)
        error = await refusal(hass, FTP_ON)
        assert error.translation_key == "refused_state"
        assert "R+0004" in text_of(error)
        assert state(hass, FTP_ON.entity) == "off"
        lines = asked(sim)[before:]
        assert "Measure?" in lines
        # Why, may be that it sleeps; that is asked where it is not known.
        assert ("Sleep Mode?" in lines) is not known
        if known:
            forget(poller, SLEEP_MODE.name)


def forget(poller: Nl43Coordinator, name: str) -> None:
    """Have a poller not know an answer that is not due to be asked again."""
    poller._facts._records[name].fact = None
    poller._facts_changed()


@pytest.mark.parametrize(
    ("each_control", "name"), [(PAUSE_ON, "pause"), (STOP, "measure")], ids=["pause", "measure"]
)
async def test_what_a_measurement_cannot_forbid(
    hass: HomeAssistant,
    persistent: None,
    entry: MockConfigEntry,
    sim: SimulatedMeter,
    monkeypatch: pytest.MonkeyPatch,
    each_control: Control,
    name: str,
) -> None:
    """Nobody is told to stop the measurement before it can be paused or stopped."""
    await set_up(hass, entry, sim, *MEASURING)
    refusing = replace(_COMMANDS[name], set=lambda *_: Reply(WRONG_STATE))
    monkeypatch.setitem(_COMMANDS, name, refusing)
    assert (await refusal(hass, each_control)).translation_key == "refused_state"


@pytest.mark.parametrize("known", [True, False], ids=["known", "unknown"])
async def test_pause_without_a_measurement(
    hass: HomeAssistant,
    persistent: None,
    entry: MockConfigEntry,
    sim: SimulatedMeter,
    known: bool,
) -> None:
    """There is nothing to hold; and going on is done already."""
    await set_up(hass, entry, sim, *(() if known else MEASURING))
    if not known:
        press(sim, "Measure,Stop")
    error = await refusal(hass, PAUSE_ON)
    assert error.translation_key == "not_measuring"
    assert isinstance(error, ServiceValidationError)
    assert state(hass, PAUSE_ON.entity) == "off"
    await command(hass, PAUSE_OFF)
    assert state(hass, PAUSE_ON.entity) == "off"


async def test_pause_refused_while_measuring(
    hass: HomeAssistant,
    persistent: None,
    entry: MockConfigEntry,
    sim: SimulatedMeter,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A meter that measures and refuses has a reason of its own."""
    poller = await set_up(hass, entry, sim, *MEASURING)
    monkeypatch.setattr(coordinator, "FAILURES_TO_LOSE", 10**6)
    sim.config.asleep = Asleep.ANSWERS
    assert poller.data.get(SLEEP_MODE) is OnOff.OFF
    sim.state.settings["Sleep Mode"] = "On"
    error = await refusal(hass, PAUSE_ON)
    assert error.translation_key == "sleep_mode"
    assert PAUSE_ON.sent(asked(sim)) == 1
    # Nor is it said not to measure where it does not tell.
    poller._facts = Facts()
    assert (await refusal(hass, PAUSE_ON)).translation_key == "sleep_mode"
    assert poller.data.measuring is None


async def test_a_value_that_the_meter_does_not_take(
    hass: HomeAssistant, persistent: None, entry: MockConfigEntry, sim: SimulatedMeter
) -> None:
    """R+0002 is told as such."""
    poller = await set_up(hass, entry, sim)
    odd = Setting("Store Name", STORE_NAME.parse, word="{:d}".format)
    with pytest.raises(HomeAssistantError) as raised:
        await control.async_set(poller, odd, 20)
    assert raised.value.translation_key == "refused_value"
    assert "Store Name,20" in text_of(raised.value)
    assert state(hass, STORE_NAME_20.entity) == "19"


async def test_a_setting_that_is_not_taken(
    hass: HomeAssistant,
    persistent: None,
    entry: MockConfigEntry,
    sim: SimulatedMeter,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Said done, but it is as before: what is shown is what the meter says now."""
    await set_up(hass, entry, sim)
    monkeypatch.setattr(Settings, "__setitem__", lambda *_: None)
    error = await refusal(hass, STORE_NAME_20)
    assert error.translation_key == "not_taken"
    assert not isinstance(error, ServiceValidationError)
    assert STORE_NAME_20.sent(asked(sim)) == 1
    assert state(hass, STORE_NAME_20.entity) == "19"


# What a meter lacks


LACKING = (
    (PAUSE_ON, "Pause"),
    (FTP_OFF, "FTP"),
    (SLEEP, "Sleep Mode"),
    (STORE_NAME_20, "Store Name"),
    (SYNC, "Clock"),
    *((each_select, each_select.question.removesuffix("?")) for each_select in SELECTS),
)


@pytest.mark.parametrize("result", ["R+0001", "R+0003"])
async def test_what_a_meter_lacks_is_not_offered(
    hass: HomeAssistant, persistent: None, entry: MockConfigEntry, sim: SimulatedMeter, result: str
) -> None:
    """Neither at first, nor where the meter had it once; nothing else goes with it."""
    sim.config.missing_result = result
    sim.config.missing = [name for _, name in LACKING]
    await set_up(hass, entry, sim, *MEASURING)
    for lacking, _ in LACKING:
        assert hass.states.get(lacking.entity) is None
    assert state(hass, entity("switch.measurement")) == "on"
    assert await hass.config_entries.async_unload(entry.entry_id)
    sim.config.missing = []
    await set_up(hass, entry, sim, *MEASURING)
    for offered, _ in LACKING:
        assert state(hass, offered.entity) != STATE_UNAVAILABLE
    assert await hass.config_entries.async_unload(entry.entry_id)
    sim.config.missing = [name for _, name in LACKING]
    await set_up(hass, entry, sim, *MEASURING)
    before = len(sim.commands)
    for lacking, name in LACKING:
        assert state(hass, lacking.entity) == STATE_UNAVAILABLE, name
        await command(hass, lacking)
    assert not any("," in line for line in asked(sim)[before:])
    assert state(hass, entity("switch.measurement")) == "on"


async def test_a_meter_that_does_not_tell_its_run_state(
    hass: HomeAssistant, persistent: None, entry: MockConfigEntry, sim: SimulatedMeter
) -> None:
    """Then it cannot be started, but it is read, and set, all the same."""
    await set_up(hass, entry, sim)
    assert await hass.config_entries.async_unload(entry.entry_id)
    sim.config.missing = ["Measure"]
    await set_up(hass, entry, sim)
    assert state(hass, START.entity) == STATE_UNAVAILABLE
    assert state(hass, PAUSE_ON.entity) == STATE_UNKNOWN
    await command(hass, STORE_NAME_20)
    assert state(hass, STORE_NAME_20.entity) == "20"


@pytest.mark.parametrize("result", ["R+0001", "R+0003"])
async def test_a_meter_that_cannot_store(
    hass: HomeAssistant, persistent: None, entry: MockConfigEntry, sim: SimulatedMeter, result: str
) -> None:
    """Only trying tells; then the button is no longer offered."""
    sim.config.missing_result = result
    sim.config.missing = ["Manual Store"]
    await set_up(hass, entry, sim, *STORE.before)
    watch(hass, entry)
    error = await refusal(hass, STORE)
    assert error.translation_key == "not_installed"
    assert result in text_of(error)
    await until(shown(hass, STORE.entity, STATE_UNAVAILABLE))


async def test_a_command_that_got_lost_to_the_meter(
    hass: HomeAssistant, persistent: None, entry: MockConfigEntry, sim: SimulatedMeter
) -> None:
    """A setting that the meter had until now: it says so, and what it told last stays."""
    await set_up(hass, entry, sim)
    sim.config.missing = ["Store Name"]
    error = await refusal(hass, STORE_NAME_20)
    assert error.translation_key == "not_installed"
    assert "Store Name,0020" in text_of(error)
    assert state(hass, STORE_NAME_20.entity) == "19"


async def test_an_unknown_word_is_unknown(
    hass: HomeAssistant, persistent: None, entry: MockConfigEntry, sim: SimulatedMeter
) -> None:
    """A store mode that nobody knows shows as unknown, and what depends on it is not offered."""
    await set_up(hass, entry, sim)
    assert await hass.config_entries.async_unload(entry.entry_id)
    press(sim, *BASE)
    sim.state.settings["Store Mode"] = "Remote"
    assert await hass.config_entries.async_setup(entry.entry_id)
    await settled(hass, entry.runtime_data.coordinator)
    mode, time = entity("select.store_mode"), entity("select.measurement_time")
    assert state(hass, mode) == STATE_UNKNOWN
    assert state(hass, time) == STATE_UNAVAILABLE
    await call(hass, mode, "select_option", option="auto")
    assert (state(hass, mode), state(hass, time)) == ("auto", "off")


async def test_an_unknown_switch_is_unknown(
    hass: HomeAssistant,
    persistent: None,
    entry: MockConfigEntry,
    sim: SimulatedMeter,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What is not known to be on is not known to be off either."""
    await set_up(hass, entry, sim)
    assert await hass.config_entries.async_unload(entry.entry_id)
    for name in ("measure", "ftp", "sleep mode"):
        odd = replace(_COMMANDS[name], ask=lambda _machine: "Perhaps")
        monkeypatch.setitem(_COMMANDS, name, odd)
    await set_up(hass, entry, sim)
    for each_control in (START, PAUSE_ON, FTP_ON, SLEEP):
        assert state(hass, each_control.entity) == STATE_UNKNOWN


async def test_a_meter_without_a_pause_measures(
    hass: HomeAssistant, persistent: None, entry: MockConfigEntry, sim: SimulatedMeter
) -> None:
    """Some firmware says Measure for Start; a start that cannot ask about the pause is a start."""
    sim.config.measuring_word = "Measure"
    sim.config.missing = ["Pause", "Overwrite"]
    await set_up(hass, entry, sim)
    await command(hass, START)
    assert state(hass, START.entity) == "on"
    assert state(hass, MEASUREMENT) == "measuring"


# Starting without harm


async def would_overwrite(hass: HomeAssistant, sim: SimulatedMeter) -> None:
    """Assert that a start is refused to save what is stored."""
    before = len(sim.commands)
    error = await refusal(hass, START)
    assert error.translation_key == "would_overwrite"
    assert isinstance(error, ServiceValidationError)
    assert "0018" in text_of(error)
    assert not START.sent(asked(sim)[before:])
    assert state(hass, START.entity) == "off"


async def test_nothing_is_overwritten(
    hass: HomeAssistant, persistent: None, entry: MockConfigEntry, sim: SimulatedMeter
) -> None:
    """A store name that holds data is not written to; the person learns which one it is."""
    await set_up(hass, entry, sim)
    # Chosen at the meter, so that the name that is known here is the wrong one to tell.
    press(sim, "Store Name,0018")
    await would_overwrite(hass, sim)
    assert state(hass, STORE_NAME_20.entity) == "18"
    await command(hass, STORE_NAME_20)
    await command(hass, START)
    assert sim.state.measuring


async def test_nothing_is_overwritten_by_mistake(
    hass: HomeAssistant, persistent: None, entry: MockConfigEntry, sim: SimulatedMeter
) -> None:
    """Nor where what is known of the meter is no longer true."""
    poller = await set_up(hass, entry, sim, *BY_HAND, "Store Name,0018", "Measure,Start")
    assert poller.data.get(STORE_MODE) is StoreMode.MANUAL
    assert poller.data.measuring
    press(sim, "Measure,Stop", "Store Mode,Auto")
    await would_overwrite(hass, sim)
    assert state(hass, entity("select.store_mode")) == "auto"


@pytest.mark.parametrize("known", [True, False], ids=["known", "unknown"])
async def test_by_hand_nothing_is_overwritten(
    hass: HomeAssistant,
    persistent: None,
    entry: MockConfigEntry,
    sim: SimulatedMeter,
    known: bool,
) -> None:
    """Results are put one after the other, so that a start does no harm to the stored ones."""
    await set_up(hass, entry, sim, "Store Name,0018", *(BY_HAND if known else ()))
    press(sim, *BY_HAND)
    await command(hass, START)
    assert sim.state.measuring
    assert ("Overwrite?" in asked(sim)) is not known


async def test_a_start_that_cannot_ask_is_none(
    hass: HomeAssistant,
    quick: None,
    entry: MockConfigEntry,
    sim: SimulatedMeter,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """If it is not known whether data would be overwritten, nothing is started."""
    monkeypatch.setattr(connection, "ANSWER_TIMEOUT", 0.3)
    poller = await set_up(hass, entry, sim)

    async def lost(*_: object) -> None:
        sim.inject(Fault.SILENCE, times=1)

    real = poller.meter.ask

    async def ask(question: Any, priority: Priority = Priority.PERSON) -> Any:
        if question is OVERWRITE:
            await lost()
        return await real(question, priority)

    monkeypatch.setattr(poller.meter, "ask", ask)
    error = await refusal(hass, START)
    # Nothing was commanded, so there is nothing to check before it is tried again.
    assert error.translation_key == "silent"
    assert not START.sent(asked(sim))
    assert not sim.state.measuring


async def test_a_start_that_is_answered_oddly_is_none(
    hass: HomeAssistant,
    persistent: None,
    entry: MockConfigEntry,
    sim: SimulatedMeter,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The right meter is not said to be another device because of one odd answer."""
    await set_up(hass, entry, sim)
    odd = replace(_COMMANDS["measure"], ask=lambda _machine: "0019")
    monkeypatch.setitem(_COMMANDS, "measure", odd)
    error = await refusal(hass, START)
    assert error.translation_key == "silent"
    assert "0019" in text_of(error)
    assert not START.sent(asked(sim))


async def test_a_store_mode_that_cannot_be_asked_protects(
    hass: HomeAssistant, persistent: None, entry: MockConfigEntry, sim: SimulatedMeter
) -> None:
    """A meter without a store mode may overwrite."""
    sim.config.missing = ["Store Mode"]
    await set_up(hass, entry, sim, "Store Name,0018")
    await would_overwrite(hass, sim)


async def test_started_and_stopped_already(
    hass: HomeAssistant, persistent: None, entry: MockConfigEntry, sim: SimulatedMeter
) -> None:
    """What somebody did at the meter just now is as good."""
    poller = await set_up(hass, entry, sim)
    press(sim, *MEASURING)
    assert poller.data.measuring is False
    await command(hass, START)
    assert state(hass, START.entity) == "on"
    assert poller.told_start is None
    press(sim, "Measure,Stop")
    await command(hass, STOP)
    assert state(hass, START.entity) == "off"
    await command(hass, STOP)
    assert state(hass, START.entity) == "off"


async def test_when_the_meter_began(
    hass: HomeAssistant, persistent: None, entry: MockConfigEntry, sim: SimulatedMeter
) -> None:
    """The start is when the meter said done; a stop does not move it."""
    poller = await set_up(hass, entry, sim)
    earliest = dt_util.utcnow()
    async with control.commanding(poller):
        began = await control.async_start(poller)
    assert earliest <= began <= dt_util.utcnow()
    assert poller.told_start == began
    await until(lambda: asked(sim)[-1] in ("Store Name?", "DOD?"))
    await settled(hass, poller)
    assert asked(sim).count("Store Name?") == 2, "the meter may have counted it on"
    async with control.commanding(poller):
        await control.async_stop(poller)
    assert poller.told_start == began


# Asleep


@pytest.mark.parametrize("asleep", list(Asleep))
async def test_put_to_sleep(
    hass: HomeAssistant,
    quick: None,
    entry: MockConfigEntry,
    sim: SimulatedMeter,
    monkeypatch: pytest.MonkeyPatch,
    asleep: Asleep,
) -> None:
    """Whether or not the network goes away with it, in the end the meter shows as asleep."""
    for name in ("ANSWER_TIMEOUT", "CONNECT_TIMEOUT"):
        monkeypatch.setattr(connection, name, 0.3)
    sim.config.asleep = asleep
    await set_up(hass, entry, sim)
    await command(hass, SLEEP)
    assert SLEEP.sent(asked(sim)) == 1
    await until(shown(hass, CONNECTION, "asleep"))
    assert state(hass, LP) == STATE_UNAVAILABLE
    assert state(hass, START.entity) == STATE_UNAVAILABLE
    # It can be woken, where the network lets it.
    assert state(hass, SLEEP.entity) == "on"
    if asleep is Asleep.ANSWERS:
        await call(hass, SLEEP.entity, "turn_off")
        assert state(hass, SLEEP.entity) == "off"
    else:
        with pytest.raises(HomeAssistantError) as raised:
            await call(hass, SLEEP.entity, "turn_off")
        assert text_of(raised.value)
        assert raised.value.translation_key == "no_answer"
        press(sim, "Sleep Mode,Off")
    await until(shown(hass, CONNECTION, "connected"))
    await until(shown(hass, MEASUREMENT, "stopped"))
    assert state(hass, SLEEP.entity) in ("off", STATE_UNKNOWN)
    await until(shown(hass, SLEEP.entity, "off"))


@pytest.mark.parametrize("known", [True, False], ids=["known", "unknown"])
@each(START, STORE)
async def test_a_sleeping_meter_is_not_woken_by_surprise(
    hass: HomeAssistant,
    persistent: None,
    entry: MockConfigEntry,
    sim: SimulatedMeter,
    monkeypatch: pytest.MonkeyPatch,
    each_control: Control,
    known: bool,
) -> None:
    """Whoever wants it to measure is told that it sleeps; nothing is started."""
    monkeypatch.setattr(coordinator, "FAILURES_TO_LOSE", 10**6)
    sim.config.asleep = Asleep.ANSWERS
    await set_up(hass, entry, sim, *each_control.before)
    if known:
        await command(hass, SLEEP)
    else:
        press(sim, "Sleep Mode,On")
    before = len(sim.commands)
    error = await refusal(hass, each_control)
    assert error.translation_key == "sleep_mode"
    assert isinstance(error, ServiceValidationError) is known or each_control is STORE
    lines = [line for line in asked(sim)[before:] if line != "DOD?"]
    if known and each_control is START:
        assert lines == []
    assert not START.sent(lines)
    assert state(hass, SLEEP.entity) == "on"


# Lost on the way


@each(*CONFIRMED, SYNC)
async def test_done_but_the_answer_is_lost(
    hass: HomeAssistant,
    persistent: None,
    entry: MockConfigEntry,
    sim: SimulatedMeter,
    each_control: Control,
) -> None:
    """The meter is asked, not told again; it was done, so the call succeeds."""
    sim.config.asleep = Asleep.ANSWERS
    await set_up(hass, entry, sim, *each_control.before)
    await only_for(sim, Fault.DROP, each_control, command(hass, each_control))
    lines = asked(sim)
    assert each_control.sent(lines) == 1
    assert lines[-1] in (each_control.question, "Pause?", "DOD?", "Store Name?")
    assert lines.count("Serial Number?") == sim.connections_opened == 2
    if each_control.true is None:
        assert clock_error(sim) < 3
    else:
        assert each_control.true(sim) == each_control.wanted
        assert state(hass, each_control.entity) == each_control.wanted


@each(*CONFIRMED, SYNC)
async def test_lost_and_not_done(
    hass: HomeAssistant,
    quick: None,
    entry: MockConfigEntry,
    sim: SimulatedMeter,
    monkeypatch: pytest.MonkeyPatch,
    each_control: Control,
) -> None:
    """The meter is asked, not told again; it was not done, and the person is told so."""
    monkeypatch.setattr(connection, "ANSWER_TIMEOUT", 0.3)
    monkeypatch.setattr(control, "CONFIRM_LIMIT", 5.0)
    await set_up(hass, entry, sim, *each_control.before)
    error: HomeAssistantError = await only_for(
        sim, Fault.SILENCE, each_control, refusal(hass, each_control)
    )
    assert error.translation_key == "not_done"
    assert each_control.sent(asked(sim)) == 1
    if each_control.true is not None:
        assert each_control.true(sim) != each_control.wanted
        assert state(hass, each_control.entity) == each_control.true(sim)


async def only_for[T](sim: SimulatedMeter, fault: Fault, lost: Control, commanding: Any) -> T:
    """Return what a command ends in whose own line alone meets a fault."""
    task = asyncio.create_task(commanding)
    real = type(sim.state.faults).strike

    def strike(self: Any, struck: Fault) -> bool:
        lines = asked(sim)
        own = bool(lines) and lines[-1].startswith(lost.line)
        return (struck is fault and own) or real(self, struck)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(sim.state.faults), "strike", strike)
        result: T = await task
    return result


async def test_a_store_without_an_answer(
    hass: HomeAssistant, persistent: None, entry: MockConfigEntry, sim: SimulatedMeter
) -> None:
    """There is nothing to ask about it, so the person has to look."""
    await set_up(hass, entry, sim, *STORE.before)
    sim.inject(Fault.DROP, times=1)
    error = await refusal(hass, STORE)
    assert error.translation_key == "unconfirmed"
    assert STORE.sent(asked(sim)) == 1
    await until(shown(hass, CONNECTION, "connected"))


@each(STORE_NAME_20, STORE)
async def test_not_sent(
    hass: HomeAssistant,
    quick: None,
    entry: MockConfigEntry,
    sim: SimulatedMeter,
    monkeypatch: pytest.MonkeyPatch,
    each_control: Control,
) -> None:
    """A command that never left is told as what kept it, at once, and never sent later."""
    monkeypatch.setattr(connection, "ANSWER_TIMEOUT", 0.2)
    monkeypatch.setattr(control, "CONFIRM_LIMIT", 3600.0)
    monkeypatch.setattr(coordinator, "FAILURES_TO_LOSE", 10**6)
    poller = await set_up(hass, entry, sim, *each_control.before)
    sim.inject(Fault.SILENCE)
    with pytest.raises(NoAnswerError):
        await poller.async_ask(STORE_NAME, Priority.PERSON)
    # The greeting meets silence, and then the backoff is on.
    monkeypatch.setattr(connection, "backoff", lambda _failures, _limit: 0.5)
    for _ in range(2):
        error = await refusal(hass, each_control)
        assert error.translation_key == "silent"
    sim.clear()
    await until(lambda: poller.meter.connection.is_open)
    await settled(hass, poller)
    assert each_control.sent(asked(sim)) == 0


async def test_the_truth_is_shown_after_a_lost_confirmation(
    hass: HomeAssistant,
    quick: None,
    entry: MockConfigEntry,
    sim: SimulatedMeter,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whether it was done is not known when the call ends; it is shown as soon as it is."""
    monkeypatch.setattr(connection, "ANSWER_TIMEOUT", 0.2)
    poller = await set_up(hass, entry, sim)
    sim.inject(Fault.DROP)
    begun = hass.loop.time()
    error = await refusal(hass, STORE_NAME_20)
    assert error.translation_key == "unconfirmed"
    assert hass.loop.time() - begun >= control.CONFIRM_LIMIT / 2
    sim.clear()
    await until(shown(hass, STORE_NAME_20.entity, "20"))
    assert STORE_NAME_20.sent(asked(sim)) == 1
    await settled(hass, poller)


async def test_what_is_not_confirmed_is_not_shown(
    hass: HomeAssistant,
    quick: None,
    entry: MockConfigEntry,
    sim: SimulatedMeter,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A command that may not have been done does not count as done."""
    monkeypatch.setattr(connection, "ANSWER_TIMEOUT", 0.2)
    poller = await set_up(hass, entry, sim)
    sim.inject(Fault.SILENCE)
    error = await refusal(hass, STORE_NAME_20)
    assert error.translation_key == "unconfirmed"
    assert poller.data.get(STORE_NAME) != 20
    sim.clear()
    await until(shown(hass, STORE_NAME_20.entity, "19"))


async def test_asked_over_and_over_at_the_pace_of_the_connection(
    hass: HomeAssistant,
    persistent: None,
    entry: MockConfigEntry,
    sim: SimulatedMeter,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What came of a lost command is asked when there is a connection to ask over."""
    poller = await set_up(hass, entry, sim)
    monkeypatch.setattr(connection, "backoff", lambda _failures, _limit: 0.5)
    asks = []
    real = poller.async_ask

    async def ask(question: Any, priority: Priority) -> Any:
        asks.append(question)
        return await real(question, priority)

    monkeypatch.setattr(poller, "async_ask", ask)
    sim.inject(Fault.DROP, times=1)
    await command(hass, STORE_NAME_20)
    assert 1 < asks.count(STORE_NAME) <= 4
    # A backoff that is longer than the person waits is not waited for.
    monkeypatch.setattr(connection, "backoff", lambda _failures, _limit: 1000.0)
    monkeypatch.setattr(control, "CONFIRM_LIMIT", 100.0)
    sim.inject(Fault.DROP, times=1)
    press(sim, "Store Name,0019")
    error = await refusal(hass, STORE_NAME_20)
    assert error.translation_key == "unconfirmed"


async def test_a_refused_confirmation_is_an_answer(
    hass: HomeAssistant,
    persistent: None,
    entry: MockConfigEntry,
    sim: SimulatedMeter,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A meter that will not say what came of a lost command is not asked again and again."""
    monkeypatch.setattr(control, "CONFIRM_LIMIT", 3600.0)
    poller = await set_up(hass, entry, sim)
    # A question that is answered with R+0002.
    odd = Setting(STORE_NAME.name, STORE_NAME.parse, argument="odd", word=STORE_NAME.word)
    sim.inject(Fault.DROP, times=1)
    async with asyncio.timeout(10):
        with pytest.raises(HomeAssistantError) as raised:
            await control.async_set(poller, odd, 20)
    assert raised.value.translation_key == "unconfirmed"
    assert asked(sim).count("Store Name?odd") == 1


async def test_done_but_not_confirmed(
    hass: HomeAssistant, persistent: None, entry: MockConfigEntry, sim: SimulatedMeter
) -> None:
    """Said done, then an answer that does not fit: it counts as done, and is asked about again."""
    poller = await set_up(hass, entry, sim)
    real = STORE_NAME.parse
    answers = iter([True])

    def parse(text: str) -> int:
        return real("none" if next(answers, False) else text)

    odd = Setting(STORE_NAME.name, parse, word=STORE_NAME.word)
    await control.async_set(poller, odd, 20)
    assert state(hass, STORE_NAME_20.entity) == "20"
    before = len(sim.commands)
    await until(lambda: "Store Name?" in asked(sim)[before:])
    assert STORE_NAME_20.sent(asked(sim)) == 1


async def test_done_but_the_clock_is_not_told(
    hass: HomeAssistant,
    persistent: None,
    entry: MockConfigEntry,
    sim: SimulatedMeter,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What the clock shows is never made up."""
    poller = await set_up(hass, entry, sim, WRONG_TIME)
    shown_before = poller.data.get(CLOCK)
    real = poller.meter.ask

    async def ask(question: Any, priority: Priority = Priority.PERSON) -> Any:
        if question is CLOCK and priority is Priority.PERSON:
            raise NoAnswerError("no answer in time")
        return await real(question, priority)

    monkeypatch.setattr(poller.meter, "ask", ask)
    await command(hass, SYNC)
    assert poller.data.get(CLOCK) == shown_before
    await until(lambda: abs(float(state(hass, f"sensor.{DEVICE}_clock_offset"))) < 5)


async def test_two_people(
    hass: HomeAssistant, persistent: None, entry: MockConfigEntry, sim: SimulatedMeter
) -> None:
    """One command and its confirmation come after the other."""
    await set_up(hass, entry, sim)
    before = len(sim.commands)
    await asyncio.gather(command(hass, STORE_NAME_20), command(hass, SELECTS[0]))
    lines = [line for line in asked(sim)[before:] if line != "DOD?"]
    own = {line: lines.index(line) for line in (STORE_NAME_20.line, SELECTS[0].line)}
    for each_control in (STORE_NAME_20, SELECTS[0]):
        assert lines[own[each_control.line] + 1] == each_control.question
    assert lines.index(STORE_NAME_20.line) != lines.index(SELECTS[0].line)


async def test_reload_in_mid_command(
    hass: HomeAssistant,
    quick: None,
    entry: MockConfigEntry,
    sim: SimulatedMeter,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A command whose connection is given up ends soon, and is shown by whoever comes next."""
    monkeypatch.setattr(connection, "ANSWER_TIMEOUT", 1.0)
    monkeypatch.setattr(control, "CONFIRM_LIMIT", 3600.0)
    await set_up(hass, entry, sim)
    sim.inject(Fault.SLOW, seconds=0.4, times=1)
    task = asyncio.create_task(refusal(hass, STORE_NAME_20))
    await until(lambda: STORE_NAME_20.sent(asked(sim)))
    assert await hass.config_entries.async_reload(entry.entry_id)
    assert (await task).translation_key == "unconfirmed"
    await settled(hass, entry.runtime_data.coordinator)
    assert STORE_NAME_20.sent(asked(sim)) == 1
    assert STORE_NAME_20.true is not None
    await until(shown(hass, STORE_NAME_20.entity, STORE_NAME_20.true(sim)))


# Connecting anew


async def test_reconnect_a_healthy_meter(
    hass: HomeAssistant, persistent: None, entry: MockConfigEntry, sim: SimulatedMeter
) -> None:
    """It costs one connection, and no entity notices."""
    poller = await set_up(hass, entry, sim)
    frame = last_frame(poller)
    await command(hass, RECONNECT)
    assert sim.connections_opened == 2
    assert sim.connections_open == 1
    assert last_frame(poller) > frame
    assert state(hass, CONNECTION) == "connected"
    assert not poller.failures


async def test_reconnect_a_lost_meter(
    hass: HomeAssistant,
    persistent: None,
    entry: MockConfigEntry,
    sim: SimulatedMeter,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A meter that is back is had back now, not after a long backoff; and is read on."""
    poller = await set_up(hass, entry, sim)
    sim.inject(Fault.WEDGE)
    poller.async_poll_soon()
    await until(shown(hass, LP, STATE_UNAVAILABLE))
    monkeypatch.setattr(coordinator, "SLOT_INTERVAL", 3600.0)
    monkeypatch.setattr(coordinator, "backoff", lambda _failures, _limit: 3600.0)
    poller.meter.connection.max_backoff = 3600.0
    poller.meter.connection._losses = 12
    assert poller.meter.connection.reconnect_in > 10
    assert poller._next_poll > hass.loop.time() + 1000
    await asyncio.sleep(connection.backoff(1, 60.0))
    sim.clear()
    assert state(hass, RECONNECT.entity) != STATE_UNAVAILABLE
    await command(hass, RECONNECT)
    assert state(hass, CONNECTION) == "connected"
    assert state(hass, LP) != STATE_UNAVAILABLE
    await until(shown(hass, MEASUREMENT, "stopped"))


@pytest.mark.parametrize(
    ("fault", "key"),
    [
        (Fault.WEDGE, "refused"),
        (Fault.GONE, "no_answer"),
        (Fault.SILENCE, "silent"),
        (Fault.REFUSE_DOD, "asleep"),
    ],
)
async def test_reconnect_in_vain(
    hass: HomeAssistant,
    quick: None,
    entry: MockConfigEntry,
    sim: SimulatedMeter,
    monkeypatch: pytest.MonkeyPatch,
    fault: Fault,
    key: str,
) -> None:
    """It says what keeps the meter away; nothing was commanded that might have been done."""
    for name in ("ANSWER_TIMEOUT", "CONNECT_TIMEOUT"):
        monkeypatch.setattr(connection, name, 0.3)
    await set_up(hass, entry, sim, *MEASURING)
    sim.inject(fault)
    error = await refusal(hass, RECONNECT)
    assert error.translation_key == key
    sim.clear()
    await until(shown(hass, CONNECTION, "connected"))


async def test_reconnect_twenty_times(
    hass: HomeAssistant, persistent: None, entry: MockConfigEntry, sim: SimulatedMeter
) -> None:
    """Who presses again and again opens a connection only as often as the backoff allows."""
    await set_up(hass, entry, sim)
    for _ in range(20):
        await command(hass, RECONNECT)
    assert sim.connections_opened == 21
    greetings = [each.received for each in sim.commands if each.line == "Serial Number?"]
    gaps = [later - earlier for earlier, later in pairwise(greetings)]
    waits = [1, 2, *[4] * 18]
    assert all(gap >= wait * QUICK for wait, gap in zip(waits, gaps, strict=True))
    assert state(hass, CONNECTION) == "connected"


async def test_reconnect_waits_for_its_turn(
    hass: HomeAssistant, persistent: None, entry: MockConfigEntry, sim: SimulatedMeter
) -> None:
    """The few seconds until the meter may be connected to are no error, nor a failed poll."""
    poller = await set_up(hass, entry, sim)
    failures = []
    poller.async_add_prompt_listener(lambda: failures.append(poller.failures))
    for _ in range(4):
        await command(hass, RECONNECT)
        seen = last_frame(poller)
        # The poll that follows a command is over, too.
        await until(partial(_newer_frame, poller, seen))
    assert set(failures) == {0}


def _newer_frame(poller: Nl43Coordinator, seen: datetime) -> bool:
    """Tell whether a poll has ended since."""
    return last_frame(poller) > seen and not poller._polling.locked()


async def test_reconnect_twenty_times_in_vain(
    hass: HomeAssistant,
    quick: None,
    entry: MockConfigEntry,
    sim: SimulatedMeter,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Also at a meter that somebody else holds."""
    monkeypatch.setattr(connection, "ANSWER_TIMEOUT", 2 * QUICK)
    await set_up(hass, entry, sim)
    sim.inject(Fault.SLOT_TAKEN)
    opened, begun = sim.connections_opened, hass.loop.time()
    for _ in range(20):
        await refusal(hass, RECONNECT)
    elapsed = hass.loop.time() - begun
    # Two that came sooner, and then one for each four seconds of the meter's pace.
    assert sim.connections_opened - opened <= 3 + elapsed / (4 * QUICK)
    sim.clear()
    await until(shown(hass, CONNECTION, "connected"))


# Each control against each fault


SETTINGS: dict[str, Setting[Any]] = {
    value.name: value
    for value in (
        *vars(vocabulary).values(),
        vocabulary.FREQUENCY_WEIGHTING["main"],
        vocabulary.TIME_WEIGHTING["main"],
    )
    if isinstance(value, Setting)
}
EVERY = (
    START,
    STOP,
    PAUSE_ON,
    PAUSE_OFF,
    FTP_OFF,
    FTP_ON,
    SLEEP,
    *SELECTS,
    STORE_NAME_20,
    STORE,
    SYNC,
    RECONNECT,
)
SECONDS = {Fault.SLOW: 0.5, Fault.SPLIT: 0.0001}
# Which errors a fault may end a command in; the others do no harm to any.
LOSES = {"unconfirmed", "not_done", "silent"}
EXPECTED: dict[Fault, set[str]] = {
    Fault.WEDGE: {"refused", *LOSES},
    Fault.SLOT_TAKEN: LOSES,
    Fault.SILENCE: LOSES,
    Fault.SLOW: LOSES,
    Fault.DROP: LOSES,
    Fault.GLUED: {"not_a_meter", *LOSES},
    Fault.JUNK: {"not_a_meter", *LOSES},
    Fault.BAD_VALUES: {"not_a_meter", *LOSES},
    Fault.REFUSE_DOD: {"asleep"},
    Fault.MISSING_OPTIONS: {"not_installed"},
    Fault.FULL_CARD: {"nothing_to_store"},
    Fault.FTP_OFF: {"refused_state"},
    Fault.GONE: {"no_answer", *LOSES},
    # Who connects anew while the slot is not free yet.
    Fault.LATE_RELEASE: {"silent"},
}


async def prepare(
    hass: HomeAssistant, entry: MockConfigEntry, sim: SimulatedMeter, wanted: Control
) -> Nl43Coordinator:
    """Return the poller of a healthy meter that is ready for a command, and known to be."""
    poller: Nl43Coordinator = entry.runtime_data.coordinator
    press(sim, *BASE, *wanted.before)
    sim.state.card.remove(STORES)
    if poller.meter.lacking:
        # What a meter lacks is asked anew after an outage or a reload.
        assert await hass.config_entries.async_reload(entry.entry_id)
        poller = entry.runtime_data.coordinator
    await until(lambda: poller.last_update_success and poller.meter.connection.is_open)
    own = SETTINGS.get(wanted.question.removesuffix("?"), CLOCK)
    poller.async_doubt(MEASURE, PAUSE, STORE_MODE, SLEEP_MODE, own)
    await settled(hass, poller)
    if wanted.true is not None:
        await until(lambda: shows_the_truth(hass, sim, wanted))
    return poller


def shows_the_truth(hass: HomeAssistant, sim: SimulatedMeter, wanted: Control) -> bool:
    """Tell whether an entity shows what the meter really has."""
    assert wanted.true is not None
    return state(hass, wanted.entity) == wanted.true(sim)


async def outcome(hass: HomeAssistant, wanted: Control) -> set[str | None]:
    """Command a meter, and return the key of the error that it ends in, if it does."""
    try:
        await command(hass, wanted)
    except HomeAssistantError as err:
        text_of(err)
        return {err.translation_key}
    return set()


def heard_again(poller: Nl43Coordinator, since: datetime) -> bool:
    """Tell whether the meter is there again, with levels or asleep."""
    if poller.connection is ConnectionState.ASLEEP:
        return True
    return poller.meter.connection.is_open and last_frame(poller) > since


@pytest.mark.parametrize("fault", list(Fault))
async def test_each_control_against_a_fault(
    hass: HomeAssistant,
    quick: None,
    entry: MockConfigEntry,
    sim: SimulatedMeter,
    monkeypatch: pytest.MonkeyPatch,
    fault: Fault,
) -> None:
    """Never sent twice, never without an end, never without a reason, never shown wrong."""
    # Where no answer is lost, a busy machine must not lose one either.
    patience = 0.08 if EXPECTED.get(fault, set()) & LOSES else 2.0
    for module, name, seconds in (
        (connection, "ANSWER_TIMEOUT", patience),
        (connection, "CONNECT_TIMEOUT", patience),
        (control, "CONFIRM_LIMIT", 0.15),
        (coordinator, "MAX_BACKOFF", 0.05),
    ):
        monkeypatch.setattr(module, name, seconds)
    sim.config.asleep = Asleep.ANSWERS
    await set_up(hass, entry, sim)
    keys: set[str | None] = set()
    for wanted in EVERY:
        poller = await prepare(hass, entry, sim, wanted)
        sim.inject(fault, seconds=SECONDS.get(fault))
        before = len(sim.commands)
        keys |= await outcome(hass, wanted)
        if fault is Fault.FTP_OFF and wanted.true is not None:
            # The fault itself is what the meter says of its FTP server.
            assert shows_the_truth(hass, sim, wanted)
        sim.clear()
        if not poller.meter.connection.is_open:
            # Nobody has to ask for that. What the network still held has arrived by then.
            await until(partial(heard_again, poller, dt_util.utcnow()))
        if wanted.true is not None and fault not in (Fault.FTP_OFF, Fault.MISSING_OPTIONS):
            await until(partial(shows_the_truth, hass, sim, wanted))
        if wanted.line:
            assert wanted.sent(asked(sim)[before:]) <= 1, wanted
    assert keys <= EXPECTED.get(fault, set())
    assert bool(keys) is (fault in EXPECTED)
