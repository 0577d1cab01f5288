"""Frames as they come, for the browser: websocket command nl43/subscribe_frames."""

from dataclasses import asdict
from typing import Any, Final

from homeassistant.components import websocket_api
from homeassistant.config_entries import ConfigEntryState
from homeassistant.core import HomeAssistant, callback
from homeassistant.exceptions import Unauthorized
import voluptuous as vol

from .access import may_read
from .const import DOMAIN
from .facts import MeterData
from .rion import CHANNELS
from .runtime import Nl43ConfigEntry
from .watch import async_watch

ENTRY_ID: Final = "entry_id"


@callback
def async_register_commands(hass: HomeAssistant) -> None:
    """Register the websocket commands."""
    websocket_api.async_register_command(hass, subscribe_frames)


def frame_message(data: MeterData) -> dict[str, Any]:
    """Return a frame as JSON: levels in dB, null where the meter sent no value."""
    channels = {name: data.reading.channel(name) for name in CHANNELS}
    return {
        "time": data.at and data.at.isoformat(),
        "state": data.measurement_state,
        **{name: asdict(channel) for name, channel in channels.items() if channel.in_use},
    }


@websocket_api.websocket_command(
    {vol.Required("type"): f"{DOMAIN}/subscribe_frames", vol.Required(ENTRY_ID): str}
)
@callback
def subscribe_frames(
    hass: HomeAssistant,
    connection: websocket_api.ActiveConnection,
    msg: dict[str, Any],
) -> None:
    """Send each frame of a meter, the last one at once; the meter is read live meanwhile."""
    entry: Nl43ConfigEntry | None = hass.config_entries.async_get_entry(msg[ENTRY_ID])
    if entry is None or entry.domain != DOMAIN:
        connection.send_error(msg["id"], websocket_api.ERR_NOT_FOUND, "There is no such meter.")
        return
    if not may_read(hass, connection.user, entry):
        raise Unauthorized

    @callback
    def forward(data: MeterData) -> None:
        connection.send_event(msg["id"], frame_message(data))

    connection.subscriptions[msg["id"]] = async_watch(hass, entry.entry_id, forward)
    connection.send_result(msg["id"])
    if entry.state is ConfigEntryState.LOADED:
        coordinator = entry.runtime_data.coordinator
        if coordinator.last_update_success:
            forward(coordinator.data)
