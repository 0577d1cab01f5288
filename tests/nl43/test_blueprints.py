"""Blueprints: forms that become alarms, run by Home Assistant's own automation engine."""

from collections.abc import AsyncGenerator, Callable
from datetime import datetime, timedelta
from pathlib import Path
import re
import shutil
from typing import Any, Final

from homeassistant.components.automation import DOMAIN as AUTOMATION
from homeassistant.components.automation.helpers import async_get_blueprints
from homeassistant.core import Event, HomeAssistant, ServiceCall
from homeassistant.exceptions import HomeAssistantError
from homeassistant.helpers import device_registry as dr, entity_registry as er
from homeassistant.setup import async_setup_component
from homeassistant.util import dt as dt_util
from homeassistant.util.yaml import load_yaml
import pytest
from pytest_homeassistant_custom_component.common import (
    MockConfigEntry,
    async_capture_events,
    async_fire_time_changed,
    async_mock_service,
)

from nl43_sim import Fault, SimulatedMeter

from .conftest import configured, quick_meter
from .sound import Sound, dod_line, weightings_are_known
from .tools import CONNECTION, CONNECTIVITY, device_of, shown, state
from .waiting import until

TIMES: Final = re.compile(r"\d\d:\d\d:\d\d")
ROOT: Final = Path(__file__).parents[2]
FOLDER: Final = ROOT / "blueprints/automation/nl43"
ALL: Final = sorted(path.stem for path in FOLDER.glob("*.yaml"))
SOON: Final = {"milliseconds": 20}
MADE: Final = "automation.made"

pytestmark = pytest.mark.usefixtures("patient")


@pytest.fixture
async def use(hass: HomeAssistant, tmp_path: Path) -> AsyncGenerator[Callable[..., Any]]:
    """Import the blueprints, and return what fills one in and switches its automation on."""
    shutil.copytree(ROOT / "blueprints", tmp_path / "blueprints")
    hass.config.config_dir = str(tmp_path)
    hass.config.media_dirs = {"local": str(tmp_path / "media")}

    async def fill_in(blueprint: str, **inputs: Any) -> None:
        path = f"nl43/{blueprint}.yaml"
        config = {"id": "made", "alias": "Made", "use_blueprint": {"path": path, "input": inputs}}
        assert await async_setup_component(hass, AUTOMATION, {AUTOMATION: [config]})
        await hass.async_block_till_done()
        assert state(hass, MADE) == "on"

    yield fill_in
    # What waits for a day would outlive the test.
    if hass.states.get(MADE):
        off = {"entity_id": MADE}
        await hass.services.async_call(AUTOMATION, "turn_off", off, blocking=True)


@pytest.fixture
def told(hass: HomeAssistant) -> list[ServiceCall]:
    """Return what people are told."""
    return async_mock_service(hass, "notify", "persistent_notification")


def messages(told: list[ServiceCall]) -> list[str]:
    """Return what people are told, whenever that is."""
    return [TIMES.sub("00:00:00", call.data["message"]) for call in told]


def titles(told: list[ServiceCall]) -> list[str]:
    """Return the titles of what people are told."""
    return [call.data["title"] for call in told]


def runs(hass: HomeAssistant) -> int:
    """Return how many runs of the automation are under way."""
    made = hass.states.get(MADE)
    assert made
    found: int = made.attributes["current"]
    return found


# All of them


