"""Since when the running measurement runs: seen by the poller, else told by the card.

The meter has no question for it. Where the start was seen, that is the answer; else it is the
time of the store's folder, by FTP. What was found holds as long as it is the same measurement,
also over an outage or a restart of Home Assistant.
"""

import asyncio
from datetime import datetime, timedelta
from typing import Final, TypedDict

from homeassistant.core import HomeAssistant, callback
from homeassistant.exceptions import HomeAssistantError
from homeassistant.helpers.storage import Store
from homeassistant.util import dt as dt_util

from .const import DOMAIN, LOGGER
from .coordinator import Nl43Coordinator
from .facts import MeterData, is_running
from .files import Nl43Files
from .rion.levels import measured_seconds
from .rion.vocabulary import (
    FTP,
    MEASURE,
    STORE_MODE,
    STORE_NAME,
    OnOff,
    StoreMode,
    format_store_name,
)

# A start between two looks that lie further apart was not seen.
SEEN: Final = timedelta(minutes=2)
# What LE and Leq tell of the measured time, they tell to 2.4 %, and not of the same moment.
TOLERANCE: Final = 0.03
SLACK: Final = timedelta(seconds=2)
# A listing is to the minute, and the meter's clock is known to a second.
LISTED: Final = timedelta(minutes=2)
# Seconds until the card is asked again where FTP was out of order.
RETRY: Final = 600.0
SAVE_DELAY: Final = 600.0


class _Stored(TypedDict):
    """What is kept over a restart, in ISO form and UTC."""

    start: str | None
    seen: str | None


