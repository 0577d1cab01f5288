"""Setting a meter up: its address, then its FTP login."""

from dataclasses import dataclass
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
from homeassistant.helpers.device_registry import format_mac
from homeassistant.helpers.selector import (
    NumberSelector,
    NumberSelectorConfig,
    NumberSelectorMode,
    TextSelector,
    TextSelectorConfig,
    TextSelectorType,
)
from homeassistant.helpers.service_info.dhcp import DhcpServiceInfo
import voluptuous as vol

from .const import (
    CONF_FTP_PASSWORD,
    CONF_FTP_PORT,
    CONF_FTP_USERNAME,
    CONF_LIVE_INTERVAL,
    CONF_SCAN_INTERVAL,
    DEFAULT_LIVE_INTERVAL,
    DEFAULT_SCAN_INTERVAL,
    DOMAIN,
    MAX_INTERVAL,
    MIN_INTERVAL,
)
from .coordinator import Nl43ConfigEntry
from .errors import translation_key
from .rion import PORT, Meter, Priority, RionError, ftp
from .rion.vocabulary import TYPE

_PORT_SELECTOR: Final = vol.All(
    NumberSelector(NumberSelectorConfig(min=1, max=65535, mode=NumberSelectorMode.BOX, step=1)),
    vol.Coerce(int),
)
_INTERVAL_SELECTOR: Final = NumberSelector(
    NumberSelectorConfig(
        min=MIN_INTERVAL,
        max=MAX_INTERVAL,
        mode=NumberSelectorMode.BOX,
        unit_of_measurement=UnitOfTime.SECONDS,
    )
)
ADDRESS_SCHEMA: Final = vol.Schema(
    {
        vol.Required(CONF_HOST): vol.All(TextSelector(), str.strip),
        vol.Required(CONF_PORT, default=PORT): _PORT_SELECTOR,
    }
)
FTP_SCHEMA: Final = vol.Schema(
    {
        vol.Optional(CONF_FTP_PORT): _PORT_SELECTOR,
        vol.Optional(CONF_FTP_USERNAME): TextSelector(),
        vol.Optional(CONF_FTP_PASSWORD): TextSelector(
            TextSelectorConfig(type=TextSelectorType.PASSWORD)
        ),
    }
)
OPTIONS_SCHEMA: Final = vol.Schema(
    {
        vol.Required(CONF_SCAN_INTERVAL, default=DEFAULT_SCAN_INTERVAL): (_INTERVAL_SELECTOR),
        vol.Required(CONF_LIVE_INTERVAL, default=DEFAULT_LIVE_INTERVAL): (_INTERVAL_SELECTOR),
    }
)
# What the meter leaves the factory with: offered, never taken without a look.
FACTORY_FTP: Final = {
    CONF_FTP_PORT: ftp.PORT,
    CONF_FTP_USERNAME: "USER",
    CONF_FTP_PASSWORD: "0000",
}
FTP_KEYS: Final = tuple(FACTORY_FTP)


@dataclass(frozen=True, slots=True)
class Identity:
    """Which meter answers."""

    model: str
    serial: str


async def probe(meter: Meter) -> Identity:
    """Ask a meter who it is; RionError if none answers."""
    model = await meter.ask(TYPE, Priority.PERSON)
    return Identity(model, str(meter.serial))


async def probe_address(host: str, port: int) -> Identity:
    """Ask whoever answers at an address, over a connection of its own."""
    meter = Meter(host, port)
    try:
        return await probe(meter)
    finally:
        await meter.close()


