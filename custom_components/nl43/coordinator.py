"""The single poller: one coordinator owns a meter's one connection and is its only sender."""

import asyncio
from collections import Counter
from collections.abc import Callable
import contextlib
from dataclasses import replace
from typing import Final, override

from homeassistant.config_entries import SIGNAL_CONFIG_ENTRY_CHANGED, ConfigEntry, ConfigEntryChange
from homeassistant.const import CONF_HOST, CONF_PORT
from homeassistant.core import CALLBACK_TYPE, HomeAssistant, callback
from homeassistant.helpers import device_registry as dr
from homeassistant.helpers.dispatcher import async_dispatcher_connect, async_dispatcher_send
from homeassistant.helpers.typing import UNDEFINED
from homeassistant.helpers.update_coordinator import DataUpdateCoordinator, UpdateFailed
from homeassistant.util import dt as dt_util
from homeassistant.util.hass_dict import HassKey

from .const import (
    CONF_FTP_PORT,
    CONF_LIVE_INTERVAL,
    CONF_SCAN_INTERVAL,
    DEFAULT_LIVE_INTERVAL,
    DEFAULT_SCAN_INTERVAL,
    DOMAIN,
    LOGGER,
    ConnectionState,
)
from .errors import translation_key
from .facts import SLEEP_MODE_QUESTION, Fact, Facts, MeterData, SlowQuestion, is_running
from .rion import Meter, Priority, RefusedError, ResultError, RionError, StateError, backoff, ftp
from .rion.connection import MAX_BACKOFF, PACE
from .rion.vocabulary import SLEEP_MODE, SYSTEM_VERSION, TYPE, OnOff

# A single lost answer is everyday life on a cellular link, three in a row are an outage.
FAILURES_TO_LOSE: Final = 3
# Seconds between attempts at most while somebody watches, so that they see it come back.
WATCHED_BACKOFF: Final = 5.0
# A slow question fits between two polls if both it and the next poll keep their pace.
SLOT: Final = 2 * PACE + 0.5
# Otherwise it delays a live frame, which may happen only so often.
SLOT_INTERVAL: Final = 30.0
# Seconds between looks at the FTP port while the control port refuses: no churn there either.
WEDGE_CHECK_INTERVAL: Final = 300.0

type Nl43ConfigEntry = ConfigEntry[Nl43Coordinator]

# How many watch each entry's meter: kept apart from the coordinator to outlive a reload.
_WATCHERS: HassKey[Counter[str]] = HassKey(f"{DOMAIN}_watchers")


def _frame_signal(entry_id: str) -> str:
    """Return the signal that carries every frame of an entry's meter."""
    return f"{DOMAIN}_frame_{entry_id}"


def _watchers_signal(entry_id: str) -> str:
    """Return the signal that says that watchers came or went."""
    return f"{DOMAIN}_watchers_{entry_id}"


@callback
def async_watch(
    hass: HomeAssistant, entry_id: str, on_frame: Callable[[MeterData], None]
) -> CALLBACK_TYPE:
    """Have a meter read at its live interval, and every frame handed over; also over reloads."""
    watchers = hass.data.setdefault(_WATCHERS, Counter())
    disconnect = async_dispatcher_connect(hass, _frame_signal(entry_id), on_frame)
    watchers[entry_id] += 1
    async_dispatcher_send(hass, _watchers_signal(entry_id))

    @callback
    def unwatch() -> None:
        disconnect()
        watchers[entry_id] -= 1
        async_dispatcher_send(hass, _watchers_signal(entry_id))

    return unwatch


