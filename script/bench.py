"""What meters cost a real Home Assistant; see script/bench.

For each number of meters: the interval between frames as the meters see it, at the default
interval and live, the CPU time and the memory of Home Assistant with its recorder, the rows
it writes. Then how soon those who watch live have the first frame, and what they cost; what
armed limits cost a frame; and how fast a folder of a card is downloaded, beside Python's own FTP
client, and what memory that takes. Figures are printed, nothing is judged.
"""

import argparse
import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
import ftplib
import itertools
import json
import math
from pathlib import Path
import shutil
import sqlite3
import statistics
import sys
import tempfile
import time
from typing import Any, Final

import psutil

from script.bench_meters import FILE_SIZE, FOLDER
from script.hass_client import Account, HassClient, MeterAddress
from script.real_hass import HOST, ROOT, RealHass, free_port, running

PACE: Final = 1.0
# The settings are asked in the first minute, between the frames.
SETTLE: Final = 45.0
# The recorder commits every five seconds.
COMMIT: Final = 6.0
FLOWS_AT_ONCE: Final = 10
MANY_METERS_LINE: Final = 2**26
ROUNDS: Final = 3
LIMITS_METERS: Final = 20
FIRST_FRAMES: Final = 50
# dB; louder than it ever gets.
LOUDER: Final = 150.0
MEGABYTE: Final = 1_000_000
# Seconds between two looks at the memory.
LOOK: Final = 0.02


@dataclass(frozen=True, slots=True)
class Usage:
    """What Home Assistant has used so far."""

    at: float
    cpu: float
    rss: int
    rows: int


class Meters:
    """The simulated meters' process."""

    def __init__(self, process: asyncio.subprocess.Process, ports: list[dict[str, int]]) -> None:
        """Keep the process and the meters' ports."""
        self._process = process
        self.ports = ports

    @classmethod
    @asynccontextmanager
    async def running(cls, count: int, files: int = 0) -> AsyncIterator[Meters]:
        """Run so many meters, with so many files on their cards."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "script.bench_meters",
            str(count),
            str(files),
            cwd=ROOT,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=MANY_METERS_LINE,
        )
        assert process.stdout is not None
        try:
            yield cls(process, json.loads(await process.stdout.readline()))
        finally:
            assert process.stdin is not None
            process.stdin.close()
            await process.wait()

    async def seen(self) -> list[dict[str, Any]]:
        """Return what each meter saw since the last call."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(b"\n")
        answer: list[dict[str, Any]] = json.loads(await self._process.stdout.readline())
        return answer


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value that a share of the values does not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def usage(pid: int, database: Path) -> Usage:
    """Return what a process has used, and how many states of the meters were recorded."""
    process = psutil.Process(pid)
    times = process.cpu_times()
    with sqlite3.connect(f"file:{database}?mode=ro", uri=True) as connection:
        (rows,) = connection.execute(
            "select count(*) from states join states_meta using (metadata_id)"
            " where states_meta.entity_id like '%nl_43_9%'"
        ).fetchone()
    return Usage(time.monotonic(), times.user + times.system, process.memory_info().rss, rows)


async def measure(hass: RealHass, meters: Meters, seconds: float, name: str) -> float:
    """Measure for a while and print the figures; return the milliseconds of CPU a frame."""
    database = hass.folder / "home-assistant_v2.db"
    await meters.seen()
    before = usage(hass.pid, database)
    await asyncio.sleep(seconds)
    after = usage(hass.pid, database)
    seen = await meters.seen()
    intervals = [
        later - earlier for meter in seen for earlier, later in itertools.pairwise(meter["frames"])
    ]
    if not intervals:
        print(f"  {name:<8} no meter was read twice in {seconds:g} s: measure for longer")
        return math.nan
    frames = sum(len(meter["frames"]) for meter in seen)
    answers = [answer for meter in seen for answer in meter["answers"]]
    elapsed, cpu = after.at - before.at, after.cpu - before.cpu
    median = statistics.median(intervals)
    limit = PACE + statistics.median(answers)
    print(
        f"  {name:<8} frames {frames}, interval median {median:.3f} s"
        f" p95 {percentile(intervals, 0.95):.3f} s max {max(intervals):.3f} s,"
        f" {median / limit:.4f} x (1.0 s + round trip)\n"
        f"           CPU {100 * cpu / elapsed:.1f} % of a core, {1000 * cpu / frames:.2f} ms"
        f" a frame; memory {after.rss / 2**20:.0f} MB;"
        f" rows {3600 * (after.rows - before.rows) / elapsed / len(seen):.0f} an hour and meter\n"
        f"           connections a meter at most {max(meter['connections'] for meter in seen)}"
        f" since set-up, violations {sum(meter['violations'] for meter in seen)}",
        flush=True,
    )
    return 1000 * cpu / frames


