"""The meter's errors in Home Assistant's words, said once for flows, set-up and actions."""

from typing import Final

from homeassistant.config_entries import ConfigEntry
from homeassistant.const import CONF_HOST, CONF_PORT
from homeassistant.exceptions import HomeAssistantError

from .const import DOMAIN
from .rion import (
    ClosedError,
    DesyncError,
    FtpDataError,
    FtpError,
    FtpLoginError,
    FtpNotFoundError,
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
    FtpNotFoundError: "ftp_not_found",
    FtpError: "ftp_failed",
    RionError: "no_answer",
}


def translation_key(error: RionError) -> str:
    """Return the key of the text that tells a person what to do about an error."""
    return next(key for kind, key in _KEYS.items() if isinstance(error, kind))


def translated[E: HomeAssistantError](
    kind: type[E], key: str, entry: ConfigEntry, **placeholders: str
) -> E:
    """Return an error about a meter in the person's language."""
    return kind(
        translation_domain=DOMAIN,
        translation_key=key,
        translation_placeholders={
            "meter": entry.title,
            "host": entry.data[CONF_HOST],
            "port": str(entry.data[CONF_PORT]),
            **placeholders,
        },
    )
