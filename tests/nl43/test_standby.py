"""Stand-by: the meter's one connection is left to other tools, and history stays honest."""

import asyncio
import logging
from typing import Final

from homeassistant.components.homeassistant import DOMAIN as HOMEASSISTANT
from homeassistant.config_entries import ConfigEntryState
from homeassistant.const import STATE_UNAVAILABLE, STATE_UNKNOWN
from homeassistant.core import HomeAssistant
from homeassistant.data_entry_flow import FlowResultType
from homeassistant.exceptions import ServiceValidationError
from homeassistant.helpers import entity_registry as er
from homeassistant.setup import async_setup_component
import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry
from pytest_homeassistant_custom_component.typing import ClientSessionGenerator, WebSocketGenerator

from custom_components.nl43 import control, coordinator
from custom_components.nl43.const import DOMAIN, ConnectionState
from custom_components.nl43.coordinator import Nl43Coordinator
from custom_components.nl43.facts import NOTHING_KNOWN
from custom_components.nl43.rion import Meter, Priority, connection
from custom_components.nl43.rion.vocabulary import (
    MEASURE,
    PAUSE,
    SLEEP_MODE,
    STORE_NAME,
    OnOff,
    RunState,
)
from nl43_sim import Asleep, Fault, SimulatedMeter

from .conftest import QUICK, until
from .tools import (
    CONNECTION,
    CONNECTIVITY,
    DEVICE,
    LP,
    MEASUREMENT,
    asked,
    call,
    history,
    next_frame,
    said,
    set_intervals,
    shown,
    state,
    subscribe,
    text_of,
    watch,
)

pytestmark = [
    pytest.mark.usefixtures("patient"),
    # Home Assistant's own http component keeps its keys as texts.
    pytest.mark.filterwarnings("ignore:It is recommended to use web.RequestKey"),
]

POLLING: Final = f"switch.{DEVICE}_polling"
# What there is to show without a meter.
WITHOUT_METER: Final = {
    POLLING: "off",
    CONNECTION: "standby",
    CONNECTIVITY: STATE_UNKNOWN,
    # Files come over a connection of their own.
    f"sensor.{DEVICE}_file_transfer": STATE_UNKNOWN,
    f"event.{DEVICE}_exceedance": STATE_UNKNOWN,
    f"sensor.{DEVICE}_exceedances_today": "0",
}


@pytest.fixture
async def known(
    hass: HomeAssistant, loaded: MockConfigEntry, sim: SimulatedMeter
) -> MockConfigEntry:
    """Return a meter that is read often and has told all there is to tell."""
    set_intervals(hass, loaded, scan=0.05)
    poller: Nl43Coordinator = loaded.runtime_data.coordinator
    await until(lambda: poller._facts.due(hass.loop.time(), poller.data) is None)
    await hass.async_block_till_done()
    return loaded


def entities(hass: HomeAssistant, entry: MockConfigEntry) -> list[str]:
    """Return the entities of a meter that have a state."""
    registered = er.async_entries_for_config_entry(er.async_get(hass), entry.entry_id)
    return [each.entity_id for each in registered if each.disabled_by is None]


def assert_stand_by(hass: HomeAssistant, entry: MockConfigEntry) -> None:
    """Assert that all entities show that nothing is known of the meter."""
    found = {each: state(hass, each) for each in entities(hass, entry)}
    assert len(found) > 20
    assert found == dict.fromkeys(found, STATE_UNAVAILABLE) | WITHOUT_METER


async def stand_by(hass: HomeAssistant) -> None:
    """Switch polling off, as a person does."""
    await call(hass, POLLING, "turn_off")


async def assert_left_alone(hass: HomeAssistant, sim: SimulatedMeter) -> None:
    """Assert that a meter hears nothing for many times its poller's interval."""
    before = len(sim.commands), sim.connections_opened
    await asyncio.sleep(0.3)
    assert (len(sim.commands), sim.connections_opened) == before
    assert sim.connections_open == 0


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return what this integration has said that a person must read."""
    return [
        record.getMessage()
        for record in caplog.records
        if record.name.startswith(f"custom_components.{DOMAIN}")
        and record.levelno >= logging.WARNING
    ]


async def test_stand_by_and_back(
    hass: HomeAssistant,
    known: MockConfigEntry,
    sim: SimulatedMeter,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The connection is given up, nothing is known, nothing is logged; and all comes back."""
    assert state(hass, POLLING) == "on"
    measurement = history(hass, MEASUREMENT)
    await stand_by(hass)
    await until(lambda: sim.connections_open == 0)
    assert_stand_by(hass, known)
    assert known.options["polling"] is False
    await assert_left_alone(hass, sim)
    poller: Nl43Coordinator = known.runtime_data.coordinator
    assert poller.data is NOTHING_KNOWN
    # Somebody else uses the connection meanwhile, and changes what the meter does.
    other = Meter(sim.host, sim.port)
    await other.set(MEASURE, RunState.STOP)
    await other.close()
    await call(hass, POLLING, "turn_on")
    await until(shown(hass, MEASUREMENT, "stopped"))
    assert known.options == {"scan_interval": 0.05, "live_interval": QUICK, "polling": True}
    assert state(hass, CONNECTION) == "connected"
    assert state(hass, CONNECTIVITY) == "on"
    assert state(hass, POLLING) == "on"
    assert sim.connections_opened == 3
    # It is not known that it went on measuring.
    assert "measuring" not in measurement[1:]
    assert warnings(caplog) == []


