"""Actions: cycles, files, results, and a raw question for support cases."""

from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import asdict, dataclass
from pathlib import Path
import re
from typing import Any, Final

from homeassistant.config_entries import ConfigEntryState
from homeassistant.const import ATTR_CONFIG_ENTRY_ID
from homeassistant.core import (
    HomeAssistant,
    ServiceCall,
    ServiceResponse,
    SupportsResponse,
    callback,
)
from homeassistant.exceptions import ServiceValidationError
from homeassistant.helpers import config_validation as cv
from homeassistant.helpers.service import (
    async_extract_config_entry_ids,
    async_register_admin_service,
)
import voluptuous as vol

from .const import DOMAIN
from .control import commanding
from .cycle import async_start_cycle, async_stop_cycle
from .files import Download, Nl43Files
from .rion import CHANNELS, Priority
from .rion.listing import Entry
from .rion.vocabulary import format_store_name
from .runtime import Nl43ConfigEntry, Nl43Runtime

ATTR_COMMAND: Final = "command"
ATTR_DOWNLOAD: Final = "download"
ATTR_PATH: Final = "path"
ATTR_SYNC_CLOCK: Final = "sync_clock"
ATTR_TARGET: Final = "target"
# A name and a question mark; what streams would not end by itself.
_REQUEST: Final = re.compile(r"(?!drd\b)[a-z][a-z0-9 ()]{0,60}\?", re.IGNORECASE | re.ASCII)
MAX_PATH: Final = 1024

type _Handler = Callable[[Nl43Runtime, ServiceCall], Awaitable[ServiceResponse]]


async def _start_cycle(meter: Nl43Runtime, call: ServiceCall) -> ServiceResponse:
    """Start under the next free store name."""
    started = await async_start_cycle(
        meter.coordinator, meter.files, sync_clock=call.data[ATTR_SYNC_CLOCK]
    )
    return {
        "old_store_name": format_store_name(started.old_store_name),
        "new_store_name": format_store_name(started.new_store_name),
        "start_time": started.began.isoformat(),
    }


async def _stop_cycle(meter: Nl43Runtime, call: ServiceCall) -> ServiceResponse:
    """Stop, and bring home what was stored."""
    stopped = await async_stop_cycle(
        meter.coordinator, meter.files, download=call.data[ATTR_DOWNLOAD]
    )
    response: dict[str, Any] = {"store_name": format_store_name(stopped.store_name)}
    if stopped.download is not None:
        response |= {"path": stopped.path, **_report(meter.files, stopped.download)}
    return response


async def _list_files(meter: Nl43Runtime, call: ServiceCall) -> ServiceResponse:
    """List a folder of the card."""
    path = call.data.get(ATTR_PATH) or await meter.files.async_root()
    listing = await meter.files.async_list(path)
    return {
        "path": path,
        "entries": [_entry(meter.files, entry) for entry in listing.entries],
        "unusable": listing.unusable,
    }


def _entry(files: Nl43Files, entry: Entry) -> dict[str, Any]:
    """Return a line of a listing; a time is left out where only the day is known."""
    modified = entry.modified if entry.to_the_minute else None
    moment = None if modified is None else files.to_utc(modified)
    return {
        "name": entry.name,
        "folder": entry.is_folder,
        "size": None if entry.is_folder else entry.size,
        "date": None if entry.modified is None else entry.modified.date().isoformat(),
        "modified": None if moment is None else moment.isoformat(),
    }


async def _download(meter: Nl43Runtime, call: ServiceCall) -> ServiceResponse:
    """Copy a file or a folder into the media folder."""
    path = call.data[ATTR_PATH]
    download = await meter.files.async_download(path, call.data.get(ATTR_TARGET))
    return {"path": path, **_report(meter.files, download)}


def _report(files: Nl43Files, download: Download) -> dict[str, Any]:
    """Return what came of a download, by paths below the media folder."""

    def below(places: list[Path]) -> list[str]:
        return [place.relative_to(files.media_folder).as_posix() for place in places]

    return {
        "folder": download.folder.relative_to(files.media_folder).as_posix(),
        "saved": below(download.saved),
        "skipped": below(download.skipped),
        "bytes": download.size,
        "unusable": download.unusable,
    }


