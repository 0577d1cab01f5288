"""Rion NL-43/NL-53 sound level meters in Home Assistant."""

import asyncio
from typing import Final

from homeassistant.const import EVENT_HOMEASSISTANT_STOP, Platform
from homeassistant.core import Event, HomeAssistant
from homeassistant.helpers import config_validation as cv, entity_registry as er
from homeassistant.helpers.typing import ConfigType

from .assets import async_register_assets
from .const import DOMAIN, PLATFORMS
from .coordinator import Nl43Coordinator
from .files import Nl43Files
from .live import async_register_commands
from .measurement import MeasurementStart, async_forget_start
from .recent import RecentFrames
from .repairs import async_forget_issues, async_watch_issues
from .runtime import Nl43ConfigEntry, Nl43Runtime
from .services import async_register_actions
from .views import async_register_views

# Sensors up to version 0.1, before they could be set.
BECAME_SELECTS: Final = ("frequency_weighting", "time_weighting")
CONFIG_SCHEMA: Final = cv.config_entry_only_config_schema(DOMAIN)


async def async_setup(hass: HomeAssistant, _config: ConfigType) -> bool:
    """Register what does not belong to a single meter."""
    async_register_commands(hass)
    async_register_actions(hass)
    async_register_views(hass)
    await async_register_assets(hass)
    return True


async def async_setup_entry(hass: HomeAssistant, entry: Nl43ConfigEntry) -> bool:
    """Connect to one meter and keep reading it."""
    coordinator = Nl43Coordinator(hass, entry)
    recent = RecentFrames()
    entry.async_on_unload(recent.async_start(hass, entry.entry_id))
    if coordinator.polling:
        await coordinator.async_config_entry_first_refresh()
    files = Nl43Files(coordinator)
    start = MeasurementStart(coordinator, files)
    await start.async_load()
    entry.runtime_data = Nl43Runtime(coordinator, files, start, recent)
    async_watch_issues(hass, entry)

    async def stop(_event: Event) -> None:
        await asyncio.gather(coordinator.async_shutdown(), files.async_close())

    entry.async_on_unload(hass.bus.async_listen(EVENT_HOMEASSISTANT_STOP, stop))
    await hass.config_entries.async_forward_entry_setups(entry, PLATFORMS)
    coordinator.async_start()
    return True


async def async_unload_entry(hass: HomeAssistant, entry: Nl43ConfigEntry) -> bool:
    """Let go of one meter; the coordinator closes its connection."""
    unloaded = await hass.config_entries.async_unload_platforms(entry, PLATFORMS)
    if unloaded:
        await entry.runtime_data.files.async_close()
        await entry.runtime_data.start.async_save()
    return unloaded


async def async_remove_entry(hass: HomeAssistant, entry: Nl43ConfigEntry) -> None:
    """Forget what was kept of a meter."""
    async_forget_issues(hass, entry.entry_id)
    await async_forget_start(hass, entry.entry_id)


async def async_migrate_entry(hass: HomeAssistant, entry: Nl43ConfigEntry) -> bool:
    """Bring an entry up to date; refuse one that a newer, incompatible nl43 has written."""
    if entry.version != 1:
        return False
    if entry.minor_version == 1:
        registry = er.async_get(hass)
        for key in BECAME_SELECTS:
            unique_id = f"{entry.unique_id}_{key}"
            if sensor := registry.async_get_entity_id(Platform.SENSOR, DOMAIN, unique_id):
                registry.async_remove(sensor)
        hass.config_entries.async_update_entry(entry, minor_version=2)
    return True
