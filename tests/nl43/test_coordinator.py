"""The single poller: its pace, its patience, and what it never shows."""

import asyncio
from collections.abc import Callable
from functools import partial
from pathlib import Path

from homeassistant.config_entries import ConfigEntryState
from homeassistant.const import CONF_HOST, CONF_PORT, STATE_UNAVAILABLE, STATE_UNKNOWN
from homeassistant.core import CALLBACK_TYPE, Event, EventStateChangedData, HomeAssistant, callback
from homeassistant.helpers.event import async_track_state_change_event
import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry

from custom_components.nl43.const import DOMAIN
from custom_components.nl43.coordinator import Nl43Coordinator, async_watch
from custom_components.nl43.facts import MeterData
from nl43_sim import Asleep, Fault, SimulatedMeter

from .conftest import QUICK, quick_meter, until

DEVICE = "nl_43_01234567"
LP = f"sensor.{DEVICE}_lp"
MEASUREMENT = f"sensor.{DEVICE}_measurement"
CONNECTION = f"sensor.{DEVICE}_connection"
OVERLOAD = f"binary_sensor.{DEVICE}_overload"
CONNECTIVITY = f"binary_sensor.{DEVICE}_connectivity"
RECORDED = Path(__file__).parent.parent / "recordings"


def state(hass: HomeAssistant, entity_id: str) -> str:
    """Return what an entity shows."""
    found = hass.states.get(entity_id)
    assert found is not None
    return found.state


def shown(hass: HomeAssistant, entity_id: str, value: str) -> Callable[[], bool]:
    """Return a condition: the entity shows a value."""
    return lambda: state(hass, entity_id) == value


def history(hass: HomeAssistant, *entity_ids: str) -> list[str]:
    """Return a list that collects all that entities show from now on."""
    states = [state(hass, entity_id) for entity_id in entity_ids]

    @callback
    def note(event: Event[EventStateChangedData]) -> None:
        if event.data["new_state"] is not None:
            states.append(event.data["new_state"].state)

    async_track_state_change_event(hass, entity_ids, note)
    return states


def watch(hass: HomeAssistant, entry: MockConfigEntry) -> tuple[list[MeterData], CALLBACK_TYPE]:
    """Watch a meter live; return its frames and how to stop."""
    frames: list[MeterData] = []
    return frames, async_watch(hass, entry.entry_id, frames.append)


def set_intervals(
    hass: HomeAssistant, entry: MockConfigEntry, scan: float, live: float = QUICK
) -> None:
    """Change the options of an entry."""
    hass.config_entries.async_update_entry(
        entry, options={"scan_interval": scan, "live_interval": live}
    )


def said(caplog: pytest.LogCaptureFixture, text: str) -> int:
    """Count the log lines of this integration that contain a text."""
    return sum(
        record.name == "custom_components.nl43" and text in record.getMessage()
        for record in caplog.records
    )


def _more_than(frames: list[MeterData], seen: int) -> bool:
    """Tell whether frames came."""
    return len(frames) > seen


# Two rates


async def test_watching_reads_live_and_writes_no_more(
    hass: HomeAssistant, loaded: MockConfigEntry, sim: SimulatedMeter
) -> None:
    """While watched every frame is handed on, but states are written once a scan interval."""
    set_intervals(hass, loaded, scan=0.5)
    written = history(hass, LP)
    frames, unwatch = watch(hass, loaded)
    start = hass.loop.time()
    for offset in range(60):
        sim.state.level_offset = float(offset)
        seen = len(frames)
        await until(partial(_more_than, frames, seen))
    elapsed = hass.loop.time() - start
    unwatch()
    assert len(written) <= 2 + elapsed / 0.5
    assert len(frames) >= 60


async def test_unwatched_is_read_at_the_scan_interval(
    hass: HomeAssistant, loaded: MockConfigEntry, sim: SimulatedMeter
) -> None:
    """When the last watcher goes, the meter is left alone again."""
    set_intervals(hass, loaded, scan=3600)
    frames, unwatch = watch(hass, loaded)
    other_frames, unwatch_other = watch(hass, loaded)
    await until(lambda: len(frames) > 3)
    unwatch()
    seen = len(other_frames)
    await until(lambda: len(other_frames) > seen)
    unwatch_other()
    coordinator: Nl43Coordinator = loaded.runtime_data
    assert not coordinator.watched
    assert coordinator.interval == 3600