async def _read_results(meter: Nl43Runtime, _call: ServiceCall) -> ServiceResponse:
    """Ask for the final result of the last measurement."""
    async with commanding(meter.coordinator):
        reading = await meter.coordinator.meter.final_result()
    channels = {name: reading.channel(name) for name in CHANNELS}
    return {name: asdict(channel) for name, channel in channels.items() if channel.in_use}


async def _send_command(meter: Nl43Runtime, call: ServiceCall) -> ServiceResponse:
    """Ask whatever a support case needs."""
    request = call.data[ATTR_COMMAND]
    async with commanding(meter.coordinator):
        connection = meter.coordinator.meter.connection
        return {"answer": await connection.ask(request, str, Priority.PERSON)}


@dataclass(frozen=True, kw_only=True, slots=True)
class _Action:
    """How an action is called, and who may."""

    handler: _Handler
    fields: dict[vol.Marker, Any]
    response: SupportsResponse
    admin: bool = False


def _request(value: Any) -> str:
    """Validate a question to the meter: nothing that sets, and nothing that streams."""
    request = cv.string(value)
    if not _REQUEST.fullmatch(request):
        raise vol.Invalid("not a question to the meter, such as Battery Type?")
    return request


_PATH: Final = vol.All(cv.string, vol.Length(min=1, max=MAX_PATH))
ACTIONS: Final = {
    "start_cycle": _Action(
        handler=_start_cycle,
        fields={vol.Optional(ATTR_SYNC_CLOCK, default=True): cv.boolean},
        response=SupportsResponse.OPTIONAL,
    ),
    "stop_cycle": _Action(
        handler=_stop_cycle,
        fields={vol.Optional(ATTR_DOWNLOAD, default=True): cv.boolean},
        response=SupportsResponse.OPTIONAL,
    ),
    "list_files": _Action(
        handler=_list_files,
        fields={vol.Optional(ATTR_PATH): _PATH},
        response=SupportsResponse.ONLY,
    ),
    "download": _Action(
        handler=_download,
        fields={vol.Required(ATTR_PATH): _PATH, vol.Optional(ATTR_TARGET): _PATH},
        response=SupportsResponse.OPTIONAL,
    ),
    "read_results": _Action(handler=_read_results, fields={}, response=SupportsResponse.ONLY),
    "send_command": _Action(
        handler=_send_command,
        fields={vol.Required(ATTR_COMMAND): _request},
        response=SupportsResponse.ONLY,
        admin=True,
    ),
}


@callback
def async_register_actions(hass: HomeAssistant) -> None:
    """Register the actions: also while no meter is loaded, so that automations are valid."""
    for name, action in ACTIONS.items():
        schema = vol.Schema(
            {vol.Optional(ATTR_CONFIG_ENTRY_ID): str, **cv.ENTITY_SERVICE_FIELDS, **action.fields}
        )
        handle = _handle(action)
        if action.admin:
            async_register_admin_service(hass, DOMAIN, name, handle, schema, action.response)
        else:
            hass.services.async_register(DOMAIN, name, handle, schema, action.response)


def _handle(action: _Action) -> Callable[[ServiceCall], Coroutine[Any, Any, ServiceResponse]]:
    """Return what Home Assistant calls: the action on the one meter that was meant."""

    async def handle(call: ServiceCall) -> ServiceResponse:
        entry = await _async_find_meter(call)
        return await action.handler(entry.runtime_data, call)

    return handle


async def _async_find_meter(call: ServiceCall) -> Nl43ConfigEntry:
    """Return the one meter that is meant by a config entry, a device or another target."""
    hass = call.hass
    wanted = await async_extract_config_entry_ids(call)
    wanted |= {call.data[ATTR_CONFIG_ENTRY_ID]} if ATTR_CONFIG_ENTRY_ID in call.data else set()
    found: list[Nl43ConfigEntry] = [
        entry for entry in hass.config_entries.async_entries(DOMAIN) if entry.entry_id in wanted
    ]
    if len(found) != 1:
        raise ServiceValidationError(
            translation_domain=DOMAIN,
            translation_key="one_meter",
            translation_placeholders={"count": str(len(found))},
        )
    if found[0].state is not ConfigEntryState.LOADED:
        raise ServiceValidationError(
            translation_domain=DOMAIN,
            translation_key="not_loaded",
            translation_placeholders={"meter": found[0].title},
        )
    return found[0]
