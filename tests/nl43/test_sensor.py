"""What the sensors show, and what they do not."""

from pathlib import Path

from homeassistant.const import STATE_UNAVAILABLE, STATE_UNKNOWN
from homeassistant.core import HomeAssistant
from homeassistant.helpers import entity_registry as er
import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry

from custom_components.nl43.sensor import LEVELS
from nl43_sim import Fault, SimulatedMeter

from .conftest import until

DEVICE = "nl_43_01234567"
RECORDED = Path(__file__).parent.parent / "recordings"
MEASURING = {
    "lp": "46.2",
    "leq": "43.7",
    "le": "53.7",
    "lmax": "44.1",
    "lmin": "43.4",
    "ln1": "44.2",
    "ln2": "44.2",
    "ln3": "43.7",
    "ln4": "43.4",
    "ln5": "43.3",
    "lpeak": "59.0",
    "lieq": STATE_UNKNOWN,
    "leq_mov": STATE_UNKNOWN,
    "ltm5": STATE_UNKNOWN,
}
ON_BY_DEFAULT = {"lp", "leq", "lmax", "lmin", "lpeak", "ln1", "ln2"}


def entity_id(hass: HomeAssistant, key: str, platform: str = "sensor") -> str:
    """Return the entity of a key."""
    found = er.async_get(hass).async_get_entity_id(platform, "nl43", f"01234567_{key}")
    assert found is not None
    return found


def state(hass: HomeAssistant, key: str, platform: str = "sensor") -> str:
    """Return what the entity of a key shows."""
    found = hass.states.get(entity_id(hass, key, platform))
    assert found is not None
    return found.state


def attribute(hass: HomeAssistant, key: str, name: str) -> object:
    """Return an attribute of the entity of a key."""
    found = hass.states.get(entity_id(hass, key))
    assert found is not None
    return found.attributes.get(name)


@pytest.fixture
def recorded(sim: SimulatedMeter) -> SimulatedMeter:
    """Have the meter answer with the recorded payload."""
    sim.replay_frames((RECORDED / "dod_measuring.txt").read_text().splitlines())
    return sim


@pytest.fixture
async def everything(
    hass: HomeAssistant,
    entry: MockConfigEntry,
    recorded: SimulatedMeter,
    all_enabled: None,
) -> MockConfigEntry:
    """Return the meter with all its entities, after all its settings have been asked."""
    assert await hass.config_entries.async_setup(entry.entry_id)
    await until(lambda: "Sleep Mode" in entry.runtime_data.coordinator.data.facts)
    await entry.runtime_data.coordinator.async_refresh()
    await hass.async_block_till_done()
    return entry


async def test_the_recorded_levels(hass: HomeAssistant, everything: MockConfigEntry) -> None:
    """Every level of the recorded frame is shown as sent; no value is unknown."""
    assert {key: state(hass, key) for key in MEASURING} == MEASURING


async def test_a_stopped_meter(
    hass: HomeAssistant, everything: MockConfigEntry, sim: SimulatedMeter
) -> None:
    """All but Lp is unknown: neither unavailable, nor 0."""
    sim.replay_frames((RECORDED / "dod_stopped.txt").read_text().splitlines())
    await everything.runtime_data.coordinator.async_refresh()
    await hass.async_block_till_done()
    expected = dict.fromkeys(MEASURING, STATE_UNKNOWN) | {"lp": "45.8"}
    assert {key: state(hass, key) for key in MEASURING} == expected


async def test_zero_is_a_level(
    hass: HomeAssistant, everything: MockConfigEntry, sim: SimulatedMeter
) -> None:
    """0.0 dB is a value like any other."""
    line = (RECORDED / "dod_measuring.txt").read_text().splitlines()[0]
    sim.replay_frames([line.replace("46.2", " 0.0", 1)])
    await everything.runtime_data.coordinator.async_refresh()
    await hass.async_block_till_done()
    assert state(hass, "lp") == "0.0"


async def test_what_is_on_by_default(hass: HomeAssistant, loaded: MockConfigEntry) -> None:
    """The quantities of most reports are on, the others are a click away."""
    registry = er.async_get(hass)
    on = {key for key in MEASURING if not registry.entities[entity_id(hass, key)].disabled}
    assert on == ON_BY_DEFAULT


