"""Frames as they come, for the browser: websocket commands; docs/live-feed.md describes them."""

from dataclasses import asdict
from datetime import datetime
from typing import Any, Final

from homeassistant.components import websocket_api
from homeassistant.config_entries import (
    SIGNAL_CONFIG_ENTRY_CHANGED,
    ConfigEntry,
    ConfigEntryChange,
    ConfigEntryState,
)
from homeassistant.core import HomeAssistant, callback
from homeassistant.exceptions import Unauthorized
from homeassistant.helpers.dispatcher import async_dispatcher_connect
from homeassistant.util import dt as dt_util
import voluptuous as vol

from .access import may_read
from .alarm import async_armed_limits
from .const import DOMAIN
from .facts import NOTHING_KNOWN, MeterData
from .rion import CHANNELS, QUANTITIES
from .rion.notation import LEVEL_KEYS
from .rion.vocabulary import FREQUENCY_WEIGHTING, PERCENTILE, TIME_WEIGHTING, TYPE
from .runtime import Nl43ConfigEntry
from .target import async_device
from .watch import async_watch, status_signal

ACKNOWLEDGE: Final = "acknowledge"
ENTRY_ID: Final = "entry_id"
SUBSCRIPTION: Final = "subscription"
# So many frames on their way to a browser that acknowledges them; more are dropped.
MAX_PENDING: Final = 5


@callback
def async_register_commands(hass: HomeAssistant) -> None:
    """Register the websocket commands."""
    for command in (subscribe_frames, acknowledge_frame, recent_frames):
        websocket_api.async_register_command(hass, command)


def _seconds(moment: datetime | None) -> float | None:
    """Return a time as seconds since 1970, as Home Assistant's own messages have it."""
    return None if moment is None else moment.timestamp()


def _frame_message(entry: Nl43ConfigEntry, data: MeterData) -> dict[str, Any]:
    """Return a frame: levels in dB, null where the meter sent no value."""
    channels = {name: data.reading.channel(name) for name in CHANNELS}
    offset = data.clock_offset
    meter_time = None if data.at is None or offset is None else data.at + offset
    return {
        "kind": "frame",
        "number": data.number,
        "time": _seconds(data.at),
        # So that a browser whose clock is wrong knows how old the frame is.
        "now": _seconds(dt_util.utcnow()),
        "interval": round(data.interval, 2),
        # What the meter's own clock shows, which has no time zone.
        "meter_time": meter_time and meter_time.replace(tzinfo=None).isoformat("T", "seconds"),
        "state": data.measurement_state,
        "started": _seconds(entry.runtime_data.start.value),
        "channels": {name: asdict(part) for name, part in channels.items() if part.in_use},
    }


def _status_message(entry: Nl43ConfigEntry) -> dict[str, Any]:
    """Return how the connection is, and whether the last frame still holds."""
    if entry.state is not ConfigEntryState.LOADED:
        return {
            "kind": "status",
            "loaded": False,
            "connection": None,
            "holds": False,
            "error": entry.reason,
        }
    coordinator = entry.runtime_data.coordinator
    holds = coordinator.last_update_success
    error = None if holds or not coordinator.polling else coordinator.last_exception
    return {
        "kind": "status",
        "loaded": True,
        "connection": coordinator.connection,
        "holds": holds,
        "error": error and str(error),
    }


def _meter_message(hass: HomeAssistant, entry: Nl43ConfigEntry) -> dict[str, Any]:
    """Return what is to be written beside the levels, and the limits that are armed."""
    loaded = entry.state is ConfigEntryState.LOADED
    coordinator = entry.runtime_data.coordinator if loaded else None
    data = NOTHING_KNOWN if coordinator is None else coordinator.data
    name, device_id = async_device(hass, entry)
    return {
        "kind": "meter",
        "name": name,
        "device_id": device_id,
        "model": data.get(TYPE),
        "frequency_weighting": data.get(FREQUENCY_WEIGHTING["main"]),
        "time_weighting": data.get(TIME_WEIGHTING["main"]),
        "percentiles": {slot: data.get(setting) for slot, setting in PERCENTILE.items()},
        "symbols": {
            key: data.symbol(key)
            for key, (channel, _) in LEVEL_KEYS.items()
            if channel == "main" or data.reading.channel(channel).in_use
        },
        "limits": async_armed_limits(hass, entry.entry_id),
    }


