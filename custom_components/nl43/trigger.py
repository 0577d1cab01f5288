"""Triggers: a level has exceeded a limit, or is back."""

from collections.abc import Callable
from typing import ClassVar, Final, override

from homeassistant.const import ATTR_DEVICE_ID, ATTR_ENTITY_ID, CONF_OPTIONS, CONF_TARGET
from homeassistant.core import CALLBACK_TYPE, HomeAssistant, callback
from homeassistant.helpers import config_validation as cv
from homeassistant.helpers.trigger import (
    Trigger,
    TriggerActionRunner,
    TriggerConfig,
    TriggerNotTriggeredReporter,
)
from homeassistant.helpers.typing import ConfigType
import voluptuous as vol

from .alarm import Alarm, async_arm
from .limit import ALARM_FIELDS, limit_of
from .rion.limits import Phase
from .target import MeterTracker, async_device, async_level_entity

_SCHEMA: Final = vol.Schema(
    {vol.Required(CONF_TARGET): cv.TARGET_FIELDS, vol.Required(CONF_OPTIONS): ALARM_FIELDS}
)


class _LimitTrigger(Trigger):
    """Fires when a meter's level begins or ends to exceed a limit."""

    phase: ClassVar[Phase]
    says: ClassVar[str]

    @classmethod
    @override
    async def async_validate_config(cls, hass: HomeAssistant, config: ConfigType) -> ConfigType:
        """Validate the target and the fields."""
        validated: ConfigType = _SCHEMA(config)
        return validated

    def __init__(self, hass: HomeAssistant, config: TriggerConfig) -> None:
        """Take the target and the limit."""
        super().__init__(hass, config)
        self._target = config.target or {}
        self._limit = limit_of(config.options or {})

    @override
    async def async_attach_runner(
        self,
        run_action: TriggerActionRunner,
        did_not_trigger: TriggerNotTriggeredReporter | None = None,
    ) -> CALLBACK_TYPE:
        """Arm the limit on every meter that is meant, whether it is loaded or not."""
        armed: dict[str, CALLBACK_TYPE] = {}

        @callback
        def arm(entry_ids: set[str]) -> None:
            for entry_id in armed.keys() - entry_ids:
                armed.pop(entry_id)()
            for entry_id in entry_ids - armed.keys():
                armed[entry_id] = async_arm(
                    self._hass, entry_id, self._limit, self._teller(entry_id, run_action)
                )

        stop = await MeterTracker(self._hass, self._target, arm).async_setup()

        @callback
        def detach() -> None:
            stop()
            arm(set())

        return detach

    def _teller(self, entry_id: str, run_action: TriggerActionRunner) -> Callable[[Alarm], None]:
        """Return what runs the action when it is this trigger's turn."""

        @callback
        def tell(alarm: Alarm) -> None:
            if alarm.phase is not self.phase:
                return
            details = alarm.as_dict()
            entry = self._hass.config_entries.async_get_known_entry(entry_id)
            device, device_id = async_device(self._hass, entry)
            entity, entity_id = async_level_entity(self._hass, entry, self._limit.quantity)
            run_action(
                {
                    "device": device,
                    ATTR_DEVICE_ID: device_id,
                    "entity": entity,
                    ATTR_ENTITY_ID: entity_id,
                    **details,
                },
                f"{alarm.symbol} of {device} {self.says} {details['limit']} dB",
            )

        return tell


class LimitExceededTrigger(_LimitTrigger):
    """Fires when an exceedance has begun."""

    phase = Phase.EXCEEDED
    says = "exceeded"


class LimitClearedTrigger(_LimitTrigger):
    """Fires when an exceedance has ended."""

    phase = Phase.CLEARED
    says = "is back within"


TRIGGERS: Final[dict[str, type[Trigger]]] = {
    "limit_exceeded": LimitExceededTrigger,
    "limit_cleared": LimitClearedTrigger,
}


async def async_get_triggers(_hass: HomeAssistant) -> dict[str, type[Trigger]]:
    """Return the triggers for meters."""
    return TRIGGERS
