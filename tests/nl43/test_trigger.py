"""Triggers, as automations use them: from the meter's frames to the automation's trace."""

from datetime import datetime, timedelta
from typing import Any, Final

from homeassistant.core import Event, HomeAssistant
from homeassistant.exceptions import HomeAssistantError
from homeassistant.helpers import (
    area_registry as ar,
    device_registry as dr,
    entity_registry as er,
    floor_registry as fr,
    label_registry as lr,
)
from homeassistant.helpers.trigger import async_validate_trigger_config
from homeassistant.setup import async_setup_component
from homeassistant.util import dt as dt_util
import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry, async_capture_events
from pytest_homeassistant_custom_component.typing import WebSocketGenerator
import voluptuous as vol

from custom_components.nl43.watch import async_watchers
from nl43_sim import Fault, SimulatedMeter

from .sound import Sound, automate, dod_line, limit_trigger, weightings_are_known
from .tools import LP, device_of, said
from .waiting import until

pytestmark = [
    pytest.mark.usefixtures("patient"),
    # Home Assistant's own http component keeps its keys as texts.
    pytest.mark.filterwarnings("ignore:It is recommended to use web.RequestKey"),
]

EVENTS: Final = ("limit_exceeded", "limit_cleared")
EXCEEDANCE: Final = "event.nl_43_01234567_exceedance"
SLIDER: Final = "input_number.limit"


@pytest.fixture
def heard(hass: HomeAssistant) -> list[Event]:
    """Return what the automation hears."""
    return async_capture_events(hass, "heard")


async def arm(hass: HomeAssistant, entry: MockConfigEntry, *events: str, **options: Any) -> None:
    """Arm a limit of a meter in an automation, by default for both events."""
    device_id = device_of(hass, entry).id
    triggers = [limit_trigger(event, device_id, **options) for event in events or EVENTS]
    await automate(hass, *triggers)


def ids(heard: list[Event]) -> list[str]:
    """Return which triggers have fired."""
    return [event.data["id"] for event in heard]


async def test_variables(
    hass: HomeAssistant, sound: Sound, loaded: MockConfigEntry, heard: list[Event]
) -> None:
    """Both triggers tell all that there is to tell."""
    await weightings_are_known(loaded)
    began = dt_util.utcnow()
    await arm(hass, loaded, **{"for": 3}, clear_margin=2)
    await sound.plays("80@0 86@1 87@2 88@3 88@4 89@5 82@6 82@7 82@8 82@9")
    await hass.async_block_till_done()
    exceeded, cleared = (event.data for event in heard)
    common = {
        "device": "NL-43 01234567",
        "device_id": device_of(hass, loaded).id,
        "entity": "NL-43 01234567 Lp",
        "entity_id": LP,
        "quantity": "lp",
        "symbol": "LAS",
        "limit": 85.0,
        "direction": "above",
        "onset_value": 88.0,
        "overload": False,
        "under_range": False,
    }
    assert exceeded == common | {
        "id": "limit_exceeded",
        "description": "LAS of NL-43 01234567 exceeded 85.0 dB",
        "value": 88.0,
        "peak": 88.0,
        "mean": 87.3,
        "started": exceeded["started"],
        "ended": None,
        "length": 3.0,
    }
    assert cleared == common | {
        "id": "limit_cleared",
        "description": "LAS of NL-43 01234567 is back within 85.0 dB",
        "value": 82.0,
        "peak": 89.0,
        "mean": 87.7,
        "started": cleared["started"],
        "ended": cleared["ended"],
        "length": 5.0,
    }
    # On the clock of the wall the whole series took no time: it ends three seconds before now.
    started, ended = (datetime.fromisoformat(cleared[name]) for name in ("started", "ended"))
    assert ended - started == timedelta(seconds=5)
    assert began - timedelta(seconds=3) <= ended <= dt_util.utcnow() - timedelta(seconds=3)


async def test_trace(
    hass: HomeAssistant,
    sound: Sound,
    loaded: MockConfigEntry,
    heard: list[Event],
    hass_ws_client: WebSocketGenerator,
) -> None:
    """The trace of the automation says why it ran, and with which values."""
    await weightings_are_known(loaded)
    await arm(hass, loaded, "limit_exceeded")
    await sound.plays("91.5@0")
    await until(lambda: heard)
    await hass.async_block_till_done()
    browser = await hass_ws_client(hass)
    await browser.send_json_auto_id(
        {"type": "trace/list", "domain": "automation", "item_id": "alarm"}
    )
    (run,) = (await browser.receive_json())["result"]
    assert run["trigger"] == "LAS of NL-43 01234567 exceeded 85.0 dB"
    await browser.send_json_auto_id(
        {
            "type": "trace/get",
            "domain": "automation",
            "item_id": "alarm",
            "run_id": run["run_id"],
        }
    )
    trace = (await browser.receive_json())["result"]["trace"]
    assert list(trace) == ["trigger/0", "action/0"]
    trigger = trace["trigger/0"][0]["changed_variables"]["trigger"]
    assert (trigger["platform"], trigger["peak"]) == ("nl43.limit_exceeded", 91.5)