async def test_attributes(hass: HomeAssistant, everything: MockConfigEntry) -> None:
    """A level says how it was weighted, by IEC 61672: an Leq has no time weighting."""
    assert attribute(hass, "lp", "frequency_weighting") == "A"
    assert attribute(hass, "lp", "time_weighting") == "S"
    assert attribute(hass, "lp", "over") is False
    assert attribute(hass, "lp", "under") is False
    assert attribute(hass, "lp", "unit_of_measurement") == "dB"
    found = hass.states.get(entity_id(hass, "leq"))
    assert found is not None
    assert "time_weighting" not in found.attributes
    assert "percentile" not in found.attributes


async def test_percentiles_are_named_by_what_the_meter_says(
    hass: HomeAssistant, everything: MockConfigEntry
) -> None:
    """The name has the percentile, the entity id has not: it stays when that changes."""
    assert attribute(hass, "ln1", "percentile") == 5
    assert attribute(hass, "ln1", "friendly_name") == "NL-43 01234567 LN1 (L5)"
    assert attribute(hass, "ln5", "friendly_name") == "NL-43 01234567 LN5 (L95)"
    assert entity_id(hass, "ln1") == f"sensor.{DEVICE}_ln1"
    registered = er.async_get(hass).async_get(entity_id(hass, "ln1"))
    assert registered is not None
    assert registered.original_name == "LN1 (L5)"


async def test_a_percentile_that_is_not_known_is_not_assumed(
    hass: HomeAssistant, entry: MockConfigEntry, sim: SimulatedMeter
) -> None:
    """A meter that does not tell its percentiles has slots without a bracket."""
    sim.config.missing = {f"Percentile {slot}" for slot in range(1, 6)}
    assert await hass.config_entries.async_setup(entry.entry_id)
    await until(lambda: "Percentile 5" in entry.runtime_data.coordinator.data.lacking)
    await entry.runtime_data.coordinator.async_refresh()
    await hass.async_block_till_done()
    assert attribute(hass, "ln1", "friendly_name") == "NL-43 01234567 LN1"
    assert attribute(hass, "ln1", "percentile") is None


async def test_facts(hass: HomeAssistant, everything: MockConfigEntry) -> None:
    """Battery, power, card and settings are shown as the meter says."""
    assert state(hass, "battery_level") == "full"
    assert state(hass, "power_source") == "external"
    assert float(state(hass, "sd_free")) > 30_000
    assert 99 < float(state(hass, "sd_free_percentage")) <= 100
    assert state(hass, "measurement_state") == "measuring"
    assert state(hass, "connection") == "connected"
    assert state(hass, "overload", "binary_sensor") == "off"
    assert state(hass, "under_range", "binary_sensor") == "off"
    assert state(hass, "connectivity", "binary_sensor") == "on"


@pytest.mark.parametrize(("level", "expected"), [("75", "75.0"), ("Low", "low")])
async def test_battery_as_word_or_number(
    hass: HomeAssistant, entry: MockConfigEntry, sim: SimulatedMeter, level: str, expected: str
) -> None:
    """Some firmware gives per cent; a word is never turned into a number."""
    sim.state.battery_level = level
    assert await hass.config_entries.async_setup(entry.entry_id)
    await until(lambda: "Battery Level" in entry.runtime_data.coordinator.data.facts)
    await entry.runtime_data.coordinator.async_refresh()
    await hass.async_block_till_done()
    assert state(hass, "battery_level") == expected


async def test_an_unknown_word_is_no_value(
    hass: HomeAssistant, entry: MockConfigEntry, sim: SimulatedMeter
) -> None:
    """A battery word that nobody documented never becomes a state, nor stops the rest."""
    sim.state.battery_level = "Splendid"
    assert await hass.config_entries.async_setup(entry.entry_id)
    await until(lambda: "Sleep Mode" in entry.runtime_data.coordinator.data.facts)
    await entry.runtime_data.coordinator.async_refresh()
    await hass.async_block_till_done()
    assert (
        er.async_get(hass).async_get_entity_id("sensor", "nl43", "01234567_battery_level") is None
    )
    assert state(hass, "power_source") == "external"


