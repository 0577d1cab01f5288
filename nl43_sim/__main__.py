"""Run simulated meters from the command line."""

import argparse
import asyncio
from collections.abc import Sequence
import contextlib
from contextlib import AsyncExitStack
from pathlib import Path
import signal
import sys
from typing import Final

from .config import SimulatorConfig
from .console import Console, read_lines
from .faults import Fault, fault_table
from .meter import SimulatedMeter

_PORT: Final = 2255
_FTP_PORT: Final = 2121
_STDIN: Final = 0
_STOPPING: Final = (signal.SIGINT, signal.SIGTERM)


def _say(text: str) -> None:
    """Print at once, also into a pipe; a reader that has gone is no reason to stop."""
    with contextlib.suppress(BrokenPipeError):
        sys.stdout.write(f"{text}\n")
        sys.stdout.flush()


def _fault(text: str) -> tuple[Fault, float | None]:
    """Read NAME or NAME=SECONDS."""
    name, equals, seconds = text.partition("=")
    return Fault(name), float(seconds) if equals else None


def _arguments(words: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m nl43_sim",
        description="Simulate Rion NL-43/NL-53 sound level meters: TCP control and FTP.",
        epilog="faults:\n"
        f"{fault_table()}\n\n"
        "While it runs it reads lines such as `fault wedge`, `fault silence 60`, `clear`, "
        "`press Measure,Stop`,\n`report` and `help`. SIGUSR1 prints the report, too.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (%(default)s)")
    parser.add_argument("--port", type=int, default=_PORT, help="control port (%(default)s)")
    parser.add_argument("--ftp-port", type=int, default=_FTP_PORT, help="FTP port (%(default)s)")
    parser.add_argument("--serial", default="01234567", help="serial number (%(default)s)")
    parser.add_argument("--model", default="NL-43", choices=("NL-43", "NL-53"))
    parser.add_argument(
        "--replay", type=Path, metavar="FILE", help="answer DOD? with the lines of a file, in turn"
    )
    parser.add_argument("--seed", type=int, default=1, help="seed of the sound (%(default)s)")
    parser.add_argument(
        "--measuring",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="begin with a measurement running (default)",
    )
    parser.add_argument("--stopped", dest="measuring", action="store_false")
    parser.add_argument(
        "--busy", action="store_true", help="something is heard every half minute, day and night"
    )
    parser.add_argument(
        "--sub-channels", type=int, default=0, choices=range(4), help="Sub channels in use"
    )
    parser.add_argument(
        "--utc-offset",
        type=float,
        metavar="SECONDS",
        help="the meter's local time against UTC (this machine's)",
    )
    parser.add_argument(
        "--set",
        dest="settings",
        action="append",
        default=[],
        metavar="NAME,WORD",
        help="a setting to begin with, as in a command: --set 'Store Mode,Manual'",
    )
    parser.add_argument(
        "--missing", action="append", default=[], metavar="NAME", help="a command it lacks"
    )
    parser.add_argument(
        "--fault",
        dest="faults",
        action="append",
        type=_fault,
        default=[],
        metavar="NAME[=SECONDS]",
        help="a fault to begin with; see below",
    )
    parser.add_argument(
        "--ftp-rate", type=float, metavar="BYTES", help="bytes a second of a file by FTP (no limit)"
    )
    parser.add_argument(
        "--meters", type=int, default=1, metavar="N", help="N meters on consecutive ports"
    )
    return parser.parse_args(words)


def _configs(arguments: argparse.Namespace) -> list[SimulatorConfig]:
    """Return the make-up of each meter."""
    text = "" if arguments.replay is None else arguments.replay.read_text("ascii")
    replay = [line for line in text.splitlines() if line]
    settings = dict(setting.split(",", 1) for setting in arguments.settings)
    return [
        SimulatorConfig(
            host=arguments.host,
            port=arguments.port and arguments.port + number,
            ftp_port=arguments.ftp_port and arguments.ftp_port + number,
            model=arguments.model,
            serial=f"{int(arguments.serial) + number:0{len(arguments.serial)}}",
            seed=arguments.seed + number,
            busy=arguments.busy,
            measuring=arguments.measuring,
            settings=settings,
            utc_offset=arguments.utc_offset,
            sub_channels=arguments.sub_channels,
            missing=arguments.missing,
            replay=replay,
            ftp_rate=arguments.ftp_rate,
        )
        for number in range(arguments.meters)
    ]


async def _run(
    configs: Sequence[SimulatorConfig], faults: Sequence[tuple[Fault, float | None]]
) -> int:
    """Run meters until a signal says stop; return the exit code."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    meters: list[SimulatedMeter] = []
    console = Console(meters)

    def do(line: str) -> None:
        if text := console.do(line):
            _say(text)

    for number in _STOPPING:
        loop.add_signal_handler(number, stop.set)
    loop.add_signal_handler(signal.SIGUSR1, do, "report")
    # A background process that reads the terminal would be stopped; so it fails to read.
    signal.signal(signal.SIGTTIN, signal.SIG_IGN)
    async with AsyncExitStack() as stack:
        for config in configs:
            meter = SimulatedMeter(config)
            try:
                await stack.enter_async_context(meter)
            except OSError as error:
                sys.stderr.write(f"nl43_sim: {error.strerror}\n")
                return 1
            meters.append(meter)
            for fault, seconds in faults:
                meter.inject(fault, seconds=seconds)
            _say(
                f"{config.model} {config.serial} listens on {meter.host} "
                f"port {meter.port}, FTP port {meter.ftp_port}"
            )
        read_lines(_STDIN, lambda line: loop.call_soon_threadsafe(do, line))
        await stop.wait()
        do("report")
    return 0


def main(words: Sequence[str] | None = None) -> int:
    """Run the command line."""
    arguments = _arguments(words)
    try:
        configs = _configs(arguments)
    except (OSError, ValueError) as error:
        sys.stderr.write(f"nl43_sim: {error}\n")
        return 1
    return asyncio.run(_run(configs, arguments.faults))


if __name__ == "__main__":
    sys.exit(main())