class Nl43Coordinator(DataUpdateCoordinator[MeterData]):
    """Polls one meter, and tells its entities when they are due.

    `data` is always the newest frame; how often entities write it is another matter:
    listeners hear of it once in a scan interval, prompt listeners of each change.
    """

    config_entry: Nl43ConfigEntry

    def __init__(self, hass: HomeAssistant, entry: Nl43ConfigEntry) -> None:
        """Prepare; nothing is sent before the first refresh."""
        super().__init__(hass, LOGGER, config_entry=entry, name=entry.title, update_interval=None)
        self.meter = Meter(entry.data[CONF_HOST], entry.data[CONF_PORT], serial=entry.unique_id)
        self.connection = ConnectionState.CONNECTING
        self.failures = 0
        self._facts = Facts()
        self._running: bool | None = None
        self._prompt_listeners: list[CALLBACK_TYPE] = []
        self._poller: asyncio.Task[None] | None = None
        self._polling = asyncio.Lock()
        self._wake = asyncio.Event()
        self._started = self._ended = self._written = self._slow_asked = -MAX_BACKOFF
        self._wedge_checked = -WEDGE_CHECK_INTERVAL
        entry.async_on_unload(
            async_dispatcher_connect(
                hass, _watchers_signal(entry.entry_id), self._async_watchers_changed
            )
        )
        entry.async_on_unload(
            async_dispatcher_connect(hass, SIGNAL_CONFIG_ENTRY_CHANGED, self._async_entry_changed)
        )
        self._async_watchers_changed()

    # What others see

    @property
    def watched(self) -> bool:
        """Whether somebody wants every frame."""
        watchers = self.hass.data.get(_WATCHERS)
        return watchers is not None and watchers[self.config_entry.entry_id] > 0

    @property
    def scan_interval(self) -> float:
        """Seconds between two writes of entity states at least."""
        return float(self.config_entry.options.get(CONF_SCAN_INTERVAL, DEFAULT_SCAN_INTERVAL))

    @property
    def interval(self) -> float:
        """Seconds from one poll to the next."""
        if not self.watched:
            return self.scan_interval
        live = self.config_entry.options.get(CONF_LIVE_INTERVAL, DEFAULT_LIVE_INTERVAL)
        return min(float(live), self.scan_interval)

    @callback
    def async_add_prompt_listener(self, update: CALLBACK_TYPE) -> CALLBACK_TYPE:
        """Have `update` called at every frame, fact and change of the connection."""
        self._prompt_listeners.append(update)
        return lambda: self._prompt_listeners.remove(update)

    @callback
    def async_start(self) -> None:
        """Start polling; it ends with async_shutdown."""
        self._poller = self.config_entry.async_create_background_task(
            self.hass, self._run(), name=f"{DOMAIN} {self.name} poller"
        )

    async def _run(self) -> None:
        """Poll until cancelled."""
        while True:
            try:
                if self._next_poll <= self.hass.loop.time():
                    await self._poll()
                await self._ask_slow_questions()
            except Exception as err:  # noqa: BLE001 - a poller that dies shows old values
                LOGGER.exception("%s: the poll failed unexpectedly", self.name)
                self._failed(RionError(str(err)))
            await self._until_due()

    @override
    async def async_shutdown(self) -> None:
        """Stop polling and give the connection up."""
        await super().async_shutdown()
        if self._poller is not None:
            self._poller.cancel()
        await self.meter.close()

    @override
    async def _async_update_data(self) -> MeterData:
        """Poll once, at start or because a person asked for an update."""
        if (err := await self._poll()) and (self.data is None or self.failures >= FAILURES_TO_LOSE):
            raise self._update_failed(err) from err
        return self.data

    def _update_failed(self, err: RionError) -> UpdateFailed:
        """Return an error in the person's language."""
        return UpdateFailed(
            translation_domain=DOMAIN,
            translation_key=translation_key(err),
            translation_placeholders={
                "host": self.config_entry.data[CONF_HOST],
                "port": str(self.config_entry.data[CONF_PORT]),
                "error": str(err),
            },
        )

    # When

    @callback
    def _async_watchers_changed(self) -> None:
        """Take up the new pace at once."""
        self.meter.connection.max_backoff = self._max_backoff
        self._wake.set()

    @callback
    def _async_entry_changed(self, change: ConfigEntryChange, entry: ConfigEntry) -> None:
        """Take up changed options without a reload, which would cost a reconnect."""
        if entry is self.config_entry and change is ConfigEntryChange.UPDATED:
            self._wake.set()

    @property
    def _max_backoff(self) -> float:
        """Seconds between two attempts at most."""
        return WATCHED_BACKOFF if self.watched else MAX_BACKOFF

    @property
    def _next_poll(self) -> float:
        """When the next poll is due, on the event loop's clock."""
        if self.failures:
            return self._ended + backoff(self.failures, self._max_backoff)
        return self._started + self.interval

    async def _until_due(self) -> None:
        """Wait for the next poll or question; watchers and options may bring them forward."""
        until = self.hass.loop.time() + SLOT_INTERVAL
        while (pause := min(self._next_poll, until) - self.hass.loop.time()) > 0:
            self._wake.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._wake.wait()

    # What

    async def _poll(self) -> RionError | None:
        """Read one frame; return the error if there is none."""
        async with self._polling:
            self._started = self.hass.loop.time()
            try:
                # A poll that could only wait for the connection's backoff has failed already.
                self.meter.connection.check_reconnect()
                reading = await self.meter.reading()
            except RionError as err:
                self._failed(err)
                if self.failures >= FAILURES_TO_LOSE and self.data is not None:
                    await self._look_closer(err)
                return err
            self._ended = self.hass.loop.time()
            self._succeeded(
                MeterData(
                    reading=reading,
                    at=dt_util.utcnow(),
                    facts=self._facts.current(self._ended),
                    lacking=frozenset(self.meter.lacking),
                )
            )
            return None

    @callback
    def _succeeded(self, data: MeterData) -> None:
        """Hand a frame on."""
        back = not self.last_update_success
        self.failures = 0
        self.connection = ConnectionState.CONNECTED
        self._wedge_checked = -WEDGE_CHECK_INTERVAL
        running = is_running(data.reading.main)
        if running is not self._running:
            self._running = running
            self._facts.doubt_run_state()
        self.data = data
        self.last_update_success = True
        if back:
            LOGGER.warning("%s: the meter is back", self.name)
        due = self._ended - self._written >= self.scan_interval
        if back or due or not self.watched:
            self._written = self._ended
            self.async_update_listeners()
        self._async_update_prompt_listeners()
        async_dispatcher_send(self.hass, _frame_signal(self.config_entry.entry_id), data)

    @callback
    def _failed(self, err: RionError) -> None:
        """Count a failed poll; the third in a row is an outage."""
        self._ended = self.hass.loop.time()
        self.failures += 1
        LOGGER.debug("%s: failed poll %d: %r", self.name, self.failures, err)
        if self.failures >= FAILURES_TO_LOSE:
            self.connection = self._verdict(err)
        elif not self.meter.connection.is_open:
            self.connection = ConnectionState.CONNECTING
        if self.failures >= FAILURES_TO_LOSE and self.last_update_success:
            LOGGER.warning("%s: the meter is lost: %s", self.name, err)
            # Whatever happens to a lost meter: it is asked everything anew.
            self._facts = Facts()
            self._running = None
            self.meter.lacking.clear()
            self.last_exception = err
            self.last_update_success = False
            self.async_update_listeners()
        self._async_update_prompt_listeners()

    def _verdict(self, err: RionError) -> ConnectionState:
        """Return what an outage looks like from here."""
        if isinstance(err, RefusedError):
            wedged = self.connection is ConnectionState.WEDGED
            return ConnectionState.WEDGED if wedged else ConnectionState.REFUSED
        if self.data is not None and self.data.get(SLEEP_MODE) is OnOff.ON:
            return ConnectionState.ASLEEP
        # A meter that refuses answers, but not with levels.
        answers = isinstance(err, ResultError)
        return ConnectionState.CONNECTED if answers else ConnectionState.UNREACHABLE

    async def _look_closer(self, err: RionError) -> None:
        """Tell by one more question why a meter refuses the connection or its levels."""
        now = self.hass.loop.time()
        if isinstance(err, StateError):
            await self._ask(SLEEP_MODE_QUESTION)
            self.connection = self._verdict(err)
        elif isinstance(err, RefusedError) and now - self._wedge_checked >= WEDGE_CHECK_INTERVAL:
            self._wedge_checked = now
            data = self.config_entry.data
            wedged = await self.hass.async_add_executor_job(
                ftp.answers, data[CONF_HOST], data.get(CONF_FTP_PORT, ftp.PORT)
            )
            self.connection = ConnectionState.WEDGED if wedged else ConnectionState.REFUSED
        self._async_update_prompt_listeners()

    @callback
    def _async_update_prompt_listeners(self) -> None:
        """Tell those who write a change at once."""
        for update in list(self._prompt_listeners):
            try:
                update()
            except Exception:  # noqa: BLE001 - one entity's bug is not the others' outage
                LOGGER.exception("%s: a listener failed", self.name)

    async def _ask_slow_questions(self) -> None:
        """Fill the time to the next poll; at most one question delays it, now and then."""
        asked = False
        while not self.failures:
            now = self.hass.loop.time()
            question = self._facts.due(now, self.data)
            if question is None:
                return
            fits = now + SLOT <= self._next_poll
            may_delay = not asked and (
                self._facts.is_doubtful(question) or now - self._slow_asked >= SLOT_INTERVAL
            )
            if not fits and not may_delay:
                return
            asked = True
            self._slow_asked = now
            await self._ask(question)
            if not self.meter.connection.is_open:
                return

    async def _ask(self, question: SlowQuestion) -> None:
        """Ask one slow question; what goes wrong costs this fact alone."""
        known = self.data.facts.keys()
        try:
            value = await self.meter.ask(question.command, Priority.SLOW)
        except RionError as err:
            LOGGER.debug("%s: %r", self.name, err)
            self._facts.miss(question, self.hass.loop.time())
        else:
            self._facts.learn(question, self.hass.loop.time(), Fact(value, dt_util.utcnow()))
        self.data = replace(
            self.data,
            facts=self._facts.current(self.hass.loop.time()),
            lacking=frozenset(self.meter.lacking),
        )
        if question.command in (TYPE, SYSTEM_VERSION):
            self._async_update_device()
        if self.data.facts.keys() - known and not self.watched:
            # A first answer brings its entity; while watched, levels wait for their interval.
            self.async_update_listeners()
        self._async_update_prompt_listeners()

    @callback
    def _async_update_device(self) -> None:
        """Complete the device page; it is there before the meter has been asked."""
        registry = dr.async_get(self.hass)
        for device in dr.async_entries_for_config_entry(registry, self.config_entry.entry_id):
            registry.async_update_device(
                device.id,
                model=self.data.get(TYPE) or UNDEFINED,
                sw_version=self.data.get(SYSTEM_VERSION) or UNDEFINED,
            )