class _Subscriber:
    """A browser that watches a meter. What it has been told already is not told again."""

    def __init__(
        self,
        hass: HomeAssistant,
        connection: websocket_api.ActiveConnection,
        number: int,
        entry: Nl43ConfigEntry,
        *,
        acknowledges: bool,
    ) -> None:
        """Have the meter read live, and tell the browser what comes."""
        self._hass = hass
        self._connection = connection
        self._number = number
        self._entry = entry
        self._acknowledges = acknowledges
        self._pending = 0
        self._told: dict[str, dict[str, Any]] = {}
        self._ends = (
            async_watch(hass, entry.entry_id, self.tell_frame),
            async_dispatcher_connect(hass, status_signal(entry.entry_id), self.tell_status),
            async_dispatcher_connect(hass, SIGNAL_CONFIG_ENTRY_CHANGED, self._entry_changed),
        )

    @callback
    def __call__(self) -> None:
        """End: the page was closed, or left."""
        for end in self._ends:
            end()

    @callback
    def acknowledged(self) -> None:
        """Note that the browser has dealt with a frame."""
        self._pending = max(self._pending - 1, 0)

    def _tell_news(self, message: dict[str, Any]) -> None:
        """Tell what the browser does not know yet."""
        if self._told.get(message["kind"]) != message:
            self._told[message["kind"]] = message
            self._connection.send_event(self._number, message)

    @callback
    def tell_status(self) -> None:
        """Tell how the connection is, and by which number to acknowledge."""
        self._tell_news({**_status_message(self._entry), SUBSCRIPTION: self._number})

    @callback
    def tell_meter(self) -> None:
        """Tell about the meter."""
        self._tell_news(_meter_message(self._hass, self._entry))

    @callback
    def tell_frame(self, data: MeterData) -> None:
        """Tell a frame, unless the browser is too slow."""
        if self._entry.state is not ConfigEntryState.LOADED:
            return
        self.tell_meter()
        if self._pending >= MAX_PENDING:
            return
        self._pending += self._acknowledges
        self._connection.send_event(self._number, _frame_message(self._entry, data))

    @callback
    def _entry_changed(self, _change: ConfigEntryChange, entry: ConfigEntry) -> None:
        """Tell when the meter is unloaded, or loaded again."""
        if entry is self._entry:
            self.tell_status()


def _readable_entry(
    hass: HomeAssistant, connection: websocket_api.ActiveConnection, msg: dict[str, Any]
) -> Nl43ConfigEntry | None:
    """Return the meter that is meant, loaded or not; None once an error has been sent."""
    entry: Nl43ConfigEntry | None = hass.config_entries.async_get_entry(msg[ENTRY_ID])
    if entry is None or entry.domain != DOMAIN:
        connection.send_error(msg["id"], websocket_api.ERR_NOT_FOUND, "There is no such meter.")
        return None
    if not may_read(hass, connection.user, entry):
        raise Unauthorized
    return entry


@websocket_api.websocket_command(
    {
        vol.Required("type"): f"{DOMAIN}/subscribe_frames",
        vol.Required(ENTRY_ID): str,
        vol.Optional(ACKNOWLEDGE, default=False): bool,
    }
)
@callback
def subscribe_frames(
    hass: HomeAssistant, connection: websocket_api.ActiveConnection, msg: dict[str, Any]
) -> None:
    """Tell how a meter is and its last frame at once, then each; it is read live meanwhile."""
    if (entry := _readable_entry(hass, connection, msg)) is None:
        return
    subscriber = _Subscriber(hass, connection, msg["id"], entry, acknowledges=msg[ACKNOWLEDGE])
    connection.subscriptions[msg["id"]] = subscriber
    connection.send_result(msg["id"])
    subscriber.tell_status()
    subscriber.tell_meter()
    if entry.state is ConfigEntryState.LOADED and entry.runtime_data.coordinator.data.at:
        subscriber.tell_frame(entry.runtime_data.coordinator.data)


@websocket_api.websocket_command(
    {vol.Required("type"): f"{DOMAIN}/acknowledge_frame", vol.Required(SUBSCRIPTION): int}
)
@callback
def acknowledge_frame(
    _hass: HomeAssistant, connection: websocket_api.ActiveConnection, msg: dict[str, Any]
) -> None:
    """Take note that a browser has dealt with a frame, and may be sent another one."""
    subscriber = connection.subscriptions.get(msg[SUBSCRIPTION])
    if isinstance(subscriber, _Subscriber):
        subscriber.acknowledged()
    connection.send_result(msg["id"])


@websocket_api.websocket_command(
    {vol.Required("type"): f"{DOMAIN}/recent_frames", vol.Required(ENTRY_ID): str}
)
@callback
def recent_frames(
    hass: HomeAssistant, connection: websocket_api.ActiveConnection, msg: dict[str, Any]
) -> None:
    """Return the main channel's levels of the last minutes: a list for each quantity."""
    if (entry := _readable_entry(hass, connection, msg)) is None:
        return
    loaded = entry.state is ConfigEntryState.LOADED
    frames = entry.runtime_data.recent.frames() if loaded else []
    names = (*QUANTITIES, "over", "under")
    connection.send_result(
        msg["id"],
        {
            "number": [frame.number for frame in frames],
            "time": [_seconds(frame.at) for frame in frames],
            "interval": [round(frame.interval, 2) for frame in frames],
            **{name: [getattr(frame.reading.main, name) for frame in frames] for name in names},
        },
    )