@pytest.mark.parametrize(
    ("options", "series", "expected"),
    [
        ({"for": 2}, "86@0 86@1 80@1.5 86@2 86@3", []),
        ({"for": 2}, "86@0 86@1 84@1.5 86@2", ["limit_exceeded"]),
        ({"for": 2}, "86@0 -@1 86@2", ["limit_exceeded"]),
        ({"for": 2}, "86@0 -@1 -@3 86@3.2 86@4", []),
        ({}, "86@0 -@1 -@60 -@120", ["limit_exceeded"]),
        ({"cooldown": 10}, "86@0 80@1 86@2 80@3 86@11", [*EVENTS, "limit_exceeded"]),
        ({"direction": "below", "limit": 40}, "50@0 39@1 41@2 42@3", [*EVENTS]),
        ({"clear_margin": 5}, "86@0 81@1 80@2", [*EVENTS]),
    ],
)
async def test_options(
    hass: HomeAssistant,
    sound: Sound,
    loaded: MockConfigEntry,
    heard: list[Event],
    options: dict[str, Any],
    series: str,
    expected: list[str],
) -> None:
    """Duration, margin, cool-down, direction and gaps do as the fields say."""
    # The clock of these series is a second a frame.
    await arm(hass, loaded, **options)
    await sound.plays(series)
    await hass.async_block_till_done()
    assert ids(heard) == expected


@pytest.mark.parametrize("quantity", ["leq", "lmax", "lpeak", "ln5", "ltm5"])
async def test_every_level(
    hass: HomeAssistant,
    sound: Sound,
    loaded: MockConfigEntry,
    heard: list[Event],
    quantity: str,
) -> None:
    """A limit may be of any level, shown as an entity or not."""
    await arm(hass, loaded, quantity=quantity)
    await sound.plays("80@0 90@1 80@2", quantity)
    await hass.async_block_till_done()
    assert ids(heard) == [*EVENTS]
    assert heard[0].data["peak"] == 90.0


async def test_sub_channel(
    hass: HomeAssistant, sound: Sound, loaded: MockConfigEntry, heard: list[Event]
) -> None:
    """A Sub channel is judged by its own level."""
    await arm(hass, loaded, "limit_exceeded", quantity="sub2_lp")
    main, sub = dod_line(lp=95.0).split(",")[:16], dod_line(lp=90.0).split(",")[:16]
    unused = dod_line().split(",")[16:32]
    await sound.is_at(0, ",".join([*main, *unused, *sub, *unused]), lp=95.0)
    await until(lambda: heard)
    assert heard[0].data["value"] == 90.0
    assert heard[0].data["symbol"] == "Sub2 Lp"


async def test_marks(
    hass: HomeAssistant, sound: Sound, loaded: MockConfigEntry, heard: list[Event]
) -> None:
    """An overload or under-range during the exceedance is marked until its end."""
    await arm(hass, loaded)
    await sound.plays("90@0")
    await sound.plays("95@1", over=1)
    await sound.plays("90@2 80@3")
    await sound.plays("90@10", under=1)
    await until(lambda: len(heard) == 3)
    marks = [(event.data["overload"], event.data["under_range"]) for event in heard]
    assert marks == [(False, False), (True, False), (False, True)]


async def test_symbol(
    hass: HomeAssistant,
    sound: Sound,
    loaded: MockConfigEntry,
    sim: SimulatedMeter,
    heard: list[Event],
) -> None:
    """As soon as the meter has told its weightings, the level is written with them."""
    poller = loaded.runtime_data.coordinator
    await until(lambda: poller.data.symbol("ln1") == "LAS5")
    await arm(hass, loaded, "limit_exceeded")
    await sound.plays("90@0")
    await until(lambda: heard)
    assert heard[0].data["symbol"] == "LAS"


