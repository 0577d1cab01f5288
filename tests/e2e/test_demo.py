"""The demo, as a person runs it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
import fcntl
from pathlib import Path
import re
import signal
import socket
from typing import Final

from playwright.async_api import Browser, Page, expect
import pytest

from script.real_hass import HOST, ROOT, free_port

from .pages import open_page, take_screenshot

pytestmark = pytest.mark.asyncio(loop_scope="package")

PATIENCE: Final = 240.0
# Apart from a demo that the developer has running.
METER_PORT: Final = 24551
READY: Final = "Ctrl-C stops everything"


async def start_demo(
    folder: Path, port: int, meter_port: int = METER_PORT
) -> asyncio.subprocess.Process:
    """Type the command, in a folder that is not the repository."""
    words = ("--folder", folder, "--port", str(port), "--meter-port", str(meter_port))
    return await asyncio.create_subprocess_exec(
        ROOT / "script/demo",
        *words,
        cwd=folder.parent,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )


async def read_until(demo: asyncio.subprocess.Process, words: str) -> str:
    """Return what the demo says, up to a line with the words."""
    assert demo.stdout is not None
    said = ""
    while words not in said:
        line = await demo.stdout.readline()
        assert line, said
        said += line.decode()
    return said


@asynccontextmanager
async def running_demo(folder: Path, port: int) -> AsyncIterator[str]:
    """Run the demo for the time of a block, then press Ctrl-C."""
    demo = await start_demo(folder, port)
    try:
        async with asyncio.timeout(PATIENCE):
            yield await read_until(demo, READY)
            demo.send_signal(signal.SIGINT)
            await read_until(demo, "Stopped.")
            assert await demo.wait() == 0
    finally:
        if demo.returncode is None:
            demo.send_signal(signal.SIGTERM)
            await demo.wait()


async def processes_of(folder: Path) -> list[str]:
    """Return the command lines of what the demo has left behind."""
    ps = await asyncio.create_subprocess_exec(
        "ps", "-A", "-o", "args", stdout=asyncio.subprocess.PIPE
    )
    output, _ = await ps.communicate()
    left = (str(folder), f"--port {METER_PORT}", f"--port {METER_PORT + 1}")
    return [line for line in output.decode().splitlines() if any(word in line for word in left)]


async def see_levels(page: Page, said: str) -> None:
    """Follow the address that the demo names; it logs in by itself."""
    address = next(word for word in said.split() if word.startswith("http"))
    await open_page(page, address)
    await expect(page.get_by_text("Gate 3").first).to_be_visible()
    await expect(page.get_by_text("46.2 dB").first).to_be_visible()
    await expect(page.get_by_text("Connected")).to_have_count(2)
    await expect(page.get_by_text("Measuring")).to_have_count(2, timeout=60_000)
    await page.get_by_role("link").filter(has_text="Gate 3").click()
    await expect(page.locator("nl43-live-card .word")).to_have_text("Measuring")
    await expect(page.get_by_text("Noise limit").first).to_be_visible()
    # While a limit is armed, the percentiles are asked late.
    await expect(page.get_by_text("LN2 (L10)").first).to_be_visible(timeout=60_000)
    await page.go_back()


async def hear_the_alarm(page: Page) -> None:
    """Wait for the noise limit to be exceeded by itself, and read what it says."""
    await page.get_by_text("Notifications").first.click(timeout=120_000)
    drawer = page.locator("notification-drawer")
    said = drawer.get_by_text("At Gate 3, L").first
    await expect(said).to_be_visible(timeout=120_000)
    text = await said.inner_text()
    assert re.fullmatch(
        r"At Gate 3, L\w+ (has been|was) above 60\.0 dB for \d+ seconds, .*", text
    ), text
    await take_screenshot(page, "alarm")
    await page.keyboard.press("Escape")


# Two starts, each of which asks the meters for everything, and an alarm in between.
@pytest.mark.timeout(2 * PATIENCE)
async def test_demo_twice(tmp_path: Path, browser: Browser) -> None:
    """It shows both meters, sounds an alarm, stops whole, and runs again on its old state."""
    folder = tmp_path / "demo"
    port = free_port()
    page = await browser.new_page(viewport={"width": 1280, "height": 760})
    async with running_demo(folder, port) as said:
        await see_levels(page, said)
        await hear_the_alarm(page)
    assert await processes_of(folder) == []
    async with running_demo(folder, port) as said:
        await see_levels(page, said)
        await take_screenshot(page, "demo")
    assert await processes_of(folder) == []
    await page.close()
    demo = await start_demo(folder, port, METER_PORT + 20)
    output, _ = await demo.communicate()
    assert demo.returncode == 1
    assert f"were set up with --meter-port {METER_PORT}." in output.decode()
    for log in folder.glob("meter-*.log"):
        assert log.read_text().count("violations: 0") == 2, log.read_text()


async def test_port_taken(tmp_path: Path) -> None:
    """It says plainly which port is taken."""
    with socket.create_server((HOST, 0)) as server:
        port = server.getsockname()[1]
        demo = await start_demo(tmp_path / "demo", port)
        output, _ = await demo.communicate()
    assert demo.returncode == 1
    assert f"error: port {port}, which Home Assistant needs, is taken." in output.decode()


async def test_folder_in_use(tmp_path: Path) -> None:
    """It leaves the folder of a demo that is running alone."""
    folder = tmp_path / "demo"
    folder.mkdir()
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        demo = await start_demo(folder, free_port())
        output, _ = await demo.communicate()
    assert demo.returncode == 1
    assert f"error: a demo is running in {folder}." in output.decode()
    assert [kept.name for kept in folder.iterdir()] == ["lock"]
