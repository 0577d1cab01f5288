"""Conditions: a level is past a limit; a meter measures."""

from typing import Any, Final, Unpack, override

from homeassistant.config_entries import ConfigEntryState
from homeassistant.const import CONF_OPTIONS, CONF_TARGET
from homeassistant.core import HomeAssistant
from homeassistant.helpers import config_validation as cv
from homeassistant.helpers.condition import (
    ATTR_BEHAVIOR,
    BEHAVIOR_ALL,
    BEHAVIOR_ANY,
    Condition,
    ConditionCheckParams,
    ConditionConfig,
)
from homeassistant.helpers.typing import ConfigType
import voluptuous as vol

from .const import MeasurementState
from .facts import NOTHING_KNOWN, MeterData
from .limit import CONF_DIRECTION, CONF_LIMIT, CONF_QUANTITY, LIMIT_FIELDS, async_limit_now
from .rion.limits import Frame, Rule
from .rion.notation import LEVEL_KEYS
from .runtime import Nl43ConfigEntry
from .target import async_meters_of

_BEHAVIOR: Final[dict[vol.Marker, Any]] = {
    vol.Optional(ATTR_BEHAVIOR, default=BEHAVIOR_ANY): vol.In((BEHAVIOR_ANY, BEHAVIOR_ALL))
}


class _MeterCondition(Condition):
    """Asks something of one or of all meters that are meant; of none it is not true."""

    fields: dict[vol.Marker, Any]

    @classmethod
    @override
    async def async_validate_config(cls, hass: HomeAssistant, config: ConfigType) -> ConfigType:
        """Validate the target and the fields."""
        schema = vol.Schema(
            {
                vol.Required(CONF_TARGET): cv.TARGET_FIELDS,
                vol.Required(CONF_OPTIONS, default={}): {**_BEHAVIOR, **cls.fields},
            }
        )
        validated: ConfigType = schema(config)
        return validated

    def __init__(self, hass: HomeAssistant, config: ConditionConfig) -> None:
        """Take the target and the fields."""
        super().__init__(hass, config)
        self._target = config.target or {}
        self._options = config.options or {}

    @override
    def _async_check(self, **kwargs: Unpack[ConditionCheckParams]) -> bool:
        """Ask it of each meter."""
        answers = [
            self._holds(self._data_of(entry_id))
            for entry_id in async_meters_of(self._hass, self._target)
        ]
        return bool(answers) and (
            all(answers) if self._options[ATTR_BEHAVIOR] == BEHAVIOR_ALL else any(answers)
        )

    def _data_of(self, entry_id: str) -> MeterData:
        """Return what a meter shows now: nothing while it cannot be reached."""
        entry: Nl43ConfigEntry = self._hass.config_entries.async_get_known_entry(entry_id)
        if entry.state is not ConfigEntryState.LOADED:
            return NOTHING_KNOWN
        coordinator = entry.runtime_data.coordinator
        return coordinator.data if coordinator.last_update_success else NOTHING_KNOWN

    def _holds(self, data: MeterData) -> bool:
        """Answer for one meter; what is not known does not hold."""
        raise NotImplementedError


class IsOverLimitCondition(_MeterCondition):
    """Whether a level is past a limit now."""

    fields = LIMIT_FIELDS

    @override
    def _holds(self, data: MeterData) -> bool:
        """Compare the last frame with the limit."""
        channel, quantity = LEVEL_KEYS[self._options[CONF_QUANTITY]]
        level = data.reading.channel(channel).level(quantity)
        limit = async_limit_now(self._hass, self._options[CONF_LIMIT])
        if level is None or limit is None:
            return False
        rule = Rule(direction=self._options[CONF_DIRECTION])
        return rule.is_past(Frame(at=0.0, level=level, limit=limit))


class IsMeasuringCondition(_MeterCondition):
    """Whether a meter measures, and is not paused."""

    fields: dict[vol.Marker, Any] = {}  # noqa: RUF012 - as the others'

    @override
    def _holds(self, data: MeterData) -> bool:
        """Compare the run state."""
        return data.measurement_state is MeasurementState.MEASURING


CONDITIONS: Final[dict[str, type[Condition]]] = {
    "is_over_limit": IsOverLimitCondition,
    "is_measuring": IsMeasuringCondition,
}


async def async_get_conditions(_hass: HomeAssistant) -> dict[str, type[Condition]]:
    """Return the conditions for meters."""
    return CONDITIONS
