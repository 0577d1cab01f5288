"""Simulated meters in a process of their own, for script/bench: they tell what they saw.

Prints their ports as one line of JSON; each line on stdin is answered with one more line:
what has come to each meter since the line before.
"""

import argparse
import asyncio
from contextlib import AsyncExitStack
import json
import sys
import time
from typing import Any, Final

from nl43_sim import SimulatedMeter, SimulatorConfig
from nl43_sim.card import Pattern

FOLDER: Final = "/NL-43/Auto_0200"
FILE_SIZE: Final = 5_000_000


def seen(meter: SimulatedMeter, since: float) -> dict[str, Any]:
    """Return what a meter saw since a time: frames' times, round trips, connections."""
    commands = [command for command in meter.commands if command.received >= since]
    frames = [command for command in commands if command.line == "DOD?"]
    return {
        "serial": meter.config.serial,
        "frames": [command.received for command in frames],
        "answers": [command.answered - command.received for command in frames if command.answered],
        "commands": len(commands),
        "connections": meter.connections_opened,
        "violations": len(meter.violations),
    }


async def serve(count: int, files: int) -> None:
    """Run the meters until stdin ends, with so many files more on their cards."""
    async with AsyncExitStack() as stack:
        meters = [
            await stack.enter_async_context(
                SimulatedMeter(SimulatorConfig(serial=f"{90_000_000 + index}", seed=index))
            )
            for index in range(count)
        ]
        for meter in meters:
            for index in range(files):
                meter.state.card.add_file(
                    f"{FOLDER}/{index:04}.wav", Pattern(FILE_SIZE), meter.state.clock.now()
                )
        ports = [{"port": meter.port, "ftp_port": meter.ftp_port} for meter in meters]
        print(json.dumps(ports), flush=True)
        since = time.monotonic()
        while await asyncio.to_thread(sys.stdin.readline):
            print(json.dumps([seen(meter, since) for meter in meters]), flush=True)
            since = time.monotonic()


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("count", type=int)
    parser.add_argument("files", type=int)
    arguments = parser.parse_args()
    asyncio.run(serve(arguments.count, arguments.files))


if __name__ == "__main__":
    main()
