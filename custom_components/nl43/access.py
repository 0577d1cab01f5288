"""Who may see what of a meter."""

from homeassistant.auth.models import User
from homeassistant.auth.permissions.const import POLICY_READ
from homeassistant.components import websocket_api
from homeassistant.config_entries import ConfigEntryState
from homeassistant.core import HomeAssistant, callback
from homeassistant.exceptions import ServiceValidationError
from homeassistant.helpers import entity_registry as er

from .const import DOMAIN
from .errors import translated
from .runtime import Nl43ConfigEntry


@callback
def may_read(hass: HomeAssistant, user: User, entry: Nl43ConfigEntry) -> bool:
    """Tell whether a user may read every entity of a meter."""
    permissions = user.permissions
    if permissions.access_all_entities(POLICY_READ):
        return True
    entities = er.async_entries_for_config_entry(er.async_get(hass), entry.entry_id)
    # Of a meter without entities nobody knows yet who may read them.
    return bool(entities) and all(
        permissions.check_entity(entity.entity_id, POLICY_READ) for entity in entities
    )


def current_user() -> User | None:
    """Return who asks over the websocket; None if it is Home Assistant itself."""
    connection = websocket_api.current_connection.get()
    return None if connection is None else connection.user


@callback
def readable_entry(hass: HomeAssistant, user: User | None, entry_id: str) -> Nl43ConfigEntry:
    """Return a loaded meter; ServiceValidationError that says why a user cannot have it.

    Without a user it is Home Assistant itself that asks.
    """
    entry: Nl43ConfigEntry | None = hass.config_entries.async_get_entry(entry_id)
    if entry is None or entry.domain != DOMAIN:
        raise ServiceValidationError(translation_domain=DOMAIN, translation_key="no_such_meter")
    if user is not None and not may_read(hass, user, entry):
        raise translated(ServiceValidationError, "not_allowed", entry)
    if entry.state is not ConfigEntryState.LOADED:
        raise translated(ServiceValidationError, "not_loaded", entry)
    return entry
