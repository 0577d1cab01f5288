"""Repairs: what a person can mend at a meter, raised and cleared by itself."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any, Final, override

from homeassistant.components.repairs import ConfirmRepairFlow, RepairsFlow, RepairsFlowResult
from homeassistant.config_entries import (
    SIGNAL_CONFIG_ENTRY_CHANGED,
    ConfigEntry,
    ConfigEntryChange,
    ConfigEntryState,
)
from homeassistant.const import CONF_HOST
from homeassistant.core import HomeAssistant, callback
from homeassistant.exceptions import HomeAssistantError
from homeassistant.helpers import issue_registry as ir
from homeassistant.helpers.dispatcher import async_dispatcher_connect
from homeassistant.util.hass_dict import HassKey
import voluptuous as vol

from .const import CONF_FTP_PASSWORD, CONF_FTP_PORT, CONF_FTP_USERNAME, DOMAIN, ConnectionState
from .control import async_set, async_sync_clock
from .coordinator import Nl43Coordinator
from .errors import translation_key
from .files import Nl43Files
from .login import FTP_KEYS, LOGIN_SCHEMA, async_check_login
from .rion import FtpDataError, FtpError, FtpLoginError, FtpNotFoundError
from .rion.vocabulary import BATTERY_LEVEL, SLEEP_MODE, BatteryLevel, OnOff
from .runtime import Nl43ConfigEntry, Nl43Runtime

# Each limit, and how far beyond it a value must be on the good side again: no issue flaps.
SD_LIMIT: Final = 5.0
SD_MARGIN: Final = 1.0
BATTERY_LIMIT: Final = 20.0
BATTERY_MARGIN: Final = 5.0
# Seconds.
CLOCK_LIMIT: Final = 30.0
CLOCK_MARGIN: Final = 5.0

# Issues that a person ignores, where they had to be withdrawn without being mended.
_IGNORED: HassKey[set[str]] = HassKey(f"{DOMAIN}_ignored_issues")


# What is wrong: True, False, or None where that is not known now


def _is_wedged(coordinator: Nl43Coordinator, _files: Nl43Files) -> bool | None:
    """Tell whether the control port has stopped listening."""
    return {
        ConnectionState.WEDGED: True,
        ConnectionState.CONNECTED: False,
        ConnectionState.ASLEEP: False,
    }.get(coordinator.connection)


def _is_in_sleep_mode(coordinator: Nl43Coordinator, _files: Nl43Files) -> bool | None:
    """Tell whether the meter sleeps, or will."""
    word = coordinator.data.get(SLEEP_MODE)
    return None if word is None else word is OnOff.ON


def _ftp_trouble(
    trouble: type[FtpError], *others: type[FtpError]
) -> Callable[[Nl43Coordinator, Nl43Files], bool | None]:
    """Return how to tell whether FTP has a trouble; `others` come only without it."""

    def has_trouble(_coordinator: Nl43Coordinator, files: Nl43Files) -> bool | None:
        if files.trouble is None or not files.has_login or isinstance(files.trouble, others):
            return False
        return isinstance(files.trouble, trouble) or None

    return has_trouble


def _is_card_full(coordinator: Nl43Coordinator, _files: Nl43Files) -> bool | None:
    """Tell whether there is little room on the card."""
    return _is_below(coordinator.data.sd_free_percentage, SD_LIMIT, SD_MARGIN)


def _is_clock_off(coordinator: Nl43Coordinator, _files: Nl43Files) -> bool | None:
    """Tell whether the meter's clock is not the site's."""
    if (offset := coordinator.data.site_clock_offset) is None:
        return None
    return _is_below(CLOCK_LIMIT - abs(offset.total_seconds()), 0.0, CLOCK_MARGIN)


def _is_battery_low(coordinator: Nl43Coordinator, _files: Nl43Files) -> bool | None:
    """Tell whether the batteries are near their end."""
    level = coordinator.data.get(BATTERY_LEVEL)
    if isinstance(level, BatteryLevel):
        return level not in {BatteryLevel.FULL, BatteryLevel.MIDDLE}
    return _is_below(level, BATTERY_LIMIT, BATTERY_MARGIN)


def _is_below(value: float | None, limit: float, margin: float) -> bool | None:
    """Tell whether a value is too low; what lies just above the limit says nothing new."""
    if value is None or limit <= value < limit + margin:
        return None
    return value < limit


def _nothing(_coordinator: Nl43Coordinator) -> dict[str, str]:
    """Leave nothing open in the texts but the meter's name."""
    return {}


