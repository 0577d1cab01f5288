"""Setting a meter up: its address, then its FTP login."""

from typing import Any, Final, override

from homeassistant.config_entries import (
    SOURCE_RECONFIGURE,
    ConfigEntry,
    ConfigEntryState,
    ConfigFlow,
    ConfigFlowResult,
    OptionsFlow,
)
from homeassistant.const import CONF_HOST, CONF_MAC, CONF_PORT, UnitOfTime
from homeassistant.core import callback
from homeassistant.data_entry_flow import AbortFlow
from homeassistant.helpers.device_registry import format_mac
from homeassistant.helpers.selector import (
    NumberSelector,
    NumberSelectorConfig,
    NumberSelectorMode,
    TextSelector,
)
from homeassistant.helpers.service_info.dhcp import DhcpServiceInfo
import voluptuous as vol

from .address import Identity, clean_host, is_same_host, probe, probe_address
from .const import (
    CONF_FTP_PASSWORD,
    CONF_FTP_PORT,
    CONF_FTP_USERNAME,
    CONF_LIVE_INTERVAL,
    CONF_SCAN_INTERVAL,
    DEFAULT_LIVE_INTERVAL,
    DEFAULT_SCAN_INTERVAL,
    DOMAIN,
    MANUFACTURER,
    MAX_INTERVAL,
    MIN_INTERVAL,
)
from .errors import translation_key
from .login import FACTORY_FTP, FTP_KEYS, FTP_SCHEMA, PORT_SELECTOR, async_check_login
from .rion import PORT, FtpError, RionError, WrongMeterError, ftp
from .runtime import Nl43ConfigEntry

_INTERVAL_SELECTOR: Final = vol.All(
    NumberSelector(
        NumberSelectorConfig(
            min=MIN_INTERVAL,
            max=MAX_INTERVAL,
            mode=NumberSelectorMode.BOX,
            unit_of_measurement=UnitOfTime.SECONDS,
        )
    ),
    vol.Coerce(int),
)
ADDRESS_SCHEMA: Final = vol.Schema(
    {
        vol.Required(CONF_HOST): TextSelector(),
        vol.Required(CONF_PORT, default=PORT): PORT_SELECTOR,
    }
)
OPTIONS_SCHEMA: Final = vol.Schema(
    {
        vol.Required(CONF_SCAN_INTERVAL, default=DEFAULT_SCAN_INTERVAL): _INTERVAL_SELECTOR,
        vol.Required(CONF_LIVE_INTERVAL, default=DEFAULT_LIVE_INTERVAL): _INTERVAL_SELECTOR,
    }
)


