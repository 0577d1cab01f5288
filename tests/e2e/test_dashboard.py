"""The dashboard that builds itself, in the browser."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
import re
from typing import Any, Final

from playwright.async_api import Browser, ConsoleMessage, Locator, Page, ViewportSize, expect
import pytest
import pytest_asyncio
import pytest_socket

from nl43_sim import Fault, SimulatedMeter

from .conftest import PATIENCE_MS, Site, address_of, assert_gentle, log_in, on_site
from .pages import dod_line, open_page, take_screenshot, until

GATE: Final = "01430007"
QUAY: Final = "01430008"
NAMES: Final = {GATE: "Gate 3", QUAY: "Quay west"}
AREA: Final = "Container yard"
PATH: Final = "sound-all"
PLAIN: Final = "sound-plain"
ONE: Final = "sound-one"
BY_HAND: Final = "Sound by hand"
SIZES: Final[dict[str, ViewportSize]] = {
    "360x740": {"width": 360, "height": 740},
    "1024x768": {"width": 1024, "height": 768},
    "1920x1080": {"width": 1920, "height": 1080},
}
LEVEL: Final = re.compile(r"^\d+\.\d$")
# A row changes its place at most every ten seconds, a level its value every five.
PLACES_MS: Final = 40_000
LIMIT: Final = "Yard limit"
BROKEN: Final = "hui-error-card, hui-warning"
# A level, and how many seconds after its event an entity was written: late, it was restored.
CASES: Final = ((41.0, 0), (66.0, 300), (41.0, 300))
RESTORED: Final = """([card, level, late]) => {
    const hass = card._hass;
    const { entities } = card._meters[0];
    const began = Date.now() - late * 1000;
    const states = {...hass.states};
    states[entities.lp] = {...states[entities.lp], state: String(level)};
    states[entities.connection] = {...states[entities.connection], state: "connected"};
    states[entities.exceedance] = {
        ...states[entities.exceedance],
        state: new Date(began).toISOString(),
        last_changed: new Date().toISOString(),
        attributes: {event_type: "exceeded", quantity: "lp", limit: 60, direction: "above"},
    };
    card.hass = {...hass, states};
    const shown = card._modules.get(card._meters[0].id).root.classList.contains("exceeded");
    card.hass = hass;
    return shown;
}"""
# Thirty changes of the order within three seconds.
RESTLESS: Final = """async card => {
    let moves = 0;
    const observer = new MutationObserver(() => { moves += 1; });
    observer.observe(card.shadowRoot.querySelector(".rack"), {childList: true});
    const hass = card._hass;
    const [one, other] = card._meters.map((meter) => meter.entities.lp);
    for (let turn = 0; turn < 30; turn += 1) {
        const states = {...hass.states};
        states[one] = {...states[one], state: turn % 2 ? "90.0" : "30.0"};
        states[other] = {...states[other], state: turn % 2 ? "30.0" : "90.0"};
        card.hass = {...hass, states};
        await new Promise((resolve) => setTimeout(resolve, 100));
    }
    return moves;
}"""

pytestmark = pytest.mark.asyncio(loop_scope="package")


@dataclass(frozen=True)
class Pair:
    """Two meters, each with a view of its own."""

    gate: SimulatedMeter
    quay: SimulatedMeter
    devices: dict[str, str]


def was_asked_all(meter: SimulatedMeter) -> bool:
    """Tell whether a meter was asked everything once: this is the last question."""
    return any(command.line == "FTP?" for command in meter.commands)


@pytest_asyncio.fixture(scope="module", loop_scope="package")
async def pair(site: Site) -> AsyncIterator[Pair]:
    """Give Home Assistant two meters with names, one with a place, and dashboards of them."""
    pytest_socket.enable_socket()
    client = site.client
    async with (
        SimulatedMeter(on_site(GATE, busy=True)) as gate,
        SimulatedMeter(on_site(QUAY, seed=5)) as quay,
    ):
        meters = (gate, quay)
        await asyncio.gather(*(client.add_meter(address_of(meter)) for meter in meters))
        # While somebody watches, it would take two minutes.
        await until(lambda: all(map(was_asked_all, meters)), 90)
        devices = await client.name_meters(NAMES)
        area = await client.command("config/area_registry/create", name=AREA)
        await client.command(
            "config/device_registry/update", device_id=devices[GATE], area_id=area["area_id"]
        )
        await client.command("zone/create", name=AREA, latitude=53.53, longitude=9.94, radius=150)
        both = [devices[QUAY], devices[GATE]]
        for path, title, options in (
            (PATH, "Sound levels", {"meters": both}),
            (PLAIN, "Plain cards", {"meters": both, "live_card": False}),
            (ONE, "One meter", {"meters": both[:1]}),
        ):
            await client.command(
                "lovelace/dashboards/create", url_path=path, title=title, require_admin=False
            )
            config = {"strategy": {"type": "custom:nl43", **options}}
            await client.command("lovelace/config/save", url_path=path, config=config)
        yield Pair(gate, quay, devices)
        for meter in meters:
            assert_gentle(meter)


@pytest_asyncio.fixture(loop_scope="package")
async def sound_page(user_page: Page, pair: Pair) -> AsyncIterator[Page]:
    """Open a page on which nothing goes wrong."""
    errors: list[str] = []

    def note(message: ConsoleMessage) -> None:
        # What is outside, like the pictures of a map, is not there.
        if message.type == "error" and "Failed to load resource" not in message.text:
            errors.append(message.text)

    user_page.on("pageerror", lambda error: errors.append(str(error)))
    user_page.on("console", note)
    yield user_page
    await expect(user_page.locator(BROKEN)).to_have_count(0)
    assert not errors


def modules(page: Page) -> Locator:
    """Return the meters on the card of all, as they stand."""
    return page.locator("nl43-meters-card .module")


def module(page: Page, serial: str) -> Locator:
    """Return one meter on the card of all."""
    return modules(page).filter(has_text=NAMES[serial])


async def heading(page: Page, text: str) -> None:
    """Expect a heading."""
    await expect(page.locator("hui-heading-card").filter(has_text=text).first).to_be_attached()


async def test_new_by_hand(sound_page: Page) -> None:
    """A user finds it in the dialog for a new dashboard, and has one with all meters."""
    page = sound_page
    await open_page(page, "/config/lovelace/dashboards")
    await page.get_by_role("button", name="Add dashboard").click()
    kind = page.locator("dashboard-card").filter(has_text="Sound level meters")
    await expect(kind).to_contain_text("All Rion sound level meters at a glance")
    await kind.scroll_into_view_if_needed()
    await take_screenshot(page, "dashboard-new")
    await kind.click()
    title = page.get_by_role("textbox", name="Title")
    await title.fill(BY_HAND)
    await page.get_by_role("button", name="Create", exact=True).click()
    await expect(title).to_have_count(0)
    await open_page(page, "/sound-by-hand")
    for serial in NAMES:
        await expect(module(page, serial).locator(".value")).to_have_text(LEVEL)
        await expect(page.get_by_role("tab").filter(has_text=NAMES[serial])).to_be_visible()


async def test_editor(sound_page: Page) -> None:
    """What can be chosen of it has a form."""
    page = sound_page
    await open_page(page, f"/{PATH}")
    await page.get_by_role("button", name="Edit dashboard").click()
    await expect(page.get_by_text("Live cards").first).to_be_visible()
    await expect(page.get_by_text("Meters, in this order")).to_be_visible()
    await expect(page.locator("nl43-dashboard-editor").get_by_text("Gate 3")).to_be_visible()
    await take_screenshot(page, "dashboard-editor")


async def test_overview(sound_page: Page) -> None:
    """All meters at a glance, with the levels' names and the place of the one that has one."""
    page = sound_page
    await open_page(page, f"/{PATH}")
    gate = module(page, GATE)
    await expect(gate.locator(".value")).to_have_text(LEVEL)
    await expect(gate.locator(".where")).to_have_text(AREA)
    await expect(gate.locator(".symbol")).to_have_text("LAS")
    await expect(gate.locator("dt").first).to_have_text("LAeq")
    await expect(gate.locator(".run")).to_have_text("Measuring")
    await expect(gate.locator(".connection")).to_have_text("Connected")
    await expect(gate.locator(".count")).to_have_text("No exceedance today")
    for text in ("Levels", "Places", "Exceedances"):
        await heading(page, text)
    await expect(page.locator("hui-map-card")).to_be_attached()
    await gate.click()
    await expect(page).to_have_url(re.compile(f"/{PATH}/meter-{GATE}$"))
    await expect(page.locator("nl43-live-card .value")).to_have_text(LEVEL)


