"""Folders of the cards that are being saved, because somebody asked for it in passing."""

import asyncio
from dataclasses import dataclass

from homeassistant.components import persistent_notification
from homeassistant.core import HomeAssistant, callback
from homeassistant.exceptions import HomeAssistantError
from homeassistant.util.hass_dict import HassKey

from .const import DOMAIN
from .errors import translated
from .files import Download
from .runtime import Nl43ConfigEntry


@dataclass(frozen=True, slots=True)
class Saved:
    """What came of it: a download, or what went wrong."""

    download: Download | None = None
    error: str = ""


type _Tasks = dict[tuple[str, str], asyncio.Task[Saved]]
_KEY: HassKey[_Tasks] = HassKey(f"{DOMAIN}_saving")


@callback
def async_begin_to_save(hass: HomeAssistant, entry: Nl43ConfigEntry, path: str) -> None:
    """Copy a folder into the media folder, if that is not under way."""
    tasks = hass.data.setdefault(_KEY, {})
    running = tasks.get((entry.entry_id, path))
    if running is None or running.done():
        tasks[entry.entry_id, path] = entry.async_create_background_task(
            hass, _save(hass, entry, path), f"{DOMAIN} save {path}"
        )


async def async_saved(
    hass: HomeAssistant, entry: Nl43ConfigEntry, path: str, patience: float
) -> Saved:
    """Return what came of a folder; neither a download nor an error while it is under way."""
    task = hass.data.get(_KEY, {}).get((entry.entry_id, path))
    if task is None:
        raise translated(HomeAssistantError, "not_being_saved", entry, path=path)
    await asyncio.wait([task], timeout=patience)
    if task.cancelled():
        raise translated(HomeAssistantError, "not_being_saved", entry, path=path)
    return task.result() if task.done() else Saved()


async def _save(hass: HomeAssistant, entry: Nl43ConfigEntry, path: str) -> Saved:
    """Copy a folder; what goes wrong is told to those who look no more, too."""
    notification_id = f"{DOMAIN}_{entry.entry_id}_{path}"
    try:
        download = await entry.runtime_data.files.async_download(path)
    except HomeAssistantError as err:
        told = str(translated(HomeAssistantError, "not_saved", entry, path=path, error=str(err)))
        persistent_notification.async_create(hass, told, entry.title, notification_id)
        return Saved(error=told)
    persistent_notification.async_dismiss(hass, notification_id)
    return Saved(download)
