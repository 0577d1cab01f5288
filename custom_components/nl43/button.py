"""Buttons: store a result, set the clock, connect anew."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, override

from homeassistant.components.button import ButtonEntity, ButtonEntityDescription
from homeassistant.const import EntityCategory
from homeassistant.core import HomeAssistant
from homeassistant.helpers.entity_platform import AddConfigEntryEntitiesCallback

from .control import async_reconnect, async_store, async_sync_clock
from .coordinator import Nl43Coordinator
from .entity import Nl43ControlEntity, async_add_when_offered
from .facts import MeterData
from .rion.vocabulary import CLOCK, MANUAL_STORE
from .runtime import Nl43ConfigEntry

PARALLEL_UPDATES: Final = 1


@dataclass(frozen=True, kw_only=True)
class Nl43ButtonDescription(ButtonEntityDescription):
    """What a button does, by which command, and whether this meter has it.

    What needs no command works on a lost meter.
    """

    press_fn: Callable[[Nl43Coordinator], Awaitable[None]]
    command: str | None
    exists_fn: Callable[[MeterData], bool] = lambda _data: True


BUTTONS: Final = (
    Nl43ButtonDescription(
        key="manual_store",
        translation_key="manual_store",
        press_fn=async_store,
        command=MANUAL_STORE,
    ),
    Nl43ButtonDescription(
        key="sync_clock",
        translation_key="sync_clock",
        entity_category=EntityCategory.CONFIG,
        press_fn=async_sync_clock,
        command=CLOCK.name,
        exists_fn=lambda data: data.get(CLOCK) is not None,
    ),
    Nl43ButtonDescription(
        key="reconnect",
        translation_key="reconnect",
        entity_category=EntityCategory.DIAGNOSTIC,
        press_fn=async_reconnect,
        command=None,
    ),
)


async def async_setup_entry(
    _hass: HomeAssistant,
    entry: Nl43ConfigEntry,
    async_add_entities: AddConfigEntryEntitiesCallback,
) -> None:
    """Add the buttons of one meter."""
    async_add_when_offered(entry, BUTTONS, Nl43Button, async_add_entities)


class Nl43Button(Nl43ControlEntity, ButtonEntity):
    """A button of the meter."""

    entity_description: Nl43ButtonDescription

    @property
    @override
    def command_name(self) -> str | None:
        """What it sends."""
        return self.entity_description.command

    @property
    @override
    def available(self) -> bool:
        """Return whether pressing it makes sense now."""
        if self.command_name is None:
            return self.coordinator.polling
        return super().available

    @override
    async def async_press(self) -> None:
        """Do it once."""
        await self.entity_description.press_fn(self.coordinator)
