"""The single poller: one coordinator owns a meter's one connection and is its only sender."""

import asyncio
from collections.abc import Iterator
import contextlib
from dataclasses import replace
from datetime import datetime
import itertools
import math
from typing import Any, Final, override

from homeassistant.config_entries import SIGNAL_CONFIG_ENTRY_CHANGED, ConfigEntry, ConfigEntryChange
from homeassistant.const import CONF_HOST, CONF_PORT
from homeassistant.core import CALLBACK_TYPE, HomeAssistant, callback
from homeassistant.helpers import device_registry as dr
from homeassistant.helpers.dispatcher import async_dispatcher_connect, async_dispatcher_send
from homeassistant.helpers.typing import UNDEFINED
from homeassistant.helpers.update_coordinator import DataUpdateCoordinator, UpdateFailed
from homeassistant.util import dt as dt_util

from .const import (
    CONF_FTP_PORT,
    CONF_LIVE_INTERVAL,
    CONF_POLLING,
    CONF_SCAN_INTERVAL,
    DEFAULT_LIVE_INTERVAL,
    DEFAULT_SCAN_INTERVAL,
    DOMAIN,
    LOGGER,
    ConnectionState,
)
from .errors import translated, translation_key
from .facts import (
    NOTHING_KNOWN,
    SLEEP_MODE_QUESTION,
    Fact,
    Facts,
    MeterData,
    SlowQuestion,
    is_running,
)
from .rion import Meter, Priority, RefusedError, ResultError, RionError, StateError, backoff, ftp
from .rion.connection import MAX_BACKOFF, PACE
from .rion.vocabulary import (
    MEASURE,
    PAUSE,
    READING,
    SLEEP_MODE,
    SYSTEM_VERSION,
    TYPE,
    Command,
    OnOff,
)
from .watch import async_is_watched, frame_signal, status_signal, watchers_signal

# A single lost answer is everyday life on a cellular link, three in a row are an outage.
FAILURES_TO_LOSE: Final = 3
# Seconds between attempts at most while somebody watches, so that they see it come back.
WATCHED_BACKOFF: Final = 5.0
# A slow question fits between two polls if both it and the next poll keep their pace.
SLOT: Final = 2 * PACE + 0.5
# Otherwise it delays a live frame, which may happen only so often.
SLOT_INTERVAL: Final = 30.0
# More often as long as something was never asked: half an hour would be long for a weighting.
FIRST_SLOT_INTERVAL: Final = 5.0
# Seconds between looks at the FTP port while the control port refuses: no churn there either.
WEDGE_CHECK_INTERVAL: Final = 300.0
# A meter that sends files may be slow to answer; older values than this are not shown for all that.
TRANSFER_GRACE: Final = 60.0


