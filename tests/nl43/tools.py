"""What the tests of the integration share: what is shown, logged and sent."""

from collections.abc import Callable
from datetime import datetime
import json
from pathlib import Path
from typing import Any, Final

from homeassistant.core import CALLBACK_TYPE, Event, EventStateChangedData, HomeAssistant, callback
from homeassistant.exceptions import HomeAssistantError
from homeassistant.helpers import device_registry as dr
from homeassistant.helpers.event import async_track_state_change_event
import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry
from pytest_homeassistant_custom_component.typing import MockHAClientWebSocket

import custom_components.nl43
from custom_components.nl43.const import DOMAIN
from custom_components.nl43.coordinator import Nl43Coordinator
from custom_components.nl43.facts import MeterData
from custom_components.nl43.watch import async_watch
from nl43_sim import SimulatedMeter

from .conftest import QUICK

DEVICE = "nl_43_01234567"
LP = f"sensor.{DEVICE}_lp"
MEASUREMENT = f"sensor.{DEVICE}_measurement_state"
CONNECTION = f"sensor.{DEVICE}_connection"
OVERLOAD = f"binary_sensor.{DEVICE}_overload"
CONNECTIVITY = f"binary_sensor.{DEVICE}_connectivity"


FOLDER: Final = Path(custom_components.nl43.__file__).parent
TEXTS: Final[dict[str, Any]] = json.loads(
    (FOLDER / "translations/en.json").read_text(encoding="utf-8")
)


def device_of(hass: HomeAssistant, entry: MockConfigEntry) -> dr.DeviceEntry:
    """Return the meter's device."""
    (device,) = dr.async_entries_for_config_entry(dr.async_get(hass), entry.entry_id)
    return device


def state(hass: HomeAssistant, entity_id: str) -> str:
    """Return what an entity shows."""
    found = hass.states.get(entity_id)
    assert found is not None
    return found.state


def shown(hass: HomeAssistant, entity_id: str, value: str) -> Callable[[], bool]:
    """Return a condition: the entity shows a value."""
    return lambda: state(hass, entity_id) == value


def history(hass: HomeAssistant, *entity_ids: str) -> list[str]:
    """Return a list that collects all that entities show from now on."""
    states = [state(hass, entity_id) for entity_id in entity_ids]

    @callback
    def note(event: Event[EventStateChangedData]) -> None:
        if event.data["new_state"] is not None:
            states.append(event.data["new_state"].state)

    async_track_state_change_event(hass, entity_ids, note)
    return states


def watch(hass: HomeAssistant, entry: MockConfigEntry) -> tuple[list[MeterData], CALLBACK_TYPE]:
    """Watch a meter live; return its frames and how to stop."""
    frames: list[MeterData] = []
    return frames, async_watch(hass, entry.entry_id, frames.append)


def last_frame(poller: Nl43Coordinator) -> datetime:
    """Return when the last frame came."""
    assert poller.data.at is not None
    return poller.data.at


def set_intervals(
    hass: HomeAssistant, entry: MockConfigEntry, scan: float, live: float = QUICK
) -> None:
    """Change the options of an entry."""
    hass.config_entries.async_update_entry(
        entry, options={"scan_interval": scan, "live_interval": live}
    )


def said(caplog: pytest.LogCaptureFixture, text: str) -> int:
    """Count the log lines of this integration that contain a text."""
    return sum(
        record.name == "custom_components.nl43" and text in record.getMessage()
        for record in caplog.records
    )


def asked(sim: SimulatedMeter) -> list[str]:
    """Return the command lines that a simulated meter got."""
    return [command.line for command in sim.commands]


async def subscribe(
    browser: MockHAClientWebSocket, entry_id: str, **options: Any
) -> dict[str, Any]:
    """Ask for a meter's frames and return the answer."""
    await browser.send_json_auto_id(
        {"type": "nl43/subscribe_frames", "entry_id": entry_id, **options}
    )
    answer: dict[str, Any] = await browser.receive_json()
    return answer


async def next_of(browser: MockHAClientWebSocket, kind: str) -> dict[str, Any]:
    """Return the next message of a kind: frame, status or meter."""
    while True:
        message = await browser.receive_json()
        assert message["type"] == "event"
        told: dict[str, Any] = message["event"]
        if told["kind"] == kind:
            return told


async def next_frame(browser: MockHAClientWebSocket) -> dict[str, Any]:
    """Return the next frame that is sent."""
    return await next_of(browser, "frame")


async def call(hass: HomeAssistant, entity_id: str, service: str, **data: Any) -> None:
    """Call a service of an entity's platform, as a person does."""
    await hass.services.async_call(
        entity_id.partition(".")[0], service, {"entity_id": entity_id, **data}, blocking=True
    )


def text_of(error: HomeAssistantError) -> str:
    """Return what a person is told; an error without a whole text fails."""
    assert error.translation_domain == DOMAIN
    assert error.translation_key is not None
    text: str = TEXTS["exceptions"][error.translation_key]["message"]
    return text.format(**error.translation_placeholders or {})