async def test_twice_is_once(
    hass: HomeAssistant, known: MockConfigEntry, sim: SimulatedMeter
) -> None:
    """Who switches on what is on, or off what is off, changes nothing."""
    await call(hass, POLLING, "turn_on")
    assert sim.connections_opened == 1
    assert "polling" not in known.options
    for _ in range(2):
        await stand_by(hass)
    assert_stand_by(hass, known)
    for _ in range(2):
        await call(hass, POLLING, "turn_on")
    await until(shown(hass, MEASUREMENT, "measuring"))
    assert sim.connections_opened == 2


async def test_switched_off_and_on_in_a_row(
    hass: HomeAssistant, known: MockConfigEntry, sim: SimulatedMeter
) -> None:
    """One connection at a time, however quickly a person changes their mind."""
    for _ in range(3):
        await asyncio.gather(stand_by(hass), call(hass, POLLING, "turn_on"))
    await until(shown(hass, MEASUREMENT, "measuring"))
    assert state(hass, POLLING) == "on"
    assert sim.connections_open == 1
    assert sim.connections_opened <= 4


async def test_it_outlives_a_reload(
    hass: HomeAssistant,
    known: MockConfigEntry,
    sim: SimulatedMeter,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A restart finds it in stand-by, also where there is no meter to be found."""
    await stand_by(hass)
    assert await hass.config_entries.async_reload(known.entry_id)
    assert_stand_by(hass, known)
    assert await hass.config_entries.async_unload(known.entry_id)
    sim.inject(Fault.GONE)
    begun = hass.loop.time()
    assert await hass.config_entries.async_setup(known.entry_id)
    await hass.async_block_till_done()
    assert hass.loop.time() - begun < connection.CONNECT_TIMEOUT
    assert known.state is ConfigEntryState.LOADED
    assert_stand_by(hass, known)
    sim.clear()
    await assert_left_alone(hass, sim)
    assert sim.connections_opened == 1
    await call(hass, POLLING, "turn_on")
    await until(shown(hass, MEASUREMENT, "measuring"))
    assert warnings(caplog) == []


async def test_set_up_in_stand_by(
    hass: HomeAssistant, entry: MockConfigEntry, sim: SimulatedMeter
) -> None:
    """A meter without a history is set up all the same, and its entities come when it does."""
    hass.config_entries.async_update_entry(entry, options={**entry.options, "polling": False})
    assert await hass.config_entries.async_setup(entry.entry_id)
    assert sim.connections_opened == 0
    assert state(hass, CONNECTION) == "standby"
    assert state(hass, LP) == STATE_UNAVAILABLE
    assert hass.states.get(f"switch.{DEVICE}_measurement") is None
    await call(hass, POLLING, "turn_on")
    await until(lambda: hass.states.get(f"switch.{DEVICE}_measurement"))
    await until(shown(hass, MEASUREMENT, "measuring"))


async def test_nobody_else_polls(
    hass: HomeAssistant,
    known: MockConfigEntry,
    sim: SimulatedMeter,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Neither who asks for an update, nor who watches, nor new options end it."""
    assert await async_setup_component(hass, HOMEASSISTANT, {})
    await stand_by(hass)
    await until(lambda: sim.connections_open == 0)
    before = len(sim.commands)
    await hass.services.async_call(
        HOMEASSISTANT, "update_entity", {"entity_id": [LP, CONNECTION, POLLING]}, blocking=True
    )
    await known.runtime_data.coordinator.async_refresh()
    frames, unwatch = watch(hass, known)
    form = await hass.config_entries.options.async_init(known.entry_id)
    result = await hass.config_entries.options.async_configure(
        form["flow_id"], {"scan_interval": 1, "live_interval": 1}
    )
    assert result["type"] is FlowResultType.CREATE_ENTRY
    assert known.options == {"scan_interval": 1, "live_interval": 1, "polling": False}
    poller: Nl43Coordinator = known.runtime_data.coordinator
    poller.async_doubt(STORE_NAME)
    poller.async_poll_soon()
    await assert_left_alone(hass, sim)
    unwatch()
    assert len(sim.commands) == before
    assert frames == []
    assert_stand_by(hass, known)
    assert warnings(caplog) == []


async def test_nothing_is_commanded(
    hass: HomeAssistant, known: MockConfigEntry, sim: SimulatedMeter
) -> None:
    """What can still be called says what is in the way."""
    await stand_by(hass)
    before = len(sim.commands)
    poller: Nl43Coordinator = known.runtime_data.coordinator
    for commanded in (
        control.async_measure(poller, on=True),
        control.async_measure(poller, on=False),
        control.async_pause(poller, on=True),
        control.async_pause(poller, on=False),
        control.async_set(poller, STORE_NAME, 20),
        control.async_set(poller, SLEEP_MODE, OnOff.OFF),
        control.async_store(poller),
        control.async_sync_clock(poller),
        control.async_reconnect(poller),
    ):
        with pytest.raises(ServiceValidationError) as raised:
            await commanded
        assert raised.value.translation_key == "standby"
        assert known.title in text_of(raised.value)
    await call(hass, f"button.{DEVICE}_reconnect", "press")
    assert len(sim.commands) == before
    assert sim.connections_opened == 1
    assert_stand_by(hass, known)


@pytest.mark.parametrize(
    ("fault", "verdict"),
    [(Fault.GONE, "unreachable"), (Fault.WEDGE, "wedged"), (Fault.SILENCE, "unreachable")],
)
async def test_back_to_a_dead_meter(
    hass: HomeAssistant,
    known: MockConfigEntry,
    sim: SimulatedMeter,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    fault: Fault,
    verdict: str,
) -> None:
    """It is lost once, with what is wrong, and back once."""
    for name in ("ANSWER_TIMEOUT", "CONNECT_TIMEOUT"):
        monkeypatch.setattr(connection, name, 0.2)
    await stand_by(hass)
    sim.inject(fault)
    await call(hass, POLLING, "turn_on")
    assert state(hass, CONNECTION) == "connecting"
    assert state(hass, POLLING) == "on"
    await until(shown(hass, CONNECTION, verdict))
    assert state(hass, CONNECTIVITY) == "off"
    assert state(hass, LP) == STATE_UNAVAILABLE
    sim.clear()
    await until(shown(hass, MEASUREMENT, "measuring"))
    assert said(caplog, "the meter is lost") == said(caplog, "the meter is back") == 1
    assert len(warnings(caplog)) == 2


async def test_back_to_a_sleeping_meter(
    hass: HomeAssistant, known: MockConfigEntry, sim: SimulatedMeter
) -> None:
    """Somebody has put it to sleep meanwhile."""
    sim.config.asleep = Asleep.ANSWERS
    await stand_by(hass)
    sim.press("Measure,Stop")
    sim.press("Sleep Mode,On")
    await call(hass, POLLING, "turn_on")
    await until(shown(hass, CONNECTION, "asleep"))


async def test_stand_by_of_a_lost_meter(
    hass: HomeAssistant,
    known: MockConfigEntry,
    sim: SimulatedMeter,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The outage is over with it: a meter that is there afterwards is not said to be back."""
    sim.inject(Fault.WEDGE)
    await until(shown(hass, CONNECTION, "wedged"))
    await stand_by(hass)
    assert_stand_by(hass, known)
    sim.clear()
    await call(hass, POLLING, "turn_on")
    await until(shown(hass, MEASUREMENT, "measuring"))
    assert said(caplog, "the meter is lost") == 1
    assert said(caplog, "the meter is back") == 0


async def test_stand_by_in_mid_command(
    hass: HomeAssistant,
    known: MockConfigEntry,
    sim: SimulatedMeter,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A command in flight ends soon, the ones that wait are not sent, and no old fact is shown."""
    monkeypatch.setattr(control, "CONFIRM_LIMIT", 3600.0)
    set_intervals(hass, known, scan=3600)
    poller: Nl43Coordinator = known.runtime_data.coordinator
    sim.inject(Fault.SILENCE)
    first = asyncio.create_task(control.async_set(poller, SLEEP_MODE, OnOff.ON))
    await until(lambda: "Sleep Mode,On" in asked(sim))
    second = asyncio.create_task(control.async_set(poller, STORE_NAME, 20))
    await asyncio.sleep(0)
    await poller.async_set_polling(on=False)
    results = await asyncio.gather(first, second, return_exceptions=True)
    assert [getattr(result, "translation_key", None) for result in results] == [
        "unconfirmed",
        "standby",
    ]
    assert poller.data is NOTHING_KNOWN
    poller.async_learn(PAUSE, OnOff.ON)
    assert poller.data is NOTHING_KNOWN
    assert_stand_by(hass, known)
    assert not any("Store Name,0020" in line for line in asked(sim))


async def test_stand_by_in_mid_poll(
    hass: HomeAssistant,
    known: MockConfigEntry,
    sim: SimulatedMeter,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A poll that somebody else began, and what it finds out, does not end the stand-by."""
    poller: Nl43Coordinator = known.runtime_data.coordinator
    looking, found = asyncio.Event(), asyncio.Event()

    async def look_closer(_err: Exception) -> None:
        looking.set()
        await found.wait()
        poller.connection = ConnectionState.WEDGED
        poller._async_update_prompt_listeners()

    monkeypatch.setattr(coordinator, "FAILURES_TO_LOSE", 1)
    monkeypatch.setattr(poller, "_look_closer", look_closer)
    set_intervals(hass, known, scan=3600)
    sim.inject(Fault.WEDGE)
    press = asyncio.create_task(poller.async_reconnect())
    await looking.wait()
    switching = asyncio.create_task(poller.async_set_polling(on=False))
    await until(lambda: poller.meter.connection.is_closed)
    found.set()
    await switching
    await press
    assert_stand_by(hass, known)
    failures = poller.failures
    assert await poller._poll()
    assert poller.failures == failures
    assert_stand_by(hass, known)


async def test_frames_after_a_stand_by(
    hass: HomeAssistant,
    known: MockConfigEntry,
    sim: SimulatedMeter,
    hass_ws_client: WebSocketGenerator,
) -> None:
    """A browser that watches all the while has frames again, at its pace."""
    set_intervals(hass, known, scan=3600)
    browser = await hass_ws_client(hass)
    assert (await subscribe(browser, known.entry_id))["success"]
    await next_frame(browser)
    await stand_by(hass)
    last_before = len(sim.commands)
    late = await hass_ws_client(hass)
    assert (await subscribe(late, known.entry_id))["success"]
    await call(hass, POLLING, "turn_on")
    frames = [await next_frame(late) for _ in range(3)]
    assert all(frame["channels"]["main"]["lp"] is not None for frame in frames)
    times = [frame["time"] for frame in frames]
    while (await next_frame(browser))["time"] < times[-1]:
        pass
    assert len(sim.commands) > last_before
    poller: Nl43Coordinator = known.runtime_data.coordinator
    assert poller.meter.connection.max_backoff == coordinator.WATCHED_BACKOFF


async def test_reconfigure_in_stand_by(
    hass: HomeAssistant, known: MockConfigEntry, sim: SimulatedMeter
) -> None:
    """A changed login needs no connection to the meter's control port."""
    await stand_by(hass)
    before = len(sim.commands)
    form = await known.start_reconfigure_flow(hass)
    form = await hass.config_entries.flow.async_configure(
        form["flow_id"], {"host": sim.host, "port": sim.port}
    )
    assert form["step_id"] == "ftp"
    result = await hass.config_entries.flow.async_configure(form["flow_id"], {})
    assert result["reason"] == "reconfigure_successful"
    assert "ftp_username" not in known.data
    assert len(sim.commands) == before
    assert sim.connections_opened == 1
    assert_stand_by(hass, known)


async def test_diagnostics_in_stand_by(
    hass: HomeAssistant,
    known: MockConfigEntry,
    sim: SimulatedMeter,
    hass_client: ClientSessionGenerator,
) -> None:
    """The report says so, and asks nothing."""
    assert await async_setup_component(hass, "diagnostics", {})
    await stand_by(hass)
    client = await hass_client()
    response = await client.get(f"/api/diagnostics/config_entry/{known.entry_id}")
    report = (await response.json())["data"]
    assert report["entry"]["options"]["polling"] is False
    assert report["poller"]["polling"] is False
    assert report["poller"]["connection"] == "standby"
    assert report["poller"]["available"] is False
    assert report["poller"]["last_frame"] is None
    assert sim.connections_opened == 1


async def test_the_switch_of_home_assistant_stays_off(
    hass: HomeAssistant, entry: MockConfigEntry, sim: SimulatedMeter
) -> None:
    """With the polling switch of Home Assistant off, the end of a stand-by starts no poller."""
    hass.config_entries.async_update_entry(entry, pref_disable_polling=True)
    assert await hass.config_entries.async_setup(entry.entry_id)
    await stand_by(hass)
    await call(hass, POLLING, "turn_on")
    await assert_left_alone(hass, sim)
    poller: Nl43Coordinator = entry.runtime_data.coordinator
    await poller.async_refresh()
    assert state(hass, CONNECTION) == "connected"
    assert await poller.async_ask(PAUSE, Priority.PERSON) is OnOff.OFF