@pytest.mark.parametrize("offset", [0.0, 90.0, -3600.0])
async def test_clock_offset(
    hass: HomeAssistant, entry: MockConfigEntry, sim: SimulatedMeter, offset: float
) -> None:
    """The offset is the meter's clock against the site's local time."""
    await hass.config.async_set_time_zone("UTC")
    sim.config.utc_offset = 0.0
    sim.state.clock_offset = offset
    assert await hass.config_entries.async_setup(entry.entry_id)
    await until(lambda: "Clock" in entry.runtime_data.coordinator.data.facts)
    await entry.runtime_data.coordinator.async_refresh()
    await hass.async_block_till_done()
    assert float(state(hass, "clock_offset")) == pytest.approx(offset, abs=1)


async def test_what_the_meter_lacks_is_not_offered(
    hass: HomeAssistant, entry: MockConfigEntry, sim: SimulatedMeter
) -> None:
    """R+0003 to a question means no entity, and no trouble for the others."""
    sim.inject(Fault.MISSING_OPTIONS)
    assert await hass.config_entries.async_setup(entry.entry_id)
    await until(lambda: "Battery Level" in entry.runtime_data.coordinator.data.lacking)
    await entry.runtime_data.coordinator.async_refresh()
    await hass.async_block_till_done()
    registry = er.async_get(hass)
    assert registry.async_get_entity_id("sensor", "nl43", "01234567_battery_level") is None
    assert state(hass, "lp") not in {STATE_UNAVAILABLE, STATE_UNKNOWN}


async def test_after_a_restart_what_was_offered_is_there(
    hass: HomeAssistant, everything: MockConfigEntry
) -> None:
    """A fact of before is unknown until the meter has been asked again, not unavailable."""
    assert await hass.config_entries.async_unload(everything.entry_id)
    hass.config_entries.async_update_entry(everything, pref_disable_polling=True)
    assert await hass.config_entries.async_setup(everything.entry_id)
    await hass.async_block_till_done()
    assert state(hass, "power_source") == STATE_UNKNOWN
    assert state(hass, "lp") == MEASURING["lp"]


async def test_sub_channels_in_use(
    hass: HomeAssistant,
    entry: MockConfigEntry,
    sim: SimulatedMeter,
    all_enabled: None,
) -> None:
    """A sub channel appears, off by default, once the meter measures on it."""
    line = (RECORDED / "dod_measuring.txt").read_text().splitlines()[0]
    main = ",".join(line.split(",")[:16])
    unused = ",".join(line.split(",")[48:])
    sim.replay_frames([",".join((main, main.replace("43.7", "42.1"), unused, unused))])
    assert await hass.config_entries.async_setup(entry.entry_id)
    await hass.async_block_till_done()
    assert state(hass, "sub1_leq") == "42.1"
    assert attribute(hass, "sub1_leq", "friendly_name") == "NL-43 01234567 Sub1 Leq"
    assert er.async_get(hass).async_get_entity_id("sensor", "nl43", "01234567_sub2_leq") is None


def test_sub_channels_are_off_by_default() -> None:
    """They would multiply the rows of the history."""
    assert not any(
        level.entity_registry_enabled_default for level in LEVELS if level.channel != "main"
    )


async def test_a_lost_meter_shows_no_level(
    hass: HomeAssistant, everything: MockConfigEntry, sim: SimulatedMeter
) -> None:
    """What needs the meter is unavailable then."""
    sim.inject(Fault.WEDGE)
    await until(lambda: not everything.runtime_data.coordinator.last_update_success)
    await hass.async_block_till_done()
    states = {
        entry.unique_id.removeprefix("01234567_"): hass.states.get(entry.entity_id)
        for entry in er.async_entries_for_config_entry(er.async_get(hass), everything.entry_id)
    }
    available = {key for key, found in states.items() if found and found.state != STATE_UNAVAILABLE}
    assert available == {
        "connection",
        "connectivity",
        "exceedance",
        "exceedances_today",
        "file_transfer",
        "polling",
        "reconnect",
    }