async def add_meters(client: HassClient, meters: Meters) -> None:
    """Add the meters by the config flow, some at a time."""
    gate = asyncio.Semaphore(FLOWS_AT_ONCE)

    async def add(ports: dict[str, int]) -> None:
        async with gate:
            await client.add_meter(
                MeterAddress(host=HOST, port=ports["port"], ftp_port=ports["ftp_port"])
            )

    await asyncio.gather(*(add(ports) for ports in meters.ports))


async def bench(count: int, seconds: float) -> None:
    """Measure with so many meters."""
    with tempfile.TemporaryDirectory() as folder:
        hass = RealHass(Path(folder), free_port(), auto_login=False)
        hass.write_config()
        async with (
            Meters.running(count) as meters,
            running(hass),
            HassClient.logged_in(hass.url, Account()) as client,
        ):
            idle = psutil.Process(hass.pid).memory_info().rss
            await add_meters(client, meters)
            print(f"{count} meter(s); Home Assistant alone {idle / 2**20:.0f} MB", flush=True)
            await asyncio.sleep(SETTLE)
            await measure(hass, meters, seconds, "default")
            async with client.watching():
                await asyncio.sleep(COMMIT)
                await measure(hass, meters, seconds, "live")


async def first_frame(client: HassClient, message: dict[str, Any]) -> float:
    """Return how many milliseconds pass from the subscription to the first frame."""
    came = asyncio.Event()

    def hear(received: dict[str, Any]) -> None:
        if received.get("event", {}).get("kind") == "frame":
            came.set()

    # Without the time that it takes to log in.
    async with client.subscribed([], hear) as subscribe:
        began = time.monotonic()
        await subscribe(message)
        await came.wait()
        return 1000 * (time.monotonic() - began)


async def bench_viewers(count: int, seconds: float) -> None:
    """Measure how soon a viewer has the first frame, and what so many cost."""
    with tempfile.TemporaryDirectory() as folder:
        hass = RealHass(Path(folder), free_port(), auto_login=False)
        hass.write_config()
        async with (
            Meters.running(1) as meters,
            running(hass),
            HassClient.logged_in(hass.url, Account()) as client,
        ):
            await add_meters(client, meters)
            await asyncio.sleep(SETTLE)
            (entry,) = await client.get("config/config_entries/entry?domain=nl43")
            message = {"type": "nl43/subscribe_frames", "entry_id": entry["entry_id"]}
            times = [await first_frame(client, message) for _ in range(FIRST_FRAMES)]
            print(
                f"{count} viewers of one meter; first frame after median"
                f" {statistics.median(times):.1f} ms, max {max(times):.1f} ms",
                flush=True,
            )
            async with AsyncExitStack() as stack:
                await stack.enter_async_context(client.watching())
                await asyncio.sleep(COMMIT)
                await measure(hass, meters, seconds, "one")
                for _ in range(count - 1):
                    await stack.enter_async_context(client.watching())
                await measure(hass, meters, seconds, "all")


async def arm(client: HassClient, count: int) -> None:
    """Arm so many limits, none of which is ever exceeded, on every meter."""
    devices = await client.command("config/device_registry/list")
    target = {"device_id": [device["id"] for device in devices if device["serial_number"]]}
    triggers = [
        {
            "trigger": "nl43.limit_exceeded",
            "target": target,
            "options": {"quantity": "lp", "limit": LOUDER + number / 10, "for": {"seconds": 3}},
        }
        for number in range(count)
    ]
    automation = {"alias": "Limits", "triggers": triggers, "actions": []}
    await client.post("config/automation/config/limits", automation)


async def bench_limits(count: int, seconds: float) -> None:
    """Measure what so many armed limits on one meter cost a frame."""
    with tempfile.TemporaryDirectory() as folder:
        hass = RealHass(Path(folder), free_port(), auto_login=False)
        hass.write_config()
        async with (
            # One meter alone costs less than the clock's ticks tell.
            Meters.running(LIMITS_METERS) as meters,
            running(hass),
            HassClient.logged_in(hass.url, Account()) as client,
        ):
            await add_meters(client, meters)
            print(f"{count} armed limits on each of {LIMITS_METERS} meters", flush=True)
            await asyncio.sleep(SETTLE)
            async with client.watching():
                await asyncio.sleep(COMMIT)
                before = await measure(hass, meters, seconds, "none")
                await arm(client, count)
                await asyncio.sleep(COMMIT)
                after = await measure(hass, meters, seconds, "armed")
            print(f"  {count} limits on one meter cost {after - before:.2f} ms a frame", flush=True)


