"""The files on a meter's card: the only user of FTP, one session at a time, off the event loop."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Iterable, Mapping
import contextlib
from dataclasses import dataclass, field
from datetime import datetime
import errno
import os
from pathlib import Path, PurePosixPath
import shutil
import stat
from time import monotonic
from types import TracebackType
from typing import Final, Self

import aiofiles
from homeassistant.const import CONF_HOST
from homeassistant.core import CALLBACK_TYPE, HomeAssistant, callback
from homeassistant.exceptions import HomeAssistantError, ServiceValidationError
from homeassistant.util import dt as dt_util

from .const import CONF_FTP_PASSWORD, CONF_FTP_PORT, CONF_FTP_USERNAME, DOMAIN, LOGGER
from .coordinator import Nl43Coordinator
from .errors import translated, translation_key
from .facts import to_utc
from .rion import FtpError, FtpUnreachableError
from .rion.ftp import FtpSession
from .rion.listing import Entry, Listing, is_safe_name
from .rion.vocabulary import TYPE

# Seconds for which a listing is taken for the present one: while somebody clicks through folders.
LISTING_AGE: Final = 30.0
# How many lines of listings are kept.
MAX_LINES: Final = 20_000
# What one download or one store may hold, and how deep its folders may lie in each other.
MAX_FILES: Final = 10_000
MAX_DEPTH: Final = 8
# Seconds: a meter's clock is measured to a second, its listings are to the minute, of old files
# to the day.
SAME_TIME: Final = 120.0
DAY: Final = 86_400.0
# FTP needs up to 30 s after it was switched on (field); one look every few seconds is gentle.
READY_LIMIT: Final = 45.0
READY_PAUSE: Final = 3.0
# Bytes, or seconds, after which what has come is written: a slow link brings it in small pieces.
BLOCK: Final = 1_048_576
MOMENT: Final = 0.25
# Bytes that a download leaves free where Home Assistant keeps its own data.
DISK_RESERVE: Final = 100_000_000


@dataclass(frozen=True, slots=True)
class CardFile:
    """A file on the card: its absolute path there, and its line in the listing."""

    path: str
    entry: Entry


@dataclass(slots=True)
class Download:
    """What came of a download: paths below the media folder, and what could not be fetched."""

    folder: Path
    saved: list[Path] = field(default_factory=list)
    skipped: list[Path] = field(default_factory=list)
    size: int = 0
    unusable: int = 0


@dataclass(slots=True)
class _Job:
    """How far a download has come, in bytes."""

    total: int
    done: int = 0


class _Turn:
    """The use of a meter's one session, from the first need of it on."""

    def __init__(
        self, log_in: Callable[[], contextlib.AbstractAsyncContextManager[FtpSession]]
    ) -> None:
        """Prepare; what is known already needs no session."""
        self._log_in = log_in
        self._stack = contextlib.AsyncExitStack()
        self._session: FtpSession | None = None

    async def __aenter__(self) -> Self:
        """Begin."""
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the session, if there is one."""
        await self._stack.__aexit__(kind, error, traceback)

    async def session(self) -> FtpSession:
        """Return the session; wait for it if others have theirs."""
        if self._session is None:
            self._session = await self._stack.enter_async_context(self._log_in())
        return self._session

    async def end(self) -> None:
        """Let others have theirs; the next will be another one."""
        self._session = None
        await self._stack.aclose()


class Nl43Files:
    """The card of one meter. Each method raises HomeAssistantError with a text for a person.

    It is there in stand-by, too: that leaves the control connection to others, and FTP is used
    only when somebody asks for a file.
    """

    def __init__(self, coordinator: Nl43Coordinator) -> None:
        """Prepare; nothing is connected."""
        self._coordinator = coordinator
        self._hass: HomeAssistant = coordinator.hass
        self._entry = coordinator.config_entry
        self._lock = asyncio.Lock()
        self._waiting = 0
        self._session: FtpSession | None = None
        self._closed = False
        self._listings: dict[str, tuple[float, Listing]] = {}
        self._jobs: list[_Job] = []
        self._listeners: list[CALLBACK_TYPE] = []
        self.trouble: FtpError | None = None

    async def async_close(self) -> None:
        """End what is under way and begin nothing more: the meter is let go of."""
        self._closed = True
        self.async_forget()
        if self._session is not None:
            self._session.abort()
        # Those who wait before us learn in turn that it is closed.
        async with self._lock:
            pass

    # What others see

    @property
    def has_login(self) -> bool:
        """Whether a person has set FTP up."""
        return CONF_FTP_USERNAME in self._entry.data

    @property
    def progress(self) -> int | None:
        """Per cent of what is being downloaded, None while nothing is."""
        total = sum(job.total for job in self._jobs)
        # A file of the running measurement grows on its way.
        done = sum(min(job.done, job.total) for job in self._jobs)
        return 100 * done // total if total else None

    @property
    def media_folder(self) -> Path:
        """Where Home Assistant keeps media."""
        folders = self._hass.config.media_dirs
        return Path(folders.get("local") or next(iter(folders.values())))

    def own_folder(self, target: str = DOMAIN) -> PurePosixPath:
        """Return the meter's folder in a target, as seen from the media folder."""
        return PurePosixPath(target) / str(self._entry.unique_id)

    @callback
    def async_add_listener(self, update: CALLBACK_TYPE) -> CALLBACK_TYPE:
        """Have `update` called when the progress or the trouble is another one."""
        self._listeners.append(update)
        return lambda: self._listeners.remove(update)

    def to_utc(self, local: datetime) -> datetime | None:
        """Return a time of the meter's clock in UTC, None before the clock was read.

        What the clock is off by, or in another time zone, is measured and taken away.
        """
        offset = self._coordinator.data.clock_offset
        # A listing can have a day at either end of all time.
        return None if offset is None else to_utc(local, offset)

    @callback
    def async_forget(self) -> None:
        """Have folders listed anew: the meter has written on its card."""
        # Another dictionary: a listing that is under way is put into the old one.
        self._listings = {}

    async def async_root(self) -> str:
        """Return the folder that holds the meter's stores."""
        if model := self._coordinator.data.get(TYPE):
            return f"/{model}"
        found = (entry.name for entry in (await self.async_list("/")).entries if entry.is_folder)
        return next((f"/{name}" for name in found if name.startswith("NL-")), "/")

    # Looking

    async def async_list(self, path: str) -> Listing:
        """Return what a folder holds, at most LISTING_AGE seconds ago."""
        path = self._checked(path.rstrip("/") or "/")
        async with _Turn(self._logged_in) as turn:
            return await self._list(turn, path)

    async def async_walk(self, path: str) -> tuple[list[CardFile], int]:
        """Return the files in a folder and below it, and how many names cannot be used."""
        path = self._checked(path)
        async with _Turn(self._logged_in) as turn:
            return await self._walk(turn, path)

    async def async_find(self, path: str) -> Entry:
        """Return the listed file or folder of a path: nothing else is ever fetched."""
        path = self._checked(path)
        async with _Turn(self._logged_in) as turn:
            return await self._find(turn, path)

    async def async_until_ready(self) -> None:
        """Wait until the FTP server answers: it does so only a while after it was switched on."""
        deadline = self._hass.loop.time() + READY_LIMIT
        while True:
            try:
                # Not only a login, which would pass for the end of a trouble with the data.
                async with _Turn(self._logged_in) as turn:
                    await self._list_now(await turn.session(), "/")
                    return
            except HomeAssistantError as err:
                late = self._hass.loop.time() + READY_PAUSE > deadline
                if late or not isinstance(err.__cause__, FtpUnreachableError):
                    raise
            await asyncio.sleep(READY_PAUSE)

    async def _list(self, turn: _Turn, path: str) -> Listing:
        """Return what a folder holds or held a moment ago."""
        known = self._listings.get(path)
        if known is not None and self._hass.loop.time() - known[0] <= LISTING_AGE:
            return known[1]
        return await self._list_now(await turn.session(), path)

    async def _list_now(self, session: FtpSession, path: str) -> Listing:
        """Ask what a folder holds, and keep the answer for a while."""
        listings = self._listings
        asked = self._hass.loop.time()
        listing = await _unbroken(
            session, self._hass.async_add_executor_job(session.list, path, self._meter_now())
        )
        # The newest is the last, and so the last to go.
        listings.pop(path, None)
        listings[path] = asked, listing
        while len(listings) > 1 and _lines(listings) > MAX_LINES:
            del listings[next(iter(listings))]
        return listing

    async def _walk(self, turn: _Turn, path: str) -> tuple[list[CardFile], int]:
        """Return the files in a folder and below it, and how many names cannot be used."""
        files: list[CardFile] = []
        found = unusable = 0
        folders = deque([(path, 0)])
        while folders:
            folder, depth = folders.popleft()
            listing = await self._list(turn, folder)
            unusable += listing.unusable
            found += len(listing.entries)
            if found > MAX_FILES:
                raise translated(
                    HomeAssistantError, "too_many_files", self._entry, limit=str(MAX_FILES)
                )
            for entry in listing.entries:
                below = f"{folder.rstrip('/')}/{entry.name}"
                if not entry.is_folder:
                    files.append(CardFile(below, entry))
                elif depth < MAX_DEPTH:
                    folders.append((below, depth + 1))
                else:
                    unusable += 1
        return files, unusable

    async def _find(self, turn: _Turn, path: str) -> Entry:
        """Return the listed file or folder of a path."""
        folder, _, name = path.rpartition("/")
        for entry in (await self._list(turn, folder or "/")).entries:
            if entry.name == name:
                return entry
        raise self._no_such_file(path)

    # Fetching

    async def async_download(self, path: str, target: str | None = None) -> Download:
        """Copy a file or a folder into the media folder; what is there whole already is kept."""
        path = self._checked(path.rstrip("/") or "/")
        download = Download(self._target(target or DOMAIN))
        async with _Turn(self._logged_in) as turn:
            if path == "/" or (entry := await self._find(turn, path)).is_folder:
                files, download.unusable = await self._walk(turn, path)
            else:
                files = [CardFile(path, entry)]
            await self._copy(turn, files, download)
        return download

    async def async_fetch(self, path: str) -> Path:
        """Return a whole copy of a file, fetched if there is none yet."""
        path = self._checked(path)
        download = Download(self._target())
        async with _Turn(self._logged_in) as turn:
            entry = await self._find(turn, path)
            if entry.is_folder:
                raise self._no_such_file(path)
            await self._copy(turn, [CardFile(path, entry)], download)
        return _place(download.folder, path)

    async def _copy(self, turn: _Turn, files: Iterable[CardFile], download: Download) -> None:
        """Fetch those files that are not here, one after the other."""
        places = {file: _place(download.folder, file.path) for file in files}
        with self._writing():
            missing = await self._hass.async_add_executor_job(self._prepare, places)
        download.skipped = [place for file, place in places.items() if file not in missing]
        job = _Job(sum(file.entry.size for file in missing))
        self._jobs.append(job)
        self._notify()
        try:
            for file, place in missing.items():
                session = await turn.session()
                # Somebody else may have fetched it meanwhile.
                if await self._hass.async_add_executor_job(self._is_here, file.entry, place):
                    download.skipped.append(place)
                    job.done += file.entry.size
                    continue
                download.size += await _unbroken(session, self._fetch(session, file, place, job))
                download.saved.append(place)
                if self._waiting:
                    await turn.end()
        finally:
            self._jobs.remove(job)
            self._notify()

    async def _fetch(self, session: FtpSession, file: CardFile, place: Path, job: _Job) -> int:
        """Fetch a file to a temporary name, and give it its own once it is whole."""
        partial = place.with_name(f".{place.name}.part")
        try:
            with self._writing():
                received = await self._receive(session, file.path, partial, job)
                entry = await self._whole(session, file, received)
                await self._hass.async_add_executor_job(
                    _finish, partial, place, self._modified(entry)
                )
        finally:
            await self._hass.async_add_executor_job(_remove, partial)
        return received

    async def _receive(self, session: FtpSession, path: str, partial: Path, job: _Job) -> int:
        """Write what comes; return the number of bytes."""
        received = 0
        # What Home Assistant left when it was killed, or a link: neither is written to.
        await self._hass.async_add_executor_job(_remove, partial)
        with contextlib.closing(session.retrieve(path)) as chunks:
            async with aiofiles.open(partial, "xb") as out:
                while block := await self._hass.async_add_executor_job(_next_block, chunks):
                    await out.write(block)
                    received += len(block)
                    before = self.progress
                    job.done += len(block)
                    if self.progress != before:
                        self._notify()
                await out.flush()
                await self._hass.async_add_executor_job(os.fsync, out.fileno())
        return received

    async def _whole(self, session: FtpSession, file: CardFile, received: int) -> Entry:
        """Return the line of the listing that what came fits; an error if there is none."""
        if received == file.entry.size:
            return file.entry
        # The running measurement writes on.
        folder, _, name = file.path.rpartition("/")
        for entry in (await self._list_now(session, folder or "/")).entries:
            if entry.name == name and min(file.entry.size, entry.size) <= received <= entry.size:
                return entry
        raise translated(
            HomeAssistantError,
            "broken_file",
            self._entry,
            path=file.path,
            received=str(received),
            expected=str(file.entry.size),
        )

    # Places

    def _checked(self, path: str) -> str:
        """Return a path of the card; refuse what cannot be one."""
        root, *names = path.split("/")
        # The names on a card are read as Latin-1.
        if path != "/" and (
            root or not names or max(path) > "\xff" or not all(map(is_safe_name, names))
        ):
            raise translated(ServiceValidationError, "bad_path", self._entry, path=repr(path))
        return path

    def _no_such_file(self, path: str) -> ServiceValidationError:
        """Return the error about a path that is not on the card, or is a folder."""
        return translated(ServiceValidationError, "no_such_file", self._entry, path=path)

    def _target(self, target: str = DOMAIN) -> Path:
        """Return the folder of a download: in it each meter has its own."""
        folder = self.own_folder(target)
        if not all(map(is_safe_name, folder.parts)):
            raise translated(ServiceValidationError, "bad_target", self._entry, path=repr(target))
        return self.media_folder / folder

    def _modified(self, entry: Entry) -> float | None:
        """Return when a file was written, in seconds of POSIX time; None if that is not known.

        Before the meter's clock was read it is taken for the site's.
        """
        if entry.modified is None:
            return None
        site = entry.modified.replace(tzinfo=dt_util.get_default_time_zone())
        return (self.to_utc(entry.modified) or site).timestamp()

    def _prepare(self, places: Mapping[CardFile, Path]) -> dict[CardFile, Path]:
        """Return the files that are not here, and make room for them; blocking."""
        media = self.media_folder.resolve()
        for place in places.values():
            if not place.resolve().is_relative_to(media):
                # A link in the media folder that leads out of it.
                raise translated(
                    ServiceValidationError, "bad_target", self._entry, path=repr(str(place))
                )
        missing = {
            file: place for file, place in places.items() if not self._is_here(file.entry, place)
        }
        for place in missing.values():
            if place.is_dir():
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(place))
        needed = sum(file.entry.size for file in missing) + DISK_RESERVE
        for folder in {place.parent for place in missing.values()}:
            folder.mkdir(parents=True, exist_ok=True)
            if shutil.disk_usage(folder).free < needed:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return missing

    def _is_here(self, entry: Entry, place: Path) -> bool:
        """Tell whether a file is here whole, and no older than on the card; blocking."""
        try:
            status = place.stat()
        except OSError:
            return False
        if not stat.S_ISREG(status.st_mode) or status.st_size != entry.size:
            return False
        modified = self._modified(entry)
        if modified is None:
            return True
        latest = SAME_TIME if entry.to_the_minute else DAY + SAME_TIME
        return -SAME_TIME <= status.st_mtime - modified <= latest

    # Sessions

    @contextlib.asynccontextmanager
    async def _logged_in(self) -> AsyncGenerator[FtpSession]:
        """Have the one session; errors of FTP become Home Assistant's."""
        self._waiting += 1
        try:
            await self._lock.acquire()
        finally:
            self._waiting -= 1
        try:
            session = self._session = self._new_session()
            try:
                with self._coordinator.transferring():
                    await _unbroken(session, self._hass.async_add_executor_job(session.open))
                    yield session
                self._set_trouble(None)
            except FtpError as err:
                if self._closed:
                    raise self._not_loaded() from None
                LOGGER.debug("%s: FTP: %r", self._entry.title, err)
                self._set_trouble(err)
                raise translated(
                    HomeAssistantError, translation_key(err), self._entry, error=str(err)
                ) from err
            finally:
                self._session = None
                await _unbroken(session, self._hass.async_add_executor_job(session.close))
        finally:
            self._lock.release()

    def _new_session(self) -> FtpSession:
        """Return a session; what has changed while others had theirs is heeded."""
        if self._closed:
            raise self._not_loaded()
        if not self.has_login:
            raise translated(ServiceValidationError, "no_ftp_login", self._entry)
        data = self._entry.data
        return FtpSession(
            data[CONF_HOST],
            data[CONF_FTP_PORT],
            data[CONF_FTP_USERNAME],
            data[CONF_FTP_PASSWORD],
        )

    def _not_loaded(self) -> HomeAssistantError:
        """Return the error about a meter that was let go of."""
        return translated(HomeAssistantError, "not_loaded", self._entry)

    def _meter_now(self) -> datetime:
        """Return what the meter's clock shows, or the site's where that was not asked yet."""
        offset = self._coordinator.data.clock_offset
        now = dt_util.now() if offset is None else dt_util.utcnow() + offset
        return now.replace(tzinfo=None)

    @contextlib.contextmanager
    def _writing(self) -> Generator[None]:
        """Give errors of this machine's disk their text."""
        try:
            yield
        except OSError as err:
            key = "disk_full" if err.errno in {errno.ENOSPC, errno.EDQUOT} else "cannot_write"
            raise translated(HomeAssistantError, key, self._entry, error=str(err)) from err

    @callback
    def _set_trouble(self, err: FtpError | None) -> None:
        """Keep what is wrong with FTP, or that nothing is."""
        self.trouble = err
        self._notify()

    @callback
    def _notify(self) -> None:
        """Tell the listeners."""
        for update in list(self._listeners):
            try:
                update()
            except Exception:  # noqa: BLE001 - one listener's bug is not the download's end
                LOGGER.exception("%s: a listener failed", self._entry.title)


