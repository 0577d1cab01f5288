"""The browser's part: served, loaded by each page, whatever the dashboards are made of."""

import logging
import re
from typing import Any, Final

from homeassistant.components.frontend import DATA_EXTRA_MODULE_URL
from homeassistant.components.lovelace.const import LOVELACE_DATA
from homeassistant.core import HomeAssistant
from homeassistant.setup import async_setup_component
import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry
from pytest_homeassistant_custom_component.typing import ClientSessionGenerator

from custom_components.nl43.assets import FOLDER
from custom_components.nl43.const import DOMAIN

IMPORT: Final = re.compile(r'^ *import\b.*?"(\./[\w.-]+)"\)?;$', re.MULTILINE)
ADDRESS: Final = re.compile(r"/nl43/[0-9a-f]{12}/nl43\.js")

# Home Assistant's own http component keeps its keys as texts.
pytestmark = pytest.mark.filterwarnings("ignore:It is recommended to use web.RequestKey")


def modules(hass: HomeAssistant) -> list[str]:
    """Return which modules of the integration each page loads."""
    return [url for url in hass.data[DATA_EXTRA_MODULE_URL].urls if DOMAIN in url]


@pytest.mark.parametrize("mode", ["storage", "yaml"])
async def test_every_page_loads_it(
    hass: HomeAssistant,
    hass_client_no_auth: ClientSessionGenerator,
    caplog: pytest.LogCaptureFixture,
    mode: str,
) -> None:
    """Pages load the entry, which is served with all that it imports; nobody complains."""
    config: dict[str, Any] = {"lovelace": {"mode": mode}}
    assert await async_setup_component(hass, "lovelace", config)
    assert await async_setup_component(hass, "frontend", {})
    assert hass.data[LOVELACE_DATA].resource_mode == mode
    assert await async_setup_component(hass, DOMAIN, {})
    await hass.async_block_till_done()
    (url,) = modules(hass)
    assert ADDRESS.fullmatch(url)
    browser = await hass_client_no_auth()
    waiting, seen = [url], set[str]()
    while waiting:
        address = waiting.pop()
        seen.add(address.rpartition("/")[2])
        answer = await browser.get(address)
        assert answer.status == 200, address
        assert answer.content_type == "text/javascript"
        assert "max-age" in answer.headers["Cache-Control"]
        folder = address.rpartition("/")[0]
        names = IMPORT.findall(await answer.text())
        waiting += [f"{folder}/{name[2:]}" for name in names if name[2:] not in seen]
    assert seen == {path.name for path in FOLDER.glob("*.js")}, "each file is used"
    complaints = [
        record
        for record in caplog.records
        if record.levelno >= logging.ERROR or record.name.startswith(f"custom_components.{DOMAIN}")
    ]
    assert not complaints


async def test_without_frontend(
    hass: HomeAssistant, loaded: MockConfigEntry, caplog: pytest.LogCaptureFixture
) -> None:
    """A Home Assistant without pages has its meter all the same."""
    assert "frontend" not in hass.config.components
    assert hass.states.get("sensor.nl_43_01234567_lp")
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]