class MeasurementStart:
    """Follows one meter and keeps the start of its running measurement."""

    def __init__(self, coordinator: Nl43Coordinator, files: Nl43Files) -> None:
        """Prepare; nothing is known yet."""
        self._coordinator = coordinator
        self._files = files
        self._store = _start_store(coordinator.hass, coordinator.config_entry.entry_id)
        self._start: datetime | None = None
        # Until when the meter was followed without a gap: what holds then may not hold now.
        self._seen: datetime | None = None
        self._gap = True
        self._stopped: datetime | None = None
        self._first_running: datetime | None = None
        self._measured: float | None = None
        self._card_asked = -RETRY
        self._card_told = False
        self._asking: asyncio.Task[None] | None = None

    @property
    def value(self) -> datetime | None:
        """When the running measurement began; None where none runs or it is not known."""
        return self._start if self._coordinator.data.measuring and not self._gap else None

    async def async_load(self) -> None:
        """Take up what was known before a restart, and follow the meter."""
        if stored := await self._store.async_load():
            self._start = dt_util.parse_datetime(stored["start"] or "")
            self._seen = dt_util.parse_datetime(stored["seen"] or "")
        entry = self._coordinator.config_entry
        entry.async_on_unload(self._coordinator.async_add_prompt_listener(self._follow))

    async def async_save(self) -> None:
        """Keep what is known: the meter is let go of."""
        await self._store.async_save(self._to_store())

    def _to_store(self) -> _Stored:
        """Return what is to be kept."""
        return {
            "start": None if self._start is None else self._start.isoformat(),
            "seen": None if self._seen is None else self._seen.isoformat(),
        }

    @callback
    def _follow(self) -> None:
        """Take in a frame or a fact."""
        data = self._coordinator.data
        if not self._coordinator.last_update_success or data.at is None:
            self._gap = True
            self._stopped = self._first_running = None
            return
        self._follow_frame(data, data.at)
        self._follow_state(data)

    def _follow_frame(self, data: MeterData, at: datetime) -> None:
        """Take in what a frame hints at."""
        channel = data.reading.main
        if not is_running(channel):
            self._first_running = self._measured = None
            if self._stopped is not None:
                self._stopped = at
        elif self._first_running is None:
            self._first_running = at
        known = channel.leq is not None and channel.le is not None
        measured = measured_seconds(channel.leq, channel.le) if known else None  # type: ignore[arg-type]
        if self._gap:
            self._measured = measured
            return
        if self._is_another(measured, at):
            # Stopped and started again between two looks.
            self._begin_anew(stopped=self._seen)
            self._first_running = at
        self._measured = measured
        self._seen = at

    def _is_another(self, measured: float | None, at: datetime) -> bool:
        """Tell whether less has been measured now than before."""
        if measured is None or self._measured is None or self._seen is None:
            return False
        longest = (at - self._seen + SLACK).total_seconds() * (1 + TOLERANCE)
        return measured < self._measured * (1 - 2 * TOLERANCE) and measured <= longest

    def _follow_state(self, data: MeterData) -> None:
        """Take in what the meter said that it is doing."""
        fact = data.facts.get(MEASURE.name)
        if fact is None:
            return
        if not data.measuring:
            if self._stopped is None or fact.at > self._stopped:
                self._begin_anew(stopped=fact.at)
            self._gap = False
            self._seen = data.at
            return
        if self._gap:
            self._close_gap(data)
        if self._start is None:
            self._set_start(self._seen_start(fact.at))
        if self._start is None:
            self._ask_card(data)

    def _begin_anew(self, stopped: datetime | None) -> None:
        """Forget a measurement that has ended."""
        self._stopped = stopped
        self._card_told = False
        self._card_asked = -RETRY
        if self._asking is not None:
            self._asking.cancel()
        self._set_start(None)

    def _close_gap(self, data: MeterData) -> None:
        """Decide after a gap whether this is the measurement from before."""
        self._gap = False
        if self._start is not None and not self._must_be_the_same(data):
            self._begin_anew(stopped=None)
        self._seen = data.at

    def _must_be_the_same(self, data: MeterData) -> bool:
        """Tell whether more has been measured than fits into the gap."""
        if self._measured is None or self._seen is None or data.at is None:
            return False
        gap = (data.at - self._seen + SLACK).total_seconds()
        return self._measured > gap * (1 + TOLERANCE)

    def _seen_start(self, running: datetime) -> datetime | None:
        """Return the start that was seen, None if it lies between looks far apart."""
        if self._stopped is None:
            return None
        told = self._coordinator.told_start
        if told is not None and self._stopped <= told:
            return told
        first = min(running, self._first_running or running)
        return first if first - self._stopped <= SEEN else None

    def _set_start(self, start: datetime | None) -> None:
        """Note the start, and keep it soon."""
        if start != self._start:
            self._start = start
            self._store.async_delay_save(self._to_store)

    # The card

    def _ask_card(self, data: MeterData) -> None:
        """Look for the store's folder: once a measurement, and seldom while FTP is out of order."""
        now = self._coordinator.hass.loop.time()
        ready = (
            self._files.has_login
            and not self._card_told
            and now - self._card_asked >= RETRY
            and (self._asking is None or self._asking.done())
            and data.get(FTP) is not OnOff.OFF
            and data.get(STORE_MODE) not in {None, StoreMode.MANUAL}
            and data.get(STORE_NAME) is not None
            and data.clock_offset is not None
        )
        if ready:
            self._card_asked = now
            self._asking = self._coordinator.config_entry.async_create_background_task(
                self._coordinator.hass,
                self._read_card(data),
                name=f"{DOMAIN} {self._coordinator.name} start",
            )

    async def _read_card(self, data: MeterData) -> None:
        """Take the start from the card."""
        try:
            self._files.async_forget()
            listing = await self._files.async_list(await self._files.async_root())
        except HomeAssistantError as err:
            LOGGER.debug("%s: no start of the measurement by FTP: %s", self._coordinator.name, err)
            return
        self._card_told = True
        stores = [
            (entry.modified, entry.name, entry.to_the_minute)
            for entry in listing.entries
            if entry.is_folder and entry.name.startswith("Auto_") and entry.modified is not None
        ]
        modified, newest, to_the_minute = max(stores, default=(None, "", False))
        name = data.get(STORE_NAME)
        # The newest store has another name where nothing is stored, as on a full card.
        is_its = name is not None and newest == f"Auto_{format_store_name(name)}"
        start = self._files.to_utc(modified) if is_its and to_the_minute and modified else None
        if start is not None and self._is_possible(start):
            self._set_start(start)

    def _is_possible(self, start: datetime) -> bool:
        """Tell whether a start leaves time for what has been measured since."""
        elapsed = (dt_util.utcnow() - start + LISTED).total_seconds()
        return elapsed >= 0 and (self._measured or 0.0) * (1 - TOLERANCE) <= elapsed


def _start_store(hass: HomeAssistant, entry_id: str) -> Store[_Stored]:
    """Return where an entry's start is kept."""
    return Store(hass, 1, f"{DOMAIN}.{entry_id}")


async def async_forget_start(hass: HomeAssistant, entry_id: str) -> None:
    """Remove what is kept of an entry that is removed."""
    await _start_store(hass, entry_id).async_remove()
