"""A real Home Assistant, simulated meters and a real browser."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
import json
from pathlib import Path
import shutil
from typing import Any, Final

from playwright.async_api import (
    Browser,
    BrowserContext,
    Page,
    ViewportSize,
    async_playwright,
    expect,
)
import pytest
import pytest_asyncio
import pytest_socket

from nl43_sim import SimulatedMeter, SimulatorConfig
from script.hass_client import Account, HassClient, MeterAddress
from script.real_hass import ROOT, RealHass, free_port, running, site_utc_offset

ACCOUNT: Final = Account(name="Ada", username="ada", password="sound level")
HERE: Final = Path(__file__).parent
# By what they take, about as much as all the others together.
FIRST_HALF: Final = ("test_alarm", "test_demo", "test_live_card")
BROWSERS: Final = ("chromium", "chromium-browser", "google-chrome")
# Without these Chromium looks for its maker's servers at every start.
BROWSER_FLAGS: Final = (
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-gpu",
    "--disable-quic",
    "--disable-sync",
    "--no-first-run",
)
WINDOW: Final[ViewportSize] = {"width": 1280, "height": 900}
PATIENCE_MS: Final = 20_000
RECORDED: Final = ROOT / "tests/recordings/dod_measuring.txt"


@dataclass(frozen=True)
class Site:
    """What is running: Home Assistant, and a meter that it has."""

    hass: RealHass
    client: HassClient
    meter: SimulatedMeter


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Have two workers run these files, half of them each, so that they share what is running."""
    for item in items:
        if item.path.parent == HERE:
            half = "first" if item.path.stem in FIRST_HALF else "second"
            item.add_marker(pytest.mark.xdist_group(f"browser-{half}"))


# The test plug-in watches over the Home Assistant inside this process: here there is none.


@pytest.fixture
def verify_cleanup() -> None:
    """Let the browser and Home Assistant live from test to test."""


@pytest.fixture(autouse=True)
def loopback_sockets(socket_enabled: None) -> None:
    """Allow sockets, which the plug-in confines to the loopback interface."""


def on_site(serial: str, **make_up: Any) -> SimulatorConfig:
    """Return a meter that hangs on the site's wall, with its clock right."""
    return SimulatorConfig(serial=serial, utc_offset=site_utc_offset(), **make_up)


def address_of(meter: SimulatedMeter) -> MeterAddress:
    """Return what a person types to add a meter."""
    return MeterAddress(host=meter.host, port=meter.port, ftp_port=meter.ftp_port)


def assert_gentle(meter: SimulatedMeter) -> None:
    """Assert that the meter was never asked against its rules."""
    assert not meter.violations, meter.violations


@pytest_asyncio.fixture(scope="package", loop_scope="package")
async def site(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Site]:
    """Start Home Assistant and give it a meter that answers with the recorded payloads."""
    pytest_socket.enable_socket()
    replay = RECORDED.read_text("ascii").splitlines()
    config = on_site("01430001", replay=replay)
    hass = RealHass(tmp_path_factory.mktemp("hass"), free_port(), auto_login=False)
    hass.write_config()
    async with (
        SimulatedMeter(config) as meter,
        running(hass),
        HassClient.logged_in(hass.url, ACCOUNT) as client,
    ):
        await client.add_meter(address_of(meter))
        yield Site(hass, client, meter)


@pytest_asyncio.fixture(loop_scope="package")
async def second_meter() -> AsyncIterator[SimulatedMeter]:
    """Switch a meter on that Home Assistant does not have yet."""
    async with SimulatedMeter(on_site("01430002")) as meter:
        yield meter
        assert_gentle(meter)


@pytest_asyncio.fixture(scope="package", loop_scope="package")
async def living(site: Site) -> AsyncIterator[SimulatedMeter]:
    """Give Home Assistant a meter that does what it is told, and files to fetch."""
    pytest_socket.enable_socket()
    async with SimulatedMeter(on_site("01430003", ftp_rate=20_000)) as meter:
        await site.client.add_meter(address_of(meter))
        yield meter
        assert_gentle(meter)


@pytest_asyncio.fixture(scope="package", loop_scope="package")
async def browser() -> AsyncIterator[Browser]:
    """Start the browser."""
    program = next(filter(None, map(shutil.which, BROWSERS)), None)
    if program is None:
        pytest.fail("The browser test needs Chromium: apt-get install chromium", pytrace=False)
    async with async_playwright() as playwright:
        yield await playwright.chromium.launch(
            executable_path=program, args=BROWSER_FLAGS, chromium_sandbox=False
        )


@pytest_asyncio.fixture(loop_scope="package")
async def page(site: Site, browser: Browser) -> AsyncIterator[Page]:
    """Open a page that nobody has logged in to; in the end, its meter has nothing to complain."""
    context = await browser.new_context(base_url=site.hass.url, viewport=WINDOW)
    context.set_default_timeout(PATIENCE_MS)
    expect.set_options(timeout=PATIENCE_MS)
    yield await context.new_page()
    await context.close()
    assert_gentle(site.meter)


async def log_in(context: BrowserContext, site: Site) -> None:
    """Log the user in on every page of a browser's context."""
    tokens = {**site.client.tokens, "hassUrl": site.hass.url, "clientId": f"{site.hass.url}/"}
    value = json.dumps(json.dumps(tokens))
    await context.add_init_script(f"localStorage.setItem('hassTokens', {value})")


@pytest_asyncio.fixture(loop_scope="package")
async def user_page(site: Site, page: Page) -> Page:
    """Open a page that the user is logged in to."""
    await log_in(page.context, site)
    return page
