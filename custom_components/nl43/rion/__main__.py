"""A small field check: python -m rion HOST [PORT], in the folder above this package."""

import argparse
import asyncio
import sys

from .connection import Priority
from .dod import QUANTITIES
from .errors import DesyncError, ResultError, RionError
from .meter import PORT, Meter
from .vocabulary import (
    BATTERY_LEVEL,
    CLOCK,
    FREQUENCY_WEIGHTING,
    FTP,
    MEASURE,
    PERCENTILE,
    POWER_SOURCE,
    SD_FREE,
    SD_TOTAL,
    SLEEP_MODE,
    STORE_NAME,
    SYSTEM_VERSION,
    TIME_WEIGHTING,
    TYPE,
    Command,
)

FACTS: tuple[Command[object], ...] = (
    TYPE,
    SYSTEM_VERSION,
    CLOCK,
    MEASURE,
    STORE_NAME,
    FREQUENCY_WEIGHTING["main"],
    TIME_WEIGHTING["main"],
    *PERCENTILE.values(),
    BATTERY_LEVEL,
    POWER_SOURCE,
    SD_TOTAL,
    SD_FREE,
    SLEEP_MODE,
    FTP,
)


def _print(text: str) -> None:
    """Write one line for the person at the terminal."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


async def _check(host: str, port: int, frames: int) -> None:
    """Ask who the meter is, what it is set to, and a few frames; nothing is changed."""
    meter = Meter(host, port)
    try:
        for number in range(frames):
            reading = await meter.reading()
            if not number:
                _print(f"Serial Number: {meter.serial}")
            levels = (f"{name}={getattr(reading.main, name)}" for name in QUANTITIES)
            _print(" ".join(levels))
        for fact in FACTS:
            try:
                _print(f"{fact.name}: {await meter.ask(fact, Priority.SLOW)}")
            except (ResultError, DesyncError) as err:
                # What this meter lacks, or says in words not known yet: worth seeing, no failure.
                _print(f"{fact.name}: {err}")
    finally:
        await meter.close()


def main() -> int:
    """Run the check; 1 when the meter cannot be spoken to."""
    parser = argparse.ArgumentParser(prog="python -m rion", description=__doc__)
    parser.add_argument("host")
    parser.add_argument("port", nargs="?", type=int, default=PORT)
    parser.add_argument("--frames", type=int, default=5, help="how many readings")
    arguments = parser.parse_args()
    try:
        asyncio.run(_check(arguments.host, arguments.port, arguments.frames))
    except RionError as err:
        _print(f"{type(err).__name__}: {err}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
