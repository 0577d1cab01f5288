"""Set-up, unloading, reload."""

import asyncio
from homeassistant.config_entries import ConfigEntryState
from homeassistant.core import HomeAssistant
from pytest_homeassistant_custom_component.common import MockConfigEntry

from nl43_sim import SimulatedMeter


async def test_set_up_and_unload(
    hass: HomeAssistant, entry: MockConfigEntry, sim: SimulatedMeter
) -> None:
    """A meter is read over one connection, which unloading closes."""
    assert await hass.config_entries.async_setup(entry.entry_id)
    await hass.async_block_till_done()
    assert entry.state is ConfigEntryState.LOADED
    for s in hass.states.async_all(): print(s.entity_id, s.state)
    await asyncio.sleep(3)
    for s in hass.states.async_all(): print(s.entity_id, s.state, dict(s.attributes))
    assert sim.connections_open == 1
    assert await hass.config_entries.async_unload(entry.entry_id)
    await hass.async_block_till_done()
    print(sim.connections_open, len(sim.commands))
