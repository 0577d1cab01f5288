"""Sensors: the levels, what the meter is doing, and how it is."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, override

from homeassistant.components.sensor import (
    RestoreSensor,
    SensorDeviceClass,
    SensorEntity,
    SensorEntityDescription,
    SensorStateClass,
)
from homeassistant.const import (
    PERCENTAGE,
    EntityCategory,
    UnitOfInformation,
    UnitOfSoundPressure,
    UnitOfTime,
)
from homeassistant.core import HomeAssistant, callback
from homeassistant.helpers.dispatcher import async_dispatcher_connect
from homeassistant.helpers.entity_platform import AddConfigEntryEntitiesCallback
from homeassistant.helpers.event import async_track_time_change
from homeassistant.helpers.typing import StateType
from homeassistant.util import dt as dt_util

from .alarm import Alarm, alarm_signal
from .const import ConnectionState, MeasurementState
from .coordinator import Nl43Coordinator
from .entity import Nl43Entity, Nl43PromptEntity, async_add_when_offered
from .facts import MeterData
from .files import Nl43Files
from .measurement import MeasurementStart
from .rion import CHANNELS, QUANTITIES, Channel
from .rion.limits import Phase
from .rion.notation import TIME_WEIGHTED
from .rion.vocabulary import (
    BATTERY_LEVEL,
    FREQUENCY_WEIGHTING,
    PERCENTILE,
    POWER_SOURCE,
    SD_FREE,
    TIME_WEIGHTING,
    BatteryLevel,
    PowerSource,
)
from .runtime import Nl43ConfigEntry

PARALLEL_UPDATES: Final = 0

# What most reports are made of; everything else is a click away.
_ENABLED_LEVELS: Final = ("lp", "leq", "lmax", "lmin", "lpeak", "ln1", "ln2")


@dataclass(frozen=True, kw_only=True)
class Nl43LevelDescription(SensorEntityDescription):
    """One quantity of one channel."""

    channel: str
    quantity: str
    device_class: SensorDeviceClass | None = SensorDeviceClass.SOUND_PRESSURE
    state_class: SensorStateClass | None = SensorStateClass.MEASUREMENT
    native_unit_of_measurement: str | None = UnitOfSoundPressure.DECIBEL
    suggested_display_precision: int | None = 1

    def exists_fn(self, data: MeterData) -> bool:
        """Offer the sub channels that are in use, and the main one always."""
        return self.channel == "main" or self.channel_of(data).in_use

    def channel_of(self, data: MeterData) -> Channel:
        """Return the channel's part of a frame."""
        return data.reading.channel(self.channel)


@dataclass(frozen=True, kw_only=True)
class Nl43FactDescription(SensorEntityDescription):
    """A fact that the meter was asked for."""

    entity_category: EntityCategory | None = EntityCategory.DIAGNOSTIC
    value_fn: Callable[[MeterData], StateType]

    def exists_fn(self, data: MeterData) -> bool:
        """Offer it once the meter has answered."""
        return self.value_fn(data) is not None


def _level(channel: str, quantity: str) -> Nl43LevelDescription:
    """Describe one level."""
    main = channel == "main"
    number = channel.removeprefix("sub")
    return Nl43LevelDescription(
        key=quantity if main else f"{channel}_{quantity}",
        translation_key=quantity if main else f"sub_{quantity}",
        translation_placeholders=None if main else {"channel": number},
        entity_registry_enabled_default=main and quantity in _ENABLED_LEVELS,
        channel=channel,
        quantity=quantity,
    )


LEVELS: Final = tuple(_level(channel, quantity) for channel in CHANNELS for quantity in QUANTITIES)


def _battery_percentage(data: MeterData) -> float | None:
    """Return the battery level where the meter gives a number."""
    level = data.get(BATTERY_LEVEL)
    return level if isinstance(level, float) else None


def _battery_word(data: MeterData) -> str | None:
    """Return the battery level where the meter gives a word."""
    level = data.get(BATTERY_LEVEL)
    return level.name.lower() if isinstance(level, BatteryLevel) else None


def _power_source(data: MeterData) -> str | None:
    """Return what the meter runs on."""
    source = data.get(POWER_SOURCE)
    return None if source is None else source.name.lower()


def _sd_free_percentage(data: MeterData) -> float | None:
    """Return the free part of the card, no finer than anybody needs to know."""
    percentage = data.sd_free_percentage
    return None if percentage is None else round(percentage, 1)


def _clock_offset(data: MeterData) -> int | None:
    """Return how many seconds the meter's clock is ahead of the site's local time."""
    offset = data.site_clock_offset
    return None if offset is None else round(offset.total_seconds())


