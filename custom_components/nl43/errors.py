"""The meter's errors in Home Assistant's words, said once for flows, set-up and actions."""

from typing import Final

from .rion import (
    ClosedError,
    DesyncError,
    FtpDataError,
    FtpError,
    FtpLoginError,
    FtpUnreachableError,
    NoAnswerError,
    RefusedError,
    ResultError,
    RionError,
    StateError,
    UnreachableError,
    WrongMeterError,
)

# The more special class first.
_KEYS: Final[dict[type[RionError], str]] = {
    UnreachableError: "no_answer",
    NoAnswerError: "silent",
    ClosedError: "silent",
    RefusedError: "refused",
    WrongMeterError: "wrong_meter",
    StateError: "asleep",
    ResultError: "not_a_meter",
    DesyncError: "not_a_meter",
    FtpUnreachableError: "ftp_unreachable",
    FtpLoginError: "ftp_login",
    FtpDataError: "ftp_data",
    FtpError: "ftp_failed",
    RionError: "no_answer",
}


def translation_key(error: RionError) -> str:
    """Return the key of the text that tells a person what to do about an error."""
    return next(key for kind, key in _KEYS.items() if isinstance(error, kind))
