"""Two simulated meters and a real Home Assistant that shows them; see script/demo."""

import argparse
import asyncio
from collections.abc import Coroutine, Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
import fcntl
from pathlib import Path
import shutil
import signal
import sys
from typing import Any, Final

from aiohttp import ClientError

from script.demo_alarm import provide_blueprint, set_up_alarm
from script.hass_client import Account, HassClient, HassError, MeterAddress
from script.real_hass import HOST, ROOT, Program, RealHass, port_is_taken, running, site_utc_offset

FTP_PORTS_AFTER: Final = 2
DASHBOARD: Final = "sound-levels"
ASKED_LAST: Final = "ftp_server"
PATIENCE: Final = 60.0
LOCK: Final = "lock"
STOPPING: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass(frozen=True, kw_only=True)
class DemoMeter:
    """A simulated meter; its ports stay the same over the runs, as a meter's do."""

    title: str
    serial: str
    port: int
    ftp_port: int
    options: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Demo:
    """What is to run, and where."""

    folder: Path
    port: int
    meters: tuple[DemoMeter, ...]


def demo_meters(first_port: int) -> tuple[DemoMeter, ...]:
    """Return the two meters."""
    replay = ROOT / "tests/recordings/dod_measuring.txt"
    recorded = DemoMeter(
        title="Replay of a real NL-43",
        serial="01430001",
        port=first_port,
        ftp_port=first_port + FTP_PORTS_AFTER,
        options=("--replay", str(replay)),
    )
    living = DemoMeter(
        title="Gate 3",
        serial="01430002",
        port=first_port + 1,
        ftp_port=first_port + 1 + FTP_PORTS_AFTER,
        # As over a cellular modem: a transfer takes long enough to be seen.
        options=("--ftp-rate", "50000", "--busy"),
    )
    return recorded, living


class DemoError(Exception):
    """The demo cannot go on; the message says why."""


def say(text: str) -> None:
    """Tell the person at once, also through a pipe."""
    print(text, flush=True)


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="script/demo", description=__doc__)
    parser.add_argument("--port", type=int, default=8123, help="Home Assistant's (%(default)s)")
    parser.add_argument(
        "--meter-port", type=int, default=22551, help="first of the meters' four (%(default)s)"
    )
    parser.add_argument(
        "--folder", type=Path, default=ROOT / ".demo", help="what is kept (.demo in the repository)"
    )
    parser.add_argument("--reset", action="store_true", help="forget the last run and start anew")
    return parser.parse_args()


def forget(demo: Demo) -> None:
    """Delete what was kept."""
    for kept in demo.folder.iterdir():
        if kept.is_dir():
            shutil.rmtree(kept)
        elif kept.name != LOCK:
            kept.unlink()


@contextmanager
def kept_in(demo: Demo, *, reset: bool) -> Iterator[None]:
    """Have the folder for this run alone, made with the same meters' ports."""
    demo.folder.mkdir(parents=True, exist_ok=True)
    with (demo.folder / LOCK).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            message = (
                f"a demo is running in {demo.folder}. Stop it first, or give the second one "
                "a folder of its own with --folder, and ports with --port and --meter-port."
            )
            raise DemoError(message) from None
        if reset:
            forget(demo)
        ports = demo.folder / "meter-port"
        mine = str(demo.meters[0].port)
        if ports.exists() and (before := ports.read_text()) != mine:
            message = (
                f"the meters in {demo.folder} were set up with --meter-port {before}. Use that, "
                "or start anew with --reset."
            )
            raise DemoError(message)
        ports.write_text(mine)
        yield


def check_ports(demo: Demo) -> None:
    """Refuse to start on ports that are taken."""
    wanted = [(demo.port, "Home Assistant", "--port")]
    for meter in demo.meters:
        wanted += [(port, "a meter", "--meter-port") for port in (meter.port, meter.ftp_port)]
    for port, who, option in wanted:
        if port_is_taken(port):
            message = (
                f"port {port}, which {who} needs, is taken. Is the demo running already? "
                f"Else stop what listens there, or choose another port with {option}."
            )
            raise DemoError(message)


def simulator(meter: DemoMeter, folder: Path) -> Program:
    """Return the program that is a meter."""
    words = ["-m", "nl43_sim", "--host", HOST, "--serial", meter.serial, "--measuring"]
    words += ["--port", str(meter.port), "--ftp-port", str(meter.ftp_port), *meter.options]
    words += ["--utc-offset", str(site_utc_offset())]
    return Program(f"the meter {meter.serial}", words, folder / f"meter-{meter.serial}.log")


