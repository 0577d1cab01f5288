"""Frames for the browser, over a real websocket."""

from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from homeassistant.core import HomeAssistant
from homeassistant.helpers import entity_registry as er
from homeassistant.helpers.dispatcher import async_dispatcher_send
from homeassistant.util import dt as dt_util
import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry, MockUser
from pytest_homeassistant_custom_component.typing import MockHAClientWebSocket, WebSocketGenerator

from custom_components.nl43 import live
from custom_components.nl43.facts import NOTHING_KNOWN
from custom_components.nl43.recent import MAX_AGE, MAX_FRAMES, RecentFrames
from custom_components.nl43.watch import async_watchers, frame_signal
from nl43_sim import Fault, SimulatedMeter

from .conftest import configured, quick_meter
from .sound import Sound, automate, limit_trigger
from .tools import device_of, next_frame, next_of, subscribe
from .waiting import until

pytestmark = [
    pytest.mark.usefixtures("patient"),
    # Home Assistant's own http component keeps its keys as texts.
    pytest.mark.filterwarnings("ignore:It is recommended to use web.RequestKey"),
]

STOPPED: Final = Path(__file__).parent.parent / "recordings" / "dod_stopped.txt"
LEVELS: Final = {
    "lp", "leq", "le", "lmax", "lmin", "ln1", "ln2", "ln3", "ln4", "ln5",
    "lpeak", "lieq", "leq_mov", "ltm5",
}  # fmt: skip


async def command(browser: MockHAClientWebSocket, **message: Any) -> list[dict[str, Any]]:
    """Send a command and return what comes up to and with its answer."""
    await browser.send_json_auto_id(message)
    answers = [await browser.receive_json()]
    while answers[-1]["type"] == "event":
        answers.append(await browser.receive_json())
    return answers


async def test_what_comes_at_once(
    hass: HomeAssistant,
    loaded: MockConfigEntry,
    hass_ws_client: WebSocketGenerator,
) -> None:
    """A page that opens is told how the meter is, what it is, and its last frame."""
    hass.config_entries.async_update_entry(
        loaded, options={"scan_interval": 3600, "live_interval": 3600}
    )
    data = loaded.runtime_data.coordinator.data
    browser = await hass_ws_client(hass)
    answer = await subscribe(browser, loaded.entry_id)
    assert answer["success"]
    status, meter, frame = [(await browser.receive_json())["event"] for _ in range(3)]
    assert status == {
        "kind": "status",
        "loaded": True,
        "connection": "connected",
        "holds": True,
        "error": None,
        "subscription": answer["id"],
    }
    assert (meter["kind"], meter["name"]) == ("meter", "NL-43 01234567")
    assert meter["device_id"] == device_of(hass, loaded).id
    assert (frame["kind"], frame["number"]) == ("frame", data.number)
    assert frame["time"] == data.at.timestamp()
    assert frame["time"] <= frame["now"] <= dt_util.utcnow().timestamp()


async def test_frames(
    hass: HomeAssistant,
    loaded: MockConfigEntry,
    sim: SimulatedMeter,
    hass_ws_client: WebSocketGenerator,
) -> None:
    """Each frame comes as it is read, with all that the meter sent and nothing else."""
    browser = await hass_ws_client(hass)
    assert (await subscribe(browser, loaded.entry_id))["success"]
    assert loaded.runtime_data.coordinator.watched
    frames = [await next_frame(browser) for _ in range(3)]
    first = frames[0]["number"]
    assert [frame["number"] for frame in frames] == [first, first + 1, first + 2]
    times = [frame["time"] for frame in frames]
    assert times == sorted(set(times))
    assert dt_util.utcnow().timestamp() >= times[-1]
    for frame in frames:
        assert set(frame["channels"]) == {"main"}
        main = frame["channels"]["main"]
        assert set(main) == LEVELS | {"over", "under"}
        assert isinstance(main["lp"], float)
        assert isinstance(main["leq"], float)
        assert main["lieq"] is None, "its display is off"
        assert main["over"] is False
    assert sim.connections_opened == 1


