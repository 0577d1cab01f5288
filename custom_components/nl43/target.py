"""Which meters an automation means, and what they are called."""

from collections.abc import Callable
from typing import Any, override

from homeassistant.config_entries import ConfigEntry
from homeassistant.const import Platform
from homeassistant.core import HomeAssistant, callback
from homeassistant.helpers import device_registry as dr, entity_registry as er
from homeassistant.helpers.target import (
    TargetEntityChangeTracker,
    TargetSelection,
    async_extract_referenced_entity_ids,
)

from .const import DOMAIN


@callback
def _async_entry_ids(hass: HomeAssistant, entity_ids: set[str]) -> set[str]:
    """Return the config entries of those entities that are a meter's."""
    registry = er.async_get(hass)
    return {
        entity.config_entry_id
        for entity_id in entity_ids
        if (entity := registry.async_get(entity_id))
        and entity.platform == DOMAIN
        and entity.config_entry_id
    }


@callback
def async_meters_of(hass: HomeAssistant, target: dict[str, Any]) -> set[str]:
    """Return the config entries of the meters that a target means now."""
    selected = async_extract_referenced_entity_ids(
        hass, TargetSelection(target), expand_group=False, primary_entities_only=False
    )
    return _async_entry_ids(hass, selected.referenced | selected.indirectly_referenced)


class MeterTracker(TargetEntityChangeTracker):
    """Tells which meters a target means, now and whenever that changes."""

    def __init__(
        self,
        hass: HomeAssistant,
        target: dict[str, Any],
        on_meters: Callable[[set[str]], None],
    ) -> None:
        """Take the target, and who is told."""
        super().__init__(
            hass,
            TargetSelection(target),
            lambda entity_ids: entity_ids,
            primary_entities_only=False,
        )
        self._on_meters = on_meters

    @callback
    @override
    def _handle_entities_update(self, tracked_entities: set[str]) -> None:
        """Tell which meters the entities belong to."""
        self._on_meters(_async_entry_ids(self._hass, tracked_entities))


@callback
def async_device(hass: HomeAssistant, entry: ConfigEntry) -> tuple[str, str | None]:
    """Return the name of a meter that a person has given, or else its own; and its device."""
    devices = dr.async_entries_for_config_entry(dr.async_get(hass), entry.entry_id)
    for device in devices:
        return device.name_by_user or device.name or entry.title, device.id
    return entry.title, None


@callback
def async_level_entity(
    hass: HomeAssistant, entry: ConfigEntry, level_key: str
) -> tuple[str | None, str | None]:
    """Return the name and the id of the sensor of a level; None where there is none yet."""
    registry = er.async_get(hass)
    unique_id = f"{entry.unique_id}_{level_key}"
    entity_id = registry.async_get_entity_id(Platform.SENSOR, DOMAIN, unique_id)
    entity = None if entity_id is None else registry.async_get(entity_id)
    name = None if entity is None else er.async_get_full_entity_name(hass, entity)
    return name, entity_id
