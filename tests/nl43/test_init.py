"""Set-up, unloading, reload, removal."""

import asyncio
from datetime import timedelta
import logging

from homeassistant.config_entries import ConfigEntryDisabler, ConfigEntryState
from homeassistant.const import CONF_PORT, EVENT_HOMEASSISTANT_STOP, STATE_UNAVAILABLE
from homeassistant.core import HomeAssistant
from homeassistant.helpers import device_registry as dr, entity_registry as er
from homeassistant.util import dt as dt_util
import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry, async_fire_time_changed

from custom_components.nl43.const import DOMAIN
from custom_components.nl43.rion.vocabulary import SYSTEM_VERSION
from nl43_sim import Fault, SimulatedMeter

from .conftest import until

LP = "sensor.nl_43_01234567_lp"


async def test_set_up_and_unload(
    hass: HomeAssistant, entry: MockConfigEntry, sim: SimulatedMeter
) -> None:
    """A meter is read over one connection, which unloading closes."""
    assert await hass.config_entries.async_setup(entry.entry_id)
    assert entry.state is ConfigEntryState.LOADED
    assert sim.connections_open == 1
    assert await hass.config_entries.async_unload(entry.entry_id)
    await until(lambda: sim.connections_open == 0)
    assert sim.connections_opened == 1
    assert hass.states.is_state(LP, STATE_UNAVAILABLE)


async def test_device(hass: HomeAssistant, loaded: MockConfigEntry) -> None:
    """The device page says which meter it is, as soon as the meter has been asked."""
    await until(lambda: SYSTEM_VERSION.name in loaded.runtime_data.coordinator.data.facts)
    (device,) = dr.async_entries_for_config_entry(dr.async_get(hass), loaded.entry_id)
    assert device.identifiers == {(DOMAIN, "01234567")}
    assert device.manufacturer == "Rion"
    assert device.model == "NL-43"
    assert device.serial_number == "01234567"
    assert device.sw_version == "01.02.0107"
    assert device.name == loaded.title


async def test_dead_meter_is_retried(
    hass: HomeAssistant, entry: MockConfigEntry, sim: SimulatedMeter
) -> None:
    """A meter that refuses at start is tried again by Home Assistant, in a person's words."""
    sim.inject(Fault.WEDGE)
    await hass.config_entries.async_setup(entry.entry_id)
    assert entry.error_reason_translation_key == "refused"
    sim.clear()
    async_fire_time_changed(hass, dt_util.utcnow() + timedelta(minutes=2))
    await until(lambda: entry.state is ConfigEntryState.LOADED)


async def test_another_meter_is_not_taken_for_this_one(
    hass: HomeAssistant, sim: SimulatedMeter
) -> None:
    """An address that changed hands is noticed before a level is shown."""
    entry = MockConfigEntry(
        domain=DOMAIN, unique_id="99999999", data={"host": sim.host, CONF_PORT: sim.port}
    )
    entry.add_to_hass(hass)
    await hass.config_entries.async_setup(entry.entry_id)
    assert entry.state is ConfigEntryState.SETUP_RETRY
    assert entry.error_reason_translation_key == "wrong_meter"
    assert [command.line for command in sim.commands] == ["Serial Number?"]


async def test_reload_while_a_command_is_in_flight(
    hass: HomeAssistant,
    loaded: MockConfigEntry,
    sim: SimulatedMeter,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A reload drops what is under way and starts anew, without an error in the log."""
    sim.inject(Fault.SLOW, seconds=0.2)
    before = len(sim.commands)
    await until(lambda: len(sim.commands) > before)
    sim.clear()
    assert await hass.config_entries.async_reload(loaded.entry_id)
    assert loaded.state is ConfigEntryState.LOADED
    assert sim.connections_opened == 2
    await until(lambda: sim.connections_open == 1)
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


async def test_stopping_home_assistant_frees_the_meter(
    hass: HomeAssistant, loaded: MockConfigEntry, sim: SimulatedMeter
) -> None:
    """The meter's one slot is given back when Home Assistant stops."""
    hass.bus.async_fire(EVENT_HOMEASSISTANT_STOP)
    await until(lambda: sim.connections_open == 0)


async def test_polling_switched_off(
    hass: HomeAssistant, entry: MockConfigEntry, sim: SimulatedMeter
) -> None:
    """With Home Assistant's polling switch off, the meter is read only when asked for."""
    hass.config_entries.async_update_entry(entry, pref_disable_polling=True)
    assert await hass.config_entries.async_setup(entry.entry_id)
    asked = len(sim.commands)
    await asyncio.sleep(0.2)
    assert len(sim.commands) == asked
    await entry.runtime_data.coordinator.async_refresh()
    assert len(sim.commands) == asked + 1


async def test_entry_of_a_newer_version(hass: HomeAssistant, entry: MockConfigEntry) -> None:
    """An entry that a newer version has written is left alone."""
    hass.config_entries.async_update_entry(entry, version=2)
    await hass.config_entries.async_setup(entry.entry_id)
    assert entry.state is ConfigEntryState.MIGRATION_ERROR


async def test_entry_of_an_older_version(
    hass: HomeAssistant, entry: MockConfigEntry, sim: SimulatedMeter
) -> None:
    """The sensors that have become selects go, and nothing else of any meter does."""
    registry = er.async_get(hass)
    other = MockConfigEntry(
        domain=DOMAIN, unique_id="76543210", disabled_by=ConfigEntryDisabler.USER
    )
    other.add_to_hass(hass)

    def register(platform: str, key: str, owner: MockConfigEntry = entry) -> str:
        unique_id = f"{owner.unique_id}_{key}"
        known = registry.async_get_or_create(platform, DOMAIN, unique_id, config_entry=owner)
        return known.entity_id

    old = [register("sensor", f"{kind}_weighting") for kind in ("frequency", "time")]
    kept = [
        register("sensor", "lp"),
        register("sensor", "battery_level"),
        register("select", "frequency_weighting"),
        register("select", "time_weighting"),
        register("sensor", "frequency_weighting", other),
        register("sensor", "time_weighting", other),
    ]
    before = dict(entry.data), dict(entry.options), entry.title
    hass.config_entries.async_update_entry(entry, version=1, minor_version=1)
    assert await hass.config_entries.async_setup(entry.entry_id)
    assert (entry.version, entry.minor_version) == (1, 2)
    assert (dict(entry.data), dict(entry.options), entry.title) == before
    assert not any(registry.async_get(entity_id) for entity_id in old)
    assert all(registry.async_get(entity_id) for entity_id in kept)


async def test_entry_of_this_version(hass: HomeAssistant, entry: MockConfigEntry) -> None:
    """What is up to date is not migrated again; a newer minor version is understood."""
    registry = er.async_get(hass)
    unique_id = f"{entry.unique_id}_frequency_weighting"
    registry.async_get_or_create("sensor", DOMAIN, unique_id, config_entry=entry)
    hass.config_entries.async_update_entry(entry, minor_version=3)
    assert await hass.config_entries.async_setup(entry.entry_id)
    assert entry.minor_version == 3
    assert registry.async_get_entity_id("sensor", DOMAIN, unique_id)