async def set_up(client: HassClient, meters: tuple[DemoMeter, ...]) -> None:
    """Add the meters by the config flow and a dashboard that builds itself, on the first run."""
    known = await client.entity_ids()
    missing = [meter for meter in meters if f"{meter.serial}_lp" not in known]
    addresses = (
        MeterAddress(host=HOST, port=meter.port, ftp_port=meter.ftp_port) for meter in missing
    )
    await asyncio.gather(*map(client.add_meter, addresses))
    devices = await client.name_meters({meter.serial: meter.title for meter in meters})
    await until_all_is_told(client, meters)
    # Armed only now: a meter that is read live is asked for what is slow less often.
    await set_up_alarm(client, devices[meters[-1].serial])
    dashboards = await client.command("lovelace/dashboards/list")
    if any(dashboard["url_path"] == DASHBOARD for dashboard in dashboards):
        return
    await client.command(
        "lovelace/dashboards/create",
        url_path=DASHBOARD,
        title="Sound levels",
        icon="mdi:waveform",
        show_in_sidebar=True,
        require_admin=False,
    )
    config = {"strategy": {"type": "custom:nl43"}}
    await client.command("lovelace/config/save", url_path=DASHBOARD, config=config)
    await client.command("frontend/set_system_data", key="core", value={"default_panel": DASHBOARD})


async def until_all_is_told(client: HassClient, meters: tuple[DemoMeter, ...]) -> None:
    """Wait until the meters have been asked for everything."""
    wanted = {f"{meter.serial}_{ASKED_LAST}" for meter in meters}
    async with asyncio.timeout(PATIENCE):
        while not wanted <= (await client.entity_ids()).keys():  # noqa: ASYNC110 - over the network
            await asyncio.sleep(1)


async def run_until_it_ends(demo: Demo) -> None:
    """Start everything, then wait until something ends."""
    hass = RealHass(demo.folder / "config", demo.port, auto_login=True)
    hass.write_config()
    provide_blueprint(hass.folder)
    async with AsyncExitStack() as stack:
        meters = [simulator(meter, demo.folder) for meter in demo.meters]
        for program in (*meters, hass):
            await stack.enter_async_context(running(program))
        say("Home Assistant is starting ...")
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(watch(hass.name, hass.keep_running(), demo.folder))
            for meter in meters:
                tasks.create_task(watch(meter.name, meter.ended(), demo.folder))
            tasks.create_task(welcome(hass.url, demo.meters))


async def watch(name: str, end: Coroutine[Any, Any, int], folder: Path) -> None:
    """Nothing is to end by itself."""
    code = await end
    message = f"{name} has ended by itself (exit code {code}); the logs are in {folder}."
    raise DemoError(message)


async def welcome(url: str, meters: tuple[DemoMeter, ...]) -> None:
    """Set up what is missing and tell where to look."""
    account = Account()
    async with HassClient.logged_in(url, account) as client:
        await set_up(client, meters)
    say(f"""
Two simulated meters are live in Home Assistant:

    {url}/{DASHBOARD}

It logs you in by itself (elsewhere: user {account.username}, password {account.password}).
At Gate 3 something is heard every half minute: within two minutes it exceeds the noise limit, and
Home Assistant notifies you. The slider "Noise limit" in the view of Gate 3 moves the limit.
Ctrl-C stops everything; the next run goes on where this one ends.
""")


async def run(demo: Demo) -> None:
    """Run the demo until a signal ends it."""
    loop = asyncio.get_running_loop()
    task = asyncio.current_task()
    assert task is not None

    def stop() -> None:
        """Stop once: an impatient second Ctrl-C must not cut the stopping short."""
        if not task.cancelling():
            task.cancel()

    for number in STOPPING:
        loop.add_signal_handler(number, stop)
    try:
        await run_until_it_ends(demo)
    except asyncio.CancelledError:
        say("Stopped.")


def main() -> int:
    """Run the command line."""
    arguments = parse_arguments()
    folder = arguments.folder.resolve()
    demo = Demo(folder=folder, port=arguments.port, meters=demo_meters(arguments.meter_port))
    failed = False
    try:
        check_ports(demo)
        with kept_in(demo, reset=arguments.reset):
            asyncio.run(run(demo))
    except* TimeoutError:
        failed = True
        print(f"error: Home Assistant did not start; the logs are in {folder}.", file=sys.stderr)
    except* (DemoError, HassError, ClientError, OSError) as errors:
        failed = True
        for error in errors.exceptions:
            print(f"error: {error}", file=sys.stderr)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
