"""A limit as a person sets it in an automation: its fields, and what they mean."""

from dataclasses import dataclass
from datetime import timedelta
import math
from typing import Any, Final

from homeassistant.const import CONF_FOR, CONF_WEEKDAY, WEEKDAYS
from homeassistant.core import HomeAssistant, callback
from homeassistant.helpers import config_validation as cv
import voluptuous as vol

from .rion.limits import Direction, Rule
from .rion.notation import LEVEL_KEYS
from .schedule import Window

CONF_AFTER: Final = "after"
CONF_BEFORE: Final = "before"
CONF_CLEAR_MARGIN: Final = "clear_margin"
CONF_COOLDOWN: Final = "cooldown"
CONF_DIRECTION: Final = "direction"
CONF_LIMIT: Final = "limit"
CONF_QUANTITY: Final = "quantity"

# dB. No meter shows more or less.
_LEVEL: Final = vol.All(vol.Coerce(float), vol.Range(min=0, max=200))
_MARGIN: Final = vol.All(vol.Coerce(float), vol.Range(min=0, max=50))
# The frames of this time are kept.
_DURATION: Final = vol.All(cv.positive_time_period, vol.Range(max=timedelta(days=1)))
# Fluctuating noise crosses a limit many times a minute.
_DEFAULT_MARGIN: Final = 2


def _limit(value: Any) -> float | str:
    """Validate a limit: a number, or an entity that has it; also as the user interface puts it."""
    if isinstance(value, dict):
        value = value.get(value.get("active_choice"))
    try:
        number: float = _LEVEL(value)
    except vol.Invalid:
        try:
            return cv.entity_id(value)
        except vol.Invalid:
            message = "give a level from 0 to 200 dB, or an entity whose state is one"
            raise vol.Invalid(message) from None
    return number


LIMIT_FIELDS: Final[dict[vol.Marker, Any]] = {
    vol.Required(CONF_QUANTITY): vol.In(LEVEL_KEYS),
    vol.Required(CONF_LIMIT): _limit,
    vol.Optional(CONF_DIRECTION, default=Direction.ABOVE): vol.Coerce(Direction),
}
ALARM_FIELDS: Final[dict[vol.Marker, Any]] = {
    **LIMIT_FIELDS,
    vol.Optional(CONF_FOR, default=0): _DURATION,
    vol.Optional(CONF_CLEAR_MARGIN, default=_DEFAULT_MARGIN): _MARGIN,
    vol.Optional(CONF_COOLDOWN, default=0): cv.positive_time_period,
    vol.Optional(CONF_AFTER): cv.time,
    vol.Optional(CONF_BEFORE): cv.time,
    vol.Optional(CONF_WEEKDAY, default=[]): cv.weekdays,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """A limit of a level: a number in dB or an entity that has it, and when and how it holds."""

    quantity: str
    value: float | str
    rule: Rule
    window: Window


def limit_of(options: dict[str, Any]) -> Limit:
    """Return the limit that validated ALARM_FIELDS describe."""
    return Limit(
        quantity=options[CONF_QUANTITY],
        value=options[CONF_LIMIT],
        rule=Rule(
            direction=options[CONF_DIRECTION],
            duration=options[CONF_FOR].total_seconds(),
            clear_margin=options[CONF_CLEAR_MARGIN],
            cooldown=options[CONF_COOLDOWN].total_seconds(),
        ),
        window=Window(
            after=options.get(CONF_AFTER),
            before=options.get(CONF_BEFORE),
            weekdays=frozenset(map(WEEKDAYS.index, options[CONF_WEEKDAY] or WEEKDAYS)),
        ),
    )


@callback
def async_limit_now(hass: HomeAssistant, value: float | str) -> float | None:
    """Return a limit in dB; None where its entity has no number now."""
    if isinstance(value, float):
        return value
    state = hass.states.get(value)
    try:
        number = math.nan if state is None else float(state.state)
    except ValueError:
        return None
    return number if math.isfinite(number) else None