async def _unbroken[T](session: FtpSession, step: Awaitable[T]) -> T:
    """Return what comes of a step of a session; who gives up ends the session, and waits for it.

    So nothing goes on in a thread that nobody waits for: no file is written that was removed.
    """
    job = asyncio.ensure_future(step)
    given_up: asyncio.CancelledError | None = None
    while not job.done():
        try:
            await asyncio.wait([job])
        except asyncio.CancelledError as err:
            session.abort()
            given_up = err
    if given_up is None:
        return job.result()
    # It is of no interest any more, but must be taken.
    job.exception()
    raise given_up


def _lines(listings: Mapping[str, tuple[float, Listing]]) -> int:
    """Return how many lines are kept; an empty folder is one, too."""
    return sum(1 + len(listing.entries) for _, listing in listings.values())


def _place(folder: Path, path: str) -> Path:
    """Return where a file of the card goes; its names have been checked one by one."""
    return folder / path.lstrip("/")


def _next_block(chunks: Generator[bytes]) -> bytes:
    """Return what comes next of a file, none at its end; blocking."""
    block = bytearray()
    until = monotonic() + MOMENT
    for chunk in chunks:
        block += chunk
        if len(block) >= BLOCK or monotonic() >= until:
            break
    return bytes(block)


def _finish(partial: Path, place: Path, modified: float | None) -> None:
    """Give a whole file its time and its name; blocking."""
    if modified is not None:
        # A share that keeps no times is no reason to lose the file.
        with contextlib.suppress(OSError):
            os.utime(partial, (modified, modified))
    partial.replace(place)


def _remove(partial: Path) -> None:
    """Take a temporary file away, if there is one; blocking."""
    # What is wrong with the disk is said by what was to be written.
    with contextlib.suppress(OSError):
        partial.unlink()
