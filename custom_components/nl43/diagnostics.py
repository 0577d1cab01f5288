"""Diagnostics: the raw last answers and timings, so that a report is a test fixture."""

from dataclasses import asdict
from typing import Any, Final

from homeassistant.components.diagnostics import async_redact_data
from homeassistant.const import CONF_HOST, CONF_MAC
from homeassistant.core import HomeAssistant

from .const import CONF_FTP_PASSWORD, CONF_FTP_USERNAME
from .coordinator import Nl43ConfigEntry
from .rion import Exchange
from .rion.vocabulary import SERIAL_NUMBER

REDACTED_KEYS: Final = {CONF_HOST, CONF_MAC, CONF_FTP_PASSWORD, CONF_FTP_USERNAME}


async def async_get_config_entry_diagnostics(
    _hass: HomeAssistant, entry: Nl43ConfigEntry
) -> dict[str, Any]:
    """Return what a report about a meter needs, without who and where it is."""
    coordinator = entry.runtime_data
    statistics = coordinator.meter.connection.statistics
    return {
        "entry": {
            "data": async_redact_data(dict(entry.data), REDACTED_KEYS),
            "options": dict(entry.options),
            "version": f"{entry.version}.{entry.minor_version}",
        },
        "meter": {
            "model": coordinator.model,
            "firmware": coordinator.firmware,
            "lacking": sorted(coordinator.meter.lacking),
        },
        "poller": {
            "connection": coordinator.connection,
            "available": coordinator.last_update_success,
            "failures": coordinator.failures,
            "watched": coordinator.watched,
            "interval": coordinator.interval,
            "last_error": repr(coordinator.last_exception),
            "last_frame": coordinator.data.at.isoformat(),
        },
        "connection": {
            "connects": statistics.connects,
            "commands": statistics.commands,
            "errors": statistics.errors,
            "last_answers": {name: _raw(exchange) for name, exchange in statistics.last.items()},
            "recent": [_raw(exchange) for exchange in statistics.recent],
        },
    }


def _raw(exchange: Exchange) -> dict[str, Any]:
    """Return one exchange; the serial number tells whose meter it is."""
    raw = asdict(exchange)
    if exchange.command == SERIAL_NUMBER.request:
        raw["lines"] = ["**REDACTED**"]
    return raw
