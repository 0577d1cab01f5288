"""Since when the running measurement runs: seen by the poller, else told by the card.

The meter has no question for it. Where the start was seen, that is the answer; else it is the
time of the store's folder, by FTP. What was found holds as long as it is the same measurement,
also over an outage or a restart of Home Assistant: what is not certain is unknown.
"""

import asyncio
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, TypedDict

from homeassistant.core import CALLBACK_TYPE, HomeAssistant, callback
from homeassistant.exceptions import HomeAssistantError
from homeassistant.helpers.storage import Store
from homeassistant.util import dt as dt_util

from .const import DOMAIN, LOGGER
from .coordinator import Nl43Coordinator
from .facts import MeterData, is_running, to_utc
from .files import Nl43Files
from .rion import Channel, FtpError, backoff
from .rion.levels import measured_seconds
from .rion.listing import Listing
from .rion.vocabulary import (
    FTP,
    MEASURE,
    PAUSE,
    STORE_MODE,
    STORE_NAME,
    OnOff,
    StoreMode,
    format_store_name,
)

# Between two looks that lie further apart a start was not seen.
SEEN: Final = timedelta(minutes=2)
# What LE and Leq tell of the measured time, they tell to 2.4 %, and not of the same moment.
TOLERANCE: Final = 0.03
SLACK: Final = timedelta(seconds=2)
# Longer than any measurement: such levels tell nothing.
LONGEST: Final = timedelta(days=3650)
# A listing is to the minute, and the meter's clock is known to a second.
LISTED: Final = timedelta(minutes=2)
# Seconds until the card is asked again where FTP is out of order: twice as long each time, up to
# six hours.
RETRY: Final = 600.0
MAX_RETRIES: Final = 36
# Seconds until a start is saved, and how often the last look at it is.
SAVE_DELAY: Final = 5.0
SAVE_INTERVAL: Final = timedelta(minutes=10)


class _Stored(TypedDict):
    """What is kept over a restart: times in ISO form and UTC, and seconds."""

    start: str | None
    seen: str | None
    measured: float | None


@dataclass(slots=True, kw_only=True)
class _Run:
    """What is known of one measurement, but for its start, and of the stop before it."""

    # When the meter was last known not to measure, by its word and by its frames.
    stopped: datetime | None = None
    idle: datetime | None = None
    # When it was first known to measure, by its word and by its frames.
    running: datetime | None = None
    ran: datetime | None = None
    # Whether the start is only that of a look, which the next frame makes more exact.
    is_rough: bool = False
    # The last frame with a measured time: it tells the measurement from another one.
    seen: datetime | None = None
    measured: timedelta | None = None
    # The start of what ran before a gap; the card may say that it is the same.
    start_before: datetime | None = None
    # The clock's offset by which the store's folder was dated.
    clock_offset: timedelta | None = None
    is_store_asked: bool = False


