"""A limit as a person sets it."""

from datetime import time
from typing import Any

from homeassistant.const import STATE_UNAVAILABLE, STATE_UNKNOWN
from homeassistant.core import HomeAssistant
import pytest
import voluptuous as vol

from custom_components.nl43.limit import ALARM_FIELDS, Limit, async_limit_now, limit_of
from custom_components.nl43.rion.limits import Direction, Rule
from custom_components.nl43.rion.notation import LEVEL_KEYS
from custom_components.nl43.schedule import Window
from custom_components.nl43.sensor import LEVELS

SLIDER = "input_number.limit"


def valid(**fields: Any) -> dict[str, Any]:
    """Return the validated fields of a limit."""
    found: dict[str, Any] = vol.Schema(ALARM_FIELDS)({"quantity": "lp", "limit": 85, **fields})
    return found


def test_keys_are_those_of_the_sensors() -> None:
    """Every level that has a sensor can have a limit, by the same key."""
    assert list(LEVEL_KEYS) == [description.key for description in LEVELS]


def test_defaults() -> None:
    """Quantity and limit are enough."""
    assert limit_of(valid()) == Limit(
        quantity="lp", value=85.0, rule=Rule(clear_margin=2), window=Window()
    )


def test_everything() -> None:
    """Each field has its meaning."""
    fields = valid(
        quantity="sub1_leq",
        limit=SLIDER,
        direction="below",
        clear_margin=1.5,
        cooldown={"minutes": 10},
        after="22:00:00",
        before="06:00",
        weekday=["sat", "sun"],
        **{"for": "00:00:10"},
    )
    assert limit_of(fields) == Limit(
        quantity="sub1_leq",
        value=SLIDER,
        rule=Rule(direction=Direction.BELOW, duration=10, clear_margin=1.5, cooldown=600),
        window=Window(after=time(22), before=time(6), weekdays=frozenset({5, 6})),
    )


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        (85, 85.0),
        ("85.5", 85.5),
        (SLIDER, SLIDER),
        ({"active_choice": "number", "number": 85}, 85.0),
        ({"active_choice": "entity", "entity": SLIDER, "number": 85}, SLIDER),
    ],
)
def test_limits(given: Any, meant: float | str) -> None:
    """A limit is a number or an entity, also in the form that the user interface has for both."""
    assert valid(limit=given)["limit"] == meant


@pytest.mark.parametrize(
    "given", [-1, 201, "loud", None, "", {}, {"active_choice": "number"}, {"number": 85}, [], "nan"]
)
def test_no_limit(given: Any) -> None:
    """What is no limit is refused in words that say what is one."""
    with pytest.raises(vol.Invalid, match="give a level from 0 to 200 dB, or an entity"):
        valid(limit=given)


@pytest.mark.parametrize(
    "fields",
    [
        {"quantity": "loudness"},
        {"direction": "sideways"},
        {"for": -1},
        {"for": {"hours": 25}},
        {"clear_margin": -1},
        {"clear_margin": 51},
        {"cooldown": "-1"},
        {"after": "25:00"},
        {"weekday": ["someday"]},
        {"colour": "red"},
    ],
)
def test_bad_fields(fields: dict[str, Any]) -> None:
    """What makes no sense is refused."""
    with pytest.raises(vol.Invalid):
        valid(**fields)


@pytest.mark.parametrize(
    ("state", "limit"),
    [
        ("85", 85.0),
        ("72.5", 72.5),
        (STATE_UNAVAILABLE, None),
        (STATE_UNKNOWN, None),
        ("loud", None),
        ("nan", None),
        ("inf", None),
        (None, None),
    ],
)
async def test_limit_now(hass: HomeAssistant, state: str | None, limit: float | None) -> None:
    """A limit that an entity has is that of the moment; what is no number is no limit."""
    if state is not None:
        hass.states.async_set(SLIDER, state)
    assert async_limit_now(hass, SLIDER) == limit
    assert async_limit_now(hass, 85.0) == 85.0