FACTS: Final = (
    Nl43FactDescription(
        key="battery_level",
        device_class=SensorDeviceClass.BATTERY,
        native_unit_of_measurement=PERCENTAGE,
        state_class=SensorStateClass.MEASUREMENT,
        value_fn=_battery_percentage,
    ),
    Nl43FactDescription(
        key="battery_level",
        translation_key="battery_level",
        device_class=SensorDeviceClass.ENUM,
        options=[level.name.lower() for level in BatteryLevel],
        value_fn=_battery_word,
    ),
    Nl43FactDescription(
        key="power_source",
        translation_key="power_source",
        device_class=SensorDeviceClass.ENUM,
        options=[source.name.lower() for source in PowerSource],
        value_fn=_power_source,
    ),
    Nl43FactDescription(
        key="sd_free",
        translation_key="sd_free",
        device_class=SensorDeviceClass.DATA_SIZE,
        native_unit_of_measurement=UnitOfInformation.MEGABYTES,
        state_class=SensorStateClass.MEASUREMENT,
        suggested_display_precision=0,
        value_fn=lambda data: data.get(SD_FREE),
    ),
    Nl43FactDescription(
        key="sd_free_percentage",
        translation_key="sd_free_percentage",
        native_unit_of_measurement=PERCENTAGE,
        state_class=SensorStateClass.MEASUREMENT,
        suggested_display_precision=0,
        value_fn=_sd_free_percentage,
    ),
    Nl43FactDescription(
        key="clock_offset",
        translation_key="clock_offset",
        native_unit_of_measurement=UnitOfTime.SECONDS,
        state_class=SensorStateClass.MEASUREMENT,
        suggested_display_precision=0,
        value_fn=_clock_offset,
    ),
)

MEASUREMENT_STATE: Final = SensorEntityDescription(
    key="measurement_state",
    translation_key="measurement_state",
    device_class=SensorDeviceClass.ENUM,
    options=[state.value for state in MeasurementState],
)
CONNECTION: Final = SensorEntityDescription(
    key="connection",
    translation_key="connection",
    device_class=SensorDeviceClass.ENUM,
    entity_category=EntityCategory.DIAGNOSTIC,
    options=[state.value for state in ConnectionState],
)
MEASUREMENT_START: Final = SensorEntityDescription(
    key="measurement_start",
    translation_key="measurement_start",
    device_class=SensorDeviceClass.TIMESTAMP,
)
EXCEEDANCES_TODAY: Final = SensorEntityDescription(
    key="exceedances_today",
    translation_key="exceedances_today",
    state_class=SensorStateClass.TOTAL_INCREASING,
    suggested_display_precision=0,
)
FILE_TRANSFER: Final = SensorEntityDescription(
    key="file_transfer",
    translation_key="file_transfer",
    entity_category=EntityCategory.DIAGNOSTIC,
    native_unit_of_measurement=PERCENTAGE,
)


async def async_setup_entry(
    _hass: HomeAssistant,
    entry: Nl43ConfigEntry,
    async_add_entities: AddConfigEntryEntitiesCallback,
) -> None:
    """Add the sensors of one meter."""
    coordinator = entry.runtime_data.coordinator
    async_add_entities(
        (
            Nl43MeasurementState(coordinator, MEASUREMENT_STATE),
            Nl43Connection(coordinator, CONNECTION),
            Nl43MeasurementStart(coordinator, MEASUREMENT_START, entry.runtime_data.start),
            Nl43ExceedancesToday(coordinator, EXCEEDANCES_TODAY),
            Nl43FileTransfer(coordinator, FILE_TRANSFER, entry.runtime_data.files),
        )
    )
    async_add_when_offered(entry, LEVELS, _make_level, async_add_entities)
    async_add_when_offered(entry, FACTS, Nl43Fact, async_add_entities)


class Nl43Level(Nl43Entity, SensorEntity):
    """A level in dB, with what a reader must know about it."""

    entity_description: Nl43LevelDescription

    @property
    @override
    def native_value(self) -> float | None:
        """Return the level as sent; the meter's `-.-` is unknown."""
        description = self.entity_description
        return description.channel_of(self.coordinator.data).level(description.quantity)

    @property
    @override
    def extra_state_attributes(self) -> dict[str, Any]:
        """Return the weightings and whether the level is valid for a report."""
        description, data = self.entity_description, self.coordinator.data
        channel = description.channel_of(data)
        attributes: dict[str, Any] = {
            "frequency_weighting": data.get(FREQUENCY_WEIGHTING[description.channel])
        }
        if description.quantity in TIME_WEIGHTED:
            attributes["time_weighting"] = data.get(TIME_WEIGHTING[description.channel])
        if description.quantity in PERCENTILE:
            attributes["percentile"] = data.get(PERCENTILE[description.quantity])
        return attributes | {"over": channel.over, "under": channel.under}