def inputs_of(part: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the inputs of a blueprint, those in sections, too."""
    found: dict[str, dict[str, Any]] = {}
    for name, details in part.items():
        found |= inputs_of(details["input"]) if "input" in details else {name: details}
    return found


def test_there_are_some() -> None:
    """The blueprints are found."""
    assert len(ALL) == 5


@pytest.mark.parametrize("name", ALL)
async def test_form(hass: HomeAssistant, tmp_path: Path, name: str) -> None:
    """Home Assistant takes the blueprint; each input is used, explained and easy to fill in."""
    shutil.copytree(ROOT / "blueprints", tmp_path / "blueprints")
    hass.config.config_dir = str(tmp_path)
    assert await async_setup_component(hass, AUTOMATION, {})
    blueprint = await async_get_blueprints(hass).async_get_blueprint(f"nl43/{name}.yaml")
    inputs = inputs_of(blueprint.data["blueprint"]["input"])
    text = (FOLDER / f"{name}.yaml").read_text(encoding="utf-8")
    assert {*re.findall(r"!input (\w+)", text)} == set(inputs)
    for key, details in inputs.items():
        assert details["name"], key
        assert details["description"].strip().endswith("."), key
        assert details["selector"], key
    assert blueprint.metadata["source_url"].endswith(f"/blueprints/automation/nl43/{name}.yaml")
    assert blueprint.metadata["description"].strip().endswith(".")


def test_the_readme_imports_each() -> None:
    """The README has a link that imports each blueprint."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for name in ALL:
        loaded = load_yaml(FOLDER / f"{name}.yaml")
        assert isinstance(loaded, dict)
        url = loaded["blueprint"]["source_url"].replace(":", "%3A").replace("/", "%2F")
        assert f"blueprint_import/?blueprint_url={url}" in text, name


# Noise limit


def meters(hass: HomeAssistant, *entries: MockConfigEntry) -> dict[str, list[str]]:
    """Return a target that means meters."""
    return {"device_id": [device_of(hass, entry).id for entry in entries]}


async def test_noise_limit(
    hass: HomeAssistant,
    sound: Sound,
    loaded: MockConfigEntry,
    told: list[ServiceCall],
    use: Callable[..., Any],
) -> None:
    """Both messages read like sentences that can be forwarded, and one replaces the other."""
    await weightings_are_known(loaded)
    await use("noise_limit", meters=meters(hass, loaded), limit=85, duration={"seconds": 3})
    await sound.plays("80@0 86@1 87@2 88@3 88@4 88@5 82@6 82@7 82@8 82@9")
    await until(lambda: len(told) == 2)
    assert titles(told) == [
        "Noise limit exceeded at NL-43 01234567",
        "Back within the noise limit at NL-43 01234567",
    ]
    exceeded, cleared = messages(told)
    assert exceeded == (
        "At NL-43 01234567, LAS has been above 85.0 dB for 3 seconds, since 00:00:00. "
        "It is 88.0 dB now; the highest level was 88.0 dB."
    )
    assert cleared == (
        "At NL-43 01234567, LAS was above 85.0 dB for 5 seconds, from 00:00:00 to 00:00:00. "
        "The highest level was 88.0 dB, the energy mean 87.5 dB."
    )
    first, second = (call.data["data"] for call in told)
    assert first["tag"] == second["tag"] == first["notification_id"]
    assert first["actions"][0]["title"] == "Acknowledge"
    assert "actions" not in second


async def test_noise_limit_from_below(
    hass: HomeAssistant,
    sound: Sound,
    loaded: MockConfigEntry,
    told: list[ServiceCall],
    use: Callable[..., Any],
) -> None:
    """The words fit a level that is too low, and say what is not valid for a report."""
    await weightings_are_known(loaded)
    await use(
        "noise_limit",
        meters=meters(hass, loaded),
        limit=40,
        direction="below",
        duration={"seconds": 0},
    )
    await sound.plays("50@0")
    await sound.plays("30@1", under=1)
    await sound.plays("50@91", over=1)
    await until(lambda: len(told) == 2)
    exceeded, cleared = messages(told)
    assert exceeded == (
        "At NL-43 01234567, LAS has been below 40.0 dB for 0 seconds, since 00:00:00. It is 30.0 "
        "dB now; the lowest level was 30.0 dB. The level was below the meter's range during this "
        "time: these levels are not valid for a report."
    )
    assert cleared == (
        "At NL-43 01234567, LAS was below 40.0 dB for 1 min 30 s, from 00:00:00 to 00:00:00. The "
        "lowest level was 30.0 dB, the energy mean 30.0 dB. The level was below the meter's range "
        "during this time: these levels are not valid for a report."
    )


async def test_two_limits(
    hass: HomeAssistant,
    sound: Sound,
    loaded: MockConfigEntry,
    told: list[ServiceCall],
    use: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """By day and by night another limit holds; a slider moves one of them."""
    clock = datetime(2026, 11, 27, 21, 0, tzinfo=dt_util.get_default_time_zone())
    monkeypatch.setattr("custom_components.nl43.alarm.dt_util.now", lambda: clock)
    hass.states.async_set("input_number.night", "60")
    await use(
        "noise_limit",
        meters=meters(hass, loaded),
        limit=85,
        after_1="06:00:00",
        before_1="22:00:00",
        use_2=True,
        limit_2="input_number.night",
        weekday_2=["fri"],
        duration={"seconds": 0},
        cooldown={"seconds": 0},
    )
    await sound.plays("70@0")
    assert not told
    clock += timedelta(hours=2)
    await sound.plays("70@1")
    await until(lambda: len(told) == 1)
    assert "above 60.0 dB" in messages(told)[0]
    clock += timedelta(hours=7)
    await sound.plays("70@2")
    await until(lambda: len(told) == 2)
    assert titles(told)[1] == "The time of the noise limit is over at NL-43 01234567"
    assert "to 00:00:00, when the time of this limit ended. The highest" in messages(told)[1]
    hass.states.async_set("input_number.night", "80")
    clock = datetime(2026, 12, 4, 23, 0, tzinfo=dt_util.get_default_time_zone())
    await sound.plays("70@3")
    assert len(told) == 2
    clock += timedelta(days=1)
    hass.states.async_set("input_number.night", "60")
    await sound.plays("70@4")
    assert len(told) == 2, "there is no limit in the night of Saturday"


async def test_acknowledge(
    hass: HomeAssistant,
    sound: Sound,
    loaded: MockConfigEntry,
    told: list[ServiceCall],
    use: Callable[..., Any],
) -> None:
    """Reminders come until somebody acknowledges; that is told, too."""
    await use("noise_limit", meters=meters(hass, loaded), remind=5, duration={"seconds": 0})
    await sound.plays("90@0")
    await until(lambda: len(told) == 1)

    def waits() -> bool:
        return hass.bus.async_listeners().get("mobile_app_notification_action") == 1

    for count in (2, 3):
        await until(waits)
        # It ends every wait, also those of the test: never inside of one.
        async_fire_time_changed(hass, dt_util.utcnow() + timedelta(minutes=5, seconds=1))
        await until(lambda count=count: len(told) == count)  # type: ignore[misc]
        assert titles(told)[-1] == "Reminder: Noise limit exceeded at NL-43 01234567"
    await until(waits)
    action = told[0].data["data"]["actions"][0]["action"]
    hass.bus.async_fire("mobile_app_notification_action", {"action": "another"})
    hass.bus.async_fire("mobile_app_notification_action", {"action": action})
    await until(
        lambda: messages(told)[-1].startswith("Acknowledged at 00:00:00. At NL-43 01234567")
    )
    await until(lambda: runs(hass) == 0)
    count = len(told)
    async_fire_time_changed(hass, dt_util.utcnow() + timedelta(minutes=5, seconds=1))
    await sound.plays("50@1")
    await until(lambda: len(told) == count + 1)
    assert titles(told)[-1] == "Back within the noise limit at NL-43 01234567"


async def test_no_reminder_after_the_end(
    hass: HomeAssistant,
    sound: Sound,
    loaded: MockConfigEntry,
    told: list[ServiceCall],
    use: Callable[..., Any],
) -> None:
    """What has ended needs no reminder."""
    await use("noise_limit", meters=meters(hass, loaded), remind=5, duration={"seconds": 0})
    await sound.plays("90@0 50@1")
    await until(lambda: len(told) == 2)
    await until(lambda: runs(hass) == 0)


async def test_own_actions_and_failing_notifications(
    hass: HomeAssistant,
    sound: Sound,
    loaded: MockConfigEntry,
    told: list[ServiceCall],
    use: Callable[..., Any],
) -> None:
    """A notify action that fails stops neither the others nor the actions of one's own."""

    async def fail(_call: ServiceCall) -> None:
        message = "no signal"
        raise HomeAssistantError(message)

    hass.services.async_register("notify", "broken", fail)
    done: list[Event] = async_capture_events(hass, "own")
    await use(
        "noise_limit",
        meters=meters(hass, loaded),
        duration={"seconds": 0},
        notify_actions=["notify.broken", "notify.persistent_notification"],
        on_exceeded=[{"event": "own", "event_data": {"peak": "{{ trigger.peak }}"}}],
        on_cleared=[{"event": "own", "event_data": {"mean": "{{ trigger.mean }}"}}],
    )
    await sound.plays("90@0 50@1")
    await until(lambda: len(told) == 2)
    await until(lambda: len(done) == 2)
    assert [event.data for event in done] == [{"peak": 90.0}, {"mean": 90.0}]


async def test_noise_at_two_meters(
    hass: HomeAssistant,
    sound: Sound,
    loaded: MockConfigEntry,
    told: list[ServiceCall],
    use: Callable[..., Any],
) -> None:
    """Each meter has its own alarm and its own message, which speaks of it by its name."""
    config = quick_meter("07654321")
    config.replay = [dod_line(lp=95.0)]
    async with SimulatedMeter(config) as sim:
        other = configured(hass, sim, "07654321")
        assert await hass.config_entries.async_setup(other.entry_id)
        await hass.async_block_till_done()
        dr.async_get(hass).async_update_device(device_of(hass, other).id, name_by_user="Gate 3")
        await use("noise_limit", meters=meters(hass, loaded, other), duration={"seconds": 0})
        await until(lambda: len(told) == 1)
        await sound.plays("90@0")
        await until(lambda: len(told) == 2)
        assert [message.partition(",")[0] for message in messages(told)] == [
            "At Gate 3",
            "At NL-43 01234567",
        ]
        assert told[0].data["data"]["tag"] != told[1].data["data"]["tag"]
        assert await hass.config_entries.async_unload(other.entry_id)


# Meter offline


async def test_meter_offline(
    hass: HomeAssistant,
    loaded: MockConfigEntry,
    sim: SimulatedMeter,
    told: list[ServiceCall],
    use: Callable[..., Any],
) -> None:
    """Loss and return are told; stand-by is no loss."""
    await use("meter_offline", meters=[CONNECTIVITY], duration=SOON)
    await loaded.runtime_data.coordinator.async_set_polling(on=False)
    await until(shown(hass, CONNECTIVITY, "unknown"))
    await loaded.runtime_data.coordinator.async_set_polling(on=True)
    await until(shown(hass, CONNECTIVITY, "on"))
    sim.inject(Fault.GONE)
    await until(lambda: len(told) == 1)
    assert titles(told) == ["NL-43 01234567 is offline"]
    assert "has not been reachable since 00:00:00. Connection: " in messages(told)[0]
    sim.clear()
    await until(lambda: len(told) == 2)
    assert titles(told)[1] == "NL-43 01234567 is back"
    assert messages(told)[1].startswith("NL-43 01234567 can be reached again. It was offline for 0")


async def test_meter_gone_at_the_start(
    hass: HomeAssistant,
    loaded: MockConfigEntry,
    told: list[ServiceCall],
    use: Callable[..., Any],
) -> None:
    """A meter that was gone when Home Assistant started is told, too, and its return."""
    assert await hass.config_entries.async_unload(loaded.entry_id)
    await use("meter_offline", meters=[CONNECTIVITY], duration=SOON)
    hass.bus.async_fire("nl43_meter_offline", {"automation": "other", "entity_id": CONNECTIVITY})
    await hass.services.async_call(
        AUTOMATION, "trigger", {"entity_id": MADE, "skip_condition": False}, blocking=False
    )
    hass.bus.async_fire("nl43_meter_offline", {"automation": MADE, "entity_id": CONNECTIVITY})
    await until(lambda: len(told) == 1)
    assert "it cannot be set up; Home Assistant tries again by itself" in messages(told)[0]
    assert await hass.config_entries.async_setup(loaded.entry_id)
    await until(lambda: len(told) == 2)


# Wedged meter


async def test_wedged_meter(
    hass: HomeAssistant,
    loaded: MockConfigEntry,
    sim: SimulatedMeter,
    told: list[ServiceCall],
    use: Callable[..., Any],
) -> None:
    """Its power is switched off and on, so often a day and no more."""
    off = async_mock_service(hass, "switch", "turn_off")
    on = async_mock_service(hass, "switch", "turn_on")
    await use(
        "wedged_meter",
        connection=CONNECTION,
        plug="switch.plug",
        duration=SOON,
        off_time=SOON,
        patience={"seconds": 30},
        tries=1,
    )
    sim.inject(Fault.WEDGE)
    await until(lambda: len(on) == 1)
    assert [call.data["entity_id"] for call in (*off, *on)] == [["switch.plug"], ["switch.plug"]]
    sim.clear()
    await until(lambda: len(told) == 2)
    assert titles(told) == ["NL-43 01234567 is restarted", "NL-43 01234567 is back"]
    assert "try 1 of 1 within 24 hours" in messages(told)[0]
    sim.inject(Fault.WEDGE)
    await until(shown(hass, CONNECTION, "wedged"))
    run = {"entity_id": MADE}
    await hass.services.async_call(AUTOMATION, "trigger", run, blocking=True)
    assert len(off) == 1, "that was the only try of this day"
    sim.clear()
    await until(shown(hass, CONNECTION, "connected"))
    async_fire_time_changed(hass, dt_util.utcnow() + timedelta(days=1, minutes=1))
    await until(lambda: runs(hass) == 0)
    sim.inject(Fault.WEDGE)
    await until(lambda: len(off) == 2)


async def test_wedged_meter_that_stays_so(
    hass: HomeAssistant,
    loaded: MockConfigEntry,
    sim: SimulatedMeter,
    told: list[ServiceCall],
    use: Callable[..., Any],
) -> None:
    """If it does not help, it is tried so often, and then somebody is asked to look."""
    async_mock_service(hass, "switch", "turn_off")
    on = async_mock_service(hass, "switch", "turn_on")
    await use(
        "wedged_meter",
        connection=CONNECTION,
        plug="switch.plug",
        duration=SOON,
        off_time=SOON,
        patience=SOON,
        tries=2,
    )
    sim.inject(Fault.WEDGE)
    await until(lambda: len(told) == 4)
    assert len(on) == 2
    assert messages(told)[1].endswith("tried once more if its control port stays wedged.")
    assert messages(told)[3].endswith("not tried again for 24 hours: somebody has to look at it.")


async def test_unreachable_is_not_wedged(
    hass: HomeAssistant,
    loaded: MockConfigEntry,
    sim: SimulatedMeter,
    told: list[ServiceCall],
    use: Callable[..., Any],
) -> None:
    """The power of a meter that merely cannot be reached stays on."""
    async_mock_service(hass, "switch", "turn_off")
    await use("wedged_meter", connection=CONNECTION, plug="switch.plug", duration=SOON)
    sim.inject(Fault.GONE)
    await until(shown(hass, CONNECTION, "unreachable"))
    async_fire_time_changed(hass, dt_util.utcnow() + timedelta(hours=1))
    await hass.async_block_till_done()
    assert not told


# Card full or batteries low

CARD: Final = "sensor.nl_43_01234567_sd_card_free_percentage"
BATTERY: Final = "sensor.nl_43_01234567_battery"


async def test_card_and_battery(
    hass: HomeAssistant,
    loaded: MockConfigEntry,
    sim: SimulatedMeter,
    told: list[ServiceCall],
    use: Callable[..., Any],
) -> None:
    """Each trouble is told when it begins, and all of them once a day until they are over."""
    poller = loaded.runtime_data.coordinator
    await until(lambda: er.async_get(hass).async_get(BATTERY) and hass.states.get(BATTERY))
    await until(lambda: hass.states.get(CARD))
    await use("store_full_battery_low", cards=[CARD], batteries=[BATTERY])
    hass.states.async_set(CARD, "50", hass.states.get(CARD).attributes)  # type: ignore[union-attr]
    hass.states.async_set(CARD, "9.4", hass.states.get(CARD).attributes)  # type: ignore[union-attr]
    await until(lambda: len(told) == 1)
    assert messages(told)[0] == (
        "The card of NL-43 01234567 is almost full: 9.4 % are free. Save its files and change or "
        "clear it."
    )
    hass.states.async_set(BATTERY, "low")
    await until(lambda: len(told) == 2)
    assert messages(told)[1] == (
        "The batteries of NL-43 01234567 are low. Change them or connect its supply."
    )
    morning = dt_util.start_of_local_day() + timedelta(days=1, hours=9)
    hass.states.async_set(CARD, "9.4", {"at": "the morning"})
    async_fire_time_changed(hass, morning + timedelta(seconds=1))
    await until(lambda: len(told) == 3)
    assert titles(told)[2] == "Meters need a hand"
    assert poller.last_update_success


async def test_nothing_to_tell(
    hass: HomeAssistant,
    loaded: MockConfigEntry,
    told: list[ServiceCall],
    use: Callable[..., Any],
) -> None:
    """A meter that is well is not mentioned, and one kind of sensor is enough."""
    hass.states.async_set("sensor.battery", "80")
    await use("store_full_battery_low", batteries=["sensor.battery"])
    morning = dt_util.start_of_local_day() + timedelta(days=1, hours=9)
    async_fire_time_changed(hass, morning + timedelta(seconds=1))
    await hass.async_block_till_done()
    assert not told
    hass.states.async_set("sensor.battery", "19")
    await until(lambda: len(told) == 1)
    assert "batteries of sensor.battery are at 19 %" in messages(told)[0]


# Daily measurement cycle


async def run_now(hass: HomeAssistant) -> None:
    """Let the automation run as at its time."""
    midnight = dt_util.start_of_local_day() + timedelta(days=1)
    async_fire_time_changed(hass, midnight + timedelta(seconds=1))


async def test_daily_cycle(
    hass: HomeAssistant,
    loaded: MockConfigEntry,
    sim: SimulatedMeter,
    told: list[ServiceCall],
    use: Callable[..., Any],
) -> None:
    """One measurement ends, its files are saved, the next one begins, and all that is told."""
    await use("daily_cycle", meter=device_of(hass, loaded).id, sync_clock=False)
    await run_now(hass)
    await until(lambda: told, seconds=30)
    assert titles(told) == ["NL-43 01234567: new measurement"]
    assert re.fullmatch(
        r"Measurement 0019 has ended, and \d+ files with [\d.]+ MB are saved in nl43/01234567\. "
        r"Measurement 0020 has started at 00:00:00\.",
        messages(told)[0],
    ), messages(told)
    assert sim.state.measuring


async def test_daily_cycle_without_files(
    hass: HomeAssistant,
    loaded: MockConfigEntry,
    sim: SimulatedMeter,
    told: list[ServiceCall],
    use: Callable[..., Any],
) -> None:
    """If the files cannot be saved, the next measurement begins all the same."""
    sim.inject(Fault.FTP_LOGIN)
    await use("daily_cycle", meter=device_of(hass, loaded).id, sync_clock=False)
    await run_now(hass)
    await until(lambda: told, seconds=30)
    assert titles(told) == ["NL-43 01234567: the change of measurement failed"]
    assert messages(told)[0] == (
        "The measurement before could not be stopped and saved whole; what is on the card stays "
        "there. Measurement 0020 has started at 00:00:00."
    )
    assert sim.state.measuring


async def test_daily_cycle_of_a_lost_meter(
    hass: HomeAssistant,
    loaded: MockConfigEntry,
    sim: SimulatedMeter,
    told: list[ServiceCall],
    use: Callable[..., Any],
) -> None:
    """If nothing could be done, somebody is asked to look."""
    sim.inject(Fault.REFUSE_DOD)
    sim.press("Measure,Stop")
    sim.state.settings["sleep mode"] = "On"
    await use("daily_cycle", meter=device_of(hass, loaded).id, sync_clock=False)
    assert await hass.config_entries.async_unload(loaded.entry_id)
    await run_now(hass)
    await until(lambda: told, seconds=30)
    assert messages(told)[0].endswith("No new measurement has started: please look at the meter.")


async def test_daily_cycle_on_other_days(
    hass: HomeAssistant,
    loaded: MockConfigEntry,
    sim: SimulatedMeter,
    told: list[ServiceCall],
    use: Callable[..., Any],
) -> None:
    """On a day that was not chosen nothing is done."""
    days = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
    other = days[(dt_util.now().weekday() + 3) % 7]
    await use("daily_cycle", meter=device_of(hass, loaded).id, weekdays=[other])
    await run_now(hass)
    await hass.async_block_till_done()
    assert not told
    assert sim.state.measuring
