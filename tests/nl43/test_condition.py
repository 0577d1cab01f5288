"""Conditions, as automations use them."""

from typing import Any, Final

from homeassistant.core import Event, HomeAssistant
from homeassistant.helpers.condition import async_validate_condition_config
import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry, async_capture_events
from pytest_homeassistant_custom_component.typing import WebSocketGenerator
import voluptuous as vol

from nl43_sim import Fault, SimulatedMeter

from .sound import Sound, automate, dod_line
from .tools import MEASUREMENT, call, device_of, shown
from .waiting import until

pytestmark = [
    pytest.mark.usefixtures("patient"),
    # Home Assistant's own http component keeps its keys as texts.
    pytest.mark.filterwarnings("ignore:It is recommended to use web.RequestKey"),
]

SLIDER: Final = "input_number.limit"
POLLING: Final = "switch.nl_43_01234567_polling"
PAUSE: Final = "switch.nl_43_01234567_pause"


@pytest.fixture
def passed(hass: HomeAssistant) -> list[Event]:
    """Return how often the condition of the automation has held."""
    return async_capture_events(hass, "heard")


def condition(kind: str, *devices: str, **options: Any) -> dict[str, Any]:
    """Return a condition of an automation."""
    return {
        "condition": f"nl43.{kind}",
        "target": {"device_id": list(devices)},
        "options": options,
    }


async def holds(hass: HomeAssistant, passed: list[Event], asked: dict[str, Any]) -> bool:
    """Tell whether a condition lets an automation through."""
    if hass.states.get("automation.alarm") is None:
        await automate(
            hass,
            {"trigger": "event", "event_type": "ask"},
            conditions=[asked],
            actions=[{"event": "heard"}],
        )
    passed.clear()
    hass.bus.async_fire("ask")
    await hass.async_block_till_done()
    return bool(passed)


@pytest.mark.parametrize(
    ("options", "level", "expected"),
    [
        ({"limit": 85}, 85.1, True),
        ({"limit": 85}, 85.0, False),
        ({"limit": 85, "direction": "below"}, 84.9, True),
        ({"limit": 85, "direction": "below"}, 85.0, False),
        ({"limit": SLIDER}, 60.1, True),
        ({"limit": "input_number.missing"}, 99.0, False),
        ({"limit": 10}, None, False),
        ({"limit": 90, "direction": "below"}, None, False),
        ({"limit": {"active_choice": "number", "number": 85}}, 85.1, True),
    ],
)
async def test_is_over_limit(
    hass: HomeAssistant,
    sound: Sound,
    loaded: MockConfigEntry,
    passed: list[Event],
    options: dict[str, Any],
    level: float | None,
    expected: bool,
) -> None:
    """The last reading is compared with the limit; without a value nothing holds."""
    hass.states.async_set(SLIDER, "60")
    await sound.is_at(0, dod_line(lp=50.0, leq=level), leq=level)
    asked = condition("is_over_limit", device_of(hass, loaded).id, quantity="leq", **options)
    assert await holds(hass, passed, asked) is expected


async def test_trace(
    hass: HomeAssistant,
    sound: Sound,
    loaded: MockConfigEntry,
    passed: list[Event],
    hass_ws_client: WebSocketGenerator,
) -> None:
    """The trace of the automation shows what the condition said."""
    asked = condition("is_over_limit", device_of(hass, loaded).id, quantity="lp", limit=85)
    await sound.plays("50@0")
    assert not await holds(hass, passed, asked)
    await sound.plays("90@1")
    assert await holds(hass, passed, asked)
    browser = await hass_ws_client(hass)
    results = []
    await browser.send_json_auto_id(
        {"type": "trace/list", "domain": "automation", "item_id": "alarm"}
    )
    for run in (await browser.receive_json())["result"]:
        await browser.send_json_auto_id(
            {
                "type": "trace/get",
                "domain": "automation",
                "item_id": "alarm",
                "run_id": run["run_id"],
            }
        )
        trace = (await browser.receive_json())["result"]["trace"]
        results.append(trace["condition/0"][0]["result"]["result"])
    assert sorted(results) == [False, True]


@pytest.mark.parametrize(("behavior", "expected"), [("any", True), ("all", False)])
async def test_several_meters(
    hass: HomeAssistant,
    sound: Sound,
    loaded: MockConfigEntry,
    quiet: MockConfigEntry,
    passed: list[Event],
    behavior: str,
    expected: bool,
) -> None:
    """One of the meters is enough, or all of them have to be past the limit."""
    await sound.plays("90@0")
    asked = condition(
        "is_over_limit",
        *(device_of(hass, entry).id for entry in (loaded, quiet)),
        quantity="lp",
        limit=85,
        behavior=behavior,
    )
    assert await holds(hass, passed, asked) is expected


@pytest.mark.parametrize("behavior", ["any", "all"])
async def test_no_meter(
    hass: HomeAssistant,
    sound: Sound,
    loaded: MockConfigEntry,
    passed: list[Event],
    behavior: str,
) -> None:
    """Of no meter nothing holds."""
    asked = condition("is_measuring", "no such device", behavior=behavior)
    assert not await holds(hass, passed, asked)


async def test_meter_that_is_not_there(
    hass: HomeAssistant,
    sound: Sound,
    loaded: MockConfigEntry,
    sim: SimulatedMeter,
    passed: list[Event],
) -> None:
    """What was last read of a lost meter, or of one in stand-by, does not hold."""
    await sound.plays("90@0")
    asked = condition("is_over_limit", device_of(hass, loaded).id, quantity="lp", limit=85)
    assert await holds(hass, passed, asked)
    sim.inject(Fault.REFUSE_DOD)
    poller = loaded.runtime_data.coordinator
    await until(lambda: not poller.last_update_success)
    assert not await holds(hass, passed, asked)
    sim.clear()
    await until(lambda: poller.last_update_success)
    assert await holds(hass, passed, asked)
    await call(hass, POLLING, "turn_off")
    assert not await holds(hass, passed, asked)
    assert await hass.config_entries.async_unload(loaded.entry_id)
    assert not await holds(hass, passed, asked)


async def test_is_measuring(
    hass: HomeAssistant,
    loaded: MockConfigEntry,
    sim: SimulatedMeter,
    passed: list[Event],
) -> None:
    """A measurement that is paused does not measure."""
    asked = condition("is_measuring", device_of(hass, loaded).id)
    await until(shown(hass, MEASUREMENT, "measuring"))
    assert await holds(hass, passed, asked)
    await until(lambda: hass.states.get(PAUSE))
    await call(hass, PAUSE, "turn_on")
    await until(shown(hass, MEASUREMENT, "paused"))
    assert not await holds(hass, passed, asked)
    await call(hass, PAUSE, "turn_off")
    await call(hass, "switch.nl_43_01234567_measurement", "turn_off")
    await until(shown(hass, MEASUREMENT, "stopped"))
    assert not await holds(hass, passed, asked)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"condition": "nl43.is_measuring"}, "target"),
        (condition("is_measuring", "x", behavior="some"), "behavior"),
        (condition("is_over_limit", "x", limit=85), "quantity"),
        (condition("is_over_limit", "x", quantity="lp", limit="x"), "give a level from 0 to 200"),
    ],
)
async def test_bad_configuration(hass: HomeAssistant, config: dict[str, Any], message: str) -> None:
    """A condition that cannot work is refused, in words that say why."""
    with pytest.raises(vol.Invalid, match=message):
        await async_validate_condition_config(hass, config)
