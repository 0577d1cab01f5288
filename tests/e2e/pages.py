"""What the browser tests do with any page."""

import asyncio
from collections.abc import Callable
from typing import Final

from playwright.async_api import Page, expect

from script.hass_client import HassClient
from script.real_hass import ROOT

SCREENSHOTS: Final = ROOT / "build/screenshots"


async def open_page(page: Page, path: str) -> None:
    """Go to a page and wait until Home Assistant shows it."""
    await page.goto(path)
    await expect(page.locator("#ha-launch-screen")).to_have_count(0)


async def take_screenshot(page: Page, name: str) -> None:
    """Keep what is seen, for a look and for the README."""
    await page.wait_for_load_state("networkidle")
    await page.screenshot(path=SCREENSHOTS / f"{name}.png", animations="disabled")


async def device_path(client: HassClient, serial: str) -> str:
    """Return where the page of a meter is."""
    devices = await client.command("config/device_registry/list")
    (device,) = (device for device in devices if device["serial_number"] == serial)
    return f"/config/devices/device/{device['id']}"


async def until(condition: Callable[[], object], seconds: float = 30) -> None:
    """Wait until a condition holds; TimeoutError if it never does."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - any condition, not only an event
            await asyncio.sleep(0.1)


def dod_line(lp: float, over: int = 0) -> str:
    """Return what a meter sends that shows this Lp, and nothing on the Sub channels."""
    main = f"{lp}," + ",".join(f"{lp - 10:5.1f}" for _ in range(13))
    unused = ",".join(["  -.-"] * 14 + ["-", "-"])
    return f"{main},{over},0," + ",".join([unused] * 3)
