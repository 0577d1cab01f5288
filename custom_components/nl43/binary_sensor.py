"""Binary sensors: is the meter there, and is what it shows within its range."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, override

from homeassistant.components.binary_sensor import (
    BinarySensorDeviceClass,
    BinarySensorEntity,
    BinarySensorEntityDescription,
)
from homeassistant.const import EntityCategory
from homeassistant.core import HomeAssistant
from homeassistant.helpers.entity_platform import AddConfigEntryEntitiesCallback

from .coordinator import Nl43Coordinator
from .entity import Nl43PromptEntity
from .runtime import Nl43ConfigEntry

PARALLEL_UPDATES: Final = 0


@dataclass(frozen=True, kw_only=True)
class Nl43BinarySensorDescription(BinarySensorEntityDescription):
    """What a binary sensor shows, and whether it does so without a meter."""

    value_fn: Callable[[Nl43Coordinator], bool | None]
    always_available: bool = False


BINARY_SENSORS: Final = (
    Nl43BinarySensorDescription(
        key="connectivity",
        device_class=BinarySensorDeviceClass.CONNECTIVITY,
        entity_category=EntityCategory.DIAGNOSTIC,
        always_available=True,
        # In stand-by nobody knows.
        value_fn=lambda poller: poller.last_update_success if poller.polling else None,
    ),
    Nl43BinarySensorDescription(
        key="overload",
        translation_key="overload",
        device_class=BinarySensorDeviceClass.PROBLEM,
        value_fn=lambda coordinator: coordinator.data.reading.main.over,
    ),
    Nl43BinarySensorDescription(
        key="under_range",
        translation_key="under_range",
        device_class=BinarySensorDeviceClass.PROBLEM,
        value_fn=lambda coordinator: coordinator.data.reading.main.under,
    ),
)


async def async_setup_entry(
    _hass: HomeAssistant,
    entry: Nl43ConfigEntry,
    async_add_entities: AddConfigEntryEntitiesCallback,
) -> None:
    """Add the binary sensors of one meter."""
    coordinator = entry.runtime_data.coordinator
    async_add_entities(Nl43BinarySensor(coordinator, each) for each in BINARY_SENSORS)


class Nl43BinarySensor(Nl43PromptEntity, BinarySensorEntity):
    """A binary sensor of a meter."""

    entity_description: Nl43BinarySensorDescription

    @property
    @override
    def is_on(self) -> bool | None:
        """Return what the meter last said."""
        return self.entity_description.value_fn(self.coordinator)

    @property
    @override
    def available(self) -> bool:
        """Return whether there is something to show."""
        return self.entity_description.always_available or super().available