class Nl43ConfigFlow(ConfigFlow, domain=DOMAIN):
    """Set a meter up, or set it up differently: the same two steps."""

    VERSION = 1

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
        if user_input is not None:
            self._async_abort_entries_match(user_input)
        return await self._async_step_address("user", user_input)

    async def async_step_reconfigure(
        self, user_input: dict[str, Any] | None = None
    ) -> ConfigFlowResult:
        """Ask for another address of a known meter."""
        return await self._async_step_address("reconfigure", user_input)

    @override
    async def async_step_dhcp(self, discovery_info: DhcpServiceInfo) -> ConfigFlowResult:
        """Take note of a meter's address; it is not spoken to before a person agrees."""
        mac = format_mac(discovery_info.macaddress)
        for entry in self._async_current_entries():
            known = entry.data.get(CONF_MAC)
            if mac == known or (known is None and entry.data[CONF_HOST] == discovery_info.ip):
                return self._async_meter_seen(entry, mac, discovery_info.ip)
        await self.async_set_unique_id(mac)
        self._abort_if_unique_id_configured()
        self._data = {CONF_HOST: discovery_info.ip, CONF_MAC: mac}
        self.context["title_placeholders"] = {"name": discovery_info.ip}
        return await self.async_step_user()

    @callback
    def _async_meter_seen(self, entry: ConfigEntry, mac: str, host: str) -> ConfigFlowResult:
        """Follow a known meter to its address; reconnect only if it has moved."""
        moved = entry.data[CONF_HOST] != host
        self.hass.config_entries.async_update_entry(
            entry, data={**entry.data, CONF_MAC: mac, CONF_HOST: host}
        )
        if moved:
            self.hass.config_entries.async_schedule_reload(entry.entry_id)
        return self.async_abort(reason="already_configured")

    async def _async_step_address(
        self, step_id: str, user_input: dict[str, Any] | None
    ) -> ConfigFlowResult:
        """Try an address; go on to FTP once the right meter answers there."""
        errors: dict[str, str] = {}
        if user_input is not None:
            try:
                identity = await self._async_identify(**user_input)
            except RionError as err:
                errors["base"] = translation_key(err)
            else:
                await self.async_set_unique_id(identity.serial)
                if self.source == SOURCE_RECONFIGURE:
                    self._abort_if_unique_id_mismatch(
                        reason="wrong_meter",
                        description_placeholders={"serial": identity.serial},
                    )
                else:
                    self._abort_if_unique_id_configured(updates=user_input)
                self._data |= user_input
                self._title = f"{identity.model} {identity.serial}"
                return await self.async_step_ftp()
        return self.async_show_form(
            step_id=step_id,
            data_schema=self.add_suggested_values_to_schema(
                ADDRESS_SCHEMA, user_input or self._suggested | self._data
            ),
            errors=errors,
        )

    async def _async_identify(self, host: str, port: int) -> Identity:
        """Ask who answers, never over a second connection beside the poller's."""
        if self.source != SOURCE_RECONFIGURE:
            return await probe_address(host, port)
        entry: Nl43ConfigEntry = self._get_reconfigure_entry()
        same = (entry.data[CONF_HOST], entry.data[CONF_PORT]) == (host, port)
        if entry.state is ConfigEntryState.LOADED and same:
            return await probe(entry.runtime_data.meter)
        # The new address may well lead to the same meter, which takes one connection.
        await self.hass.config_entries.async_unload(entry.entry_id)
        try:
            return await probe_address(host, port)
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
            if not user_input.get(CONF_FTP_USERNAME):
                return self._async_finish({})
            login = {CONF_FTP_PORT: ftp.PORT, CONF_FTP_PASSWORD: "", **user_input}
            try:
                await self.hass.async_add_executor_job(
                    ftp.check,
                    self._data[CONF_HOST],
                    login[CONF_FTP_PORT],
                    login[CONF_FTP_USERNAME],
                    login[CONF_FTP_PASSWORD],
                )
            except RionError as err:
                errors["base"] = translation_key(err)
            else:
                return self._async_finish(login)
        set_now = {key: self._suggested[key] for key in FTP_KEYS if key in self._suggested}
        return self.async_show_form(
            step_id="ftp",
            data_schema=self.add_suggested_values_to_schema(
                FTP_SCHEMA, user_input or set_now or FACTORY_FTP
            ),
            errors=errors,
        )

    @callback
    def _async_finish(self, login: dict[str, Any]) -> ConfigFlowResult:
        """Create the entry, or change it; only a new address costs a reconnect."""
        if self.source != SOURCE_RECONFIGURE:
            return self.async_create_entry(title=self._title, data=self._data | login)
        entry = self._get_reconfigure_entry()
        kept = {key: value for key, value in entry.data.items() if key not in FTP_KEYS}
        data = kept | self._data | login
        moved = any(data[key] != entry.data[key] for key in (CONF_HOST, CONF_PORT))
        finish = self.async_update_reload_and_abort if moved else self.async_update_and_abort
        return finish(entry, data=data)


class Nl43OptionsFlow(OptionsFlow):
    """How often the meter is read."""

    async def async_step_init(self, user_input: dict[str, Any] | None = None) -> ConfigFlowResult:
        """Ask for the two intervals; they hold from the next poll on, without a reload."""
        if user_input is not None:
            return self.async_create_entry(data=user_input)
        return self.async_show_form(
            step_id="init",
            data_schema=self.add_suggested_values_to_schema(
                OPTIONS_SCHEMA, self.config_entry.options
            ),
        )
