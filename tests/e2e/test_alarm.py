"""What a user does against noise: build a limit by hand, and see it fire."""

from collections.abc import AsyncIterator
from typing import Final

from playwright.async_api import Locator, Page, expect
import pytest
import pytest_asyncio
import pytest_socket

from nl43_sim import SimulatedMeter
from script.real_hass import ROOT

from .conftest import Site, address_of, assert_gentle, on_site
from .pages import dod_line, open_page, take_screenshot

QUIET: Final = 52.3
LOUD: Final = 91.4
SERIAL: Final = "01430005"
# The editor does not wait for the texts of its choices.
TEXTS_ARE_THERE: Final = """() => document.querySelector("home-assistant").hass
    .localize("component.nl43.selector.quantity.options.lp")"""

pytestmark = pytest.mark.asyncio(loop_scope="package")


@pytest_asyncio.fixture(loop_scope="package")
async def quiet(site: Site) -> AsyncIterator[SimulatedMeter]:
    """Give Home Assistant a meter at a place where it is quiet so far."""
    pytest_socket.enable_socket()
    async with SimulatedMeter(on_site(SERIAL, replay=[dod_line(QUIET)])) as meter:
        await site.client.add_meter(address_of(meter))
        yield meter
        assert_gentle(meter)


async def add(page: Page, kind: str, search: str, name: str) -> None:
    """Add a trigger or an action to the automation that is being edited."""
    await page.get_by_role("button", name=f"Add {kind}").click()
    await page.locator("add-automation-element-dialog input").first.fill(search)
    await page.get_by_text(name, exact=True).click()


def traces(page: Page) -> Locator:
    """Return what an automation has once it is saved."""
    link = page.get_by_role("link", name="Traces")
    return link.or_(page.get_by_text("Traces", exact=True)).first


async def type_into(field: Locator, text: str) -> None:
    """Type into a field as a user does, who then leaves it."""
    await field.click(click_count=3)
    await field.press_sequentially(text)
    await field.press("Tab")


async def test_limit_built_by_hand(site: Site, user_page: Page, quiet: SimulatedMeter) -> None:
    """A user builds an alarm without YAML, and it fires when it gets loud, and not before."""
    page = user_page
    await open_page(page, "/config/automation/edit/new")
    await add(page, "trigger", "noise limit", "Noise limit exceeded")
    await page.wait_for_function(TEXTS_ARE_THERE)
    # A user is not so quick as to have to look twice.
    await page.get_by_role("button", name="Close").click()
    await page.locator("ha-automation-trigger-row").click()
    await page.get_by_role("button", name="Add target").click()
    await page.get_by_text(f"NL-43 {SERIAL}").last.click()
    await type_into(page.locator("ha-selector-number input").first, "80")
    await type_into(page.locator("ha-selector-duration").first.locator("input").last, "2")
    await take_screenshot(page, "trigger")
    await add(page, "action", "persistent", "Send a persistent notification")
    message = page.locator("ha-selector-text wa-input input").first
    await message.fill("{{ trigger.symbol }} has reached {{ trigger.peak }} dB.")
    await page.get_by_role("button", name="Save").first.click()
    await expect(page.get_by_text("Add description")).to_be_visible()
    # Its name is selected already.
    await page.keyboard.insert_text("It is loud")
    await page.get_by_role("button", name="Save").last.click()
    await expect(traces(page)).to_be_visible()

    notifications = await site.client.command("persistent_notification/get")
    assert not notifications
    quiet.replay_frames([dod_line(LOUD)])
    await page.get_by_text("Notifications").first.click()
    await expect(page.get_by_text(f"has reached {LOUD} dB.")).to_be_visible()
    await take_screenshot(page, "notification")
    quiet.replay_frames([dod_line(QUIET)])
    await open_page(page, f"/logbook?entity_id=event.nl_43_{SERIAL}_exceedance")
    await expect(page.get_by_text("is above 80.0 dB").first).to_be_visible()
    await take_screenshot(page, "logbook")


async def test_blueprint(site: Site, user_page: Page) -> None:
    """A user fills in a form, and Home Assistant takes it."""
    page = user_page
    path = "nl43/noise_limit.yaml"
    text = (ROOT / "blueprints/automation" / path).read_text(encoding="utf-8")
    await site.client.command("blueprint/save", domain="automation", path=path, yaml=text)
    await open_page(page, "/config/blueprint/dashboard")
    await page.get_by_text("Noise limit").first.click()
    await page.get_by_role("button", name="Add target").click()
    await page.get_by_text("NL-43 01430001").last.click()
    await type_into(page.locator("ha-selector-number input").first, "70")
    await expect(page.get_by_text("Notify actions", exact=True)).to_be_visible()
    await page.get_by_role("button", name="Save").first.click()
    await expect(traces(page)).to_be_visible()
    await take_screenshot(page, "blueprint")
    made = await site.client.get("states/automation.noise_limit")
    assert made["state"] == "on"