async def test_state_and_times(
    hass: HomeAssistant,
    loaded: MockConfigEntry,
    sim: SimulatedMeter,
    hass_ws_client: WebSocketGenerator,
) -> None:
    """Run state, start and the meter's own time come as soon as they are known."""
    browser = await hass_ws_client(hass)
    assert (await subscribe(browser, loaded.entry_id))["success"]
    while (frame := await next_frame(browser))["meter_time"] is None or frame["state"] is None:
        pass
    assert frame["state"] == "measuring"
    told = datetime.fromisoformat(frame["meter_time"])
    assert told.tzinfo is None
    assert abs((told - sim.state.clock.now()).total_seconds()) < 2
    sim.press("Measure,Stop")
    while (await next_frame(browser))["state"] != "stopped":
        pass
    sim.press("Measure,Start")
    while (frame := await next_frame(browser))["started"] is None:
        pass
    assert frame["started"] == pytest.approx(frame["time"], abs=10)


async def test_sub_channels(
    hass: HomeAssistant, quick: None, hass_ws_client: WebSocketGenerator
) -> None:
    """Sub channels in use come, too."""
    config = quick_meter()
    config.sub_channels = 2
    async with SimulatedMeter(config) as sim:
        entry = configured(hass, sim)
        assert await hass.config_entries.async_setup(entry.entry_id)
        browser = await hass_ws_client(hass)
        assert (await subscribe(browser, entry.entry_id))["success"]
        assert set((await next_frame(browser))["channels"]) == {"main", "sub1", "sub2"}
        assert await hass.config_entries.async_unload(entry.entry_id)


async def test_each_frame_is_read_live(
    hass: HomeAssistant,
    loaded: MockConfigEntry,
    hass_ws_client: WebSocketGenerator,
) -> None:
    """Who watches is not held up by the interval of the history."""
    hass.config_entries.async_update_entry(
        loaded, options={"scan_interval": 3600, "live_interval": 1}
    )
    browser = await hass_ws_client(hass)
    assert (await subscribe(browser, loaded.entry_id))["success"]
    first, second, third = [await next_frame(browser) for _ in range(3)]
    assert first["time"] < second["time"] < third["time"]


async def test_no_value_is_null(
    hass: HomeAssistant,
    loaded: MockConfigEntry,
    sim: SimulatedMeter,
    hass_ws_client: WebSocketGenerator,
) -> None:
    """A recorded frame of a stopped meter arrives as it was sent: Lp, and nothing else."""
    sim.press("Measure,Stop")
    sim.replay_frames(STOPPED.read_text(encoding="ascii").splitlines())
    browser = await hass_ws_client(hass)
    assert (await subscribe(browser, loaded.entry_id))["success"]
    while (main := (await next_frame(browser))["channels"]["main"])["leq"] is not None:
        pass
    assert main == dict.fromkeys(LEVELS) | {"lp": 45.8, "over": False, "under": False}


async def test_end_of_the_subscription(
    hass: HomeAssistant,
    loaded: MockConfigEntry,
    hass_ws_client: WebSocketGenerator,
) -> None:
    """The meter is read live until the last one unsubscribes or closes the page."""
    coordinator = loaded.runtime_data.coordinator
    first, second = await hass_ws_client(hass), await hass_ws_client(hass)
    answer = await subscribe(first, loaded.entry_id)
    assert async_watchers(hass, loaded.entry_id) == 1
    assert (await subscribe(second, loaded.entry_id))["success"]
    assert async_watchers(hass, loaded.entry_id) == 2
    *_, end = await command(first, type="unsubscribe_events", subscription=answer["id"])
    assert end["success"]
    assert async_watchers(hass, loaded.entry_id) == 1
    assert [message["type"] for message in await command(first, type="ping")] == ["pong"]
    await second.close()
    await until(lambda: not coordinator.watched)
    assert async_watchers(hass, loaded.entry_id) == 0