async def test_watchers_outlive_a_reload(
    hass: HomeAssistant, loaded: MockConfigEntry, sim: SimulatedMeter
) -> None:
    """A reload keeps those who watch, and their pace."""
    set_intervals(hass, loaded, scan=3600)
    frames, unwatch = watch(hass, loaded)
    assert await hass.config_entries.async_reload(loaded.entry_id)
    seen = len(frames)
    await until(lambda: len(frames) > seen + 3)
    unwatch()


async def test_options_count_at_once(
    hass: HomeAssistant, loaded: MockConfigEntry, sim: SimulatedMeter
) -> None:
    """A shorter interval does not wait for the end of the longer one, nor costs a reconnect."""
    set_intervals(hass, loaded, scan=3600)
    coordinator: Nl43Coordinator = loaded.runtime_data
    before = coordinator.data
    set_intervals(hass, loaded, scan=0.05)
    await until(lambda: coordinator.data.at > before.at)
    assert sim.connections_opened == 1


async def test_what_matters_is_shown_at_once(
    hass: HomeAssistant, loaded: MockConfigEntry, sim: SimulatedMeter
) -> None:
    """Overload and run state do not wait for the scan interval; levels do."""
    await until(shown(hass, MEASUREMENT, "measuring"))
    set_intervals(hass, loaded, scan=3600)
    _, unwatch = watch(hass, loaded)
    levels = history(hass, LP)
    sim.state.over = True
    await until(shown(hass, OVERLOAD, "on"))
    sim.state.over = False
    await until(shown(hass, OVERLOAD, "off"))
    sim.press("Measure,Stop")
    await until(shown(hass, MEASUREMENT, "stopped"))
    sim.press("Measure,Start")
    await until(shown(hass, MEASUREMENT, "measuring"))
    unwatch()
    assert len(levels) == 1


async def test_a_pause_is_shown(
    hass: HomeAssistant, loaded: MockConfigEntry, sim: SimulatedMeter
) -> None:
    """A paused measurement is neither measuring nor stopped."""
    sim.press("Pause,On")
    await hass.config_entries.async_reload(loaded.entry_id)
    await until(shown(hass, MEASUREMENT, "paused"))


# Three failures


