"""The logbook tells each exceedance in a sentence."""

from collections.abc import Callable, Mapping
from typing import Any

from homeassistant.components.event import ATTR_EVENT_TYPE
from homeassistant.components.logbook import (
    LOGBOOK_ENTRY_ENTITY_ID,
    LOGBOOK_ENTRY_MESSAGE,
    LOGBOOK_ENTRY_NAME,
)
from homeassistant.const import ATTR_ENTITY_ID
from homeassistant.core import Event, HomeAssistant, callback
from homeassistant.helpers import entity_registry as er

from .const import DOMAIN, EVENT_EXCEEDANCE
from .rion.limits import Direction, Phase


def _sentence(event_type: str, details: Mapping[str, Any]) -> str:
    """Return what happened, to follow the name of the meter."""
    above = details["direction"] == Direction.ABOVE
    side, extreme = ("above", "highest") if above else ("below", "lowest")
    limit = f"{side} {details['limit']:.1f} dB"
    if event_type == Phase.EXCEEDED:
        return f"{details['symbol']} is {limit}: {details['value']:.1f} dB now"
    return (
        f"{details['symbol']} was {limit} for {details['length']:.0f} s:"
        f" {extreme} {details['peak']:.1f} dB, mean {details['mean']:.1f} dB"
    )


@callback
def async_describe_events(
    hass: HomeAssistant,
    async_describe_event: Callable[[str, str, Callable[[Event], dict[str, str]]], None],
) -> None:
    """Describe the events of an exceedance."""

    @callback
    def describe(event: Event) -> dict[str, str]:
        entity_id = event.data[ATTR_ENTITY_ID]
        entity = er.async_get(hass).async_get(entity_id)
        name = entity_id if entity is None else er.async_get_full_entity_name(hass, entity)
        return {
            LOGBOOK_ENTRY_NAME: name,
            LOGBOOK_ENTRY_MESSAGE: _sentence(event.data[ATTR_EVENT_TYPE], event.data),
            LOGBOOK_ENTRY_ENTITY_ID: entity_id,
        }

    async_describe_event(DOMAIN, EVENT_EXCEEDANCE, describe)