def _clock_offset(coordinator: Nl43Coordinator) -> dict[str, str]:
    """Say how far the clock is off, as +h:mm:ss."""
    offset = coordinator.data.site_clock_offset or timedelta()
    sign = "-" if offset < timedelta() else "+"
    return {"offset": f"{sign}{timedelta(seconds=round(abs(offset).total_seconds()))}"}


@dataclass(frozen=True, kw_only=True)
class Issue:
    """What can be wrong, how to tell, and the flow that mends it, if there is one."""

    key: str
    severity: ir.IssueSeverity = ir.IssueSeverity.WARNING
    exists_fn: Callable[[Nl43Coordinator, Nl43Files], bool | None]
    placeholders_fn: Callable[[Nl43Coordinator], dict[str, str]] = _nothing
    flow: Callable[[Issue, Nl43ConfigEntry], RepairsFlow] | None = None

    def issue_id(self, entry_id: str) -> str:
        """Return the id that it has for one meter."""
        return f"{self.key}_{entry_id}"

    def placeholders(self, entry: Nl43ConfigEntry) -> dict[str, str]:
        """Return what its texts leave open."""
        return {"meter": entry.title} | self.placeholders_fn(entry.runtime_data.coordinator)


# Fix flows

NO_ERROR: Final = None, ""


class FixFlow(RepairsFlow):
    """A form that mends one issue; the flow ends well only once it is mended."""

    step_id: str
    schema: vol.Schema

    def __init__(self, issue: Issue, entry: Nl43ConfigEntry) -> None:
        """Take what to mend, and at which meter."""
        self._issue = issue
        self._entry = entry

    @property
    def _runtime(self) -> Nl43Runtime | None:
        """The meter's rooms; None while it is not loaded, which may come at any time."""
        loaded = self._entry.state is ConfigEntryState.LOADED
        return self._entry.runtime_data if loaded else None

    async def async_step_init(self, _user_input: dict[str, Any] | None = None) -> RepairsFlowResult:
        """Show the form."""
        return await self._async_step(None)

    async def _async_step(self, user_input: dict[str, Any] | None) -> RepairsFlowResult:
        """Mend it once the form is submitted; say what is wrong otherwise."""
        error, detail = None, ""
        if user_input is not None and (runtime := self._runtime) and not self._is_mended(runtime):
            error, detail = await self._async_fix(runtime, user_input)
        if (runtime := self._runtime) is None:
            return self.async_abort(
                reason="not_loaded", description_placeholders={"meter": self._entry.title}
            )
        if user_input is not None and error is None:
            async_check_issues(self.hass, self._entry)
            if self._is_mended(runtime):
                return self.async_create_entry(data={})
            error = "unconfirmed"
        return self.async_show_form(
            step_id=self.step_id,
            data_schema=self.add_suggested_values_to_schema(
                self.schema, self._suggested(user_input)
            ),
            errors=None if error is None else {"base": error},
            description_placeholders=self._issue.placeholders(self._entry) | {"error": detail},
        )

    def _is_mended(self, runtime: Nl43Runtime) -> bool:
        """Tell whether nothing is wrong any more; not to know is not enough."""
        return self._issue.exists_fn(runtime.coordinator, runtime.files) is False

    def _suggested(self, _user_input: dict[str, Any] | None) -> dict[str, Any]:
        """Return what the form holds when it is shown."""
        return {}

    async def _async_fix(
        self, runtime: Nl43Runtime, user_input: dict[str, Any]
    ) -> tuple[str | None, str]:
        """Try to mend it; return the key of what is wrong and its detail, or NO_ERROR."""
        raise NotImplementedError


