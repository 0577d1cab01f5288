"""A simulated Rion NL-43/NL-53 sound level meter: control port, FTP, and faults on demand."""

from .config import Asleep, Prompt, SimulatorConfig
from .faults import FAULTS, Fault
from .ledger import Command, Violation
from .meter import SimulatedMeter

__all__ = [
    "FAULTS",
    "Asleep",
    "Command",
    "Fault",
    "Prompt",
    "SimulatedMeter",
    "SimulatorConfig",
    "Violation",
]
