"""The browser's part of the integration: served from here, nothing else to install."""

from hashlib import sha256
from pathlib import Path
from typing import Final

from homeassistant.components import frontend
from homeassistant.components.http import StaticPathConfig
from homeassistant.core import HomeAssistant

from .const import DOMAIN

FOLDER: Final = Path(__file__).parent / "frontend"
ENTRY: Final = "nl43.js"


def _fingerprint() -> str:
    """Return what changes with any file, so that a browser never mixes two versions."""
    digest = sha256()
    for path in sorted(FOLDER.rglob("*")):
        if path.is_file():
            digest.update(path.name.encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


async def async_register_assets(hass: HomeAssistant) -> None:
    """Serve the cards and the dashboard strategy, and have each page load them."""
    if frontend.DOMAIN not in hass.config.components:
        return
    url = f"/{DOMAIN}/{await hass.async_add_executor_job(_fingerprint)}"
    await hass.http.async_register_static_paths(
        [StaticPathConfig(url, str(FOLDER), cache_headers=True)]
    )
    # It works in whatever mode the dashboards are; as a resource it would not.
    frontend.add_extra_js_url(hass, f"{url}/{ENTRY}")