class ConfirmFlow(FixFlow):
    """One click that has the meter do something."""

    step_id = "confirm"
    schema = vol.Schema({})

    def __init__(
        self,
        issue: Issue,
        entry: Nl43ConfigEntry,
        *,
        command: Callable[[Nl43Coordinator], Awaitable[None]],
    ) -> None:
        """Take what the meter is to do."""
        super().__init__(issue, entry)
        self._command = command

    async def async_step_confirm(
        self, user_input: dict[str, Any] | None = None
    ) -> RepairsFlowResult:
        """Do it once a person agrees."""
        return await self._async_step(user_input)

    @override
    async def _async_fix(
        self, runtime: Nl43Runtime, _user_input: dict[str, Any]
    ) -> tuple[str | None, str]:
        """Command the meter."""
        try:
            await self._command(runtime.coordinator)
        except HomeAssistantError as err:
            key = COMMAND_ERRORS.get(err.translation_key or "", "refused")
            return key, (err.translation_placeholders or {}).get("error", "")
        return NO_ERROR


class LoginFlow(FixFlow):
    """Asks for the FTP login and keeps it once the meter takes it."""

    step_id = "login"
    schema = LOGIN_SCHEMA

    async def async_step_login(self, user_input: dict[str, Any] | None = None) -> RepairsFlowResult:
        """Try a login."""
        return await self._async_step(user_input)

    @override
    def _suggested(self, user_input: dict[str, Any] | None) -> dict[str, Any]:
        """Return the user name, never the password."""
        shown = self._entry.data if user_input is None else user_input
        return {CONF_FTP_USERNAME: shown.get(CONF_FTP_USERNAME, "")}

    @override
    async def _async_fix(
        self, _runtime: Nl43Runtime, user_input: dict[str, Any]
    ) -> tuple[str | None, str]:
        """Log in; what else is wrong with FTP is an issue of its own."""
        login = {
            CONF_FTP_PORT: self._entry.data[CONF_FTP_PORT],
            CONF_FTP_USERNAME: user_input[CONF_FTP_USERNAME].strip(),
            CONF_FTP_PASSWORD: user_input.get(CONF_FTP_PASSWORD, ""),
        }
        trouble: FtpError | None = None
        try:
            await async_check_login(self.hass, {**self._entry.data, **login})
        except (FtpDataError, FtpNotFoundError) as err:
            trouble = err
        except FtpError as err:
            return translation_key(err), ""
        if runtime := self._runtime:
            data = {**self._entry.data, **login}
            self.hass.config_entries.async_update_entry(self._entry, data=data)
            runtime.files.trouble = trouble
        return NO_ERROR


async def _wake(coordinator: Nl43Coordinator) -> None:
    """Switch the sleep mode off."""
    await async_set(coordinator, SLEEP_MODE, OnOff.OFF)


# Why a command was not done, by the keys of the errors that commands end in.
COMMAND_ERRORS: Final = {
    "standby": "standby",
    "no_answer": "unreachable",
    "silent": "unreachable",
    "refused": "unreachable",
    "wrong_meter": "unreachable",
    "not_a_meter": "unreachable",
    "asleep": "asleep",
    "sleep_mode": "asleep",
    "refused_measuring": "measuring",
    "refused_state": "refused",
    "refused_value": "refused",
    "not_installed": "refused",
    "unconfirmed": "unconfirmed",
    "not_done": "unconfirmed",
    "not_taken": "unconfirmed",
}
ISSUES: Final = (
    Issue(key="wedged", severity=ir.IssueSeverity.ERROR, exists_fn=_is_wedged),
    Issue(key="sleep_mode", exists_fn=_is_in_sleep_mode, flow=partial(ConfirmFlow, command=_wake)),
    # The data connection and the card come only after the login.
    Issue(
        key="ftp_login",
        exists_fn=_ftp_trouble(FtpLoginError, FtpDataError, FtpNotFoundError),
        flow=LoginFlow,
    ),
    Issue(key="ftp_data", exists_fn=_ftp_trouble(FtpDataError)),
    Issue(key="sd_low", exists_fn=_is_card_full),
    Issue(
        key="clock_off",
        exists_fn=_is_clock_off,
        placeholders_fn=_clock_offset,
        flow=partial(ConfirmFlow, command=async_sync_clock),
    ),
    Issue(key="battery_low", exists_fn=_is_battery_low),
)


async def async_create_fix_flow(
    hass: HomeAssistant, issue_id: str, data: dict[str, str | int | float | None] | None
) -> RepairsFlow:
    """Return the flow that mends an issue."""
    entry = hass.config_entries.async_get_entry(str((data or {}).get("entry_id")))
    for issue in ISSUES:
        if entry is not None and issue.flow and issue_id == issue.issue_id(entry.entry_id):
            return issue.flow(issue, entry)
    # A meter that is not there any more: there is nothing to do but to agree.
    return ConfirmRepairFlow()


