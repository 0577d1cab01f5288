"""What a new user does in the browser."""

from datetime import timedelta
import re
from typing import Final
from urllib.parse import urlencode

from homeassistant.util import dt as dt_util
from playwright.async_api import Locator, Page, expect
import pytest

from nl43_sim import SimulatedMeter
from script.real_hass import HOST, free_port

from .conftest import ACCOUNT, Site
from .pages import device_path, open_page, take_screenshot

pytestmark = pytest.mark.asyncio(loop_scope="package")

INTEGRATION: Final = "Rion NL-43/NL-53 sound level meter"
RECORDED_LP: Final = "46.2 dB"
RECORDED_LEQ: Final = "43.7 dB"
HISTORY: Final = timedelta(minutes=1)
# Axes and grid are grey: only a drawn line has colour.
IS_DRAWN_IN_COLOUR: Final = """
canvas => {
  const context = canvas.getContext("2d");
  const pixels = context.getImageData(0, 0, canvas.width, canvas.height).data;
  for (let i = 0; i < pixels.length; i += 4) {
    const [red, green, blue] = pixels.slice(i, i + 3);
    if (Math.max(red, green, blue) - Math.min(red, green, blue) > 60) return true;
  }
  return false;
}
"""
LEVEL: Final = re.compile(r"\d+\.\d dB")


def field(page: Page, label: str) -> Locator:
    """Return the input of a form's field."""
    labelled = re.compile(rf"^\s*{label}\b")
    return page.locator("ha-selector").filter(has_text=labelled).locator("input")


async def start_adding(page: Page) -> None:
    """Go from the settings to the integration's first form."""
    await open_page(page, "/config/integrations/dashboard")
    await page.get_by_role("button", name="Add integration").click()
    await page.get_by_placeholder("Search for a brand name").fill("NL-43")
    await page.locator("ha-integration-list-item").filter(has_text=INTEGRATION).click()


async def give_address(page: Page, host: str, port: int) -> None:
    """Fill the first form and send it."""
    await field(page, "Host").fill(host)
    await field(page, "Port").fill(str(port))
    await take_screenshot(page, "address")
    await page.get_by_role("button", name="Submit").click()


async def test_log_in(site: Site, page: Page) -> None:
    """The real form lets the user in."""
    await page.goto("/")
    await page.get_by_label("Username").fill(ACCOUNT.username)
    await page.locator("input[type=password]").fill(ACCOUNT.password)
    await page.get_by_role("button", name="Log in").click()
    await expect(page.get_by_text(ACCOUNT.name, exact=True)).to_be_visible()


async def test_add_by_hand(site: Site, user_page: Page, second_meter: SimulatedMeter) -> None:
    """A user adds a meter with its address and its FTP login, and sees its levels."""
    page = user_page
    serial = second_meter.config.serial
    await start_adding(page)
    await give_address(page, second_meter.host, second_meter.port)
    await field(page, "FTP port").fill(str(second_meter.ftp_port))
    await take_screenshot(page, "ftp")
    await page.get_by_role("button", name="Submit").click()
    await expect(page.get_by_text("Name and assign")).to_be_visible()
    await take_screenshot(page, "added")
    await page.get_by_role("button", name="Skip and finish").click()
    await open_page(page, await device_path(site.client, serial))
    await expect(page.get_by_text(serial).first).to_be_visible()
    await expect(page.get_by_text(LEVEL).first).to_be_visible()


async def test_wrong_address(site: Site, user_page: Page) -> None:
    """An address where nothing listens is told in words that help."""
    await start_adding(user_page)
    await give_address(user_page, HOST, free_port())
    alert = user_page.get_by_text("The meter's address refused the connection.")
    await expect(alert).to_be_visible()
    await take_screenshot(user_page, "wrong-address")


async def test_device_page(site: Site, user_page: Page) -> None:
    """The page shows what the meter is, the levels it sent, and which percentile is which."""
    serial = site.meter.config.serial
    await open_page(user_page, await device_path(site.client, serial))
    for text in (
        "by Rion",
        "Firmware",
        serial,
        RECORDED_LP,
        RECORDED_LEQ,
        "LN2 (L10)",
        "Connected",
    ):
        await expect(user_page.get_by_text(text).first).to_be_visible()
    await take_screenshot(user_page, "device")


async def test_history(site: Site, user_page: Page) -> None:
    """The history draws the levels."""
    entities = await site.client.entity_ids()
    chosen = [entities[f"{site.meter.config.serial}_{key}"] for key in ("lp", "leq", "ln1")]
    end = dt_util.utcnow()
    query = {
        "entity_id": ",".join(chosen),
        "start_date": (end - HISTORY).isoformat(),
        "end_date": end.isoformat(),
    }
    await open_page(user_page, f"/history?{urlencode(query)}")
    chart = user_page.locator("ha-chart-base canvas").first
    await user_page.wait_for_function(IS_DRAWN_IN_COLOUR, arg=await chart.element_handle())
    await expect(user_page.get_by_text(RECORDED_LP).first).to_be_visible()
    await take_screenshot(user_page, "history")
