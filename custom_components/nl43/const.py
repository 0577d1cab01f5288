"""Constants of the nl43 integration."""

from enum import StrEnum
from logging import Logger, getLogger
from typing import Final

from homeassistant.const import Platform

DOMAIN: Final = "nl43"
LOGGER: Final[Logger] = getLogger(__package__)
MANUFACTURER: Final = "Rion"
PLATFORMS: Final = (
    Platform.BINARY_SENSOR,
    Platform.BUTTON,
    Platform.EVENT,
    Platform.NUMBER,
    Platform.SELECT,
    Platform.SENSOR,
    Platform.SWITCH,
)

CONF_FTP_PASSWORD: Final = "ftp_password"  # noqa: S105 - the key, not a password
CONF_FTP_PORT: Final = "ftp_port"
CONF_FTP_USERNAME: Final = "ftp_username"
CONF_LIVE_INTERVAL: Final = "live_interval"
CONF_POLLING: Final = "polling"
CONF_SCAN_INTERVAL: Final = "scan_interval"

EVENT_EXCEEDANCE: Final = f"{DOMAIN}_exceedance"

# Seconds. The meter itself allows no more than one frame in 1.0 s and a round trip.
DEFAULT_LIVE_INTERVAL: Final = 1
DEFAULT_SCAN_INTERVAL: Final = 10
MIN_INTERVAL: Final = 1
MAX_INTERVAL: Final = 3600


class ConnectionState(StrEnum):
    """What is known of the connection to a meter."""

    CONNECTED = "connected"
    CONNECTING = "connecting"
    UNREACHABLE = "unreachable"
    REFUSED = "refused"
    WEDGED = "wedged"
    ASLEEP = "asleep"
    STANDBY = "standby"


class MeasurementState(StrEnum):
    """What the meter is doing."""

    MEASURING = "measuring"
    PAUSED = "paused"
    STOPPED = "stopped"