async def test_window(
    hass: HomeAssistant,
    sound: Sound,
    loaded: MockConfigEntry,
    heard: list[Event],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Outside its time a limit is not judged, and an exceedance ends with it."""
    clock = datetime(2026, 11, 27, 21, 59, tzinfo=dt_util.get_default_time_zone())
    monkeypatch.setattr("custom_components.nl43.alarm.dt_util.now", lambda: clock)
    await arm(hass, loaded, after="22:00:00", before="06:00:00", weekday=["fri"])
    await sound.plays("90@0 90@1")
    assert not heard
    clock += timedelta(minutes=1)
    await sound.plays("91@2 90@3")
    await until(lambda: ids(heard) == ["limit_exceeded"])
    assert heard[0].data["onset_value"] in {90.0, 91.0}
    clock += timedelta(hours=7, minutes=59)
    await sound.plays("90@4")
    assert ids(heard) == ["limit_exceeded"], "it is the night of Friday still"
    clock += timedelta(minutes=1)
    await sound.plays("90@5 90@6")
    await until(lambda: ids(heard) == [*EVENTS])
    assert heard[1].data["value"] == 90.0
    clock += timedelta(hours=16)
    await sound.plays("90@7 90@8")
    assert ids(heard) == [*EVENTS], "there is none in the night of Saturday"


async def test_limit_of_an_entity(
    hass: HomeAssistant,
    sound: Sound,
    loaded: MockConfigEntry,
    heard: list[Event],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A slider moves the limit; without a number nothing begins or ends, which is said once."""
    missing = f"{SLIDER} has no number for a limit of lp"
    await arm(hass, loaded, limit=SLIDER)
    await sound.plays("90@0 90@59")
    assert not heard
    assert said(caplog, missing) == 0, "it may come"
    await sound.plays("90@60 90@61 90@200")
    assert said(caplog, missing) == 1
    hass.states.async_set(SLIDER, "95")
    await sound.plays("90@201")
    assert not heard
    hass.states.async_set(SLIDER, "80")
    await sound.plays("90@202")
    await until(lambda: ids(heard) == ["limit_exceeded"])
    assert heard[0].data["limit"] == 80.0
    hass.states.async_set(SLIDER, "unavailable")
    await sound.plays("20@203 20@263")
    assert ids(heard) == ["limit_exceeded"]
    assert said(caplog, missing) == 2
    hass.states.async_set(SLIDER, "95")
    await sound.plays("90@264")
    await until(lambda: ids(heard) == [*EVENTS])
    assert heard[1].data["limit"] == 80.0, "the one that was exceeded"


# Whom it means


async def target(hass: HomeAssistant, kind: str, device: dr.DeviceEntry) -> dict[str, str]:
    """Return a target that means a device in one way or another."""
    devices = dr.async_get(hass)
    if kind == "device_id":
        return {kind: device.id}
    if kind == "entity_id":
        return {kind: LP}
    if kind == "label_id":
        label = lr.async_get(hass).async_create("Noise")
        devices.async_update_device(device.id, labels={label.label_id})
        return {kind: label.label_id}
    floor = fr.async_get(hass).async_create("Outside")
    area = ar.async_get(hass).async_create("Gate 3", floor_id=floor.floor_id)
    devices.async_update_device(device.id, area_id=area.id)
    return {kind: area.id if kind == "area_id" else floor.floor_id}


@pytest.mark.parametrize("kind", ["device_id", "entity_id", "label_id", "area_id", "floor_id"])
async def test_targets(
    hass: HomeAssistant,
    sound: Sound,
    loaded: MockConfigEntry,
    quiet: MockConfigEntry,
    heard: list[Event],
    kind: str,
) -> None:
    """A meter is meant by its device, area, floor, label or an entity, and no other one is."""
    meant = await target(hass, kind, device_of(hass, loaded))
    await automate(hass, limit_trigger("limit_exceeded", "") | {"target": meant})
    assert async_watchers(hass, loaded.entry_id) == 1
    assert async_watchers(hass, quiet.entry_id) == 0
    await sound.plays("90@0")
    await until(lambda: heard)


async def test_two_meters(
    hass: HomeAssistant,
    sound: Sound,
    loaded: MockConfigEntry,
    quiet: MockConfigEntry,
    heard: list[Event],
) -> None:
    """Each meter is judged by itself."""
    both = [device_of(hass, entry).id for entry in (loaded, quiet)]
    await automate(hass, limit_trigger("limit_exceeded", "") | {"target": {"device_id": both}})
    assert async_watchers(hass, loaded.entry_id) == async_watchers(hass, quiet.entry_id) == 1
    await sound.plays("90@0 90@1")
    await hass.async_block_till_done()
    assert [event.data["device"] for event in heard] == ["NL-43 01234567"]


async def test_moved_into_the_area(
    hass: HomeAssistant,
    sound: Sound,
    loaded: MockConfigEntry,
    heard: list[Event],
) -> None:
    """A meter that is moved into an area is armed there, and disarmed when it leaves."""
    area = ar.async_get(hass).async_create("Gate 3")
    await automate(hass, limit_trigger("limit_exceeded", "") | {"target": {"area_id": area.id}})
    assert async_watchers(hass, loaded.entry_id) == 0
    device, devices = device_of(hass, loaded), dr.async_get(hass)
    devices.async_update_device(device.id, area_id=area.id)
    await hass.async_block_till_done()
    assert async_watchers(hass, loaded.entry_id) == 1
    await sound.plays("90@0")
    await until(lambda: heard)
    devices.async_update_device(device.id, area_id=None)
    await hass.async_block_till_done()
    assert async_watchers(hass, loaded.entry_id) == 0


async def test_another_integration(
    hass: HomeAssistant, sound: Sound, loaded: MockConfigEntry
) -> None:
    """What is no meter's is passed over."""
    other = er.async_get(hass).async_get_or_create("sensor", "other", "1")
    await automate(
        hass, limit_trigger("limit_exceeded", "") | {"target": {"entity_id": other.entity_id}}
    )
    assert async_watchers(hass, loaded.entry_id) == 0


async def test_names_that_a_person_gave(
    hass: HomeAssistant, sound: Sound, loaded: MockConfigEntry, heard: list[Event]
) -> None:
    """A message speaks of the meter as people do."""
    device = device_of(hass, loaded)
    dr.async_get(hass).async_update_device(device.id, name_by_user="Gate 3")
    await arm(hass, loaded, "limit_exceeded")
    await sound.plays("90@0")
    await until(lambda: heard)
    assert heard[0].data["device"] == "Gate 3"
    assert heard[0].data["entity"] == "Gate 3 Lp"


# As long as it is armed


async def test_live_while_armed(
    hass: HomeAssistant, sound: Sound, loaded: MockConfigEntry, heard: list[Event]
) -> None:
    """The meter is read live as long as the automation is on."""
    assert not loaded.runtime_data.coordinator.watched
    await arm(hass, loaded)
    assert loaded.runtime_data.coordinator.watched
    assert async_watchers(hass, loaded.entry_id) == 1, "one limit, whatever triggers wait for it"
    automation = {"entity_id": "automation.alarm"}
    await hass.services.async_call("automation", "turn_off", automation, blocking=True)
    assert not loaded.runtime_data.coordinator.watched
    await sound.plays("90@0 80@1")
    assert not heard
    await hass.services.async_call("automation", "turn_on", automation, blocking=True)
    await sound.plays("90@2")
    await until(lambda: heard)


async def test_reload_of_the_meter(
    hass: HomeAssistant,
    sound: Sound,
    loaded: MockConfigEntry,
    sim: SimulatedMeter,
    heard: list[Event],
) -> None:
    """An exceedance that began before a reload ends after it."""
    await arm(hass, loaded)
    await sound.plays("90@0")
    await until(lambda: ids(heard) == ["limit_exceeded"])
    assert await hass.config_entries.async_reload(loaded.entry_id)
    await hass.async_block_till_done()
    await sound.plays("92@1 80@2")
    await until(lambda: ids(heard) == [*EVENTS])
    assert heard[1].data["peak"] == 92.0
    assert sim.connections_opened == 2


async def test_automation_before_the_meter(
    hass: HomeAssistant,
    sound: Sound,
    loaded: MockConfigEntry,
    heard: list[Event],
) -> None:
    """An automation may be there before its meter; what is loud already is recorded, too."""
    assert await hass.config_entries.async_unload(loaded.entry_id)
    await arm(hass, loaded, "limit_exceeded")
    sound.sim.replay_frames([dod_line(lp=90.0)])
    assert await hass.config_entries.async_setup(loaded.entry_id)
    await until(lambda: heard)
    state = hass.states.get(EXCEEDANCE)
    assert state
    assert state.attributes["event_type"] == "exceeded"


async def test_lost_meter(
    hass: HomeAssistant,
    sound: Sound,
    loaded: MockConfigEntry,
    sim: SimulatedMeter,
    heard: list[Event],
) -> None:
    """An outage begins nothing and ends nothing, however long; then it goes on."""
    await arm(hass, loaded, **{"for": 2})
    await sound.plays("90@0 90@1 90@2")
    await until(lambda: ids(heard) == ["limit_exceeded"])
    sim.inject(Fault.REFUSE_DOD)
    poller = loaded.runtime_data.coordinator
    await until(lambda: not poller.last_update_success)
    sound.now = 3600
    sim.clear()
    await sound.plays("80@3601 80@3602 90@3603 80@3604 80@3605 80@3606")
    await until(lambda: ids(heard) == [*EVENTS])
    assert heard[1].data["length"] == 3604.0


async def test_removed_meter(
    hass: HomeAssistant, sound: Sound, loaded: MockConfigEntry, heard: list[Event]
) -> None:
    """A meter that is removed is armed no more, and nothing is left."""
    await arm(hass, loaded)
    assert await hass.config_entries.async_remove(loaded.entry_id)
    await hass.async_block_till_done()
    assert async_watchers(hass, loaded.entry_id) == 0
    await hass.services.async_call(
        "automation", "turn_off", {"entity_id": "automation.alarm"}, blocking=True
    )


async def test_two_automations(
    hass: HomeAssistant, sound: Sound, loaded: MockConfigEntry, heard: list[Event]
) -> None:
    """The same limit in two automations is one exceedance, of which both hear."""
    device_id = device_of(hass, loaded).id
    recorded = async_capture_events(hass, "nl43_exceedance")
    configs = [
        {
            "id": f"alarm{number}",
            "alias": f"Alarm {number}",
            "triggers": [limit_trigger("limit_exceeded", device_id, limit=limit)],
            "actions": [{"event": "heard", "event_data": {"id": number}}],
        }
        for number, limit in enumerate((85, 85, 60))
    ]
    assert await async_setup_component(hass, "automation", {"automation": configs})
    assert async_watchers(hass, loaded.entry_id) == 2
    await sound.plays("90@0")
    await until(lambda: len(heard) == 3)
    await hass.async_block_till_done()
    assert sorted(event.data["limit"] for event in recorded) == [60.0, 85.0]


async def test_an_action_that_fails(
    hass: HomeAssistant, sound: Sound, loaded: MockConfigEntry
) -> None:
    """An action that fails costs no later alarm."""
    calls = []

    async def fail(_call: object) -> None:
        calls.append(1)
        message = "no"
        raise HomeAssistantError(message)

    hass.services.async_register("test", "fail", fail)
    device_id = device_of(hass, loaded).id
    await automate(
        hass,
        limit_trigger("limit_exceeded", device_id),
        actions=[{"action": "test.fail"}],
    )
    await sound.plays("90@0 80@1 90@2")
    await until(lambda: len(calls) == 2)


async def test_a_variable_that_fails(
    hass: HomeAssistant, sound: Sound, loaded: MockConfigEntry, heard: list[Event]
) -> None:
    """An automation whose variables cannot be made costs the others nothing."""
    device_id = device_of(hass, loaded).id
    broken = limit_trigger("limit_exceeded", device_id) | {"variables": {"x": "{{ 1 / 0 }}"}}
    configs = [
        {"alias": "Broken", "triggers": [broken], "actions": []},
        {
            "alias": "Sound",
            "triggers": [limit_trigger("limit_exceeded", device_id)],
            "actions": [{"event": "heard"}],
        },
    ]
    assert await async_setup_component(hass, "automation", {"automation": configs})
    await sound.plays("90@0")
    await until(lambda: heard)


# What is refused


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"target": None}, "target"),
        ({"options": {"limit": 85}}, "quantity"),
        ({"options": {"quantity": "lp"}}, "limit"),
        ({"options": {"quantity": "lp", "limit": "x"}}, "give a level from 0 to 200 dB"),
        ({"options": {"quantity": "lp", "limit": 85, "clear_margin": -1}}, "clear_margin"),
        ({"options": {"quantity": "lp", "limit": 85, "fore": 1}}, "fore"),
    ],
)
async def test_bad_configuration(
    hass: HomeAssistant,
    enable_custom_integrations: None,
    change: dict[str, Any],
    message: str,
) -> None:
    """An automation that cannot work is refused when it is saved, in words that say why."""
    config: dict[str, Any] = {
        "platform": "nl43.limit_exceeded",
        "target": {"device_id": "x"},
        "options": {"quantity": "lp", "limit": 85},
    }
    config = {key: value for key, value in (config | change).items() if value is not None}
    with pytest.raises(vol.Invalid, match=message):
        await async_validate_trigger_config(hass, [config])
