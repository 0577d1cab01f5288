"""Who watches a meter live, and how every frame reaches them; over reloads too."""

from collections import Counter
from collections.abc import Callable
from typing import Final

from homeassistant.core import CALLBACK_TYPE, HomeAssistant, callback
from homeassistant.helpers.dispatcher import async_dispatcher_connect, async_dispatcher_send
from homeassistant.util.hass_dict import HassKey

from .const import DOMAIN
from .facts import MeterData

_WATCHERS: Final[HassKey[Counter[str]]] = HassKey(f"{DOMAIN}_watchers")


def frame_signal(entry_id: str) -> str:
    """Return the signal that carries every frame of an entry's meter."""
    return f"{DOMAIN}_frame_{entry_id}"


def status_signal(entry_id: str) -> str:
    """Return the signal that says that the connection of an entry's meter is another one."""
    return f"{DOMAIN}_status_{entry_id}"


def watchers_signal(entry_id: str) -> str:
    """Return the signal that says that watchers came or went."""
    return f"{DOMAIN}_watchers_{entry_id}"


@callback
def async_is_watched(hass: HomeAssistant, entry_id: str) -> bool:
    """Tell whether somebody wants every frame of an entry's meter."""
    return async_watchers(hass, entry_id) > 0


@callback
def async_watchers(hass: HomeAssistant, entry_id: str) -> int:
    """Return how many want every frame of an entry's meter: browsers and armed limits."""
    watchers = hass.data.get(_WATCHERS)
    return 0 if watchers is None else watchers[entry_id]


@callback
def async_watch(
    hass: HomeAssistant, entry_id: str, on_frame: Callable[[MeterData], None]
) -> CALLBACK_TYPE:
    """Have a meter read at its live interval, and every frame handed over; also over reloads."""
    watchers = hass.data.setdefault(_WATCHERS, Counter())
    disconnect = async_dispatcher_connect(hass, frame_signal(entry_id), on_frame)
    watchers[entry_id] += 1
    async_dispatcher_send(hass, watchers_signal(entry_id))

    @callback
    def unwatch() -> None:
        disconnect()
        watchers[entry_id] -= 1
        async_dispatcher_send(hass, watchers_signal(entry_id))

    return unwatch
