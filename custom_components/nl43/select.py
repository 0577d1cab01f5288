"""Selects: the weightings of the main channel, what is stored, and how often."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, override

from homeassistant.components.select import SelectEntity, SelectEntityDescription
from homeassistant.const import EntityCategory
from homeassistant.core import HomeAssistant
from homeassistant.helpers.entity_platform import AddConfigEntryEntitiesCallback

from .control import async_set
from .entity import Nl43ControlEntity, async_add_when_offered
from .facts import MeterData
from .rion.vocabulary import (
    FREQUENCY_WEIGHTING,
    LEQ_INTERVAL,
    LP_STORE_INTERVAL,
    MEASUREMENT_TIME_AUTO,
    MEASUREMENT_TIME_MANUAL,
    STORE_MODE,
    TIME_WEIGHTING,
    FrequencyWeighting,
    LpStoreInterval,
    Preset,
    Setting,
    StoreMode,
    TimeWeighting,
)
from .runtime import Nl43ConfigEntry

PARALLEL_UPDATES: Final = 1


@dataclass(frozen=True, kw_only=True)
class Nl43SelectDescription(SelectEntityDescription):
    """A setting with a few words, by the options that stand for them."""

    words: dict[str, StrEnum]
    setting_fn: Callable[[MeterData], Setting[Any] | None]
    entity_category: EntityCategory | None = EntityCategory.CONFIG

    def exists_fn(self, data: MeterData) -> bool:
        """Offer it once the meter has told its setting."""
        return self.confirmed(data) is not None

    def confirmed(self, data: MeterData) -> object:
        """Return the word that the meter has told, None where that is not known."""
        setting = self.setting_fn(data)
        return None if setting is None else data.get(setting)


def _select(
    key: str, words: dict[str, StrEnum], setting_fn: Callable[[MeterData], Setting[Any] | None]
) -> Nl43SelectDescription:
    """Describe a select."""
    return Nl43SelectDescription(
        key=key, translation_key=key, options=list(words), words=words, setting_fn=setting_fn
    )


def _symbols(words: type[StrEnum]) -> dict[str, StrEnum]:
    """Return the options of symbols of the standards, the same in every language."""
    return {word.value: word for word in words}


def _texts(words: type[StrEnum]) -> dict[str, StrEnum]:
    """Return the options of words that have a text in each language."""
    return {word.value.lower().replace(" ", "_"): word for word in words}


def _measurement_time(data: MeterData) -> Setting[Preset] | None:
    """Return the setting that holds in the present store mode, None if that is not known."""
    mode = data.get(STORE_MODE)
    if mode is None:
        return None
    return MEASUREMENT_TIME_MANUAL if mode is StoreMode.MANUAL else MEASUREMENT_TIME_AUTO


SELECTS: Final = (
    _select(
        "frequency_weighting",
        _symbols(FrequencyWeighting),
        lambda _data: FREQUENCY_WEIGHTING["main"],
    ),
    _select("time_weighting", _symbols(TimeWeighting), lambda _data: TIME_WEIGHTING["main"]),
    _select("store_mode", _texts(StoreMode), lambda _data: STORE_MODE),
    _select("lp_store_interval", _texts(LpStoreInterval), lambda _data: LP_STORE_INTERVAL),
    _select("leq_interval", _texts(Preset), lambda _data: LEQ_INTERVAL),
    _select("measurement_time", _texts(Preset), _measurement_time),
)


async def async_setup_entry(
    _hass: HomeAssistant,
    entry: Nl43ConfigEntry,
    async_add_entities: AddConfigEntryEntitiesCallback,
) -> None:
    """Add the selects of one meter."""
    async_add_when_offered(entry, SELECTS, Nl43Select, async_add_entities)


class Nl43Select(Nl43ControlEntity, SelectEntity):
    """A setting of the meter; it shows what the meter has confirmed."""

    entity_description: Nl43SelectDescription

    @property
    def setting(self) -> Setting[Any] | None:
        """The setting that holds now, None if that is not known."""
        return self.entity_description.setting_fn(self.coordinator.data)

    @property
    @override
    def command_name(self) -> str | None:
        """The setting's."""
        return None if self.setting is None else self.setting.name

    @property
    @override
    def available(self) -> bool:
        """Return whether the meter is there, and it is known what to set."""
        return self.setting is not None and super().available

    @property
    @override
    def current_option(self) -> str | None:
        """Return the option of the confirmed word."""
        confirmed = self.entity_description.confirmed(self.coordinator.data)
        words = self.entity_description.words
        return next((key for key, word in words.items() if word is confirmed), None)

    @override
    async def async_select_option(self, option: str) -> None:
        """Set the meter."""
        if (setting := self.setting) is not None:
            await async_set(self.coordinator, setting, self.entity_description.words[option])
