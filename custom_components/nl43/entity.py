"""What all entities of a meter have in common."""

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Protocol, override

from homeassistant.const import CONF_MAC
from homeassistant.core import callback
from homeassistant.helpers import entity_registry as er
from homeassistant.helpers.device_registry import CONNECTION_NETWORK_MAC, DeviceInfo
from homeassistant.helpers.entity import Entity, EntityDescription
from homeassistant.helpers.entity_platform import AddConfigEntryEntitiesCallback
from homeassistant.helpers.update_coordinator import CoordinatorEntity

from .const import DOMAIN, MANUFACTURER
from .coordinator import Nl43Coordinator
from .facts import MeterData
from .runtime import Nl43ConfigEntry


class Nl43Entity(CoordinatorEntity[Nl43Coordinator]):
    """An entity of one meter."""

    _attr_has_entity_name = True

    def __init__(self, coordinator: Nl43Coordinator, description: EntityDescription) -> None:
        """Take the description's key for the unique id; the device is the meter."""
        super().__init__(coordinator)
        self.entity_description = description
        entry = coordinator.config_entry
        serial = coordinator.meter.serial
        mac = entry.data.get(CONF_MAC)
        self._attr_unique_id = f"{serial}_{description.key}"
        self._attr_device_info = DeviceInfo(
            identifiers={(DOMAIN, str(serial))},
            connections={(CONNECTION_NETWORK_MAC, mac)} if mac else set(),
            manufacturer=MANUFACTURER,
            name=entry.title,
            serial_number=serial,
        )


class Nl43PromptEntity(Nl43Entity):
    """An entity that shows a change at once, between the writes of the others."""

    @override
    async def async_added_to_hass(self) -> None:
        """Listen to every change."""
        await super().async_added_to_hass()
        self._written = (self.available, self.state)
        self.async_on_remove(
            self.coordinator.async_add_prompt_listener(self._async_write_if_changed)
        )

    @callback
    def _async_write_if_changed(self) -> None:
        """Write the state if it is another one."""
        current = (self.available, self.state)
        if current != self._written:
            self._written = current
            self.async_write_ha_state()


class Nl43ControlEntity(Nl43PromptEntity):
    """An entity that commands the meter."""

    @property
    def command_name(self) -> str | None:
        """The command that it needs, None if it needs none."""
        raise NotImplementedError

    @property
    @override
    def available(self) -> bool:
        """Return whether the meter is there, and has the command."""
        return super().available and self.command_name not in self.coordinator.data.lacking


class _Offered(Protocol):
    """A description that tells whether this meter has what it describes."""

    @property
    def key(self) -> str:
        """The key of its entity."""

    @property
    def exists_fn(self) -> Callable[[MeterData], bool]:
        """Whether the meter has it, by what is known so far."""


@callback
def async_add_when_offered[D: _Offered](
    entry: Nl43ConfigEntry,
    descriptions: Iterable[D],
    make: Callable[[Nl43Coordinator, D], Entity],
    async_add_entities: AddConfigEntryEntitiesCallback,
) -> None:
    """Add each entity as soon as the meter has shown that it has what it needs.

    What it had before a restart is there at once, unknown until it is asked.
    """
    coordinator = entry.runtime_data.coordinator
    waiting = list(descriptions)
    forms = Counter(description.key for description in waiting)
    registry = er.async_get(coordinator.hass)
    registered = {
        known.unique_id.removeprefix(f"{coordinator.meter.serial}_")
        for known in er.async_entries_for_config_entry(registry, entry.entry_id)
    }

    def is_offered(description: D) -> bool:
        was = description.key in registered and forms[description.key] == 1
        return was or description.exists_fn(coordinator.data)

    @callback
    def add() -> None:
        offered = [description for description in waiting if is_offered(description)]
        if offered:
            # A fact that meters put in different forms has one description for each.
            keys = {description.key for description in offered}
            waiting[:] = [d for d in waiting if d.key not in keys]
            async_add_entities(make(coordinator, offer) for offer in offered)

    add()
    entry.async_on_unload(coordinator.async_add_listener(add))
