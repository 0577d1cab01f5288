"""What a user does with a meter in the browser: command it, end its cycle, mend it."""

from typing import Final

from playwright.async_api import Locator, Page, ViewportSize, expect
import pytest

from nl43_sim import SimulatedMeter

from .conftest import WINDOW, Site, address_of, assert_gentle, on_site
from .pages import device_path, open_page, take_screenshot, until

# The settings that change least are asked last.
ALL_ASKED_MS: Final = 90_000
WHOLE_PAGE: Final[ViewportSize] = {"width": 1280, "height": 2450}
CLOCK_IS_OFF: Final = "The clock of NL-43 01430004 is wrong"

pytestmark = pytest.mark.asyncio(loop_scope="package")


def row(page: Page, name: str, kind: str = "toggle") -> Locator:
    """Return the row of an entity on the page of a device."""
    return page.locator(f"hui-{kind}-entity-row").filter(has_text=name)


async def perform(page: Page, action: str, serial: str, data: str = "{}") -> None:
    """Perform an action on a meter, as a user does who tries it out."""
    await open_page(page, "/config/tools/action")
    await page.get_by_text("YAML mode").click()
    await page.locator(".cm-content").first.click()
    await page.keyboard.press("Control+A")
    target = f"switch.nl_43_{serial}_measurement"
    await page.keyboard.insert_text(
        f"action: nl43.{action}\ntarget:\n  entity_id: {target}\ndata: {data}\n"
    )
    await page.get_by_role("button", name="Perform action").click()


async def test_command_a_meter(site: Site, user_page: Page, living: SimulatedMeter) -> None:
    """A user stops, sets, stores, and is kept from overwriting what is stored."""
    page, state = user_page, living.state
    await open_page(page, await device_path(site.client, living.config.serial))
    measurement = row(page, "Measurement").locator("ha-switch")
    await measurement.click()
    await until(lambda: not state.measuring)
    await row(page, "Frequency weighting", "select").click()
    await page.get_by_role("menuitem", name="C", exact=True).click()
    await until(lambda: state.settings["frequency weighting (main)"] == "C")
    await measurement.click()
    await expect(page.get_by_text("already holds data").first).to_be_visible()
    # The browser shows what was asked for, until it hears that nothing came of it.
    await expect(measurement.get_by_role("switch")).not_to_be_checked()
    await take_screenshot(page, "would-overwrite")
    assert not state.measuring
    await row(page, "Store mode", "select").click()
    await page.get_by_role("menuitem", name="Manual", exact=True).click()
    await until(lambda: state.settings["store mode"] == "Manual")
    await (
        page.locator("hui-button-entity-row")
        .filter(has_text="Manual store")
        .get_by_text("Press")
        .click()
    )
    await until(lambda: state.card.find("/NL-43/Manual_0019") is not None)
    await row(page, "Store mode", "select").click()
    await page.get_by_role("menuitem", name="Auto", exact=True).click()
    await until(lambda: state.settings["store mode"] == "Auto")


async def test_a_cycle(site: Site, user_page: Page, living: SimulatedMeter) -> None:
    """A user starts a cycle under a free name, ends it, and has its files."""
    page, serial = user_page, living.config.serial
    await perform(page, "start_cycle", serial)
    await expect(page.get_by_text("new_store_name")).to_be_visible()
    await until(lambda: living.state.measuring)
    assert living.state.settings["store name"] == "0020"
    await open_page(page, await device_path(site.client, serial))
    await expect(row(page, "FTP server")).to_be_visible(timeout=ALL_ASKED_MS)
    await page.set_viewport_size(WHOLE_PAGE)
    await take_screenshot(page, "controls")
    await page.set_viewport_size(WINDOW)
    await perform(page, "stop_cycle", serial)
    await expect(page.get_by_text("saved").first).to_be_visible()
    await take_screenshot(page, "stop-cycle")
    await until(lambda: not living.state.measuring)
    saved = site.hass.media / "nl43" / serial / "NL-43/Auto_0020"
    assert sorted(path.suffix for path in saved.rglob("*") if path.is_file()) == [".rnd", ".rnd"]


async def test_mend_a_clock(site: Site, user_page: Page) -> None:
    """A clock that is wrong is told, and set right by one click."""
    page = user_page
    async with SimulatedMeter(on_site("01430004", clock_offset=5400.0)) as meter:
        await site.client.add_meter(address_of(meter))
        await open_page(page, "/config/repairs")
        await page.get_by_text(CLOCK_IS_OFF).first.click()
        await expect(page.get_by_role("button", name="Submit")).to_be_visible()
        await take_screenshot(page, "repairs")
        await page.get_by_role("button", name="Submit").click()
        await until(lambda: abs(meter.state.clock_offset) < 2)
        await expect(page.get_by_text(CLOCK_IS_OFF)).to_have_count(0)
        assert_gentle(meter)
