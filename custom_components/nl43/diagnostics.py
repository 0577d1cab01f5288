"""Diagnostics: the raw last answers and timings, so that a report is a test fixture."""

from dataclasses import asdict
import re
from typing import Any, Final

from homeassistant.components.diagnostics import REDACTED, async_redact_data
from homeassistant.config_entries import ConfigEntryState
from homeassistant.const import CONF_HOST, CONF_MAC
from homeassistant.core import HomeAssistant

from .const import CONF_FTP_PASSWORD, CONF_FTP_USERNAME
from .coordinator import Nl43Coordinator
from .rion.vocabulary import SYSTEM_VERSION, TYPE
from .runtime import Nl43ConfigEntry
from .watch import async_watchers

REDACTED_KEYS: Final = {CONF_HOST, CONF_MAC, CONF_FTP_PASSWORD, CONF_FTP_USERNAME}
# Serial numbers, also of another meter; and the addresses in the operating system's messages.
_SECRETS: Final = re.compile(r"(?<!\d)\d{8}(?!\d)|\('[^']*'(?:, \d+)+\)")


async def async_get_config_entry_diagnostics(
    _hass: HomeAssistant, entry: Nl43ConfigEntry
) -> dict[str, Any]:
    """Return what a report about a meter needs, without who and where it is."""
    report: dict[str, Any] = {
        "entry": {
            "data": async_redact_data(dict(entry.data), REDACTED_KEYS),
            "options": dict(entry.options),
            "version": f"{entry.version}.{entry.minor_version}",
            "state": entry.state.value,
            "reason": entry.reason,
        }
    }
    if entry.state is ConfigEntryState.LOADED:
        report |= _meter_report(entry.runtime_data.coordinator)
    secrets = {entry.data[CONF_HOST], entry.data.get(CONF_MAC), entry.unique_id} - {None}
    hidden: dict[str, Any] = _hide(report, sorted(secrets, key=len, reverse=True))
    return hidden


def _meter_report(coordinator: Nl43Coordinator) -> dict[str, Any]:
    """Return what is known of the meter and of the conversation with it."""
    statistics = coordinator.meter.connection.statistics
    return {
        "meter": {
            "model": coordinator.data.get(TYPE),
            "firmware": coordinator.data.get(SYSTEM_VERSION),
            "lacking": sorted(coordinator.meter.lacking),
        },
        "poller": {
            "connection": coordinator.connection,
            "polling": coordinator.polling,
            "available": coordinator.last_update_success,
            "failures": coordinator.failures,
            "watchers": async_watchers(coordinator.hass, coordinator.config_entry.entry_id),
            "interval": coordinator.interval,
            "last_error": repr(coordinator.last_exception),
            "last_frame": coordinator.data.at and coordinator.data.at.isoformat(),
        },
        "connection": {
            "connects": statistics.connects,
            "commands": statistics.commands,
            "errors": statistics.errors,
            "last_answers": {name: asdict(last) for name, last in statistics.last.items()},
            "recent": [asdict(exchange) for exchange in statistics.recent],
        },
    }


def _hide(value: Any, secrets: list[str]) -> Any:
    """Return a value without any secret in its texts: stray lines show up anywhere."""
    if isinstance(value, dict):
        return {key: _hide(part, secrets) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_hide(part, secrets) for part in value]
    if not isinstance(value, str):
        return value
    for secret in secrets:
        value = value.replace(secret, REDACTED)
    return _SECRETS.sub(REDACTED, value)
