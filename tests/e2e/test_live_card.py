"""The live card: a meter as an instrument, in the browser."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, closing
import re
import sqlite3
from typing import Any, Final

from playwright.async_api import Browser, Locator, Page, Route, ViewportSize, expect
import pytest
import pytest_asyncio
import pytest_socket

from nl43_sim import Fault, SimulatedMeter
from script.hass_client import HassClient

from .conftest import PATIENCE_MS, Site, address_of, assert_gentle, log_in, on_site
from .pages import dod_line, open_page, take_screenshot, until

SERIAL: Final = "01430006"
PATH: Final = "live-card"
OWN: Final = "own-card"
SPOKEN: Final = re.compile(r"LAS is \d+\.\d dB, Leq \d+\.\d dB\.$")
SIZES: Final[dict[str, ViewportSize]] = {
    "phone": {"width": 390, "height": 844},
    "desk": {"width": 1024, "height": 900},
    "wall": {"width": 1920, "height": 1080},
}
VIEWERS: Final = 20
LEVEL: Final = re.compile(r"^\d+\.\d$")
# The recorder commits every five seconds.
COMMIT: Final = 6.0

pytestmark = pytest.mark.asyncio(loop_scope="package")


@pytest_asyncio.fixture(scope="module", loop_scope="package")
async def busy(site: Site) -> AsyncIterator[SimulatedMeter]:
    """Give Home Assistant a meter at a busy place, and a dashboard with its card."""
    pytest_socket.enable_socket()
    async with SimulatedMeter(on_site(SERIAL, busy=True)) as meter:
        await site.client.add_meter(address_of(meter))
        # Asked last; while somebody watches, it would take two minutes.
        await until(lambda: any(command.line == "FTP?" for command in meter.commands), 90)
        devices = await site.client.command("config/device_registry/list")
        (device,) = (each for each in devices if each["serial_number"] == SERIAL)
        card = {"type": "custom:nl43-live-card", "device_id": device["id"]}
        card |= {"grid_options": {"columns": "full"}}
        section = {"type": "grid", "column_span": 4, "cards": [card]}
        view = {"title": "Live", "type": "sections", "sections": [section]}
        await site.client.command(
            "lovelace/dashboards/create", url_path=PATH, title="Live", require_admin=False
        )
        await site.client.command("lovelace/config/save", url_path=PATH, config={"views": [view]})
        yield meter
        assert_gentle(meter)


def card_of(page: Page) -> Locator:
    """Return the card."""
    return page.locator("nl43-live-card")


async def watchers(client: HassClient) -> int:
    """Return how many watch the meter, as its diagnostics say."""
    entries = await client.get("config/config_entries/entry?domain=nl43")
    (entry,) = (each for each in entries if SERIAL in each["title"])
    found = await client.get(f"diagnostics/config_entry/{entry['entry_id']}")
    count: int = found["data"]["poller"]["watchers"]
    return count


async def until_watched(client: HassClient, count: int) -> None:
    """Wait until so many watch."""
    async with asyncio.timeout(30):
        while await watchers(client) != count:  # noqa: ASYNC110 - over the network
            await asyncio.sleep(0.2)


async def open_card(page: Page) -> Locator:
    """Open the dashboard and wait for the first frame."""
    await open_page(page, f"/{PATH}/0")
    card = card_of(page)
    await expect(card.locator(".value")).to_have_text(LEVEL)
    return card


async def test_levels(site: Site, user_page: Page, busy: SimulatedMeter) -> None:
    """It shows the meter's levels by the names that acousticians use, and nothing is wrong."""
    errors: list[str] = []
    user_page.on("pageerror", lambda error: errors.append(str(error)))
    card = await open_card(user_page)
    await expect(card.locator(".name")).to_have_text(f"NL-43 {SERIAL}")
    await expect(card.locator(".symbol")).to_have_text("LAS")
    await expect(card.locator("dt").nth(4)).to_have_text("LAS5")
    await expect(card.locator("dd").first).to_have_text(LEVEL)
    await expect(card.locator(".word")).to_have_text("Measuring")
    await expect(card.locator(".note")).not_to_be_visible()
    await expect(card.locator(".display.old")).to_have_count(0)
    await expect(card.get_by_role("button", name="5 min", exact=True)).to_have_attribute(
        "aria-pressed", "true"
    )
    assert not errors