class Nl43ConfigFlow(ConfigFlow, domain=DOMAIN):
    """Set a meter up, or set it up differently: the same two steps."""

    VERSION = 1
    MINOR_VERSION = 2

    def __init__(self) -> None:
        """Start with nothing known."""
        self._data: dict[str, Any] = {}
        self._title = ""

    @staticmethod
    @callback
    @override
    def async_get_options_flow(config_entry: ConfigEntry) -> OptionsFlow:
        """Return the flow behind the Configure button."""
        return Nl43OptionsFlow()

    @override
    async def async_step_user(self, user_input: dict[str, Any] | None = None) -> ConfigFlowResult:
        """Ask for the address of a new meter."""
        return await self._async_step_address("user", user_input)

    async def async_step_reconfigure(
        self, user_input: dict[str, Any] | None = None
    ) -> ConfigFlowResult:
        """Ask for another address of a known meter."""
        return await self._async_step_address("reconfigure", user_input)

    @override
    async def async_step_dhcp(self, discovery_info: DhcpServiceInfo) -> ConfigFlowResult:
        """Take note of a meter's address; it is not spoken to before a person agrees."""
        mac, host = format_mac(discovery_info.macaddress), discovery_info.ip
        entries = self._async_current_entries(include_ignore=False)
        for entry in entries:
            if entry.data.get(CONF_MAC) == mac:
                return await self._async_meter_seen(entry, mac, host)
        for entry in entries:
            is_unknown = CONF_MAC not in entry.data
            if is_unknown and await is_same_host(self.hass, entry.data[CONF_HOST], host):
                return await self._async_meter_seen(entry, mac, host)
        await self.async_set_unique_id(mac)
        self._abort_if_unique_id_configured()
        self._data = {CONF_HOST: host, CONF_MAC: mac}
        self.context["title_placeholders"] = {"name": host}
        return await self.async_step_user()

    async def _async_meter_seen(self, entry: ConfigEntry, mac: str, host: str) -> ConfigFlowResult:
        """Follow a known meter to its address; reconnect only if it has moved."""
        moved = not await is_same_host(self.hass, entry.data[CONF_HOST], host)
        updates = {CONF_MAC: mac, CONF_HOST: host} if moved else {CONF_MAC: mac}
        self.hass.config_entries.async_update_entry(entry, data={**entry.data, **updates})
        if moved or entry.state is ConfigEntryState.SETUP_RETRY:
            self.hass.config_entries.async_schedule_reload(entry.entry_id)
        return self.async_abort(reason="already_configured")

    async def _async_step_address(
        self, step_id: str, user_input: dict[str, Any] | None
    ) -> ConfigFlowResult:
        """Try an address; go on to FTP once the right meter answers there."""
        errors: dict[str, str] = {}
        if user_input is not None:
            if (host := clean_host(user_input[CONF_HOST])) is None:
                errors[CONF_HOST] = "invalid_host"
            else:
                errors = await self._async_try_address(host, user_input[CONF_PORT])
            if not errors:
                return await self.async_step_ftp()
        return self.async_show_form(
            step_id=step_id,
            data_schema=self.add_suggested_values_to_schema(
                ADDRESS_SCHEMA, user_input or self._suggested | self._data
            ),
            errors=errors,
        )

    async def _async_try_address(self, host: str, port: int) -> dict[str, str]:
        """Keep an address if the right meter answers there; return what is wrong otherwise."""
        is_new = self.source != SOURCE_RECONFIGURE
        try:
            identity = await (
                self._async_identify_new(host, port)
                if is_new
                else self._async_identify_known(host, port)
            )
        except WrongMeterError as err:
            raise self._wrong_meter(err.found) from err
        except RionError as err:
            return {"base": translation_key(err)}
        if identity is None:
            return {"base": "busy"}
        if self._data.get(CONF_HOST) != host:
            # The MAC address is that of the host which was discovered.
            self._data.pop(CONF_MAC, None)
        self._data |= {CONF_HOST: host, CONF_PORT: port}
        if is_new:
            await self.async_set_unique_id(identity.serial)
            self._abort_if_unique_id_configured(updates=self._data)
            self._title = f"{identity.model or MANUFACTURER} {identity.serial}"
        elif identity.serial != self._get_reconfigure_entry().unique_id:
            raise self._wrong_meter(identity.serial)
        return {}

    @staticmethod
    def _wrong_meter(serial: str) -> AbortFlow:
        """Return the end of a flow that met another meter."""
        return AbortFlow("wrong_meter", description_placeholders={"serial": serial})

    async def _async_identify_new(self, host: str, port: int) -> Identity:
        """Ask who answers, unless it is a meter that the poller of an entry talks to."""
        for entry in self._async_current_entries(include_ignore=False):
            if entry.data[CONF_PORT] == port and await is_same_host(
                self.hass, entry.data[CONF_HOST], host
            ):
                raise AbortFlow("already_configured")
        return await probe_address(self.hass, host, port)

    async def _async_identify_known(self, host: str, port: int) -> Identity | None:
        """Ask who answers, never over a second connection; None if Home Assistant is at it."""
        entry: Nl43ConfigEntry = self._get_reconfigure_entry()
        for other in self._async_current_entries(include_ignore=False):
            if (
                other is not entry
                and other.data[CONF_PORT] == port
                and await is_same_host(self.hass, other.data[CONF_HOST], host)
            ):
                # Its poller holds that meter's one connection.
                raise self._wrong_meter(str(other.unique_id))
        is_same = entry.data[CONF_PORT] == port and await is_same_host(
            self.hass, entry.data[CONF_HOST], host
        )
        if entry.state is ConfigEntryState.LOADED and is_same:
            coordinator = entry.runtime_data.coordinator
            if not coordinator.polling:
                # The connection is left to another tool.
                return Identity(None, str(entry.unique_id))
            return await probe(coordinator.meter)
        if not entry.state.recoverable:
            return None
        # The new address may well lead to the same meter, which takes one connection.
        if not await self.hass.config_entries.async_unload(entry.entry_id):
            return None
        try:
            return await probe_address(self.hass, host, port)
        finally:
            self.hass.config_entries.async_schedule_reload(entry.entry_id)

    @property
    def _suggested(self) -> dict[str, Any]:
        """What is set now, where something is."""
        if self.source == SOURCE_RECONFIGURE:
            return dict(self._get_reconfigure_entry().data)
        return {}

    async def async_step_ftp(self, user_input: dict[str, Any] | None = None) -> ConfigFlowResult:
        """Try the FTP login; no user name means no FTP."""
        errors: dict[str, str] = {}
        if user_input is not None:
            username = user_input.get(CONF_FTP_USERNAME, "").strip()
            if not username:
                return await self._async_finish({})
            login = {
                CONF_FTP_PORT: user_input.get(CONF_FTP_PORT, ftp.PORT),
                CONF_FTP_USERNAME: username,
                CONF_FTP_PASSWORD: user_input.get(CONF_FTP_PASSWORD, ""),
            }
            try:
                await async_check_login(self.hass, self._data | login)
            except FtpError as err:
                errors["base"] = translation_key(err)
            else:
                return await self._async_finish(login)
        is_new = self.source != SOURCE_RECONFIGURE
        suggested = user_input or (FACTORY_FTP if is_new else self._suggested)
        return self.async_show_form(
            step_id="ftp",
            data_schema=self.add_suggested_values_to_schema(FTP_SCHEMA, suggested),
            errors=errors,
        )

    async def _async_finish(self, login: dict[str, Any]) -> ConfigFlowResult:
        """Create the entry, or change it; only a new address costs a reconnect."""
        if self.source != SOURCE_RECONFIGURE:
            self._async_end_discovery()
            return self.async_create_entry(title=self._title, data=self._data | login)
        entry = self._get_reconfigure_entry()
        kept = {key: value for key, value in entry.data.items() if key not in FTP_KEYS}
        data = kept | self._data | login
        if all(data[key] == entry.data[key] for key in (CONF_HOST, CONF_PORT)):
            return self.async_update_and_abort(entry, data=data)
        return self.async_update_reload_and_abort(entry, data=data)

    @callback
    def _async_end_discovery(self) -> None:
        """End the flow that offers the same meter by its MAC address."""
        seen = {"title_placeholders": {"name": self._data[CONF_HOST]}}
        for flow in self._async_in_progress(match_context=seen):
            self.hass.config_entries.flow.async_abort(flow["flow_id"])


class Nl43OptionsFlow(OptionsFlow):
    """How often the meter is read."""

    async def async_step_init(self, user_input: dict[str, Any] | None = None) -> ConfigFlowResult:
        """Ask for the two intervals; they hold from the next poll on, without a reload."""
        if user_input is not None:
            return self.async_create_entry(data={**self.config_entry.options, **user_input})
        return self.async_show_form(
            step_id="init",
            data_schema=self.add_suggested_values_to_schema(
                OPTIONS_SCHEMA, self.config_entry.options
            ),
        )
