"""Switches: the run of the measurement, what the meter may do, and whether it is read."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final, override

from homeassistant.components.switch import SwitchEntity, SwitchEntityDescription
from homeassistant.const import EntityCategory
from homeassistant.core import HomeAssistant
from homeassistant.helpers.entity_platform import AddConfigEntryEntitiesCallback

from .const import ConnectionState, MeasurementState
from .control import async_measure, async_pause, async_set
from .coordinator import Nl43Coordinator
from .entity import Nl43ControlEntity, Nl43PromptEntity, async_add_when_offered
from .facts import MeterData
from .rion.vocabulary import FTP, MEASURE, PAUSE, SLEEP_MODE, OnOff, Setting
from .runtime import Nl43ConfigEntry

PARALLEL_UPDATES: Final = 1


@dataclass(frozen=True, kw_only=True)
class Nl43SwitchDescription(SwitchEntityDescription):
    """What a switch shows and does, by which command, and whether this meter has it."""

    value_fn: Callable[[MeterData], bool | None]
    switch_fn: Callable[[Nl43Coordinator, bool], Awaitable[None]]
    exists_fn: Callable[[MeterData], bool]
    command: str
    while_asleep: bool = False


def _is_paused(data: MeterData) -> bool | None:
    """Tell whether a measurement is held; one that does not run is not."""
    state = data.measurement_state
    return None if state is None else state is MeasurementState.PAUSED


def _on_off(
    key: str, setting: Setting[OnOff], *, while_asleep: bool = False
) -> Nl43SwitchDescription:
    """Describe the switch of a setting that is on or off."""

    def value(data: MeterData) -> bool | None:
        word = data.get(setting)
        return None if word is None else word is OnOff.ON

    async def switch(coordinator: Nl43Coordinator, on: bool) -> None:  # noqa: FBT001 - a table's
        await async_set(coordinator, setting, OnOff.ON if on else OnOff.OFF)

    return Nl43SwitchDescription(
        key=key,
        translation_key=key,
        entity_category=EntityCategory.CONFIG,
        value_fn=value,
        switch_fn=switch,
        exists_fn=lambda data: data.get(setting) is not None,
        command=setting.name,
        while_asleep=while_asleep,
    )


SWITCHES: Final = (
    Nl43SwitchDescription(
        key="measurement",
        translation_key="measurement",
        value_fn=lambda data: data.measuring,
        switch_fn=lambda coordinator, on: async_measure(coordinator, on=on),
        exists_fn=lambda data: data.measuring is not None,
        command=MEASURE.name,
    ),
    Nl43SwitchDescription(
        key="pause",
        translation_key="pause",
        value_fn=_is_paused,
        switch_fn=lambda coordinator, on: async_pause(coordinator, on=on),
        # While a measurement runs, what it is in is known once the pause has been asked.
        exists_fn=lambda data: (
            data.measurement_state is not None and PAUSE.name not in data.lacking
        ),
        command=PAUSE.name,
    ),
    # What has put the meter to sleep must be able to wake it, where the network lets it.
    _on_off("sleep_mode", SLEEP_MODE, while_asleep=True),
    _on_off("ftp_server", FTP),
)
POLLING: Final = SwitchEntityDescription(
    key="polling", translation_key="polling", entity_category=EntityCategory.CONFIG
)


async def async_setup_entry(
    _hass: HomeAssistant,
    entry: Nl43ConfigEntry,
    async_add_entities: AddConfigEntryEntitiesCallback,
) -> None:
    """Add the switches of one meter."""
    async_add_entities((Nl43Polling(entry.runtime_data.coordinator, POLLING),))
    async_add_when_offered(entry, SWITCHES, Nl43Switch, async_add_entities)


class Nl43Switch(Nl43ControlEntity, SwitchEntity):
    """A switch of the meter; it shows what the meter has confirmed."""

    entity_description: Nl43SwitchDescription

    @property
    @override
    def command_name(self) -> str:
        """What it sends."""
        return self.entity_description.command

    @property
    @override
    def available(self) -> bool:
        """Return whether there is a meter to command, be it asleep."""
        asleep = self.coordinator.connection is ConnectionState.ASLEEP
        return super().available or (asleep and self.entity_description.while_asleep)

    @property
    @override
    def is_on(self) -> bool | None:
        """Return the confirmed state."""
        return self.entity_description.value_fn(self.coordinator.data)

    @override
    async def async_turn_on(self, **_kwargs: Any) -> None:
        """Switch on."""
        await self.entity_description.switch_fn(self.coordinator, True)  # noqa: FBT003 - a table's

    @override
    async def async_turn_off(self, **_kwargs: Any) -> None:
        """Switch off."""
        await self.entity_description.switch_fn(self.coordinator, False)  # noqa: FBT003 - a table's


class Nl43Polling(Nl43PromptEntity, SwitchEntity):
    """Whether Home Assistant reads the meter, or leaves its connection to other tools."""

    @property
    @override
    def is_on(self) -> bool:
        """Return what was chosen last, also before a restart."""
        return self.coordinator.polling

    @property
    @override
    def available(self) -> bool:
        """Stay available: it takes no meter to choose."""
        return True

    @override
    async def async_turn_on(self, **_kwargs: Any) -> None:
        """Connect to the meter and read it."""
        await self.coordinator.async_set_polling(on=True)

    @override
    async def async_turn_off(self, **_kwargs: Any) -> None:
        """Give the connection up; what the meter does then is not known."""
        await self.coordinator.async_set_polling(on=False)