class MeasurementStart:
    """Follows one meter and keeps the start of its running measurement."""

    def __init__(self, coordinator: Nl43Coordinator, files: Nl43Files) -> None:
        """Prepare; nothing is known yet."""
        self._coordinator = coordinator
        self._files = files
        self._store = _start_store(coordinator.hass, coordinator.config_entry.entry_id)
        self._saved_at: datetime | None = None
        self._unfollow: CALLBACK_TYPE | None = None
        self._start: datetime | None = None
        self._run = _Run()
        # Whether the meter was not followed: it may have done anything meanwhile.
        self._gap = True
        self._frame_at: datetime | None = None
        self._card_told = False
        self._card_due = 0.0
        self._card_failures = 0
        self._card_trouble: FtpError | None = None
        self._asking: asyncio.Task[None] | None = None

    @property
    def value(self) -> datetime | None:
        """When the running measurement began; None where none runs or it is not known."""
        return self._start if self._coordinator.data.measuring and not self._gap else None

    async def async_load(self) -> None:
        """Take up what was known before a restart, and follow the meter."""
        if stored := await self._store.async_load():
            self._start = dt_util.parse_datetime(stored["start"] or "")
            self._run.seen = dt_util.parse_datetime(stored["seen"] or "")
            seconds = stored["measured"]
            self._run.measured = None if seconds is None else timedelta(seconds=seconds)
        self._unfollow = self._coordinator.async_add_prompt_listener(self._follow)

    async def async_save(self) -> None:
        """Keep what is known, and follow no longer: the meter is let go of."""
        if self._unfollow is not None:
            self._unfollow()
            self._unfollow = None
        await self._store.async_save(self._to_store())

    def _to_store(self) -> _Stored:
        """Return what is to be kept."""
        return {
            "start": None if self._start is None else self._start.isoformat(),
            "seen": None if self._run.seen is None else self._run.seen.isoformat(),
            "measured": None if self._run.measured is None else self._run.measured.total_seconds(),
        }

    # What the poller sees

    @callback
    def _follow(self) -> None:
        """Take in a frame or a fact."""
        data, run = self._coordinator.data, self._run
        fact = data.facts.get(MEASURE.name)
        if not self._coordinator.last_update_success or data.at is None or fact is None:
            self._gap = True
            run.stopped = run.idle = run.running = run.ran = None
            return
        is_new = data.at != self._frame_at
        self._frame_at = data.at
        measured = _measured(data.reading.main)
        if is_new and not is_running(data.reading.main):
            run.idle, run.ran = data.at, None
        elif is_new and run.ran is None:
            run.ran = data.at - (measured or timedelta())
        if not data.measuring:
            self._gap = False
            if fact.at != run.stopped:
                self._begin_anew(stopped=fact.at)
            return
        if self._gap or is_new:
            self._follow_frame(data, data.at, measured)
        self._gap = False
        self._follow_running(data, data.at, fact.at)

    def _follow_frame(self, data: MeterData, at: datetime, measured: timedelta | None) -> None:
        """Take in how long a running measurement has measured."""
        run = self._run
        if measured is not None and run.measured is not None and run.seen is not None:
            self._check_the_same(data, at, measured, run.measured, at - run.seen)
        elif self._gap and not (measured is not None and self._fits(at, measured)):
            self._begin_anew(before=self._start)
        run = self._run
        if measured is None:
            return
        run.seen, run.measured = at, measured
        if self._start is None:
            return
        if run.is_rough and run.stopped is not None:
            run.is_rough = False
            self._set_start(max(run.stopped, min(self._start, at - measured)))
        if self._saved_at is None or at - self._saved_at >= SAVE_INTERVAL:
            self._save_soon()

    def _check_the_same(
        self,
        data: MeterData,
        at: datetime,
        measured: timedelta,
        before: timedelta,
        elapsed: timedelta,
    ) -> None:
        """Forget the start if what runs is another measurement than before, or may be."""
        if measured > (elapsed + SLACK) * (1 + TOLERANCE):
            # Some of it was measured before the last look.
            return
        is_followed = not self._gap and elapsed <= SEEN
        if measured < before * (1 - 2 * TOLERANCE):
            # Stopped and started again since the last look.
            self._begin_anew(stopped=at - elapsed if is_followed else None)
            self._run.ran = at - measured
            return
        is_paused = measured == before and data.get(PAUSE) is OnOff.ON
        if not is_followed and not is_paused and not self._fits(at, measured):
            self._begin_anew(before=self._start)

    def _fits(self, at: datetime, measured: timedelta) -> bool:
        """Tell whether the start explains what was measured, whichever measurement it was."""
        if self._start is None:
            return False
        return abs(at - self._start - measured) + measured * TOLERANCE <= LISTED

    def _follow_running(self, data: MeterData, at: datetime, said: datetime) -> None:
        """Take in that the meter says it measures."""
        run = self._run
        if run.running is None:
            # What it said before it was started anew is of no use.
            run.running = said if run.stopped is None or said >= run.stopped else at
        if run.clock_offset is None:
            run.clock_offset = data.clock_offset
        if self._start is None:
            self._see_start(run.running)
        if self._start is None:
            self._ask_card(data, run.running)

    def _begin_anew(
        self, *, stopped: datetime | None = None, before: datetime | None = None
    ) -> None:
        """Forget a measurement that has ended, or may have."""
        self._run = _Run(stopped=stopped, start_before=before)
        self._card_told = False
        if self._asking is not None:
            self._asking.cancel()
        self._set_start(None)

    def _see_start(self, running: datetime) -> None:
        """Note the start if it was seen: if it lies between two looks that are near each other."""
        run = self._run
        if run.stopped is None:
            return
        told = self._coordinator.told_start
        if told is not None and run.stopped <= told:
            self._set_start(told)
            return
        since, first = run.stopped, running
        if run.ran is not None:
            first = min(first, run.ran)
            if run.idle is not None and run.idle < first:
                # The frames of this meter tell when it does not measure.
                since = max(since, run.idle)
        if first - since <= SEEN:
            self._set_start(max(since, first))
            run.is_rough = run.ran is None

    def _set_start(self, start: datetime | None) -> None:
        """Note the start, and keep it soon."""
        if start != self._start:
            self._start = start
            self._run.is_rough = False
            self._save_soon()

    def _save_soon(self) -> None:
        """Keep what is known now."""
        self._saved_at = self._frame_at
        self._store.async_delay_save(self._to_store, SAVE_DELAY)

    # The card

    def _ask_card(self, data: MeterData, running: datetime) -> None:
        """Look for the store's folder: once a measurement, and seldom while FTP is out of order."""
        run = self._run
        if not self._files.has_login or self._card_told or data.get(FTP) is OnOff.OFF:
            return
        store = [data.facts.get(setting.name) for setting in (STORE_MODE, STORE_NAME)]
        if any(fact is not None and fact.at < running for fact in store):
            # They may have been set at the meter before it was started there.
            if not run.is_store_asked:
                run.is_store_asked = True
                self._coordinator.async_doubt(STORE_MODE, STORE_NAME)
            return
        is_stored = None not in store and data.get(STORE_MODE) is not StoreMode.MANUAL
        is_asking = self._asking is not None and not self._asking.done()
        if not is_stored or run.clock_offset is None or is_asking:
            return
        now = self._coordinator.hass.loop.time()
        is_mended = self._card_trouble is not None and self._files.trouble is None
        if now >= self._card_due or is_mended:
            self._card_trouble = None
            self._card_failures += 1
            self._card_due = now + RETRY * backoff(self._card_failures, MAX_RETRIES)
            self._asking = self._coordinator.config_entry.async_create_background_task(
                self._coordinator.hass,
                self._read_card(),
                name=f"{DOMAIN} {self._coordinator.name} start",
            )

    async def _read_card(self) -> None:
        """Take the start from the card."""
        try:
            # What was listed before the start is of no use.
            self._files.async_forget()
            listing = await self._files.async_list(await self._files.async_root())
        except HomeAssistantError as err:
            LOGGER.debug("%s: no start of the measurement by FTP: %s", self._coordinator.name, err)
            self._card_trouble = self._files.trouble
            return
        self._card_told = True
        self._card_failures, self._card_due = 0, 0.0
        self._set_start(self._start_by(listing))

    def _start_by(self, listing: Listing) -> datetime | None:
        """Return the start that the card tells; None where it tells none, or one that cannot be."""
        data = self._coordinator.data
        stores = [
            (entry.modified, entry.name, entry.to_the_minute)
            for entry in listing.entries
            if entry.is_folder and entry.name.startswith("Auto_") and entry.modified is not None
        ]
        name, at, offset = data.get(STORE_NAME), data.at, self._run.clock_offset
        if not stores or name is None or at is None or offset is None:
            return None
        modified, newest, to_the_minute = max(stores)
        # The newest store has another name where nothing is stored, as on a full card.
        if newest != f"Auto_{format_store_name(name)}" or not to_the_minute:
            return None
        start = to_utc(modified, offset)
        return None if start is None else self._checked(start, data, at)

    def _checked(self, start: datetime, data: MeterData, at: datetime) -> datetime | None:
        """Return the start that the card tells if it fits what was measured since."""
        before = self._run.start_before
        if before is not None and abs(start - before) <= LISTED:
            # The same measurement as before, so that a pause explains what is missing.
            return before
        measured = _measured(data.reading.main)
        missing = at - start if measured is None else abs(at - start - measured)
        if missing < -LISTED:
            return None
        # A folder of an earlier measurement, or a clock that was set since.
        if measured is not None and missing > LISTED + measured * TOLERANCE:
            return None
        return min(start, at)


def _measured(channel: Channel) -> timedelta | None:
    """Return how long a measurement has measured, None where its levels do not tell."""
    if channel.leq is None or channel.le is None:
        return None
    seconds = measured_seconds(channel.leq, channel.le)
    return timedelta(seconds=seconds) if seconds <= LONGEST.total_seconds() else None


def _start_store(hass: HomeAssistant, entry_id: str) -> Store[_Stored]:
    """Return where an entry's start is kept."""
    return Store(hass, 1, f"{DOMAIN}.{entry_id}")


async def async_forget_start(hass: HomeAssistant, entry_id: str) -> None:
    """Remove what is kept of an entry that is removed."""
    await _start_store(hass, entry_id).async_remove()