async def test_reload(
    hass: HomeAssistant,
    loaded: MockConfigEntry,
    sim: SimulatedMeter,
    hass_ws_client: WebSocketGenerator,
) -> None:
    """Who watched before a reload watches after it, without asking again."""
    browser = await hass_ws_client(hass)
    assert (await subscribe(browser, loaded.entry_id))["success"]
    before = await next_frame(browser)
    assert await hass.config_entries.async_unload(loaded.entry_id)
    assert not (await next_of(browser, "status"))["loaded"]
    reloaded_at = dt_util.utcnow().timestamp()
    assert await hass.config_entries.async_setup(loaded.entry_id)
    while not (await next_of(browser, "status"))["loaded"]:
        pass
    assert loaded.runtime_data.coordinator.watched
    while (frame := await next_frame(browser))["time"] < reloaded_at:
        pass
    assert frame["time"] > before["time"]
    assert sim.connections_opened == 2


async def test_unloaded_meter(
    hass: HomeAssistant,
    loaded: MockConfigEntry,
    hass_ws_client: WebSocketGenerator,
) -> None:
    """A page may be open before the meter is set up; its frames come as soon as there are any."""
    assert await hass.config_entries.async_unload(loaded.entry_id)
    browser = await hass_ws_client(hass)
    assert (await subscribe(browser, loaded.entry_id))["success"]
    assert not (await next_of(browser, "status"))["loaded"]
    *told, _pong = await command(browser, type="ping")
    assert [message["event"]["kind"] for message in told] == ["meter"]
    assert await hass.config_entries.async_setup(loaded.entry_id)
    assert (await next_frame(browser))["channels"]["main"]["lp"] is not None


async def test_outage(
    hass: HomeAssistant,
    loaded: MockConfigEntry,
    sim: SimulatedMeter,
    hass_ws_client: WebSocketGenerator,
) -> None:
    """Loss and return are told as they happen, with the reason."""
    browser = await hass_ws_client(hass)
    assert (await subscribe(browser, loaded.entry_id))["success"]
    assert (await next_of(browser, "status"))["holds"]
    sim.inject(Fault.WEDGE)
    while (status := await next_of(browser, "status"))["holds"]:
        assert status["error"] is None
    assert status["connection"] in {"refused", "wedged"}
    assert "refused" in status["error"]
    sim.clear()
    while not (status := await next_of(browser, "status"))["holds"]:
        pass
    assert (status["connection"], status["error"]) == ("connected", None)
    await next_frame(browser)


async def test_meter_that_is_down(
    hass: HomeAssistant,
    loaded: MockConfigEntry,
    sim: SimulatedMeter,
    hass_ws_client: WebSocketGenerator,
) -> None:
    """The last frame of a lost meter comes as one that does not hold any more."""
    sim.inject(Fault.WEDGE)
    await until(lambda: not loaded.runtime_data.coordinator.last_update_success)
    down_at = dt_util.utcnow().timestamp()
    browser = await hass_ws_client(hass)
    assert (await subscribe(browser, loaded.entry_id))["success"]
    assert not (await next_of(browser, "status"))["holds"]
    assert (await next_frame(browser))["time"] < down_at
    sim.clear()
    while not (await next_of(browser, "status"))["holds"]:
        pass
    assert (await next_frame(browser))["time"] > down_at


async def test_stand_by(
    hass: HomeAssistant,
    loaded: MockConfigEntry,
    hass_ws_client: WebSocketGenerator,
) -> None:
    """In stand-by nothing holds, and nothing is wrong."""
    browser = await hass_ws_client(hass)
    assert (await subscribe(browser, loaded.entry_id))["success"]
    await next_frame(browser)
    await loaded.runtime_data.coordinator.async_set_polling(on=False)
    while (status := await next_of(browser, "status"))["connection"] != "standby":
        pass
    assert (status["holds"], status["error"]) == (False, None)
    await loaded.runtime_data.coordinator.async_set_polling(on=True)
    await next_frame(browser)