def fetch_plainly(ports: dict[str, int], folder: Path) -> None:
    """Fetch the folder as Python's own client does."""
    folder.mkdir()
    with ftplib.FTP() as ftp:  # noqa: S321 - the meter has no other
        ftp.connect(HOST, ports["ftp_port"])
        ftp.login("USER", "0000")
        ftp.set_pasv(False)
        ftp.cwd(FOLDER)
        for name in ftp.nlst():
            with (folder / name).open("wb") as out:
                ftp.retrbinary(f"RETR {name}", out.write)


@asynccontextmanager
async def highest_memory(pid: int) -> AsyncIterator[list[int]]:
    """Look at the memory of a process for the time of a block; the highest is the first item."""
    process = psutil.Process(pid)
    highest = [process.memory_info().rss]

    async def look() -> None:
        while True:
            highest[0] = max(highest[0], process.memory_info().rss)
            await asyncio.sleep(LOOK)

    task = asyncio.create_task(look())
    try:
        yield highest
    finally:
        task.cancel()


async def fetch(client: HassClient) -> dict[str, Any]:
    """Download the folder by the action; return what it says."""
    (entry,) = await client.get("config/config_entries/entry?domain=nl43")
    answer = await client.command(
        "call_service",
        domain="nl43",
        service="download",
        service_data={"config_entry_id": entry["entry_id"], "path": FOLDER},
        return_response=True,
    )
    response: dict[str, Any] = answer["response"]
    return response


async def bench_files(count: int) -> None:
    """Measure how fast so many files come, and what memory that takes."""
    size = count * FILE_SIZE / MEGABYTE
    with tempfile.TemporaryDirectory() as folder:
        hass = RealHass(Path(folder), free_port(), auto_login=False)
        hass.write_config()
        async with (
            Meters.running(1, count) as meters,
            running(hass),
            HassClient.logged_in(hass.url, Account()) as client,
        ):
            await add_meters(client, meters)
            await asyncio.sleep(SETTLE)
            print(f"{count} files, {size:.0f} MB", flush=True)
            process = psutil.Process(hass.pid)
            plain = Path(folder) / "plain"
            for _ in range(ROUNDS):
                began = time.monotonic()
                await asyncio.to_thread(fetch_plainly, meters.ports[0], plain)
                plainly = time.monotonic() - began
                shutil.rmtree(plain)
                before = process.memory_info().rss
                async with highest_memory(hass.pid) as highest:
                    began = time.monotonic()
                    response = await fetch(client)
                    seconds = time.monotonic() - began
                after = process.memory_info().rss
                began = time.monotonic()
                again = await fetch(client)
                print(
                    f"  ftplib {size / plainly:.0f} MB/s, nl43.download {size / seconds:.0f} MB/s;"
                    f" memory before {before / 2**20:.0f} MB, at most {highest[0] / 2**20:.0f} MB,"
                    f" after {after / 2**20:.0f} MB\n"
                    f"           {len(response['saved'])} saved, {response['bytes']} bytes;"
                    f" repeated: {len(again['skipped'])} here already, {again['bytes']} bytes,"
                    f" {time.monotonic() - began:.2f} s",
                    flush=True,
                )
                shutil.rmtree(hass.media / "nl43")
            (seen,) = await meters.seen()
            print(f"  violations {seen['violations']}", flush=True)


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="script/bench", description=__doc__)
    parser.add_argument(
        "--meters", type=int, nargs="*", default=[1, 20, 100], help="how many (%(default)s)"
    )
    parser.add_argument("--seconds", type=float, default=120.0, help="how long each (%(default)s)")
    parser.add_argument(
        "--files", type=int, default=40, help="how many of 5 MB to download (%(default)s)"
    )
    parser.add_argument(
        "--viewers", type=int, default=20, help="how many watch one meter (%(default)s)"
    )
    parser.add_argument(
        "--limits", type=int, default=50, help="how many to arm on a meter (%(default)s)"
    )
    arguments = parser.parse_args()
    for count in arguments.meters:
        asyncio.run(bench(count, arguments.seconds))
    if arguments.viewers:
        asyncio.run(bench_viewers(arguments.viewers, arguments.seconds))
    if arguments.limits:
        asyncio.run(bench_limits(arguments.limits, arguments.seconds))
    if arguments.files:
        asyncio.run(bench_files(arguments.files))


if __name__ == "__main__":
    main()
