"""The files on a meter's card: the only user of FTP, one session at a time, off the event loop."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable, Collection, Generator, Sequence
import contextlib
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
import errno
import os
from pathlib import Path, PurePosixPath
import shutil
from typing import Final

import aiofiles
from homeassistant.const import CONF_HOST
from homeassistant.core import CALLBACK_TYPE, HomeAssistant, callback
from homeassistant.exceptions import HomeAssistantError, ServiceValidationError
from homeassistant.util import dt as dt_util

from .const import CONF_FTP_PASSWORD, CONF_FTP_PORT, CONF_FTP_USERNAME, DOMAIN, LOGGER
from .coordinator import Nl43Coordinator
from .errors import translated, translation_key
from .rion import FtpError, FtpUnreachableError
from .rion.ftp import FtpSession
from .rion.listing import Entry, Listing, is_safe_name
from .rion.vocabulary import TYPE

# Seconds for which a listing is taken for the present one: while somebody clicks through folders.
LISTING_AGE: Final = 30.0
MAX_LISTINGS: Final = 64
# What one download or one store may hold, and how deep its folders may lie in each other.
MAX_FILES: Final = 10_000
MAX_DEPTH: Final = 8
# A meter's clock is measured to a second, its listings are to the minute.
SAME_TIME: Final = timedelta(minutes=2)
# FTP needs up to 30 s after it was switched on (field); one look every few seconds is gentle.
READY_LIMIT: Final = 45.0
READY_PAUSE: Final = 3.0
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


class Nl43Files:
    """The card of one meter. Each method raises HomeAssistantError with a text for a person."""

    def __init__(self, coordinator: Nl43Coordinator) -> None:
        """Prepare; FTP is used only when somebody asks for a file."""
        self._coordinator = coordinator
        self._hass: HomeAssistant = coordinator.hass
        self._entry = coordinator.config_entry
        self._lock = asyncio.Lock()
        self._waiting = 0
        self._listings: dict[str, tuple[float, Listing]] = {}
        self._jobs: list[_Job] = []
        self._listeners: list[CALLBACK_TYPE] = []
        self.trouble: FtpError | None = None

    # What others see

    @property
    def has_login(self) -> bool:
        """Whether a person has set FTP up."""
        return CONF_FTP_USERNAME in self._entry.data

    @property
    def progress(self) -> int | None:
        """Per cent of what is being downloaded, None while nothing is."""
        total = sum(job.total for job in self._jobs)
        return 100 * sum(job.done for job in self._jobs) // total if total else None

    @property
    def media_folder(self) -> Path:
        """Where Home Assistant keeps media."""
        folders = self._hass.config.media_dirs
        return Path(folders.get("local") or next(iter(folders.values())))

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
        return None if offset is None else local.replace(tzinfo=UTC) - offset

    @callback
    def async_forget(self) -> None:
        """Have folders listed anew: the meter has written on its card."""
        self._listings.clear()

    async def async_root(self) -> str:
        """Return the folder that holds the meter's stores."""
        if model := self._coordinator.data.get(TYPE):
            return f"/{model}"
        found = (entry.name for entry in (await self.async_list("/")).entries if entry.is_folder)
        return next((f"/{name}" for name in found if name.startswith("NL-")), "/")

    # Looking

    async def async_list(self, path: str) -> Listing:
        """Return what a folder holds, at most LISTING_AGE seconds ago."""
        known = self._listings.get(path)
        if known is not None and self._hass.loop.time() - known[0] <= LISTING_AGE:
            return known[1]
        self._check_path(path)
        async with self._session() as session:
            return await self._list(session, path)

    async def async_walk(self, path: str) -> tuple[list[CardFile], int]:
        """Return the files in a folder and below it, and how many names cannot be used."""
        files: list[CardFile] = []
        unusable = 0
        folders = deque([(path, 0)])
        while folders:
            folder, depth = folders.popleft()
            listing = await self.async_list(folder)
            unusable += listing.unusable
            for entry in listing.entries:
                below = f"{folder.rstrip('/')}/{entry.name}"
                if not entry.is_folder:
                    files.append(CardFile(below, entry))
                elif depth < MAX_DEPTH:
                    folders.append((below, depth + 1))
            if len(files) + len(folders) > MAX_FILES:
                raise translated(
                    HomeAssistantError, "too_many_files", self._entry, limit=str(MAX_FILES)
                )
        return files, unusable

    async def async_find(self, path: str) -> Entry:
        """Return the listed file or folder of a path: nothing else is ever asked for."""
        self._check_path(path)
        folder, _, name = path.rpartition("/")
        for entry in (await self.async_list(folder or "/")).entries:
            if entry.name == name:
                return entry
        raise translated(ServiceValidationError, "no_such_file", self._entry, path=path)

    async def async_until_ready(self) -> None:
        """Wait until the FTP server answers: it does so only a while after it was switched on."""
        deadline = self._hass.loop.time() + READY_LIMIT
        while True:
            try:
                async with self._session():
                    return
            except HomeAssistantError as err:
                late = self._hass.loop.time() + READY_PAUSE > deadline
                if late or not isinstance(err.__cause__, FtpUnreachableError):
                    raise
            await asyncio.sleep(READY_PAUSE)

    # Fetching

    async def async_download(self, path: str, target: str | None = None) -> Download:
        """Copy a file or a folder into the media folder; what is there whole already is kept."""
        path = path.rstrip("/") or "/"
        if path != "/" and not (entry := await self.async_find(path)).is_folder:
            files, unusable = [CardFile(path, entry)], 0
        else:
            files, unusable = await self.async_walk(path)
        download = Download(self._target(target), unusable=unusable)
        places = [self._place(download.folder, file.path) for file in files]
        wanted = await self._hass.async_add_executor_job(self._missing, files, places)
        download.skipped = [place for place in places if place not in wanted.values()]
        await self._fetch_all(wanted, download)
        return download

    async def async_fetch(self, path: str) -> Path:
        """Return a whole copy of a file, fetched if there is none yet."""
        entry = await self.async_find(path)
        if entry.is_folder:
            raise translated(ServiceValidationError, "no_such_file", self._entry, path=path)
        download = Download(self._target(None))
        place = self._place(download.folder, path)
        file = CardFile(path, entry)
        wanted = await self._hass.async_add_executor_job(self._missing, [file], [place])
        await self._fetch_all(wanted, download)
        return place

    async def _fetch_all(self, wanted: dict[CardFile, Path], download: Download) -> None:
        """Fetch one file after the other, and let others who wait for FTP go in between."""
        if not wanted:
            return
        job = _Job(sum(file.entry.size for file in wanted))
        rest = deque(wanted.items())
        with self._writing():
            await self._hass.async_add_executor_job(self._prepare, wanted.values(), job.total)
        self._jobs.append(job)
        self._notify()
        try:
            while rest:
                async with self._session() as session:
                    while rest:
                        file, place = rest.popleft()
                        download.size += await self._fetch(session, file, place, job)
                        download.saved.append(place)
                        if self._waiting:
                            break
        finally:
            self._jobs.remove(job)
            self._notify()

    async def _fetch(self, session: FtpSession, file: CardFile, place: Path, job: _Job) -> int:
        """Fetch a file to a temporary name, and give it its own once it is whole."""
        partial = place.with_name(f".{place.name}.part")
        try:
            with self._writing():
                received = await self._receive(session, file, partial, job)
                if received != file.entry.size and not await self._has_grown_to(
                    session, file, received
                ):
                    raise translated(
                        HomeAssistantError,
                        "broken_file",
                        self._entry,
                        path=file.path,
                        received=str(received),
                        expected=str(file.entry.size),
                    )
                await self._hass.async_add_executor_job(
                    _finish, partial, place, self._modified(file.entry)
                )
        finally:
            await self._hass.async_add_executor_job(_remove, partial)
        return received

    async def _receive(self, session: FtpSession, file: CardFile, partial: Path, job: _Job) -> int:
        """Write what comes; return the number of bytes."""
        received = 0
        chunks = session.retrieve(file.path)
        async with aiofiles.open(partial, "wb") as out:
            while chunk := await self._in_thread(session, _next, chunks):
                await out.write(chunk)
                received += len(chunk)
                before = self.progress
                job.done += len(chunk)
                if self.progress != before:
                    self._notify()
            await out.flush()
            await self._hass.async_add_executor_job(os.fsync, out.fileno())
        return received

    async def _has_grown_to(self, session: FtpSession, file: CardFile, received: int) -> bool:
        """Tell whether a file of the running measurement has grown to what came of it."""
        folder, _, name = file.path.rpartition("/")
        listing = await self._list(session, folder or "/")
        sizes = [entry.size for entry in listing.entries if entry.name == name]
        return bool(sizes) and file.entry.size <= received <= sizes[0]

    # Places

    def _check_path(self, path: str) -> None:
        """Refuse what cannot be a path of the card."""
        names = path.split("/")[1:]
        if not path.startswith("/") or (path != "/" and not all(map(is_safe_name, names))):
            raise translated(ServiceValidationError, "bad_path", self._entry, path=repr(path))

    def _target(self, target: str | None) -> Path:
        """Return the folder of a download: one of a meter's own, if no other is asked for."""
        folder = PurePosixPath(target or f"{DOMAIN}/{self._entry.unique_id}")
        if folder.is_absolute() or not all(map(is_safe_name, folder.parts)):
            raise translated(ServiceValidationError, "bad_target", self._entry, path=repr(target))
        return self.media_folder / folder

    def _place(self, folder: Path, path: str) -> Path:
        """Return where a file of the card goes; its names have been checked one by one."""
        return folder / path.lstrip("/")

    def _modified(self, entry: Entry) -> float | None:
        """Return when a file was written, in seconds of POSIX time; None if that is not known."""
        moment = None if entry.modified is None else self.to_utc(entry.modified)
        return None if moment is None else moment.timestamp()

    def _missing(self, files: Sequence[CardFile], places: Sequence[Path]) -> dict[CardFile, Path]:
        """Return the files that are not here whole and as new; blocking."""
        media = self.media_folder.resolve()
        missing: dict[CardFile, Path] = {}
        for file, place in zip(files, places, strict=True):
            if not place.resolve().is_relative_to(media):
                # A link in the media folder that leads out of it.
                raise translated(
                    ServiceValidationError, "bad_target", self._entry, path=repr(str(place))
                )
            if not self._is_here(file.entry, place):
                missing[file] = place
        return missing

    def _is_here(self, entry: Entry, place: Path) -> bool:
        """Tell whether a file is here already; blocking."""
        try:
            status = place.stat()
        except OSError:
            return False
        modified = self._modified(entry)
        same_time = modified is None or abs(status.st_mtime - modified) <= SAME_TIME.total_seconds()
        return status.st_size == entry.size and same_time

    def _prepare(self, places: Collection[Path], size: int) -> None:
        """Make the folders, and see that there is room; blocking."""
        for folder in {place.parent for place in places}:
            folder.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(next(iter(places)).parent).free
        if free < size + DISK_RESERVE:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    # Sessions

    @contextlib.asynccontextmanager
    async def _session(self) -> AsyncGenerator[FtpSession]:
        """Have the one session, logged in; errors of FTP become Home Assistant's."""
        if not self.has_login:
            raise translated(ServiceValidationError, "no_ftp_login", self._entry)
        self._waiting += 1
        try:
            await self._lock.acquire()
        finally:
            self._waiting -= 1
        data = self._entry.data
        session = FtpSession(
            data[CONF_HOST],
            data[CONF_FTP_PORT],
            data[CONF_FTP_USERNAME],
            data[CONF_FTP_PASSWORD],
        )
        try:
            with self._coordinator.transferring():
                await self._in_thread(session, session.open)
                yield session
            self._set_trouble(None)
        except FtpError as err:
            LOGGER.debug("%s: FTP: %r", self._entry.title, err)
            self._set_trouble(err)
            raise translated(
                HomeAssistantError, translation_key(err), self._entry, error=str(err)
            ) from err
        finally:
            await asyncio.shield(self._hass.async_add_executor_job(session.close))
            self._lock.release()

    async def _list(self, session: FtpSession, path: str) -> Listing:
        """List a folder now."""
        listing = await self._in_thread(session, session.list, path, self._meter_now())
        self._listings[path] = (self._hass.loop.time(), listing)
        while len(self._listings) > MAX_LISTINGS:
            del self._listings[next(iter(self._listings))]
        return listing

    def _meter_now(self) -> datetime:
        """Return what the meter's clock shows, or the site's where that was not asked yet."""
        offset = self._coordinator.data.clock_offset
        now = dt_util.now() if offset is None else dt_util.utcnow() + offset
        return now.replace(tzinfo=None)

    async def _in_thread[**P, R](
        self,
        session: FtpSession,
        function: Callable[P, R],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> R:
        """Do a step of a session in a thread; who gives up waits until the thread has, too."""

        def step() -> R:
            return function(*args, **kwargs)

        job = self._hass.async_add_executor_job(step)
        try:
            return await asyncio.shield(job)
        except asyncio.CancelledError:
            session.abort()
            await asyncio.wait([job])
            raise

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
            update()


def _next(chunks: Generator[bytes]) -> bytes:
    """Return the next bytes of a file, none at its end; blocking."""
    return next(chunks, b"")


def _finish(partial: Path, place: Path, modified: float | None) -> None:
    """Give a whole file its time and its name; blocking."""
    if modified is not None:
        os.utime(partial, (modified, modified))
    partial.replace(place)


def _remove(partial: Path) -> None:
    """Take a temporary file away, if there is one; blocking."""
    partial.unlink(missing_ok=True)