async def test_meter_message(
    hass: HomeAssistant,
    sound: Sound,
    loaded: MockConfigEntry,
    sim: SimulatedMeter,
    hass_ws_client: WebSocketGenerator,
) -> None:
    """Symbols, percentiles and armed limits are told when they change, and not again."""
    browser = await hass_ws_client(hass)
    assert (await subscribe(browser, loaded.entry_id))["success"]
    meter = await next_of(browser, "meter")
    assert meter["limits"] == []
    while (meter := await next_of(browser, "meter"))["percentiles"]["ln5"] is None:
        pass
    assert meter["symbols"]["lp"] == "LAS"
    assert meter["symbols"]["ln1"] == "LAS5"
    assert meter["percentiles"]["ln5"] == 95.0
    assert (meter["frequency_weighting"], meter["time_weighting"]) == ("A", "S")
    hass.states.async_set("input_number.limit", "70")
    limit = limit_trigger("limit_exceeded", meter["device_id"], limit="input_number.limit")
    await automate(hass, limit, actions=[])
    while not (meter := await next_of(browser, "meter"))["limits"]:
        pass
    drawn = {"quantity": "lp", "limit": 70.0, "direction": "above", "exceeded_since": None}
    assert meter["limits"] == [drawn]
    hass.states.async_set("input_number.limit", "80")
    while (meter := await next_of(browser, "meter"))["limits"] != [drawn | {"limit": 80.0}]:
        pass
    await sound.plays("90@0")
    while (meter := await next_of(browser, "meter"))["limits"][0]["exceeded_since"] is None:
        pass
    assert meter["limits"][0]["exceeded_since"] == pytest.approx(
        dt_util.utcnow().timestamp(), abs=10
    )


async def test_told_once(
    hass: HomeAssistant,
    sound: Sound,
    loaded: MockConfigEntry,
    hass_ws_client: WebSocketGenerator,
) -> None:
    """What the browser knows already is not told with every frame."""
    poller = loaded.runtime_data.coordinator
    await until(lambda: "FTP" in poller.data.facts)
    browser = await hass_ws_client(hass)
    assert (await subscribe(browser, loaded.entry_id))["success"]
    kinds = [(await browser.receive_json())["event"]["kind"] for _ in range(20)]
    assert kinds.count("frame") >= 16
    assert kinds.count("status") == 1


async def test_slow_browser(
    hass: HomeAssistant,
    sound: Sound,
    loaded: MockConfigEntry,
    hass_ws_client: WebSocketGenerator,
) -> None:
    """Who does not acknowledge gets five frames, and one more for each it acknowledges later."""
    slow, other = await hass_ws_client(hass), await hass_ws_client(hass)
    answer = await subscribe(slow, loaded.entry_id, acknowledge=True)
    assert (await subscribe(other, loaded.entry_id))["success"]
    numbers = [(await next_frame(other))["number"] for _ in range(20)]
    assert numbers == list(range(numbers[0], numbers[0] + 20)), "nobody waits for the slow one"
    *told, _pong = await command(slow, type="ping")
    frames = [each["event"] for each in told if each["event"]["kind"] == "frame"]
    assert len(frames) == live.MAX_PENDING
    await slow.send_json_auto_id({"type": "nl43/acknowledge_frame", "subscription": answer["id"]})
    result = await slow.receive_json()
    while result["type"] == "event":
        result = await slow.receive_json()
    assert result["success"]
    newest = await next_frame(slow)
    assert newest["number"] >= numbers[-1]
    for _ in range(10):
        await next_frame(other)
    *told, _pong = await command(slow, type="ping")
    assert not [each for each in told if each["event"]["kind"] == "frame"]


async def test_acknowledged_to_nobody(
    hass: HomeAssistant, loaded: MockConfigEntry, hass_ws_client: WebSocketGenerator
) -> None:
    """An acknowledgement of what is over does no harm."""
    browser = await hass_ws_client(hass)
    (answer,) = await command(browser, type="nl43/acknowledge_frame", subscription=99)
    assert answer["success"]