async def test_a_view(sound_page: Page) -> None:
    """A meter's view has everything, and the card's files are one click away."""
    page = sound_page
    await open_page(page, f"/{PATH}/meter-{GATE}")
    await expect(page.locator("nl43-live-card .value")).to_have_text(LEVEL)
    for text in (AREA, "History", "Alarms", "Percentile levels", "Controls", "Statistics"):
        await heading(page, text)
    await heading(page, "Health")
    await expect(page.get_by_text("There is no mean")).to_be_attached()
    await expect(page.get_by_text("LN1 (L5)").first).to_be_attached()
    await page.locator("hui-shortcut-card").click()
    await expect(page.get_by_text("Auto_0018").first).to_be_visible()


async def test_plain(sound_page: Page) -> None:
    """Without the live card there are Home Assistant's own cards."""
    page = sound_page
    await open_page(page, f"/{PLAIN}")
    await expect(page.locator("hui-gauge-card")).to_have_count(2)
    await heading(page, NAMES[GATE])
    await expect(page.locator("nl43-meters-card")).to_have_count(0)
    await take_screenshot(page, "dashboard-plain")
    await page.locator("hui-heading-card").get_by_text(NAMES[GATE]).click()
    await expect(page).to_have_url(re.compile(f"/{PLAIN}/meter-{GATE}$"))
    await expect(page.locator("hui-gauge-card")).to_have_count(1)
    await expect(page.locator("nl43-live-card")).to_have_count(0)


