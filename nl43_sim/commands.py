"""The command table: what the meter answers to each line, and what the line does."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from .clock import TIME_FORMAT, parse_time
from .faults import Fault
from .machine import Machine
from .vocabulary import SETTINGS, Setting

DONE: Final = "R+0000"
UNKNOWN: Final = "R+0001"
BAD_PARAMETER: Final = "R+0002"
NOT_IN_SPECIFICATION: Final = "R+0003"
WRONG_STATE: Final = "R+0004"


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer: result, data of a request, and what comes of it once it is written."""

    result: str
    data: str | None = None
    afterwards: Callable[[], None] | None = None
    stream: Callable[[int], str] | None = None
    """Gives the counted lines of a request that streams."""


type _Ask = Callable[[Machine], str]
type _Set = Callable[[Machine, str], Reply]


@dataclass(frozen=True, slots=True)
class _Command:
    """How a name can be used; `awake` names work only while the meter is not asleep."""

    ask: _Ask | None = None
    set: _Set | None = None
    awake: bool = False


def _set_clock(machine: Machine, word: str) -> Reply:
    """Set the clock."""
    shown = parse_time(word)
    if shown is None:
        return Reply(BAD_PARAMETER)
    machine.clock.set(shown)
    return Reply(DONE)


def _measure(machine: Machine, word: str) -> Reply:
    """Start or stop the measurement."""
    if word not in {"Start", "Stop"}:
        return Reply(BAD_PARAMETER)
    if machine.measuring == (word == "Start"):
        return Reply(WRONG_STATE)
    machine.measuring = word == "Start"
    return Reply(DONE)


def _pause(machine: Machine, word: str) -> Reply:
    """Hold the measurement or go on."""
    if word not in {"On", "Off"}:
        return Reply(BAD_PARAMETER)
    if not machine.measuring:
        return Reply(WRONG_STATE)
    machine.paused = word == "On"
    return Reply(DONE)


def _manual_store(machine: Machine, word: str) -> Reply:
    """Store the last result."""
    if word != "Start":
        return Reply(BAD_PARAMETER)
    manual = machine.settings["store mode"] == "Manual"
    if not manual or machine.measuring or not machine.store_manually():
        return Reply(WRONG_STATE)
    return Reply(DONE)


def _setting(setting: Setting) -> _Command:
    """Return the command of a setting."""

    def change(machine: Machine, word: str) -> Reply:
        if not setting.accepts(word):
            return Reply(BAD_PARAMETER)
        if setting.stopped_only and machine.measuring:
            return Reply(WRONG_STATE)
        if setting.name == "ftp" and word == "On" and Fault.FTP_OFF in machine.faults:
            return Reply(WRONG_STATE)

        def apply() -> None:
            machine.settings[setting.name] = word

        # Settings may close the network; the answer still goes out before.
        return Reply(DONE, afterwards=apply)

    return _Command(lambda machine: machine.settings[setting.name], change)


def _ftp(machine: Machine) -> str:
    """Tell whether FTP is on."""
    return "Off" if Fault.FTP_OFF in machine.faults else machine.settings["ftp"]


def _percentage(machine: Machine) -> str:
    """Return how much of the card is free, in per cent."""
    return f"{100.0 * machine.sd_free() / machine.config.sd_total_mb:.0f}"


_SETTING_COMMANDS: Final = {setting.name: _setting(setting) for setting in SETTINGS}

_COMMANDS: Final[dict[str, _Command]] = {
    **_SETTING_COMMANDS,
    "ftp": _Command(_ftp, _SETTING_COMMANDS["ftp"].set),
    "type": _Command(lambda machine: machine.config.model),
    "serial number": _Command(lambda machine: machine.config.serial),
    "system version": _Command(lambda machine: machine.config.version),
    "clock": _Command(lambda machine: f"{machine.clock.now():{TIME_FORMAT}}", _set_clock),
    "measure": _Command(
        lambda machine: machine.config.measuring_word if machine.measuring else "Stop",
        _measure,
        awake=True,
    ),
    "pause": _Command(lambda machine: "On" if machine.paused else "Off", _pause, awake=True),
    "overwrite": _Command(lambda machine: "Exist" if machine.would_overwrite() else "None"),
    "manual store": _Command(set=_manual_store, awake=True),
    "battery level": _Command(lambda machine: machine.battery()),
    "battery type": _Command(lambda machine: machine.config.battery_type),
    "sd card total size": _Command(lambda machine: str(machine.config.sd_total_mb)),
    "sd card free size": _Command(lambda machine: str(machine.sd_free())),
    "sd card percentage": _Command(_percentage),
    "dod": _Command(lambda machine: machine.dod(), awake=True),
    "dlc": _Command(lambda machine: machine.dlc(), awake=True),
}

# What even the barest meter has.
_ESSENTIAL: Final = {"type", "serial number", "system version", "clock", "measure", "dod", "drd"}


def _refusal(machine: Machine, name: str) -> str | None:
    """Return the result with which a name is refused whatever is asked of it."""
    config = machine.config
    if name != "drd" and name not in _COMMANDS:
        return UNKNOWN
    if name in {missing.lower() for missing in config.missing}:
        return config.missing_result
    if Fault.MISSING_OPTIONS in machine.faults and name not in _ESSENTIAL:
        return config.missing_result
    if machine.asleep and (name == "drd" or _COMMANDS[name].awake):
        return WRONG_STATE
    if name == "dod" and machine.faults.strike(Fault.REFUSE_DOD):
        return WRONG_STATE
    return None


def _ask(machine: Machine, name: str, option: str) -> Reply:
    """Answer a request."""
    refusal = _refusal(machine, name)
    if refusal is not None:
        return Reply(refusal)
    if name == "drd":
        if option not in {"", "status"}:
            return Reply(BAD_PARAMETER)
        return Reply(DONE, stream=lambda counter: machine.drd(counter, status=bool(option)))
    if option:
        return Reply(BAD_PARAMETER)
    ask = _COMMANDS[name].ask
    return Reply(NOT_IN_SPECIFICATION) if ask is None else Reply(DONE, ask(machine))


def _change(machine: Machine, name: str, word: str) -> Reply:
    """Answer a setting."""
    refusal = _refusal(machine, name)
    if refusal is not None:
        return Reply(refusal)
    change = None if name == "drd" else _COMMANDS[name].set
    return Reply(NOT_IN_SPECIFICATION) if change is None else change(machine, word)


def execute(machine: Machine, line: str) -> Reply:
    """Do what a command line says and return the answer."""
    name, comma, word = line.partition(",")
    if comma:
        return _change(machine, name.lower(), word)
    name, question, option = line.partition("?")
    if question:
        return _ask(machine, name.lower(), option.lower())
    return Reply(UNKNOWN)