async def test_recent_frames(
    hass: HomeAssistant,
    sound: Sound,
    loaded: MockConfigEntry,
    hass_ws_client: WebSocketGenerator,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A chart is full when it opens: the last minutes come in one answer, the oldest first."""
    browser = await hass_ws_client(hass)
    assert (await subscribe(browser, loaded.entry_id))["success"]
    for level in (50.0, 60.0, 70.0):
        await sound.plays(f"{level}@0")
    *_, answer = await command(browser, type="nl43/recent_frames", entry_id=loaded.entry_id)
    recent = answer["result"]
    assert set(recent) == LEVELS | {"over", "under", "number", "time", "interval"}
    count = len(recent["number"])
    assert all(len(column) == count for column in recent.values())
    assert recent["number"] == list(range(recent["number"][0], recent["number"][0] + count))
    assert recent["time"] == sorted(recent["time"])
    assert list(dict.fromkeys(recent["lp"]))[-3:] == [50.0, 60.0, 70.0]
    assert recent["leq"][-1] is None
    later = dt_util.utcnow() + MAX_AGE
    monkeypatch.setattr("custom_components.nl43.recent.dt_util.utcnow", lambda: later)
    *_, answer = await command(browser, type="nl43/recent_frames", entry_id=loaded.entry_id)
    assert len(answer["result"]["number"]) < count, "what is too old is left out"


async def test_no_more_than_so_many(hass: HomeAssistant) -> None:
    """However long somebody watches, the memory is bounded."""
    recent = RecentFrames()
    stop = recent.async_start(hass, "1")
    for number in range(MAX_FRAMES + 10):
        data = replace(NOTHING_KNOWN, at=dt_util.utcnow(), number=number)
        async_dispatcher_send(hass, frame_signal("1"), data)
    assert [frame.number for frame in recent.frames()] == list(range(10, MAX_FRAMES + 10))
    stop()
    async_dispatcher_send(hass, frame_signal("1"), NOTHING_KNOWN)
    assert len(recent.frames()) == MAX_FRAMES


async def test_recent_frames_of_an_unloaded_meter(
    hass: HomeAssistant, loaded: MockConfigEntry, hass_ws_client: WebSocketGenerator
) -> None:
    """There are none before the meter is set up."""
    assert await hass.config_entries.async_unload(loaded.entry_id)
    browser = await hass_ws_client(hass)
    (answer,) = await command(browser, type="nl43/recent_frames", entry_id=loaded.entry_id)
    assert not any(answer["result"].values())


async def test_unknown_meter(
    hass: HomeAssistant,
    loaded: MockConfigEntry,
    hass_ws_client: WebSocketGenerator,
) -> None:
    """What is not a meter's entry is refused."""
    elsewhere = MockConfigEntry(domain="elsewhere")
    elsewhere.add_to_hass(hass)
    browser = await hass_ws_client(hass)
    for entry_id in ("unknown", elsewhere.entry_id):
        answer = await subscribe(browser, entry_id)
        assert not answer["success"]
        assert answer["error"]["code"] == "not_found"
    assert not loaded.runtime_data.coordinator.watched


async def test_permission(
    hass: HomeAssistant,
    loaded: MockConfigEntry,
    hass_ws_client: WebSocketGenerator,
    hass_admin_user: MockUser,
) -> None:
    """Only who may read all the meter's entities gets its frames."""
    # The last question that brings an entity.
    await until(lambda: "FTP" in loaded.runtime_data.coordinator.data.facts)
    await loaded.runtime_data.coordinator.async_refresh()
    await hass.async_block_till_done()
    entities = er.async_entries_for_config_entry(er.async_get(hass), loaded.entry_id)
    allowed = {entity.entity_id: True for entity in entities}
    browser = await hass_ws_client(hass)
    hass_admin_user.groups = []
    for policy in ({}, dict(list(allowed.items())[:-1])):
        hass_admin_user.mock_policy({"entities": {"entity_ids": policy}})
        answer = await subscribe(browser, loaded.entry_id)
        assert not answer["success"]
        assert answer["error"]["code"] == "unauthorized"
        (answer,) = await command(browser, type="nl43/recent_frames", entry_id=loaded.entry_id)
        assert answer["error"]["code"] == "unauthorized"
    assert not loaded.runtime_data.coordinator.watched
    hass_admin_user.mock_policy({"entities": {"entity_ids": allowed}})
    assert (await subscribe(browser, loaded.entry_id))["success"]


async def test_permission_without_entities(
    hass: HomeAssistant,
    loaded: MockConfigEntry,
    hass_ws_client: WebSocketGenerator,
    hass_admin_user: MockUser,
) -> None:
    """A meter that has no entities yet is not open to everybody."""
    other = MockConfigEntry(domain="nl43")
    other.add_to_hass(hass)
    browser = await hass_ws_client(hass)
    hass_admin_user.groups = []
    hass_admin_user.mock_policy({})
    answer = await subscribe(browser, other.entry_id)
    assert answer["error"]["code"] == "unauthorized"
