"""The small field check, run as a person runs it."""

import asyncio
from pathlib import Path
import socket

import pytest

from custom_components.nl43.rion.__main__ import FACTS
from custom_components.nl43.rion.dod import parse_level
from nl43_sim import SimulatedMeter, SimulatorConfig

PROGRAM = Path(__file__).parents[2] / "script" / "field_check"


async def run(*arguments: str) -> tuple[int | None, list[str], str]:
    """Return the exit code, the lines and the complaints of the program."""
    process = await asyncio.create_subprocess_exec(
        str(PROGRAM),
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    return process.returncode, out.decode().splitlines(), err.decode()


async def test_a_meter_in_the_field() -> None:
    """It shows who the meter is, a frame and each fact, at the meter's pace; changes nothing."""
    config = SimulatorConfig(
        battery_type="Lithium", battery_level="Half", missing=["SD Card Free Size"]
    )
    async with SimulatedMeter(config) as sim:
        code, lines, complaints = await run(sim.host, str(sim.port), "--frames", "1")
        assert (code, complaints) == (0, "")
        assert lines[0] == "Serial Number: 01234567"
        levels = dict(pair.split("=") for pair in lines[1].split(" "))
        assert parse_level(levels["lp"]) is not None
        assert levels["ltm5"] == "None"
        facts = dict(line.split(": ", 1) for line in lines[2:])
        assert list(facts) == [fact.name for fact in FACTS]
        assert facts["Type"] == "NL-43"
        assert facts["Measure"] == "Start"
        assert facts["Percentile 5"] == "95.0"
        assert facts["DRD"] == "E"
        # What the meter lacks, and what it says in a word that nobody knows, is shown as such.
        assert "R+0003" in facts["SD Card Free Size"]
        assert "'Half'" in facts["Battery Level"]
        assert not [command.line for command in sim.commands if "," in command.line]
        assert sim.connections_opened == 1
        assert sim.violations == []


@pytest.mark.parametrize("port", ["closed", "65536"])
async def test_nobody_answers(port: str) -> None:
    """It says in one line why there is nothing to see."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        closed = str(bound.getsockname()[1])
        code, lines, complaints = await run("127.0.0.1", closed if port == "closed" else port)
    assert (code, complaints) == (1, "")
    expected = {
        "closed": "RefusedError: the connection was refused",
        "65536": "UnreachableError: no connection: connect(): port must be 0-65535.",
    }
    assert lines == [expected[port]]