async def test_two_lost_answers_are_nothing(
    hass: HomeAssistant,
    loaded: MockConfigEntry,
    sim: SimulatedMeter,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Entities keep their values over two failed polls."""
    coordinator: Nl43Coordinator = loaded.runtime_data
    set_intervals(hass, loaded, scan=0.05)
    levels = history(hass, LP, CONNECTIVITY)
    failures = []
    coordinator.async_add_prompt_listener(lambda: failures.append(coordinator.failures))
    sim.inject(Fault.REFUSE_DOD, times=2)
    await until(lambda: 2 in failures and coordinator.failures == 0)
    assert STATE_UNAVAILABLE not in levels
    assert "off" not in levels
    assert not said(caplog, "the meter is lost")


@pytest.mark.parametrize(
    ("faults", "connection"),
    [
        ((Fault.WEDGE,), "wedged"),
        ((Fault.WEDGE, Fault.FTP_OFF), "refused"),
        ((Fault.SILENCE,), "unreachable"),
        ((Fault.SLOT_TAKEN,), "unreachable"),
        ((Fault.GONE,), "unreachable"),
        ((Fault.REFUSE_DOD,), "connected"),
    ],
)
async def test_an_outage_and_its_end(
    hass: HomeAssistant,
    loaded: MockConfigEntry,
    sim: SimulatedMeter,
    caplog: pytest.LogCaptureFixture,
    faults: tuple[Fault, ...],
    connection: str,
) -> None:
    """The third failure makes entities unavailable, one good frame brings all back."""
    await until(shown(hass, MEASUREMENT, "measuring"))
    set_intervals(hass, loaded, scan=0.05)
    _, unwatch = watch(hass, loaded)
    measurement = history(hass, MEASUREMENT)
    for fault in faults:
        sim.inject(fault)
    await until(shown(hass, LP, STATE_UNAVAILABLE))
    await until(shown(hass, CONNECTION, connection))
    assert state(hass, CONNECTIVITY) == "off"
    assert loaded.runtime_data.failures >= 3
    sim.clear()
    await until(lambda: state(hass, LP) not in (STATE_UNAVAILABLE, STATE_UNKNOWN))
    await until(shown(hass, MEASUREMENT, "measuring"))
    assert state(hass, CONNECTION) == "connected"
    assert state(hass, CONNECTIVITY) == "on"
    assert set(measurement) <= {"measuring", STATE_UNAVAILABLE, STATE_UNKNOWN}
    assert said(caplog, "the meter is lost") == 1
    assert said(caplog, "the meter is back") == 1
    unwatch()


async def test_asleep(hass: HomeAssistant, loaded: MockConfigEntry, sim: SimulatedMeter) -> None:
    """A meter that answers but has no levels is asked whether it sleeps."""
    sim.config.asleep = Asleep.ANSWERS
    set_intervals(hass, loaded, scan=0.05)
    sim.press("Measure,Stop")
    sim.press("Sleep Mode,On")
    await until(shown(hass, CONNECTION, "asleep"))
    assert state(hass, LP) == STATE_UNAVAILABLE
    sim.press("Sleep Mode,Off")
    await until(shown(hass, CONNECTION, "connected"))
    await until(shown(hass, MEASUREMENT, "stopped"))


@pytest.mark.parametrize("fault", list(Fault))
async def test_no_fault_makes_a_value(
    hass: HomeAssistant, loaded: MockConfigEntry, sim: SimulatedMeter, fault: Fault
) -> None:
    """Whatever goes wrong, only values that the meter sent are shown, and all comes back."""
    await until(shown(hass, MEASUREMENT, "measuring"))
    sim.replay_frames((RECORDED / "dod_measuring.txt").read_text().splitlines())
    set_intervals(hass, loaded, scan=0.05)
    await until(shown(hass, LP, "46.2"))
    frames, unwatch = watch(hass, loaded)
    levels = history(hass, LP)
    measurement = history(hass, MEASUREMENT)
    sim.inject(fault)
    await asyncio.sleep(0.4)
    sim.clear()
    seen = len(frames)
    await until(lambda: len(frames) > seen)
    await until(shown(hass, LP, "46.2"))
    await until(shown(hass, MEASUREMENT, "measuring"))
    unwatch()
    assert set(levels) <= {"46.2", STATE_UNAVAILABLE}
    assert set(measurement) <= {"measuring", STATE_UNAVAILABLE, STATE_UNKNOWN}
    assert all(frame.reading.main.lp == 46.2 for frame in frames)


async def test_a_dead_meter_slows_no_other(
    hass: HomeAssistant, loaded: MockConfigEntry, sim: SimulatedMeter
) -> None:
    """Three meters, one of them dead: the others go on at their pace."""
    async with (
        SimulatedMeter(quick_meter("00000002")) as second,
        SimulatedMeter(quick_meter("00000003")) as dead,
    ):
        for meter in (second, dead):
            entry = MockConfigEntry(
                domain=DOMAIN,
                title=f"NL-43 {meter.config.serial}",
                unique_id=meter.config.serial,
                data={CONF_HOST: meter.host, CONF_PORT: meter.port},
                options={"live_interval": QUICK},
            )
            entry.add_to_hass(hass)
            assert await hass.config_entries.async_setup(entry.entry_id)
            if meter is second:
                frames, unwatch = watch(hass, entry)
        dead.inject(Fault.SILENCE)
        _, unwatch_dead = watch(hass, entry)
        await until(lambda: not entry.runtime_data.last_update_success)
        seen = len(frames)
        await until(lambda: len(frames) > seen + 10)
        assert entry.state is ConfigEntryState.LOADED
        unwatch()
        unwatch_dead()
        for each in hass.config_entries.async_entries(DOMAIN):
            await hass.config_entries.async_unload(each.entry_id)
        assert second.violations == dead.violations == []


async def test_the_poller_survives_what_nobody_thought_of(
    hass: HomeAssistant,
    loaded: MockConfigEntry,
    sim: SimulatedMeter,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A bug in a listener of the frames costs a log entry, not the polling."""
    set_intervals(hass, loaded, scan=0.05)
    coordinator: Nl43Coordinator = loaded.runtime_data

    def fail() -> None:
        stop()
        raise ValueError("a bug")

    stop = coordinator.async_add_prompt_listener(fail)
    await until(lambda: said(caplog, "failed unexpectedly"))
    before = coordinator.data.at
    await until(lambda: coordinator.data.at > before)
    assert coordinator.failures == 0