async def test_slow_start(user_page: Page, busy: SimulatedMeter) -> None:
    """It is there, too, where Home Assistant itself comes to the page last."""
    page = user_page

    async def late(route: Route) -> None:
        await page.wait_for_timeout(2000)
        await route.continue_()

    for name in ("core", "app"):
        await page.route(f"**/frontend_latest/{name}.*.js", late)
    await open_card(page)


async def test_new_by_hand(site: Site, user_page: Page, busy: SimulatedMeter) -> None:
    """A user is offered the card for a level, finds it by its name, and fills in its form."""
    page = user_page
    await site.client.command("lovelace/dashboards/create", url_path=OWN, title="Own")
    view = {"title": "Own", "type": "sections", "sections": [{"type": "grid", "cards": []}]}
    await site.client.command("lovelace/config/save", url_path=OWN, config={"views": [view]})
    await open_page(page, f"/{OWN}/0?edit=1")
    await page.locator("hui-grid-section .add").first.click()
    await page.get_by_placeholder("Search entities").fill(f"{SERIAL} Lp")
    await page.get_by_text("Lp", exact=True).first.click()
    await expect(card_of(page).locator(".name")).to_have_text(f"NL-43 {SERIAL}")
    await page.get_by_role("tab", name="By card").click()
    await page.get_by_placeholder("Search cards").fill("sound level meter")
    found = page.locator(".card").filter(has_text="Sound level meter, live")
    await found.locator(".overlay").click()
    await page.get_by_role("textbox", name="Title").fill("Yard")
    for text in ("Meter", "Levels", "Limit lines", "Start, pause and stop"):
        await expect(page.get_by_text(text, exact=True).first).to_be_visible()
    await expect(card_of(page).locator(".name")).to_have_text("Yard")
    await take_screenshot(page, "live-card-editor")
    await page.get_by_role("button", name="Save", exact=True).click()
    await expect(page.locator("hui-form-editor")).to_have_count(0)
    await expect(card_of(page).locator(".value")).to_have_text(LEVEL)


async def test_without_a_mouse(user_page: Page, busy: SimulatedMeter) -> None:
    """The chart is read with the keyboard, and told to who cannot see it."""
    card = await open_card(user_page)
    chart = card.get_by_role("img")
    await expect(chart).to_have_attribute("aria-label", SPOKEN)
    await expect(card.locator("[aria-live=polite]")).to_have_text(SPOKEN)
    await expect(card.locator(".at")).to_be_empty()
    await chart.focus()
    await chart.press("End")
    await expect(card.locator(".at")).to_have_text(re.compile(r"\d+\.\d / \d+\.\d dB$"))
    newest = await card.locator(".at").inner_text()
    await chart.press("ArrowLeft")
    await expect(card.locator(".at")).not_to_have_text(newest)
    await card.get_by_role("button", name="15 min", exact=True).press("Enter")
    await expect(card.get_by_role("button", name="15 min", exact=True)).to_have_attribute(
        "aria-pressed", "true"
    )


async def test_command(site: Site, user_page: Page, busy: SimulatedMeter) -> None:
    """A measurement is stopped after a question; a refused start says why."""
    card = await open_card(user_page)
    await card.get_by_role("button", name="Stop measurement").click()
    await card.get_by_role("button", name="Cancel").click()
    assert busy.state.measuring
    await card.get_by_role("button", name="Stop measurement").click()
    await expect(card.get_by_text("Stop the running measurement?")).to_be_visible()
    await card.get_by_role("button", name="Stop measurement").click()
    await until(lambda: not busy.state.measuring)
    await expect(card.locator(".word")).to_have_text("Stopped")
    await expect(card.locator("dd").first).to_have_text("\u2013")
    await card.get_by_role("button", name="Start measurement").click()
    await card.get_by_role("button", name="Start measurement").click()
    await expect(card.locator(".note")).to_contain_text("already holds data")
    busy.press("Store Name,0777")
    busy.press("Measure,Start")
    await expect(card.locator(".word")).to_have_text("Measuring", timeout=90_000)