# Watching


@callback
def async_watch_issues(hass: HomeAssistant, entry: Nl43ConfigEntry) -> None:
    """Raise and clear the issues of a meter until it is unloaded."""
    runtime = entry.runtime_data
    login = _login(entry)

    @callback
    def check() -> None:
        async_check_issues(hass, entry)

    @callback
    def entry_changed(change: ConfigEntryChange, changed: ConfigEntry) -> None:
        nonlocal login
        if changed is not entry or change is not ConfigEntryChange.UPDATED:
            return
        if login != (login := _login(entry)):
            # What another login was refused for says nothing of this one.
            runtime.files.trouble = None
        async_check_issues(hass, entry, renew=True)

    # Called in reverse: nothing is raised after the last look.
    for unload in (
        partial(_withdraw, hass, entry.entry_id),
        runtime.coordinator.async_add_prompt_listener(check),
        runtime.files.async_add_listener(check),
        async_dispatcher_connect(hass, SIGNAL_CONFIG_ENTRY_CHANGED, entry_changed),
    ):
        entry.async_on_unload(unload)
    check()


def _login(entry: ConfigEntry) -> tuple[Any, ...]:
    """Return where and as whom files are fetched."""
    return tuple(entry.data.get(key) for key in (CONF_HOST, *FTP_KEYS))


@callback
def async_check_issues(hass: HomeAssistant, entry: Nl43ConfigEntry, *, renew: bool = False) -> None:
    """Raise what is wrong and clear what is not, with `renew` also where the texts changed.

    The registry remembers what is raised, so this may be called as often as anything happens.
    """
    coordinator, files = entry.runtime_data.coordinator, entry.runtime_data.files
    if not coordinator.polling:
        _withdraw(hass, entry.entry_id)
        return
    registry = ir.async_get(hass)
    for issue in ISSUES:
        issue_id = issue.issue_id(entry.entry_id)
        known = registry.async_get_issue(DOMAIN, issue_id)
        is_shown = known is not None and known.active
        exists = issue.exists_fn(coordinator, files)
        if exists is False:
            _ignored(hass).discard(issue_id)
            if known is not None:
                registry.async_delete(DOMAIN, issue_id)
        elif renew if is_shown else exists:
            _raise(hass, issue, entry)


def _raise(hass: HomeAssistant, issue: Issue, entry: Nl43ConfigEntry) -> None:
    """Show an issue, or show it with what its texts say now."""
    issue_id = issue.issue_id(entry.entry_id)
    ir.async_create_issue(
        hass,
        DOMAIN,
        issue_id,
        data={"entry_id": entry.entry_id},
        is_fixable=issue.flow is not None,
        severity=issue.severity,
        translation_key=issue.key,
        translation_placeholders=issue.placeholders(entry),
    )
    if issue_id in _ignored(hass):
        _ignored(hass).discard(issue_id)
        ir.async_ignore_issue(hass, DOMAIN, issue_id, ignore=True)


@callback
def _withdraw(hass: HomeAssistant, entry_id: str) -> None:
    """Show none of a meter's issues: nobody looks after it, but none is mended either."""
    registry = ir.async_get(hass)
    for issue in ISSUES:
        issue_id = issue.issue_id(entry_id)
        known = registry.async_get_issue(DOMAIN, issue_id)
        # What is not active is only what a person ignored before a restart.
        if known is not None and known.active:
            if known.dismissed_version is not None:
                _ignored(hass).add(issue_id)
            registry.async_delete(DOMAIN, issue_id)


@callback
def async_forget_issues(hass: HomeAssistant, entry_id: str) -> None:
    """Delete all that is known of the issues of a meter that was removed."""
    for issue in ISSUES:
        issue_id = issue.issue_id(entry_id)
        _ignored(hass).discard(issue_id)
        ir.async_delete_issue(hass, DOMAIN, issue_id)


def _ignored(hass: HomeAssistant) -> set[str]:
    """Return the ids of the issues to ignore once they are raised again."""
    return hass.data.setdefault(_IGNORED, set())
