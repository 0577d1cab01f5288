"""A simulated Rion NL-43/NL-53 sound level meter: control port, FTP, and faults on demand."""

from .config import Asleep, Prompt, SimulatorConfig
from .faults import FAULTS, Fault
from .meter import SimulatedMeter
from .violations import Command, Violation

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
