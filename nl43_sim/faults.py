"""The faults a meter or its network can show, and which of them are on."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Fault(StrEnum):
    """What can go wrong on demand."""

    WEDGE = "wedge"
    SLOT_TAKEN = "slot_taken"
    LATE_RELEASE = "late_release"
    SILENCE = "silence"
    SLOW = "slow"
    DROP = "drop"
    STRAY = "stray"
    GLUED = "glued"
    SPLIT = "split"
    JUNK = "junk"
    BAD_VALUES = "bad_values"
    REFUSE_DOD = "refuse_dod"
    MISSING_OPTIONS = "missing_options"
    FULL_CARD = "full_card"
    EMPTY_BATTERY = "empty_battery"
    WRONG_CLOCK = "wrong_clock"
    FTP_OFF = "ftp_off"
    FTP_LATE = "ftp_late"
    FTP_LOGIN = "ftp_login"
    FTP_DATA_BLOCKED = "ftp_data_blocked"
    GONE = "gone"


@dataclass(frozen=True, slots=True)
class FaultInfo:
    """One line about a fault; `seconds` is the default of its own parameter, if it has one."""

    text: str
    seconds: float | None = None


FAULTS: Final[dict[Fault, FaultInfo]] = {
    Fault.WEDGE: FaultInfo("control port refuses, the live connection is cut; FTP goes on"),
    Fault.SLOT_TAKEN: FaultInfo(
        "somebody else holds the one connection: the live one is cut, new ones are never answered"
    ),
    Fault.LATE_RELEASE: FaultInfo(
        "after a close the slot stays taken for SECONDS; connects meanwhile are never answered", 5.0
    ),
    Fault.SILENCE: FaultInfo("accepts and reads, does nothing and never answers"),
    Fault.SLOW: FaultInfo("answers only after SECONDS", 2.0),
    Fault.DROP: FaultInfo(
        "does what it is told, then cuts the connection in the middle of the answer"
    ),
    Fault.STRAY: FaultInfo("an extra line such as 0019 comes before an answer"),
    Fault.GLUED: FaultInfo("the answer before is sent again, glued to the front of this one"),
    Fault.SPLIT: FaultInfo("answers come in packets of a few bytes, SECONDS apart", 0.002),
    Fault.JUNK: FaultInfo("random bytes, NULs, numbers of odd form or an endless line as answer"),
    Fault.BAD_VALUES: FaultInfo("fields such as nan, 1e3, 1_0.5, 0x1F or --.-, or too few fields"),
    Fault.REFUSE_DOD: FaultInfo("R+0004 to DOD?"),
    Fault.MISSING_OPTIONS: FaultInfo("all but the essential commands are not in this meter"),
    Fault.FULL_CARD: FaultInfo("no room on the card: nothing is stored any more"),
    Fault.EMPTY_BATTERY: FaultInfo("the battery is empty"),
    Fault.WRONG_CLOCK: FaultInfo(
        "the meter's clock is set SECONDS ahead; clearing sets it right", 5400.0
    ),
    Fault.FTP_OFF: FaultInfo("FTP is off and cannot be switched on, as with USB mass storage"),
    Fault.FTP_LATE: FaultInfo("FTP listens only SECONDS after FTP,On", 30.0),
    Fault.FTP_LOGIN: FaultInfo("every FTP login is refused with 530"),
    Fault.FTP_DATA_BLOCKED: FaultInfo("150 is answered but the data connection never comes"),
    Fault.GONE: FaultInfo("the network is gone: nothing is answered, connects hang"),
}


def fault_table() -> str:
    """Return one line per fault, for help texts."""
    lines = []
    for fault, info in FAULTS.items():
        default = "" if info.seconds is None else f" (SECONDS: {info.seconds:g} if not said)"
        lines.append(f"  {fault.value:<17} {info.text}{default}")
    return "\n".join(lines)


@dataclass(slots=True)
class _Injected:
    """A fault that is on."""

    seconds: float
    times: int | None
    timer: asyncio.TimerHandle | None = None


class FaultSet:
    """The faults that are on."""

    def __init__(self, changed: Callable[[Fault], None]) -> None:
        """Start without a fault; `changed` hears of each one that was switched on or off."""
        self._changed = changed
        self._on: dict[Fault, _Injected] = {}

    def __contains__(self, fault: object) -> bool:
        """Tell whether a fault is on."""
        return fault in self._on

    def active(self) -> list[Fault]:
        """Return the faults that are on."""
        return list(self._on)

    def inject(
        self,
        fault: Fault,
        *,
        seconds: float | None = None,
        duration: float | None = None,
        times: int | None = None,
    ) -> None:
        """Switch a fault on, for a duration or a number of occurrences if given.

        `seconds` is the fault's own parameter; for a fault that has none it is the duration.
        """
        own = FAULTS[fault].seconds
        if own is None and duration is None:
            duration = seconds
        self._stop_timer(fault)
        injected = _Injected(
            seconds=own or 0.0 if own is None or seconds is None else seconds, times=times
        )
        if duration is not None:
            loop = asyncio.get_running_loop()
            injected.timer = loop.call_later(duration, self.clear, fault)
        self._on[fault] = injected
        self._changed(fault)

    def clear(self, fault: Fault | None = None) -> None:
        """Switch a fault, or all, off."""
        for each in self.active() if fault is None else [fault]:
            self._stop_timer(each)
            if self._on.pop(each, None) is not None:
                self._changed(each)

    def close(self) -> None:
        """Forget all faults without telling anybody."""
        for fault in self.active():
            self._stop_timer(fault)
        self._on.clear()

    def seconds(self, fault: Fault) -> float | None:
        """Return the parameter of a fault, None while it is off."""
        injected = self._on.get(fault)
        return None if injected is None else injected.seconds

    def strike(self, fault: Fault) -> bool:
        """Tell whether a fault happens now, and count it."""
        injected = self._on.get(fault)
        if injected is None:
            return False
        if injected.times is not None:
            injected.times -= 1
            if injected.times <= 0:
                self.clear(fault)
        return True

    def _stop_timer(self, fault: Fault) -> None:
        """Stop the timer of a fault."""
        injected = self._on.get(fault)
        if injected is not None and injected.timer is not None:
            injected.timer.cancel()
