"""Numbers: the name under which the next measurement is stored."""

from dataclasses import dataclass
from typing import Final, override

from homeassistant.components.number import NumberEntity, NumberEntityDescription, NumberMode
from homeassistant.const import EntityCategory
from homeassistant.core import HomeAssistant
from homeassistant.helpers.entity_platform import AddConfigEntryEntitiesCallback

from .control import async_set
from .entity import Nl43ControlEntity, async_add_when_offered
from .facts import MeterData
from .rion.vocabulary import MAX_STORE_NAME, STORE_NAME, Setting
from .runtime import Nl43ConfigEntry

PARALLEL_UPDATES: Final = 1


@dataclass(frozen=True, kw_only=True)
class Nl43NumberDescription(NumberEntityDescription):
    """A setting that is a whole number."""

    setting: Setting[int]
    mode: NumberMode | None = NumberMode.BOX
    native_step: float | None = 1
    entity_category: EntityCategory | None = EntityCategory.CONFIG

    def exists_fn(self, data: MeterData) -> bool:
        """Offer it once the meter has told its setting."""
        return data.get(self.setting) is not None


NUMBERS: Final = (
    Nl43NumberDescription(
        key="store_name",
        translation_key="store_name",
        native_min_value=0,
        native_max_value=MAX_STORE_NAME,
        setting=STORE_NAME,
    ),
)


async def async_setup_entry(
    _hass: HomeAssistant,
    entry: Nl43ConfigEntry,
    async_add_entities: AddConfigEntryEntitiesCallback,
) -> None:
    """Add the numbers of one meter."""
    async_add_when_offered(entry, NUMBERS, Nl43Number, async_add_entities)


class Nl43Number(Nl43ControlEntity, NumberEntity):
    """A whole number of the meter's settings; it shows what the meter has confirmed."""

    entity_description: Nl43NumberDescription

    @property
    @override
    def command_name(self) -> str:
        """The setting's."""
        return self.entity_description.setting.name

    @property
    @override
    def native_value(self) -> int | None:
        """Return the confirmed number."""
        return self.coordinator.data.get(self.entity_description.setting)

    @override
    async def async_set_native_value(self, value: float) -> None:
        """Set the meter."""
        await async_set(self.coordinator, self.entity_description.setting, int(value))
