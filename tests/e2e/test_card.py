"""What a user sees of a meter's card in the browser: stores, recordings, level charts."""

import re

from playwright.async_api import Locator, Page, expect
import pytest

from nl43_sim import SimulatedMeter

from .conftest import Site
from .pages import device_path, open_page, take_screenshot, until

pytestmark = pytest.mark.asyncio(loop_scope="package")

PER_CENT = re.compile(r"\d+\s?%")
PLAYED = re.compile(r"00:0[1-5]")


def item(page: Page, text: str) -> Locator:
    """Return an entry of the media browser."""
    return page.locator("ha-card, ha-list-item, ha-list-item-button").filter(has_text=text).first


async def open_store(page: Page, meter: SimulatedMeter, store: str = "Auto_0018") -> None:
    """Click through to a store with a recording."""
    await open_page(page, "/media-browser/browser")
    await item(page, "Rion sound level meters").click()
    await item(page, meter.config.serial).click()
    await expect(page.get_by_text(store).first).to_be_visible()
    await take_screenshot(page, "media-stores")
    await page.get_by_text(store).first.click()
    await expect(page.get_by_text(".wav").first).to_be_visible()


async def test_play_a_recording(user_page: Page, living: SimulatedMeter) -> None:
    """A recording on the card plays in the browser."""
    await open_store(user_page, living)
    await take_screenshot(user_page, "media-files")
    await user_page.get_by_text(".wav").first.click()
    await expect(user_page.get_by_text(PLAYED).first).to_be_visible()
    await take_screenshot(user_page, "recording")


async def test_see_a_level_chart(user_page: Page, living: SimulatedMeter) -> None:
    """A stored file opens as the picture of its levels."""
    await open_store(user_page, living)
    await user_page.get_by_text("SLM_Lp").first.click()
    chart = user_page.locator("ha-dialog img")
    await expect(chart).to_be_visible()
    await user_page.wait_for_function(
        "img => img.naturalWidth > 0", arg=await chart.element_handle()
    )
    await take_screenshot(user_page, "level-chart")


async def test_save_a_store(site: Site, user_page: Page, living: SimulatedMeter) -> None:
    """One click copies a whole store into Home Assistant, which shows how far it is."""
    await open_store(user_page, living, "Auto_0017")
    await user_page.get_by_text("Save in Home Assistant").first.click()
    await expect(user_page.locator("ha-dialog img")).to_be_visible()
    await open_page(user_page, await device_path(site.client, living.config.serial))
    transfer = user_page.locator("hui-sensor-entity-row").filter(has_text="File transfer")
    await expect(transfer.get_by_text(PER_CENT)).to_be_visible()
    await transfer.scroll_into_view_if_needed()
    await take_screenshot(user_page, "progress")
    store = site.hass.media / "nl43" / living.config.serial / "NL-43/Auto_0017"
    await until(lambda: {path.suffix for path in store.rglob("*.*")} == {".rnd", ".wav"})
