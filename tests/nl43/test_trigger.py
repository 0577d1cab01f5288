"""Triggers, as automations use them: from the meter's frames to the automation's trace."""

from homeassistant.core import HomeAssistant
from homeassistant.helpers import device_registry as dr
import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry, async_capture_events

from .sound import Sound, automate, limit_trigger

pytestmark = pytest.mark.usefixtures("patient")


EVENTS = ["limit_exceeded", "limit_cleared"]


def device_of(hass: HomeAssistant, entry: MockConfigEntry) -> dr.DeviceEntry:
    """Return the meter's device."""
    (device,) = dr.async_entries_for_config_entry(dr.async_get(hass), entry.entry_id)
    return device


async def test_begins_and_ends(hass: HomeAssistant, sound: Sound, loaded: MockConfigEntry) -> None:
    """An exceedance begins and ends as the limit says, and both are told."""
    heard = async_capture_events(hass, "heard")
    device = device_of(hass, loaded)
    options = {"for": 3, "clear_margin": 2}
    triggers = [limit_trigger(event, device.id, **options) for event in EVENTS]
    await automate(hass, *triggers)
    assert loaded.runtime_data.coordinator.watched
    await sound.plays("80@0 86@1 87@2 88@3 88@4 88@5 82@6 82@7 82@8 82@9")
    await hass.async_block_till_done()
    assert [event.data["id"] for event in heard] == EVENTS
