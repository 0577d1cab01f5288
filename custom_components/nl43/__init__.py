"""Rion NL-43/NL-53 sound level meters in Home Assistant."""

from typing import Final

from homeassistant.const import EVENT_HOMEASSISTANT_STOP
from homeassistant.core import Event, HomeAssistant
from homeassistant.helpers import config_validation as cv
from homeassistant.helpers.typing import ConfigType

from .const import DOMAIN, PLATFORMS
from .coordinator import Nl43ConfigEntry, Nl43Coordinator
from .live import async_register_commands

CONFIG_SCHEMA: Final = cv.config_entry_only_config_schema(DOMAIN)


async def async_setup(hass: HomeAssistant, _config: ConfigType) -> bool:
    """Register what does not belong to a single meter."""
    async_register_commands(hass)
    return True


async def async_setup_entry(hass: HomeAssistant, entry: Nl43ConfigEntry) -> bool:
    """Connect to one meter and keep reading it."""
    coordinator = Nl43Coordinator(hass, entry)
    await coordinator.async_config_entry_first_refresh()
    entry.runtime_data = coordinator

    async def stop(_event: Event) -> None:
        await coordinator.async_shutdown()

    entry.async_on_unload(hass.bus.async_listen(EVENT_HOMEASSISTANT_STOP, stop))
    await hass.config_entries.async_forward_entry_setups(entry, PLATFORMS)
    if not entry.pref_disable_polling:
        coordinator.async_start()
    return True


async def async_unload_entry(hass: HomeAssistant, entry: Nl43ConfigEntry) -> bool:
    """Let go of one meter; the coordinator closes its connection."""
    return await hass.config_entries.async_unload_platforms(entry, PLATFORMS)


async def async_migrate_entry(_hass: HomeAssistant, entry: Nl43ConfigEntry) -> bool:
    """Refuse an entry that a newer, incompatible version of nl43 has written."""
    return entry.version == 1