async def test_one_meter(sound_page: Page) -> None:
    """One meter needs no overview."""
    await open_page(sound_page, f"/{ONE}")
    await expect(sound_page).to_have_url(re.compile(f"/{ONE}/meter-{QUAY}$"))
    await expect(sound_page.locator("nl43-live-card .value")).to_have_text(LEVEL)


async def test_no_meter(sound_page: Page, pair: Pair) -> None:
    """Without a meter it says what to do, and leads there."""
    page = sound_page
    await open_page(page, f"/{PATH}")
    await expect(modules(page)).to_have_count(2)
    view = await page.evaluate("""async () => {
        const hass = {...document.querySelector("home-assistant").hass, entities: {}};
        const strategy = customElements.get("ll-strategy-dashboard-nl43");
        return (await strategy.generate({}, hass)).views[0];
    }""")
    (card,) = view["cards"]
    assert card["content"] == (
        "Add your first Rion NL-43 or NL-53, and this dashboard builds itself."
    )
    (button,) = card["buttons"]
    await open_page(page, button["tap_action"]["navigation_path"])
    await expect(page.get_by_text("Rion NL-43/NL-53 sound level meter").first).to_be_visible()


@pytest.mark.parametrize("theme", ["light", "dark"])
async def test_looks(site: Site, browser: Browser, pair: Pair, theme: str) -> None:
    """It fits every size in both themes: nothing scrolls sideways."""
    scheme: Any = theme
    context = await browser.new_context(base_url=site.hass.url, color_scheme=scheme)
    context.set_default_timeout(PATIENCE_MS)
    await log_in(context, site)
    page = await context.new_page()
    for view, card in (("meters", "nl43-meters-card"), (f"meter-{GATE}", "nl43-live-card")):
        await open_page(page, f"/{PATH}/{view}")
        await expect(page.locator(f"{card} .value").first).to_have_text(LEVEL)
        for size, viewport in SIZES.items():
            await page.set_viewport_size(viewport)
            await take_screenshot(page, f"dashboard-{view.partition('-')[0]}-{theme}-{size}")
            wide, room = await page.evaluate(
                "() => [document.scrollingElement.scrollWidth, window.innerWidth]"
            )
            assert wide <= room, size
    await context.close()


async def arm_limit(site: Site, pair: Pair) -> None:
    """Have a noise limit at the gate judged, which a slider moves."""
    sliders = await site.client.command("input_number/list")
    if all(slider["name"] != LIMIT for slider in sliders):
        await site.client.command(
            "input_number/create", name=LIMIT, min=40, max=100, initial=60, mode="slider"
        )
    trigger = {
        "trigger": "nl43.limit_exceeded",
        "target": {"device_id": pair.devices[GATE]},
        "options": {"quantity": "lp", "limit": "input_number.yard_limit"},
    }
    await site.client.post(
        "config/automation/config/limit_at_the_gate",
        {"alias": "Limit at the gate", "triggers": [trigger], "actions": [{"event": "heard"}]},
    )