class Nl43Coordinator(DataUpdateCoordinator[MeterData]):
    """Polls one meter, and tells its entities when they are due.

    `data` is always the newest frame; how often entities write it is another matter:
    listeners hear of it once in a scan interval, prompt listeners of each change.
    """

    config_entry: ConfigEntry

    def __init__(self, hass: HomeAssistant, entry: ConfigEntry) -> None:
        """Prepare; nothing is sent before the first refresh."""
        super().__init__(hass, LOGGER, config_entry=entry, name=entry.title, update_interval=None)
        self.data = NOTHING_KNOWN
        self.connection = ConnectionState.CONNECTING
        self.command_lock = asyncio.Lock()
        # When the meter said that it starts, where that was told through here.
        self.told_start: datetime | None = None
        self._numbers = itertools.count(1)
        self._status: object = None
        self._prompt_listeners: list[CALLBACK_TYPE] = []
        self._poller: asyncio.Task[None] | None = None
        self._polling = asyncio.Lock()
        self._wake = asyncio.Event()
        self._transfers = 0
        self._lost_told = False
        self._begin_anew()
        entry.async_on_unload(
            async_dispatcher_connect(
                hass, watchers_signal(entry.entry_id), self._async_watchers_changed
            )
        )
        entry.async_on_unload(
            async_dispatcher_connect(hass, SIGNAL_CONFIG_ENTRY_CHANGED, self._async_entry_changed)
        )
        if not self.polling:
            self._stand_by()

    @callback
    def _begin_anew(self) -> None:
        """Start with a connection of its own, and nothing known."""
        data = self.config_entry.data
        self.meter = Meter(data[CONF_HOST], data[CONF_PORT], serial=self.config_entry.unique_id)
        self.failures = self._forgiven = 0
        self._facts = Facts()
        self._running: bool | None = None
        self._started = self._ended = self._written = self._slow_asked = -MAX_BACKOFF
        self._succeeded_at = -TRANSFER_GRACE
        self._wanted_at = math.inf
        self._wedge_checked = -WEDGE_CHECK_INTERVAL
        self._async_watchers_changed()

    # What others see

    @property
    def polling(self) -> bool:
        """Whether the meter is read; in stand-by its connection is left to other tools."""
        return bool(self.config_entry.options.get(CONF_POLLING, True))

    @property
    def watched(self) -> bool:
        """Whether somebody wants every frame."""
        return async_is_watched(self.hass, self.config_entry.entry_id)

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

    @property
    def frame_interval(self) -> float:
        """Seconds from one frame to the next while all goes well."""
        last = self.meter.connection.statistics.last.get(READING.request)
        return max(self.interval, PACE if last is None else PACE + last.seconds)

    @callback
    def async_add_prompt_listener(self, update: CALLBACK_TYPE) -> CALLBACK_TYPE:
        """Have `update` called at every frame, fact and change of the connection."""
        self._prompt_listeners.append(update)
        return lambda: self._prompt_listeners.remove(update)

    @callback
    def async_start(self) -> None:
        """Start polling, unless a person has switched it off; it ends with async_shutdown."""
        if self.polling and not self.config_entry.pref_disable_polling:
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
        await self._stop()

    async def _stop(self) -> None:
        """End the poller and its connection."""
        if self._poller is not None:
            self._poller.cancel()
            self._poller = None
        await self.meter.close()

    async def async_set_polling(self, *, on: bool) -> None:
        """Read the meter, or leave its one connection to other tools; kept over restarts."""
        if on is self.polling:
            return
        options = {**self.config_entry.options, CONF_POLLING: on}
        self.hass.config_entries.async_update_entry(self.config_entry, options=options)
        if on:
            self.connection = ConnectionState.CONNECTING
            self._begin_anew()
            self.async_start()
        else:
            await self._stop()
            # Whoever polls beside the poller has had its error now, and hears no more.
            async with self._polling:
                self._stand_by()
        self.async_update_listeners()
        self._async_update_prompt_listeners()

    @callback
    def _stand_by(self) -> None:
        """Show nothing: what the meter does meanwhile is not known."""
        self.connection = ConnectionState.STANDBY
        self.data = NOTHING_KNOWN
        self.last_update_success = False
        self._lost_told = False

    async def async_reconnect(self) -> RionError | None:
        """Give the connection up for a new one and poll over it; return the error, if any."""
        connection = self.meter.connection
        connection.renew()
        await asyncio.sleep(connection.reconnect_in)
        return await self._poll()

    @contextlib.contextmanager
    def transferring(self) -> Iterator[None]:
        """Forgive failed polls for a while: the meter is sending files."""
        self._transfers += 1
        try:
            yield
        finally:
            self._transfers -= 1

    @override
    async def _async_update_data(self) -> MeterData:
        """Poll once, at start or because a person asked for an update."""
        if not self.polling:
            raise translated(UpdateFailed, "standby", self.config_entry)
        if (err := await self._poll()) and (self.data.at is None or self._is_lost):
            raise translated(
                UpdateFailed, translation_key(err), self.config_entry, error=str(err)
            ) from err
        return self.data

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
            due = self._ended + backoff(self.failures, self._max_backoff)
        else:
            due = self._started + self.interval
        return min(due, self._wanted_at)

    @callback
    def async_poll_soon(self) -> None:
        """Bring the next poll forward, as far as the connection's backoff lets it."""
        self._want_poll()
        self._wake.set()

    @callback
    def _want_poll(self) -> None:
        """Have a poll as soon as the connection can be had."""
        pause = max(self.meter.connection.reconnect_in, 0.0)
        self._wanted_at = self.hass.loop.time() + pause

    async def _until_due(self) -> None:
        """Wait for the next poll or question; watchers, options and doubts bring them forward."""
        pause = min(self._next_poll - self.hass.loop.time(), SLOT_INTERVAL)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(pause):
                await self._wake.wait()
        self._wake.clear()

    # What

    async def _poll(self) -> RionError | None:
        """Read one frame; return the error if there is none."""
        async with self._polling:
            self._started = self.hass.loop.time()
            self._wanted_at = math.inf
            try:
                # A poll that could only wait for the connection's backoff has failed already.
                self.meter.connection.check_reconnect()
                reading = await self.meter.reading()
            except RionError as err:
                if self.polling:
                    self._failed(err)
                    if self._is_lost:
                        await self._look_closer(err)
                return err
            self._ended = self._succeeded_at = self.hass.loop.time()
            self._succeeded(
                MeterData(
                    reading=reading,
                    at=dt_util.utcnow(),
                    number=next(self._numbers),
                    interval=self.frame_interval,
                    facts=self._facts.current(self._ended),
                    lacking=frozenset(self.meter.lacking),
                )
            )
            return None

    @property
    def _is_lost(self) -> bool:
        """Whether so many polls have failed that it is an outage."""
        return self.failures - self._forgiven >= FAILURES_TO_LOSE

    @callback
    def _succeeded(self, data: MeterData) -> None:
        """Hand a frame on."""
        back = not self.last_update_success
        self.failures = self._forgiven = 0
        self.connection = ConnectionState.CONNECTED
        self._wedge_checked = -WEDGE_CHECK_INTERVAL
        running = is_running(data.reading.main)
        if running is not self._running:
            self._running = running
            self._facts.doubt(MEASURE, PAUSE)
        self.data = data
        self.last_update_success = True
        if self._lost_told:
            self._lost_told = False
            LOGGER.warning("%s: the meter is back", self.name)
        due = self._ended - self._written >= self.scan_interval
        if back or due or not self.watched:
            self._written = self._ended
            self.async_update_listeners()
        self._async_update_prompt_listeners()
        async_dispatcher_send(self.hass, frame_signal(self.config_entry.entry_id), data)

    @callback
    def _failed(self, err: RionError) -> None:
        """Count a failed poll; the third in a row is an outage."""
        self._ended = self.hass.loop.time()
        self.failures += 1
        if self._ended - self._succeeded_at > TRANSFER_GRACE:
            self._forgiven = 0
        elif self._transfers:
            self._forgiven = self.failures
        LOGGER.debug("%s: failed poll %d: %r", self.name, self.failures, err)
        if self._is_lost:
            self.connection = self._verdict(err)
        elif not self.meter.connection.is_open:
            self.connection = ConnectionState.CONNECTING
        if self._is_lost and not self._lost_told:
            self._lost_told = True
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
        if self.data.get(SLEEP_MODE) is OnOff.ON:
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
        status = (self.connection, self.last_update_success)
        if status != self._status:
            self._status = status
            async_dispatcher_send(self.hass, status_signal(self.config_entry.entry_id))
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
            if not self.meter.connection.is_open:
                # A poll goes first: it tells whether this is an outage.
                self._want_poll()
                return
            fits = now + SLOT <= self._next_poll
            all_asked = self._facts.all_asked(self.data)
            rest = SLOT_INTERVAL if all_asked else FIRST_SLOT_INTERVAL
            may_delay = not asked and (
                self._facts.is_doubtful(question) or now - self._slow_asked >= rest
            )
            if not fits and not may_delay:
                return
            asked = True
            self._slow_asked = now
            await self._ask(question)

    async def _ask(self, question: SlowQuestion) -> None:
        """Ask one slow question; what goes wrong costs this fact alone."""
        known = self.data.facts.keys()
        is_effect = self._facts.is_doubtful(question)
        with contextlib.suppress(RionError):
            await self.async_ask(question.command, Priority.SLOW)
        if (is_effect or self.data.facts.keys() - known) and not self.watched:
            # A first answer brings its entity, a doubtful one is the effect of a command;
            # while watched, levels wait for their interval.
            self.async_update_listeners()

    async def async_ask[T](self, command: Command[T], priority: Priority) -> T:
        """Return the meter's answer, and keep it; RionError if there is none."""
        try:
            value = await self.meter.ask(command, priority)
        except RionError as err:
            LOGGER.debug("%s: %r", self.name, err)
            self._facts.miss(command, self.hass.loop.time())
            self._facts_changed()
            if not (self.failures or self.meter.connection.is_open):
                # A distant poll would come too late to tell whether this is an outage.
                self.async_poll_soon()
            raise
        self.async_learn(command, value)
        return value

    @callback
    def async_learn[T](self, command: Command[T], value: T) -> None:
        """Keep what the meter has said just now."""
        self._facts.learn(command, self.hass.loop.time(), Fact(value, dt_util.utcnow()))
        self._facts_changed()
        if command in (TYPE, SYSTEM_VERSION):
            self._async_update_device()

    @callback
    def async_doubt(self, *commands: Command[Any]) -> None:
        """Have questions asked anew as soon as there is room for them."""
        self._facts.doubt(*commands)
        self._wake.set()

    @callback
    def _facts_changed(self) -> None:
        """Show what is known now beside the last frame."""
        if not self.polling:
            # What was under way as the connection was given up.
            return
        self.data = replace(
            self.data,
            facts=self._facts.current(self.hass.loop.time()),
            lacking=frozenset(self.meter.lacking),
        )
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
