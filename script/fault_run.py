"""Every fault of the simulated meter against a real Home Assistant; see script/fault_run.

One meter a fault, all at once, for some minutes; then all faults end. Each meter answers with
the recorded payload, so that every other level is a false one. Printed for each fault: what
`connection` showed, false levels, false run states, the time to recover, log lines, violations.
The exit code is 1 where one of them is wrong.
"""

import argparse
import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
import sys
import tempfile
import time
from typing import Any, Final

from nl43_sim import Fault, SimulatedMeter, SimulatorConfig
from script.hass_client import Account, HassClient, MeterAddress
from script.real_hass import HOST, ROOT, RealHass, free_port, running

SETTLE: Final = 45.0
RECOVERY: Final = 90.0
WATCHED_RECOVERY: Final = 15.0
RECORDING: Final = ROOT / "tests/recordings/dod_measuring.txt"
# The quantities of the recorded frame that have a value, in its order.
LEVELS: Final = ("lp", "leq", "le", "lmax", "lmin", "ln1", "ln2", "ln3", "ln4", "ln5", "lpeak")
NO_STATE: Final = {"unavailable", "unknown"}


@dataclass(slots=True)
class Watched:
    """A meter with its fault, and what Home Assistant showed of it."""

    fault: Fault
    meter: SimulatedMeter
    levels: dict[str, str]
    connection: list[str] = field(default_factory=list)
    false_levels: set[str] = field(default_factory=set)
    false_states: set[str] = field(default_factory=set)
    recovered: float | None = None
    available: bool = True

    @property
    def serial(self) -> str:
        """The meter's serial number."""
        return self.meter.config.serial

    def note(self, key: str, state: str) -> None:
        """Take in what an entity shows."""
        if key in self.levels:
            if state not in {self.levels[key], "unavailable"}:
                self.false_levels.add(f"{key}={state}")
            if key == "lp":
                self.available = state != "unavailable"
        elif key == "measurement_state":
            if state not in {"measuring"} | NO_STATE:
                self.false_states.add(state)
        elif key == "connection" and state not in self.connection[-1:]:
            self.connection.append(state)


@asynccontextmanager
async def following(client: HassClient, watched: dict[str, Watched]) -> AsyncIterator[None]:
    """Follow all states of the meters."""
    entities = {
        entity_id: unique_id.partition("_")
        for unique_id, entity_id in (await client.entity_ids()).items()
    }

    def hear(message: Any) -> None:
        event = message.get("event")
        data: dict[str, Any] = event["data"] if event else {}
        if data.get("entity_id") in entities and data["new_state"] is not None:
            serial, _, key = entities[data["entity_id"]]
            watched[serial].note(key, data["new_state"]["state"])

    states = {"type": "subscribe_events", "event_type": "state_changed"}
    async with client.subscribed([states], hear):
        yield


async def suffer(watched: dict[str, Watched], seconds: float) -> None:
    """Let every fault last for a while, then end them and note when each meter is back."""
    for each in watched.values():
        each.meter.inject(each.fault)
    await asyncio.sleep(seconds)
    for each in watched.values():
        each.meter.clear()
        each.meter.replay_frames(RECORDING.read_text().splitlines())
    ended = time.monotonic()
    frames = {serial: len(each.meter.commands) for serial, each in watched.items()}
    while time.monotonic() - ended < RECOVERY:
        for serial, each in watched.items():
            answered = any(
                command.line == "DOD?" and command.answered
                for command in each.meter.commands[frames[serial] :]
            )
            if each.recovered is None and each.available and answered:
                each.recovered = time.monotonic() - ended
        if all(each.recovered is not None for each in watched.values()):
            break
        await asyncio.sleep(0.1)
    await asyncio.sleep(SETTLE / 3)


def report(watched: dict[str, Watched], log: str, *, live: bool) -> bool:
    """Print what came of it; return whether all was as it has to be."""
    good = True
    for each in watched.values():
        lost, back = (
            sum(each.serial in line and text in line for line in log.splitlines())
            for text in ("the meter is lost", "the meter is back")
        )
        good &= (
            not (each.false_levels or each.false_states or each.meter.violations)
            and lost == back <= 1
            and each.recovered is not None
            and (each.recovered <= WATCHED_RECOVERY or not live)
        )
        recovered = "never" if each.recovered is None else f"{each.recovered:.1f} s"
        print(
            f"  {each.fault.value:<17} connection {' > '.join(each.connection) or 'unchanged'};"
            f" false levels {sorted(each.false_levels) or 'none'},"
            f" false run states {sorted(each.false_states) or 'none'};"
            f" next frame shown after {recovered}; log lost {lost}, back {back};"
            f" connections {each.meter.connections_opened},"
            f" violations {[violation.kind for violation in each.meter.violations] or 'none'}",
            flush=True,
        )
    return good


async def run(seconds: float, *, live: bool) -> bool:
    """Run all faults once; return whether all was as it has to be."""
    fields = RECORDING.read_text().split(",")
    levels = {key: text.strip() for key, text in zip(LEVELS, fields, strict=False)}
    async with AsyncExitStack() as stack:
        watched = {}
        for number, fault in enumerate(Fault):
            serial = f"{80_000_000 + number}"
            meter = await stack.enter_async_context(
                SimulatedMeter(SimulatorConfig(serial=serial, seed=number))
            )
            meter.replay_frames(RECORDING.read_text().splitlines())
            watched[serial] = Watched(fault, meter, levels)
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        hass = RealHass(folder, free_port(), auto_login=False)
        hass.write_config()
        await stack.enter_async_context(running(hass))
        client = await stack.enter_async_context(HassClient.logged_in(hass.url, Account()))
        await asyncio.gather(
            *(
                client.add_meter(
                    MeterAddress(host=HOST, port=each.meter.port, ftp_port=each.meter.ftp_port)
                )
                for each in watched.values()
            )
        )
        await asyncio.sleep(SETTLE)
        if live:
            await stack.enter_async_context(client.watching())
        await stack.enter_async_context(following(client, watched))
        await suffer(watched, seconds)
        print(f"{'watched live' if live else 'not watched'}, {seconds:.0f} s each", flush=True)
        return report(watched, hass.log.read_text(), live=live)


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="script/fault_run", description=__doc__)
    parser.add_argument(
        "--seconds", type=float, default=180.0, help="how long each fault lasts (%(default)s)"
    )
    arguments = parser.parse_args()
    good = [asyncio.run(run(arguments.seconds, live=live)) for live in (True, False)]
    sys.exit(not all(good))


if __name__ == "__main__":
    main()
