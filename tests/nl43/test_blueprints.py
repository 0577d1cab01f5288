"""Blueprints: forms that become alarms, run by Home Assistant's own automation engine."""

from pathlib import Path
import re
import shutil
from typing import Any, Final

from homeassistant.core import HomeAssistant, ServiceCall
from homeassistant.setup import async_setup_component
import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry, async_mock_service

from .sound import Sound
from .tools import device_of
from .waiting import until

TIMES: Final = re.compile(r"\d\d:\d\d:\d\d")
ROOT: Final = Path(__file__).parents[2]
pytestmark = pytest.mark.usefixtures("patient")


@pytest.fixture
def blueprints(hass: HomeAssistant, tmp_path: Path) -> None:
    """Import the blueprints, as a person does."""
    shutil.copytree(ROOT / "blueprints", tmp_path / "blueprints")
    hass.config.config_dir = str(tmp_path)


async def use(hass: HomeAssistant, blueprint: str, **inputs: Any) -> None:
    """Fill a blueprint in and switch the automation on."""
    config = {
        "id": "made",
        "alias": "Made",
        "use_blueprint": {"path": f"nl43/{blueprint}.yaml", "input": inputs},
    }
    assert await async_setup_component(hass, "automation", {"automation": [config]})
    await hass.async_block_till_done()
    assert hass.states.get("automation.made") is not None


@pytest.fixture
def told(hass: HomeAssistant) -> list[ServiceCall]:
    """Return what people are told."""
    return async_mock_service(hass, "notify", "persistent_notification")


@pytest.mark.usefixtures("blueprints")
async def test_noise_limit(
    hass: HomeAssistant, sound: Sound, loaded: MockConfigEntry, told: list[ServiceCall]
) -> None:
    """Both messages read like sentences that can be forwarded."""
    meters = {"device_id": device_of(hass, loaded).id}
    await use(hass, "noise_limit", meters=meters, limit=85, duration={"seconds": 3})
    await sound.plays("80@0 86@1 87@2 88@3 88@4 88@5 82@6 82@7 82@8 82@9")
    await until(lambda: len(told) == 2)
    exceeded, cleared = (call.data for call in told)
    assert exceeded["title"] == "Noise limit exceeded at NL-43 01234567"
    assert TIMES.sub("00:00:00", exceeded["message"]) == (
        "At NL-43 01234567, Lp has been above 85.0 dB for 3 seconds, since 00:00:00. "
        "It is 88.0 dB now; the highest level was 88.0 dB."
    )
    assert cleared["title"] == "Back within the noise limit at NL-43 01234567"
    assert TIMES.sub("00:00:00", cleared["message"]) == (
        "At NL-43 01234567, Lp was above 85.0 dB for 5 seconds, from 00:00:00 to 00:00:00. "
        "The highest level was 88.0 dB, the energy mean 87.5 dB."
    )
    assert exceeded["data"]["tag"] == cleared["data"]["tag"], "one replaces the other"
