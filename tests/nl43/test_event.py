"""What is kept of exceedances: the event, the count of the day, sentences in the logbook."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, Final

from homeassistant.core import Event, HomeAssistant, State
from homeassistant.util import dt as dt_util
import pytest
from pytest_homeassistant_custom_component.common import (
    MockConfigEntry,
    async_fire_time_changed,
    mock_restore_cache_with_extra_data,
)

from custom_components.nl43.const import EVENT_EXCEEDANCE
from custom_components.nl43.logbook import async_describe_events
from nl43_sim import Fault, SimulatedMeter

from .sound import Sound, automate, limit_trigger, weightings_are_known
from .tools import device_of, history, set_intervals, state
from .waiting import until

pytestmark = pytest.mark.usefixtures("patient")

EXCEEDANCE: Final = "event.nl_43_01234567_exceedance"
LP: Final = "sensor.nl_43_01234567_lp"
TODAY: Final = "sensor.nl_43_01234567_exceedances_today"


async def arm(hass: HomeAssistant, entry: MockConfigEntry, **options: Any) -> None:
    """Arm a limit of a meter."""
    await automate(
        hass, limit_trigger("limit_exceeded", device_of(hass, entry).id, **options), actions=[]
    )


async def test_event(hass: HomeAssistant, sound: Sound, loaded: MockConfigEntry) -> None:
    """Every beginning and end is recorded, whatever trigger has armed the limit."""
    assert state(hass, EXCEEDANCE) == "unknown"
    await weightings_are_known(loaded)
    states = history(hass, EXCEEDANCE)
    await arm(hass, loaded, **{"for": 1})
    await sound.plays("90@0 92@1 80@2 80@3")
    await until(lambda: len(states) == 3)
    found = hass.states.get(EXCEEDANCE)
    assert found
    kept = {
        "event_type": "cleared",
        "quantity": "lp",
        "symbol": "LAS",
        "limit": 85.0,
        "direction": "above",
        "value": 80.0,
        "onset_value": 92.0,
        "peak": 92.0,
        "mean": 91.1,
        "length": 2.0,
        "overload": False,
        "under_range": False,
    }
    assert kept.items() <= found.attributes.items()
    times = [datetime.fromisoformat(found.attributes[name]) for name in ("started", "ended")]
    assert times[1] - times[0] == timedelta(seconds=2)


async def test_levels_of_the_moment(
    hass: HomeAssistant, sound: Sound, loaded: MockConfigEntry
) -> None:
    """The levels that are written do not contradict the event, however seldom they are."""
    set_intervals(hass, loaded, scan=3600)
    states = history(hass, LP, EXCEEDANCE)
    await arm(hass, loaded, **{"for": 1})
    await sound.plays("90@0 92@1 93@2 94@3")
    await until(lambda: state(hass, EXCEEDANCE) != "unknown")
    assert state(hass, LP) == "92.0"
    assert [each for each in states if each.startswith("9")] == ["92.0"]


async def test_it_stays_available(
    hass: HomeAssistant, sound: Sound, loaded: MockConfigEntry, sim: SimulatedMeter
) -> None:
    """What has happened stays true when the meter is away."""
    await arm(hass, loaded)
    await sound.plays("90@0")
    await until(lambda: state(hass, EXCEEDANCE) != "unknown")
    when = state(hass, EXCEEDANCE)
    sim.inject(Fault.REFUSE_DOD)
    await until(lambda: not loaded.runtime_data.coordinator.last_update_success)
    assert (state(hass, EXCEEDANCE), state(hass, TODAY)) == (when, "1")
    sim.clear()


async def test_it_is_restored(
    hass: HomeAssistant, sim: SimulatedMeter, entry: MockConfigEntry
) -> None:
    """After a restart the last exceedance is still there."""
    when = "2026-11-25T06:05:00.000+00:00"
    mock_restore_cache_with_extra_data(
        hass,
        [
            (
                State(EXCEEDANCE, when),
                {"last_event_type": "exceeded", "last_event_attributes": {"peak": 91.4}},
            )
        ],
    )
    assert await hass.config_entries.async_setup(entry.entry_id)
    await hass.async_block_till_done()
    found = hass.states.get(EXCEEDANCE)
    assert found
    assert found.state == when
    assert found.attributes["peak"] == 91.4


# The count


async def test_count(hass: HomeAssistant, sound: Sound, loaded: MockConfigEntry) -> None:
    """Beginnings are counted, of all limits, and at midnight it begins anew."""
    assert state(hass, TODAY) == "0"
    await arm(hass, loaded)
    await sound.plays("90@0 80@1 90@2 80@3 90@4")
    await until(lambda: state(hass, TODAY) == "3")
    midnight = dt_util.start_of_local_day() + timedelta(days=1)
    async_fire_time_changed(hass, midnight + timedelta(seconds=1))
    await until(lambda: state(hass, TODAY) == "0")
    await sound.plays("80@5 90@6")
    await until(lambda: state(hass, TODAY) == "1")


@pytest.mark.parametrize(("days", "count"), [(0, "4"), (1, "0")])
async def test_count_over_a_restart(
    hass: HomeAssistant, sim: SimulatedMeter, entry: MockConfigEntry, days: int, count: str
) -> None:
    """It goes on counting where it ended, if that was today."""
    noon = dt_util.start_of_local_day() + timedelta(seconds=1)
    before = State(TODAY, "4", last_updated=noon - timedelta(days=days))
    stored = {"native_value": 4, "native_unit_of_measurement": None}
    mock_restore_cache_with_extra_data(hass, [(before, stored)])
    assert await hass.config_entries.async_setup(entry.entry_id)
    await hass.async_block_till_done()
    assert state(hass, TODAY) == count


async def test_count_over_a_reload(
    hass: HomeAssistant, sound: Sound, loaded: MockConfigEntry
) -> None:
    """A reload of the meter costs no count."""
    await arm(hass, loaded)
    await sound.plays("90@0")
    await until(lambda: state(hass, TODAY) == "1")
    assert await hass.config_entries.async_reload(loaded.entry_id)
    await hass.async_block_till_done()
    assert state(hass, TODAY) == "1"


# The logbook


@pytest.mark.parametrize(
    ("event", "sentence"),
    [
        (
            {"event_type": "exceeded", "direction": "above", "value": 88.24},
            "LAF is above 85.0 dB: 88.2 dB now",
        ),
        (
            {"event_type": "cleared", "direction": "above", "length": 85.4},
            "LAF was above 85.0 dB for 85 s: highest 90.1 dB, mean 87.4 dB",
        ),
        (
            {"event_type": "cleared", "direction": "below", "length": 1.0, "peak": 20.0},
            "LAF was below 85.0 dB for 1 s: lowest 20.0 dB, mean 87.4 dB",
        ),
    ],
)
async def test_logbook(
    hass: HomeAssistant, loaded: MockConfigEntry, event: dict[str, Any], sentence: str
) -> None:
    """The logbook tells what happened at which meter."""
    described: dict[str, Callable[[Event], dict[str, str]]] = {}
    async_describe_events(hass, lambda _domain, name, describe: described.update({name: describe}))
    details = {"entity_id": EXCEEDANCE, "symbol": "LAF", "limit": 85.0, "peak": 90.1, "mean": 87.4}
    assert described[EVENT_EXCEEDANCE](Event(EVENT_EXCEEDANCE, details | event)) == {
        "name": "NL-43 01234567 Exceedance",
        "message": sentence,
        "entity_id": EXCEEDANCE,
    }
