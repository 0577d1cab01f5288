"""Rion NL-43/NL-53 sound level meters over TCP: the standard library, nothing else."""

from .connection import Priority, backoff
from .dod import CHANNELS, NO_READING, QUANTITIES, Channel, Reading
from .errors import (
    ClosedError,
    CommandError,
    DesyncError,
    FtpDataError,
    FtpError,
    FtpLoginError,
    FtpNotFoundError,
    FtpUnreachableError,
    NoAnswerError,
    ParameterError,
    RefusedError,
    ResultError,
    RionError,
    SpecificationError,
    StateError,
    StoredError,
    UnreachableError,
    WrongMeterError,
)
from .history import Exchange
from .meter import PORT, Meter

__all__ = [
    "CHANNELS",
    "NO_READING",
    "PORT",
    "QUANTITIES",
    "Channel",
    "ClosedError",
    "CommandError",
    "DesyncError",
    "Exchange",
    "FtpDataError",
    "FtpError",
    "FtpLoginError",
    "FtpNotFoundError",
    "FtpUnreachableError",
    "Meter",
    "NoAnswerError",
    "ParameterError",
    "Priority",
    "Reading",
    "RefusedError",
    "ResultError",
    "RionError",
    "SpecificationError",
    "StateError",
    "StoredError",
    "UnreachableError",
    "WrongMeterError",
    "backoff",
]
