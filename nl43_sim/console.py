"""Lines typed while the simulator runs: faults on and off, keys pressed, reports."""

from collections.abc import Callable, Sequence
import os
import threading
from typing import Final

from .faults import Fault, fault_table
from .meter import SimulatedMeter

_READ_SIZE: Final = 4096

_HELP: Final = f"""\
fault NAME [SECONDS [DURATION]]   switch a fault on; DURATION seconds later it clears itself.
                                  A fault without an own number takes SECONDS for its duration.
clear [NAME]                      switch a fault, or all of them, off
press LINE                        do a command as if by the meter's keys: press Measure,Stop
louder DB                         make the site DB louder (0: as it was)
report                            say what the clients did
help                              this text
Faults:
{fault_table()}"""


class Console:
    """Does what typed lines say, with all meters alike."""

    def __init__(self, meters: Sequence[SimulatedMeter]) -> None:
        """Command some meters."""
        self._meters = meters
        self._verbs: dict[str, Callable[[str], str]] = {
            "fault": self._fault,
            "clear": self._clear,
            "press": self._press,
            "louder": self._louder,
            "report": self._report,
            "help": lambda _rest: _HELP,
        }

    def do(self, line: str) -> str:
        """Do a line and return what to say about it."""
        verb, _, rest = line.strip().partition(" ")
        if not verb:
            return ""
        if verb not in self._verbs:
            return f"unknown: {verb} (try help)"
        try:
            return self._verbs[verb](rest.strip())
        except ValueError as error:
            return f"{verb}: {error}"

    def _fault(self, rest: str) -> str:
        """Switch a fault on."""
        name, *numbers = rest.split() or [""]
        fault = Fault(name)
        seconds, duration = [*(float(number) for number in numbers), None, None][:2]
        for meter in self._meters:
            meter.inject(fault, seconds=seconds, duration=duration)
        return f"fault {fault.value} is on"

    def _clear(self, rest: str) -> str:
        """Switch a fault, or all, off."""
        fault = Fault(rest) if rest else None
        for meter in self._meters:
            meter.clear(fault)
        return "no faults" if fault is None else f"fault {fault.value} is off"

    def _press(self, rest: str) -> str:
        """Press the meter's keys."""
        return "\n".join(meter.press(rest) for meter in self._meters)

    def _louder(self, rest: str) -> str:
        """Make the site louder."""
        for meter in self._meters:
            meter.state.level_offset = float(rest)
        return f"{float(rest):+.1f} dB"

    def _report(self, _rest: str) -> str:
        """Report on each meter."""
        return "\n".join(meter.report() for meter in self._meters)


def read_lines(descriptor: int, line: Callable[[str], object]) -> None:
    """Read lines in a thread of their own until there are no more.

    A thread, because an event loop cannot watch a plain file or /dev/null; unbuffered and daemonic,
    because a read that never returns must not keep the process alive.
    """

    def read() -> None:
        held = b""
        try:
            while data := os.read(descriptor, _READ_SIZE):
                *lines, held = (held + data).split(b"\n")
                for each in lines:
                    line(each.decode("utf-8", "replace"))
        except OSError, RuntimeError:
            # No such descriptor, or the event loop has ended.
            return
        if held:
            line(held.decode("utf-8", "replace"))

    threading.Thread(target=read, name="console", daemon=True).start()