async def test_outage(site: Site, user_page: Page, busy: SimulatedMeter) -> None:
    """What is old is greyed out with its age and the reason, and all is well again by itself."""
    card = await open_card(user_page)
    busy.inject(Fault.GONE)
    note = card.locator(".note")
    await expect(card.locator(".display.old")).to_be_visible(timeout=60_000)
    await expect(note).to_contain_text("Last reading", timeout=60_000)
    await expect(note).to_contain_text("The meter cannot be reached.", timeout=60_000)
    await take_screenshot(user_page, "live-card-unreachable")
    busy.clear()
    await expect(card.locator(".display.old")).to_have_count(0, timeout=60_000)
    await expect(note).not_to_be_visible()


async def test_overload(site: Site, user_page: Page, busy: SimulatedMeter) -> None:
    """Nobody can miss an overload."""
    card = await open_card(user_page)
    busy.replay_frames([dod_line(131.5, over=1)])
    await expect(card.get_by_text("OVERLOAD: not valid for a report")).to_be_visible()
    busy.replay_frames([])
    await expect(card.get_by_text("OVERLOAD: not valid for a report")).not_to_be_visible()


async def test_watchers(site: Site, user_page: Page, busy: SimulatedMeter) -> None:
    """The count of those who watch goes up and down with the pages; one connection serves all."""
    first = await user_page.context.new_page()
    second = await user_page.context.new_page()
    await open_card(first)
    await until_watched(site.client, 1)
    await open_card(second)
    await until_watched(site.client, 2)
    await second.close()
    await until_watched(site.client, 1)
    await first.goto("/profile")
    await until_watched(site.client, 0)
    await first.close()


async def rows(site: Site) -> int:
    """Return how many states of the meter the recorder has."""
    await asyncio.sleep(COMMIT)

    def count() -> int:
        place = site.hass.folder / "home-assistant_v2.db"
        with closing(sqlite3.connect(f"file:{place}?mode=ro", uri=True)) as database:
            (found,) = database.execute(
                "select count(*) from states join states_meta using (metadata_id)"
                " where states_meta.entity_id = ?",
                (f"sensor.nl_43_{SERIAL}_lp",),
            ).fetchone()
        return int(found)

    return await asyncio.to_thread(count)


async def test_many_viewers(site: Site, busy: SimulatedMeter) -> None:
    """Twenty viewers have every frame, over one connection, without a row more in the history."""
    entries = await site.client.get("config/config_entries/entry?domain=nl43")
    (entry,) = (each for each in entries if SERIAL in each["title"])
    message = {"type": "nl43/subscribe_frames", "entry_id": entry["entry_id"]}
    opened = busy.connections_opened
    heard: list[int] = []
    frames: list[dict[str, Any]] = []

    def hear(number: int) -> Any:
        def note(received: dict[str, Any]) -> None:
            if received.get("event", {}).get("kind") == "frame":
                heard.append(number)
                frames.append(received["event"])

        return note

    before = await rows(site)
    async with AsyncExitStack() as stack:
        for number in range(VIEWERS):
            await stack.enter_async_context(site.client.subscribed([message], hear(number)))
        await until(lambda: all(heard.count(number) >= 6 for number in range(VIEWERS)))
        assert await watchers(site.client) == VIEWERS
        after = await rows(site)
    seconds = max(frame["time"] for frame in frames) - min(frame["time"] for frame in frames)
    # A level is written at most every ten seconds, watched or not.
    assert after - before <= (seconds + 2 * COMMIT) / 10 + 2
    assert busy.connections_opened == opened
    assert busy.connections_open == 1
    await until_watched(site.client, 0)


@pytest.mark.parametrize("theme", ["light", "dark"])
async def test_looks(site: Site, browser: Browser, busy: SimulatedMeter, theme: str) -> None:
    """It fits every size in both themes: nothing is cut, nothing scrolls sideways."""
    scheme: Any = theme
    context = await browser.new_context(base_url=site.hass.url, color_scheme=scheme)
    context.set_default_timeout(PATIENCE_MS)
    await log_in(context, site)
    page = await context.new_page()
    card = await open_card(page)
    await expect(card.locator(".word")).to_have_text("Measuring", timeout=90_000)
    for size, viewport in SIZES.items():
        await page.set_viewport_size(viewport)
        await take_screenshot(page, f"live-card-{theme}-{size}")
        wide = await card.evaluate("card => [card.scrollWidth, card.clientWidth]")
        assert wide[0] <= wide[1], size
    await context.close()
