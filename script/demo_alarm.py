"""The demo's noise alarm: made from a blueprint, with a slider that moves its limit."""

from pathlib import Path
import shutil
from typing import Any, Final

from script.hass_client import HassClient
from script.real_hass import ROOT

BLUEPRINT: Final = "nl43/noise_limit.yaml"
LIMIT: Final = "input_number.noise_limit"
# Below the loudest of what the busy site has in each half minute, above its background.
LIMIT_DB: Final = 60
_AUTOMATION: Final = "noise_limit"
_SLIDER: Final = {
    "name": "Noise limit",
    "icon": "mdi:volume-high",
    "min": 40,
    "max": 100,
    "step": 1,
    "unit_of_measurement": "dB",
    "mode": "slider",
}


def provide_blueprint(config: Path) -> None:
    """Put the blueprint where an import puts it."""
    place = config / "blueprints/automation" / BLUEPRINT
    place.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(ROOT / "blueprints/automation" / BLUEPRINT, place)


async def set_up_alarm(client: HassClient, device_id: str) -> None:
    """Arm a limit of a meter, on the first run."""
    if any(slider["name"] == _SLIDER["name"] for slider in await _sliders(client)):
        return
    await client.command("input_number/create", **_SLIDER)
    await client.command(
        "call_service",
        domain="input_number",
        service="set_value",
        service_data={"entity_id": LIMIT, "value": LIMIT_DB},
    )
    inputs = {"meters": {"device_id": device_id}, "limit": LIMIT, "duration": {"seconds": 3}}
    await client.post(
        f"config/automation/config/{_AUTOMATION}",
        {"alias": "Noise limit", "use_blueprint": {"path": BLUEPRINT, "input": inputs}},
    )


async def _sliders(client: HassClient) -> list[dict[str, Any]]:
    """Return the sliders that were made before."""
    sliders: list[dict[str, Any]] = await client.command("input_number/list")
    return sliders