class Nl43PercentileLevel(Nl43Level):
    """A percentile level; which one its slot holds is part of its name."""

    @property
    @override
    def name(self) -> str:
        """Return the slot, and the percentile as soon as the meter has told it."""
        slot = self.suggested_object_id
        percentile = self.coordinator.data.get(PERCENTILE[self.entity_description.quantity])
        return slot if percentile is None else f"{slot} (L{percentile:g})"

    @property
    @override
    def suggested_object_id(self) -> str:
        """Return the slot alone: the entity keeps its id when the percentile changes."""
        return str(super().name)


def _make_level(coordinator: Nl43Coordinator, description: Nl43LevelDescription) -> Nl43Level:
    """Return the entity of a level."""
    kind = Nl43PercentileLevel if description.quantity in PERCENTILE else Nl43Level
    return kind(coordinator, description)


class Nl43Fact(Nl43Entity, SensorEntity):
    """A fact about the meter."""

    entity_description: Nl43FactDescription

    @property
    @override
    def native_value(self) -> StateType:
        """Return the last answer, unknown once it is too old."""
        return self.entity_description.value_fn(self.coordinator.data)


class Nl43MeasurementState(Nl43PromptEntity, SensorEntity):
    """Whether the meter measures."""

    @property
    @override
    def native_value(self) -> MeasurementState | None:
        """Return the confirmed state."""
        return self.coordinator.data.measurement_state


class Nl43Connection(Nl43PromptEntity, SensorEntity):
    """What is known of the connection; there is always something to say about it."""

    @property
    @override
    def native_value(self) -> ConnectionState:
        """Return the poller's verdict."""
        return self.coordinator.connection

    @property
    @override
    def available(self) -> bool:
        """Stay available when the meter is not."""
        return True


class Nl43MeasurementStart(Nl43PromptEntity, SensorEntity):
    """When the running measurement began."""

    def __init__(
        self,
        coordinator: Nl43Coordinator,
        description: SensorEntityDescription,
        start: MeasurementStart,
    ) -> None:
        """Take who follows the measurement."""
        super().__init__(coordinator, description)
        self._start = start

    @property
    @override
    def native_value(self) -> datetime | None:
        """Return the start; unknown while nothing runs, or nobody saw it begin."""
        return self._start.value


class Nl43FileTransfer(Nl43Entity, SensorEntity):
    """How far a download has come; unknown while there is none."""

    def __init__(
        self, coordinator: Nl43Coordinator, description: SensorEntityDescription, files: Nl43Files
    ) -> None:
        """Take who fetches the files."""
        super().__init__(coordinator, description)
        self._files = files

    @override
    async def async_added_to_hass(self) -> None:
        """Listen to each per cent."""
        await super().async_added_to_hass()
        self.async_on_remove(self._files.async_add_listener(self.async_write_ha_state))

    @property
    @override
    def native_value(self) -> int | None:
        """Return the progress."""
        return self._files.progress

    @property
    @override
    def available(self) -> bool:
        """Stay available: files come by FTP, whatever the control connection does."""
        return True


class Nl43ExceedancesToday(Nl43Entity, RestoreSensor):
    """How many exceedances of armed limits have begun since midnight; kept over restarts."""

    _attr_native_value = 0

    @override
    async def async_added_to_hass(self) -> None:
        """Go on counting where it ended, if that was today."""
        await super().async_added_to_hass()
        state = await self.async_get_last_state()
        data = await self.async_get_last_sensor_data()
        if state and data and isinstance(data.native_value, int):
            # At midnight it is written anew, unless it is 0.
            is_of_today = dt_util.as_local(state.last_updated).date() == dt_util.now().date()
            self._attr_native_value = data.native_value if is_of_today else 0
        signal = alarm_signal(self.coordinator.config_entry.entry_id)
        self.async_on_remove(async_dispatcher_connect(self.hass, signal, self._count))
        self.async_on_remove(
            async_track_time_change(self.hass, self._reset, hour=0, minute=0, second=0)
        )

    @callback
    def _count(self, alarm: Alarm) -> None:
        """Count a beginning."""
        if alarm.phase is Phase.EXCEEDED:
            self._show(self._attr_native_value + 1)

    @callback
    def _reset(self, _now: datetime) -> None:
        """Begin a new day."""
        self._show(0)

    @callback
    def _show(self, count: int) -> None:
        """Show a count."""
        self._attr_native_value = count
        self.async_write_ha_state()

    @property
    @override
    def available(self) -> bool:
        """Stay available: what has happened stays true when the meter is away."""
        return True
