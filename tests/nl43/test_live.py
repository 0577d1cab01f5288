"""Frames for the browser, over a real websocket."""

from datetime import datetime
from pathlib import Path
from typing import Any, Final

from homeassistant.core import HomeAssistant
from homeassistant.helpers import entity_registry as er
from homeassistant.util import dt as dt_util
import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry, MockUser
from pytest_homeassistant_custom_component.typing import MockHAClientWebSocket, WebSocketGenerator

from nl43_sim import Fault, SimulatedMeter

from .conftest import until
from .tools import next_frame, subscribe

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


async def test_frames(
    hass: HomeAssistant,
    loaded: MockConfigEntry,
    sim: SimulatedMeter,
    hass_ws_client: WebSocketGenerator,
) -> None:
    """The last frame comes at once, then each as it is read."""
    coordinator = loaded.runtime_data.coordinator
    browser = await hass_ws_client(hass)
    assert (await subscribe(browser, loaded.entry_id))["success"]
    assert coordinator.watched
    frames = [await next_frame(browser) for _ in range(3)]
    times = [datetime.fromisoformat(frame["time"]) for frame in frames]
    assert times == sorted(set(times))
    assert dt_util.utcnow() >= times[-1]
    for frame in frames:
        assert set(frame) == {"time", "state", "main"}
        assert set(frame["main"]) == LEVELS | {"over", "under"}
        assert isinstance(frame["main"]["lp"], float)
        assert isinstance(frame["main"]["leq"], float)
        assert frame["main"]["lieq"] is None, "its display is off"
        assert frame["main"]["over"] is False
    assert sim.connections_opened == 1


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
    while (frame := await next_frame(browser))["main"]["leq"] is not None:
        pass
    assert frame["main"] == dict.fromkeys(LEVELS) | {"lp": 45.8, "over": False, "under": False}


async def test_end_of_the_subscription(
    hass: HomeAssistant,
    loaded: MockConfigEntry,
    hass_ws_client: WebSocketGenerator,
) -> None:
    """The meter is read live until the last one unsubscribes or closes the page."""
    coordinator = loaded.runtime_data.coordinator
    first, second = await hass_ws_client(hass), await hass_ws_client(hass)
    answer = await subscribe(first, loaded.entry_id)
    assert (await subscribe(second, loaded.entry_id))["success"]
    *_, end = await command(first, type="unsubscribe_events", subscription=answer["id"])
    assert end["success"]
    assert coordinator.watched
    assert [message["type"] for message in await command(first, type="ping")] == ["pong"]
    await second.close()
    await until(lambda: not coordinator.watched)


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
    reloaded_at = dt_util.utcnow()
    assert await hass.config_entries.async_setup(loaded.entry_id)
    assert loaded.runtime_data.coordinator.watched
    while datetime.fromisoformat((frame := await next_frame(browser))["time"]) < reloaded_at:
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
    assert [message["type"] for message in await command(browser, type="ping")] == ["pong"]
    assert await hass.config_entries.async_setup(loaded.entry_id)
    assert (await next_frame(browser))["main"]["lp"] is not None


async def test_meter_that_is_down(
    hass: HomeAssistant,
    loaded: MockConfigEntry,
    sim: SimulatedMeter,
    hass_ws_client: WebSocketGenerator,
) -> None:
    """No old frame passes for the present; the first new one says that the meter is back."""
    sim.inject(Fault.WEDGE)
    await until(lambda: not loaded.runtime_data.coordinator.last_update_success)
    down_at = dt_util.utcnow()
    browser = await hass_ws_client(hass)
    assert (await subscribe(browser, loaded.entry_id))["success"]
    assert [message["type"] for message in await command(browser, type="ping")] == ["pong"]
    sim.clear()
    assert datetime.fromisoformat((await next_frame(browser))["time"]) > down_at


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
