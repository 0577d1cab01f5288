"""Event: each beginning and end of an exceedance of an armed limit, for logbook and history."""

from datetime import datetime
from typing import Final, override

from homeassistant.components.event import ATTR_EVENT_TYPE, EventEntity, EventEntityDescription
from homeassistant.const import ATTR_ENTITY_ID
from homeassistant.core import HomeAssistant, callback
from homeassistant.helpers.dispatcher import async_dispatcher_connect
from homeassistant.helpers.entity_platform import AddConfigEntryEntitiesCallback

from .alarm import Alarm, alarm_signal
from .const import EVENT_EXCEEDANCE
from .entity import Nl43Entity
from .rion.limits import Phase
from .runtime import Nl43ConfigEntry

PARALLEL_UPDATES: Final = 0

EXCEEDANCE: Final = EventEntityDescription(
    key="exceedance", translation_key="exceedance", event_types=[phase.value for phase in Phase]
)


async def async_setup_entry(
    _hass: HomeAssistant,
    entry: Nl43ConfigEntry,
    async_add_entities: AddConfigEntryEntitiesCallback,
) -> None:
    """Add the event of one meter."""
    async_add_entities([Nl43Exceedance(entry.runtime_data.coordinator, EXCEEDANCE)])


class Nl43Exceedance(Nl43Entity, EventEntity):
    """The last beginning or end of an exceedance."""

    entity_description: EventEntityDescription

    @override
    async def async_added_to_hass(self) -> None:
        """Listen to the armed limits."""
        await super().async_added_to_hass()
        signal = alarm_signal(self.coordinator.config_entry.entry_id)
        self.async_on_remove(async_dispatcher_connect(self.hass, signal, self._record))

    @callback
    def _record(self, alarm: Alarm) -> None:
        """Write what happened, and have the logbook tell it."""
        details = {
            name: value.isoformat() if isinstance(value, datetime) else value
            for name, value in alarm.as_dict().items()
        }
        # The levels of this moment stand beside it, not those of seconds ago.
        self.coordinator.async_update_listeners()
        self._trigger_event(alarm.phase.value, details)
        self.async_write_ha_state()
        self.hass.bus.async_fire(
            EVENT_EXCEEDANCE,
            {ATTR_ENTITY_ID: self.entity_id, ATTR_EVENT_TYPE: alarm.phase.value, **details},
        )

    @property
    @override
    def available(self) -> bool:
        """Stay available: what has happened stays true when the meter is away."""
        return True
