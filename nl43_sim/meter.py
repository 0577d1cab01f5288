"""A simulated meter on the network: control service, FTP service, faults."""

import asyncio
from collections.abc import Iterable
from types import TracebackType
from typing import Self

from .commands import execute
from .config import Asleep, SimulatorConfig
from .control import ControlService
from .faults import Fault
from .ftp import FtpService
from .ledger import Command, Ledger, Violation
from .listener import Door, Listener
from .machine import Machine


class SimulatedMeter:
    """A meter that listens from `start` to `close`."""

    def __init__(self, config: SimulatorConfig | None = None) -> None:
        """Build a meter; it does not listen yet."""
        self.config = config or SimulatorConfig()
        self._ledger = Ledger()
        self._machine = Machine(self.config, self._setting_changed)
        self._machine.fault_heard = self._fault_heard
        self._control = ControlService(self._machine, self._ledger)
        self._ftp = FtpService(self._machine, self._ledger)
        self._control_port = Listener(self.config.host, self.config.port, self._control.accept)
        self._ftp_port = Listener(self.config.host, self.config.ftp_port, self._ftp.accept)
        self._ftp_timer: asyncio.TimerHandle | None = None
        self._ftp_up = self._machine.settings["ftp"] == "On"
        self._listening = False

    async def __aenter__(self) -> Self:
        """Listen."""
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close."""
        await self.close()

    async def start(self) -> None:
        """Listen on both ports; raises OSError when one is taken."""
        self._control_port.open(self._control_door())
        try:
            self._ftp_port.open(self._ftp_door())
        except OSError:
            self._control_port.close()
            raise
        self._listening = True

    async def close(self) -> None:
        """Stop listening, end all connections and wait for that."""
        self._listening = False
        self._machine.faults.close()
        self._stop_ftp_timer()
        self._control_port.close()
        self._ftp_port.close()
        await self._control.close()
        await self._ftp.close()

    @property
    def host(self) -> str:
        """The address it listens on."""
        return self.config.host

    @property
    def port(self) -> int:
        """The port of the control service."""
        return self._control_port.port

    @property
    def ftp_port(self) -> int:
        """The port of the FTP service."""
        return self._ftp_port.port

    @property
    def state(self) -> Machine:
        """What the meter itself is doing; may be changed as if by hand at the meter."""
        return self._machine

    @property
    def violations(self) -> list[Violation]:
        """The rules that clients broke, oldest first."""
        return self._ledger.violations

    @property
    def commands(self) -> list[Command]:
        """The commands that came, oldest first."""
        return self._ledger.commands

    @property
    def connections_opened(self) -> int:
        """How many control connections were accepted, the held ones included."""
        return self._ledger.connections_opened

    @property
    def connections_open(self) -> int:
        """How many control connections are open, the held ones included."""
        return self._ledger.connections_open

    @property
    def ftp_sessions_opened(self) -> int:
        """How many FTP sessions were accepted."""
        return self._ledger.ftp_sessions_opened

    @property
    def ftp_sessions_at_once(self) -> int:
        """How many FTP sessions were open at the same time, at most."""
        return self._ledger.ftp_sessions_at_once

    @property
    def ftp_retrievals(self) -> list[str]:
        """The paths of the files that were sent by FTP, oldest first; also those cut short."""
        return self._ledger.retrievals

    @property
    def faults(self) -> list[Fault]:
        """The faults that are on."""
        return self._machine.faults.active()

    def inject(
        self,
        fault: Fault,
        *,
        seconds: float | None = None,
        duration: float | None = None,
        times: int | None = None,
    ) -> None:
        """Switch a fault on, for good, for a duration or for a number of occurrences.

        `seconds` is the fault's own parameter; for a fault that has none it is the duration.
        """
        self._machine.faults.inject(fault, seconds=seconds, duration=duration, times=times)

    def clear(self, fault: Fault | None = None) -> None:
        """Switch a fault, or all, off."""
        self._machine.faults.clear(fault)

    def replay_frames(self, lines: Iterable[str]) -> None:
        """Answer `DOD?` with these lines in turn; with none, by the sound model again."""
        self._machine.replay([line.rstrip("\r\n") for line in lines])

    def press(self, line: str) -> str:
        """Do a command as if by the meter's own keys and return its result."""
        reply = execute(self._machine, line)
        if reply.afterwards is not None:
            reply.afterwards()
        return reply.result if reply.data is None else f"{reply.result} {reply.data}"

    async def drop_connection(self) -> None:
        """Cut the live control connection now."""
        await self._control.drop_connection()

    def report(self) -> str:
        """Say in plain words what clients did."""
        return f"{self.config.model} {self.config.serial} on port {self.port}:\n" + (
            self._ledger.report()
        )

    def _unreachable(self) -> bool:
        """Tell whether the network ends before the meter."""
        asleep = self._machine.asleep and self.config.asleep is Asleep.GONE
        return asleep or Fault.GONE in self._machine.faults

    def _control_door(self) -> Door:
        """Return what a connect to the control port meets."""
        if self._unreachable():
            return Door.HANGING
        if Fault.WEDGE in self._machine.faults or self._machine.settings["tcp"] == "Off":
            return Door.REFUSING
        return Door.OPEN

    def _ftp_door(self) -> Door:
        """Return what a connect to the FTP port meets."""
        if self._unreachable():
            return Door.HANGING
        off = Fault.FTP_OFF in self._machine.faults or not self._ftp_up
        return Door.REFUSING if off else Door.OPEN

    def _apply(self) -> None:
        """Bring the ports in line with settings and faults."""
        if not self._listening:
            return
        control, ftp = self._control_door(), self._ftp_door()
        self._control_port.turn(control)
        self._ftp_port.turn(ftp)
        gone = self._unreachable()
        self._control.freeze(on=gone)
        self._ftp.freeze(on=gone)
        if control is Door.REFUSING:
            self._control.cut()
            self._control.cut_held()
        elif Fault.SLOT_TAKEN in self._machine.faults:
            self._control.cut()
        if ftp is Door.REFUSING:
            self._ftp.cut()

    def _fault_heard(self, _fault: Fault) -> None:
        """Follow a fault that went on or off."""
        self._apply()

    def _setting_changed(self, name: str) -> None:
        """Follow a setting that concerns the network."""
        settings = self._machine.settings
        if name == "web" and settings["web"] == "On":
            # The web app takes the two other services' place.
            settings["tcp"] = settings["ftp"] = "Off"
        elif name == "ftp":
            self._switch_ftp(on=settings["ftp"] == "On")
        self._apply()

    def _switch_ftp(self, *, on: bool) -> None:
        """Switch the FTP service off at once, or on after its delay."""
        if not on:
            self._stop_ftp_timer()
            self._ftp_up = False
        elif not self._ftp_up and self._ftp_timer is None and self._listening:
            late = self._machine.faults.seconds(Fault.FTP_LATE)
            delay = self.config.ftp_delay if late is None else late
            loop = asyncio.get_running_loop()
            self._ftp_timer = loop.call_later(delay, self._ftp_comes_up)

    def _ftp_comes_up(self) -> None:
        """Listen for FTP."""
        self._ftp_timer = None
        self._ftp_up = True
        self._apply()

    def _stop_ftp_timer(self) -> None:
        """Have FTP not come up."""
        if self._ftp_timer is not None:
            self._ftp_timer.cancel()
            self._ftp_timer = None