async def test_worst_first(site: Site, sound_page: Page, pair: Pair) -> None:
    """The worst is first: exceeded, overload, unreachable, then by level."""
    page = sound_page
    pair.gate.replay_frames([dod_line(41.0)])
    pair.quay.replay_frames([dod_line(88.8)])
    await open_page(page, f"/{PATH}")
    first, second = modules(page).nth(0), modules(page).nth(1)
    await expect(first.locator(".value")).to_have_text("88.8", timeout=PLACES_MS)
    await expect(second.locator(".value")).to_have_text("41.0", timeout=PLACES_MS)
    pair.gate.replay_frames([dod_line(41.0, over=1)])
    await expect(first.locator(".name")).to_have_text(NAMES[GATE], timeout=PLACES_MS)
    await expect(first.get_by_text("OVERLOAD")).to_be_visible()
    pair.gate.replay_frames([dod_line(41.0)])
    await expect(first.locator(".name")).to_have_text(NAMES[QUAY], timeout=PLACES_MS)
    await arm_limit(site, pair)
    pair.gate.replay_frames([dod_line(71.4)])
    await expect(first.locator(".name")).to_have_text(NAMES[GATE], timeout=PLACES_MS)
    await expect(first.get_by_text("Above 60.0 dB since")).to_be_visible()
    await expect(first.locator(".count")).to_have_text("1 exceedance today")
    await take_screenshot(page, "dashboard-exceeded")
    await first.click()
    card = page.locator("nl43-live-card")
    await expect(card.get_by_text("Above 60.0 dB for")).to_be_visible()
    await expect(card.locator(".mark")).to_be_visible()
    await expect(card.locator(".value")).to_have_text("71.4")
    await take_screenshot(page, "dashboard-meter-exceeded")
    await page.go_back()
    pair.gate.replay_frames([dod_line(41.0)])
    await expect(first.locator(".name")).to_have_text(NAMES[QUAY], timeout=PLACES_MS)
    pair.gate.inject(Fault.GONE)
    await expect(first.locator(".name")).to_have_text(NAMES[GATE], timeout=90_000)
    await expect(first.get_by_text("Unreachable since")).to_be_visible()
    await expect(first.locator(".value")).to_have_text("\u2013")
    await take_screenshot(page, "dashboard-unreachable")
    pair.gate.clear()
    for meter in (pair.gate, pair.quay):
        meter.replay_frames([])
    await expect(module(page, GATE).locator(".value")).to_have_text(LEVEL, timeout=90_000)


async def test_alarms(site: Site, sound_page: Page, pair: Pair) -> None:
    """The view of a meter has the automations that use it, and the sliders of their limits."""
    page = sound_page
    await arm_limit(site, pair)
    await open_page(page, f"/{PATH}/meter-{GATE}")
    await expect(page.locator("hui-tile-card").filter(has_text="Limit at the gate")).to_be_visible()
    slider = page.locator("hui-tile-card").filter(has_text=LIMIT)
    await expect(slider.get_by_role("slider")).to_be_visible()
    await open_page(page, f"/{PATH}/meter-{QUAY}")
    await expect(page.locator("nl43-live-card .value")).to_have_text(LEVEL)
    await expect(page.get_by_text(LIMIT)).to_have_count(0)


async def test_restored_exceedance(sound_page: Page, pair: Pair) -> None:
    """What was exceeded before a restart is exceeded only if the level still is."""
    page = sound_page
    await open_page(page, f"/{PATH}")
    await expect(modules(page)).to_have_count(2)
    card = await page.locator("nl43-meters-card").element_handle()
    assert card is not None
    seen = [await page.evaluate(RESTORED, [card, level, late]) for level, late in CASES]
    assert seen == [True, True, False]


async def test_places_are_kept(sound_page: Page, pair: Pair) -> None:
    """Meters do not jump about."""
    page = sound_page
    await open_page(page, f"/{PATH}")
    await expect(modules(page)).to_have_count(2)
    card = await page.locator("nl43-meters-card").element_handle()
    assert await page.evaluate(RESTLESS, card) <= 1
