"""The files of a card: whole or not at all, one session at a time, whatever goes wrong."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Generator
import contextlib
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
import errno
import os
from pathlib import Path
import resource
import tracemalloc
from typing import Any, Final

import aiofiles
from homeassistant.config_entries import ConfigEntryState
from homeassistant.const import CONF_HOST, CONF_PORT, EVENT_HOMEASSISTANT_STOP
from homeassistant.core import HomeAssistant
from homeassistant.exceptions import HomeAssistantError
from homeassistant.util import dt as dt_util
import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry

from custom_components.nl43 import files as files_module
from custom_components.nl43.files import Nl43Files
from custom_components.nl43.rion import ftp
from nl43_sim import Fault, SimulatedMeter
from nl43_sim.card import Pattern

from .browsing import sizes
from .conftest import configured, quick_meter, until
from .tools import said, text_of

pytestmark = pytest.mark.usefixtures("patient")

SERIAL: Final = "01234567"
STORE: Final = "/NL-43/Auto_0042"
HOME: Final = f"nl43/{SERIAL}{STORE}"
# As long as a transfer at the held back rate takes a second or so.
RATE: Final = 1_000_000
LARGE: Final = 600_000
ENDS: Final = (datetime.min, datetime.max)  # noqa: DTZ901 - a meter tells no zone


@pytest.fixture
async def sim(quick: None) -> AsyncGenerator[SimulatedMeter]:
    """Run a meter that measures nothing: nobody asks its card for a start."""
    async with SimulatedMeter(replace(quick_meter(), measuring=False)) as meter:
        yield meter
        assert meter.violations == []


@pytest.fixture(autouse=True)
def _quick_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let what is waited for by FTP fail soon, and see progress often."""
    monkeypatch.setattr(ftp, "TIMEOUT", 0.6)
    monkeypatch.setattr(files_module, "MOMENT", 0.02)
    monkeypatch.setattr(files_module, "READY_PAUSE", 0.05)


@dataclass
class Meter:
    """A meter, its files and what is here of them."""

    hass: HomeAssistant
    sim: SimulatedMeter
    entry: MockConfigEntry
    media: Path
    _files: Nl43Files

    @property
    def files(self) -> Nl43Files:
        """Return the files of the entry as it is, or was last, loaded."""
        if self.entry.state is ConfigEntryState.LOADED:
            self._files = self.entry.runtime_data.files
        return self._files

    def put(self, name: str, size: int = 1000, age: timedelta = timedelta(hours=1)) -> str:
        """Put a file into the store; return its path."""
        path = f"{STORE}/{name}"
        self.sim.state.card.add_file(path, Pattern(size), self.sim.state.clock.now() - age)
        return path

    def here(self) -> dict[str, int]:
        """Return the sizes of what is below the store's folder here."""
        return sizes(self.media / HOME)

    def is_sending(self) -> bool:
        """Tell whether a transfer is in its middle."""
        return 0 < (self.files.progress or 0) < 100

    async def begin(self, path: str = STORE) -> asyncio.Task[Any]:
        """Begin a download that is held back, and return it when it is in its middle."""
        self.sim.config.ftp_rate = RATE
        task = asyncio.ensure_future(self.files.async_download(path))
        await until(self.is_sending)
        return task

    def hurry(self) -> None:
        """Hold nothing back any more."""
        self.sim.config.ftp_rate = None

    async def fails(self, action: Awaitable[Any]) -> str:
        """Return the key of the error that an action ends in; its text must be whole."""
        with pytest.raises(HomeAssistantError) as caught:
            await action
        self.is_tidy()
        text = text_of(caught.value)
        assert "{" not in text
        assert self.sim.config.ftp_password not in text.replace(SERIAL, "").replace("0042", "")
        key = caught.value.translation_key
        assert key is not None
        return key

    def is_tidy(self) -> None:
        """Fail if anything of a transfer is left."""
        assert not list(self.media.rglob(".*"))
        assert self.files.progress is None
        assert self.files._session is None
        assert not self.files._lock.locked()

    async def recovers(self) -> None:
        """Download the store; fail if it is not whole then."""
        self.files.async_forget()
        self.hurry()
        await self.files.async_download(STORE)
        self.is_tidy()
        card = self.sim.state.card.find(STORE)
        assert card is not None
        assert self.here() == {name: file.content.size for name, file in card.children.items()}  # type: ignore[union-attr]
        assert self.files.trouble is None


async def set_up(hass: HomeAssistant, sim: SimulatedMeter, media: Path, serial: str) -> Meter:
    """Set a meter up, and wait until its clock is known."""
    entry = configured(hass, sim, serial)
    assert await hass.config_entries.async_setup(entry.entry_id)
    await until(lambda: entry.runtime_data.coordinator.data.clock_offset is not None)
    return Meter(hass, sim, entry, media, entry.runtime_data.files)


@pytest.fixture
async def meter(hass: HomeAssistant, sim: SimulatedMeter, tmp_path: Path) -> AsyncGenerator[Meter]:
    """Return a meter that is set up; at the end no two sessions were open at once."""
    hass.config.media_dirs = {"other": "/nowhere", "local": str(tmp_path)}
    meter = await set_up(hass, sim, tmp_path, SERIAL)
    yield meter
    if meter.entry.state is ConfigEntryState.LOADED:
        meter.is_tidy()


@contextlib.contextmanager
def progress_of(files: Nl43Files) -> Generator[list[int | None]]:
    """Collect the progress as the sensor hears of it."""
    seen: list[int | None] = []
    remove = files.async_add_listener(lambda: seen.append(files.progress))
    yield seen
    remove()


# What comes


async def test_folder(meter: Meter) -> None:
    """A folder comes whole with what is below it, once; its progress is told and ends."""
    paths = [
        meter.put("Auto_Lp_01/NL_0001_SLM_Lp _0042_0001.rnd", 70_000),
        meter.put("SOUND/long.wav", 3_000_000),
        meter.put("empty.rnd", 0),
    ]
    meter.sim.state.card.add_folder(f"{STORE}/nothing", meter.sim.state.clock.now())
    with progress_of(meter.files) as seen:
        download = await meter.files.async_download(f"{STORE}/")
    assert sorted(meter.sim.ftp_retrievals) == sorted(paths)
    assert download.folder == meter.media / f"nl43/{SERIAL}"
    assert download.size == sum(meter.here().values()) == 3_070_000
    assert sorted(download.saved) == sorted(download.folder / path[1:] for path in paths)
    assert not download.skipped
    assert not download.unusable
    for path in paths:
        card = meter.sim.state.card.file(path)
        place = download.folder / path[1:]
        assert place.read_bytes() == card.content.read(0, card.content.size)
        listed = card.modified().replace(second=0, microsecond=0)
        assert abs(place.stat().st_mtime - listed.timestamp()) < 2
    told = [progress for progress in seen if progress is not None]
    assert told == sorted(told)
    assert told[0] == 0
    assert told[-1] == 100
    assert len(told) > 3
    assert seen[-1] is None
    # All in one session: looking, and each file.
    assert meter.sim.ftp_sessions_opened == 1
    again = await meter.files.async_download(STORE)
    assert sorted(again.skipped) == sorted(download.saved)
    assert not again.saved
    assert again.size == 0
    assert len(meter.sim.ftp_retrievals) == 3
    assert meter.sim.ftp_sessions_at_once == 1


async def test_empty_folder(meter: Meter) -> None:
    """Of an empty folder nothing comes, and nothing is made here."""
    meter.sim.state.card.add_folder(STORE, meter.sim.state.clock.now())
    download = await meter.files.async_download(STORE)
    assert (download.saved, download.skipped, download.unusable) == ([], [], 0)
    assert list(meter.media.iterdir()) == []


async def test_whole_card(meter: Meter) -> None:
    """The card can be downloaded from its root, and a file alone."""
    card = {file.name for file in meter.sim.state.card.root.files()}
    download = await meter.files.async_download("/")
    assert {place.name for place in download.saved} == card
    path = meter.put("a.rnd", 10)
    download = await meter.files.async_download(path, "sites/harbour")
    assert download.saved == [meter.media / f"sites/harbour/{SERIAL}{path}"]
    assert await meter.files.async_fetch(path) == meter.media / f"nl43/{SERIAL}{path}"


async def test_two_meters(hass: HomeAssistant, meter: Meter) -> None:
    """Two meters send at a time, and the same name in the same target is two files."""
    config = replace(quick_meter("07654321"), measuring=False)
    async with SimulatedMeter(config) as sim:
        other = await set_up(hass, sim, meter.media, "07654321")
        path = meter.put("a.rnd", 2 * LARGE)
        other.put("a.rnd", LARGE)
        task = await meter.begin()
        download = await other.files.async_download(path, "site")
        assert meter.is_sending()
        assert download.saved == [meter.media / f"site/07654321{path}"]
        meter.hurry()
        await task
        download = await meter.files.async_download(path, "site")
        assert download.saved == [meter.media / f"site/{SERIAL}{path}"]
        assert set(sizes(meter.media / "site").values()) == {2 * LARGE, LARGE}
        assert await hass.config_entries.async_unload(other.entry.entry_id)
        assert sim.violations == []


@pytest.mark.parametrize(("utc_offset", "ahead"), [(9 * 3600, 0), (-7.5 * 3600, 5400), (0, -9e7)])
async def test_times(
    hass: HomeAssistant, tmp_path: Path, quick: None, utc_offset: float, ahead: float
) -> None:
    """Neither another time zone nor a wrong clock shifts the time of a file."""
    hass.config.media_dirs = {"local": str(tmp_path)}
    config = replace(
        quick_meter(), measuring=False, utc_offset=utc_offset, clock_offset=float(ahead)
    )
    async with SimulatedMeter(config) as sim:
        meter = await set_up(hass, sim, tmp_path, SERIAL)
        path = meter.put("a.rnd", age=timedelta(minutes=10))
        place = await meter.files.async_fetch(path)
        written = datetime.now(UTC) - timedelta(minutes=10)
        assert abs(place.stat().st_mtime - written.timestamp()) <= 62
        await meter.files.async_fetch(path)
        assert meter.sim.ftp_retrievals == [path]
        # At one end of all time there is a day that cannot be turned.
        assert None in {meter.files.to_utc(end) for end in ENDS}
        path = meter.put("far.rnd")
        meter.sim.state.card.file(path).modified = lambda: ENDS[1]
        meter.files.async_forget()
        assert (await meter.files.async_fetch(path)).stat().st_size == 1000


@pytest.mark.parametrize(
    ("minute", "kept", "fetched_anew"),
    [
        (True, (0.0, 110.0, -110.0), (130.0, -130.0)),
        (False, (0.0, 130.0, 86_300.0, -110.0), (-130.0, 86_700.0)),
    ],
)
async def test_as_new_as_the_card(
    meter: Meter, minute: bool, kept: tuple[float, ...], fetched_anew: tuple[float, ...]
) -> None:
    """A copy of the same size is kept if it is of the same minute, or day if no more is known."""
    now = meter.sim.state.clock.now().replace(hour=0, minute=0, second=0, microsecond=0)
    modified = now if minute else now.replace(year=now.year - 2, month=1, day=2)
    path = f"{STORE}/a.rnd"
    meter.sim.state.card.add_file(path, Pattern(100), modified)
    place = await meter.files.async_fetch(path)
    listed = modified.astimezone().timestamp()
    assert abs(place.stat().st_mtime - listed) < 2
    for shifts, count in ((kept, 0), (fetched_anew, 1)):
        for shift in shifts:
            before = len(meter.sim.ftp_retrievals)
            os.utime(place, (listed + shift, listed + shift))
            await meter.files.async_fetch(path)
            assert len(meter.sim.ftp_retrievals) == before + count, shift


async def test_a_file_without_a_time(meter: Meter, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the card tells no time, or one that no clock has, the size alone decides."""
    real = ftp.FtpSession.list

    def list_it(session: ftp.FtpSession, folder: str, now: datetime) -> Any:
        listing = real(session, folder, now)
        entries = tuple(replace(entry, modified=None) for entry in listing.entries)
        return replace(listing, entries=entries)

    monkeypatch.setattr(ftp.FtpSession, "list", list_it)
    path = meter.put("a.rnd", 100)
    place = await meter.files.async_fetch(path)
    assert abs(place.stat().st_mtime - datetime.now(UTC).timestamp()) < 60
    os.utime(place, (0, 0))
    await meter.files.async_fetch(path)
    assert len(meter.sim.ftp_retrievals) == 1


async def test_times_that_cannot_be_kept(meter: Meter, monkeypatch: pytest.MonkeyPatch) -> None:
    """A share that keeps no times keeps the files all the same."""

    def refuse(*_args: Any) -> None:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "utime", refuse)
    meter.put("a.rnd", 100)
    await meter.files.async_download(STORE)
    assert meter.here() == {"a.rnd": 100}


@dataclass
class Changing:
    """A content whose size changes as soon as somebody reads it."""

    size: int
    later: int

    def read(self, _offset: int, length: int) -> bytes:
        """Return a part."""
        self.size = self.later
        return bytes(length)


async def test_a_file_that_is_being_written(meter: Meter) -> None:
    """What grows on its way is whole; what is neither of the old size nor the new is broken."""
    (meter.media / HOME).mkdir(parents=True)
    for number, (listed, sent, later, whole) in enumerate(
        (
            (100, 150, 150, True),
            (100, 150, 200, True),
            (100, 60, 60, True),
            (100, 60, 80, False),
            (100, 60, 100, False),
            (100, 150, 120, False),
        )
    ):
        path = f"{STORE}/{number}.rnd"
        place = meter.media / HOME / f"{number}.rnd"
        place.write_text("older")
        content = Changing(listed, later)
        meter.sim.state.card.add_file(path, content, meter.sim.state.clock.now())
        meter.files.async_forget()
        await meter.files.async_list(STORE)
        content.size = sent
        if whole:
            with progress_of(meter.files) as seen:
                download = await meter.files.async_download(path)
            assert download.size == place.stat().st_size == sent
            assert max(progress or 0 for progress in seen) <= 100
        else:
            assert await meter.fails(meter.files.async_download(path)) == "broken_file"
            assert place.read_text() == "older"


async def test_memory_stays_flat(meter: Meter) -> None:
    """A large file goes through in small parts."""
    meter.put("a.wav", 30_000_000)
    await meter.files.async_list(STORE)
    tracemalloc.start()
    try:
        await meter.files.async_download(STORE)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 12_000_000
    assert meter.here() == {"a.wav": 30_000_000}


# What goes wrong

FAULTS: Final = {
    Fault.FTP_OFF: "ftp_unreachable",
    Fault.GONE: "ftp_unreachable",
    Fault.FTP_LOGIN: "ftp_login",
    Fault.FTP_DATA_BLOCKED: "ftp_data",
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("listed", [False, True])
async def test_fault_before(meter: Meter, fault: Fault, listed: bool) -> None:
    """What does not begin leaves all as it was, says why, and can be repeated."""
    meter.put("a.rnd", 100)
    place = await meter.files.async_fetch(f"{STORE}/a.rnd")
    meter.put("a.rnd", 200)
    meter.files.async_forget()
    if listed:
        await meter.files.async_list(STORE)
    meter.sim.inject(fault)
    assert await meter.fails(meter.files.async_download(STORE)) == FAULTS[fault]
    assert place.stat().st_size == 100
    assert meter.files.trouble is not None
    meter.sim.clear()
    await meter.recovers()


@pytest.mark.parametrize("fault", [*FAULTS, None])
async def test_fault_in_the_middle(meter: Meter, fault: Fault | None) -> None:
    """What breaks off leaves no half file; repeated, only what is missing comes."""
    place = meter.media / HOME / "b.rnd"
    place.parent.mkdir(parents=True)
    place.write_text("older")
    paths = [meter.put("a.rnd", 100), meter.put("b.rnd", LARGE), meter.put("c.rnd", 100)]
    task = await meter.begin()
    hinders = fault in {Fault.FTP_OFF, Fault.GONE, None}
    if fault is None:
        # As if the connection was reset.
        meter.sim._ftp.cut()
    else:
        meter.sim.inject(fault)
    if hinders:
        assert await meter.fails(task) == "ftp_unreachable"
        assert place.read_text() == "older"
        assert (place.parent / "a.rnd").stat().st_size == 100
    elif fault is Fault.FTP_LOGIN:
        # A session that has begun goes on.
        await task
    else:
        assert await meter.fails(task) == "ftp_data"
        assert place.stat().st_size == LARGE
    meter.sim.clear()
    sent = len(meter.sim.ftp_retrievals)
    await meter.recovers()
    missing = {True: paths[1:], False: [] if fault is Fault.FTP_LOGIN else paths[2:]}[hinders]
    assert meter.sim.ftp_retrievals[sent:] == missing


async def test_a_file_that_goes(meter: Meter) -> None:
    """What was listed and is not there any more is said; the next listing is a new one."""
    path = meter.put("a.rnd")
    meter.put("b.rnd")
    await meter.files.async_list(STORE)
    meter.sim.state.card.remove(path)
    assert await meter.fails(meter.files.async_download(STORE)) == "ftp_not_found"
    await meter.recovers()


async def test_polls_during_a_transfer(meter: Meter, caplog: pytest.LogCaptureFixture) -> None:
    """A meter that is slow while it sends is not lost."""
    coordinator = meter.entry.runtime_data.coordinator
    meter.hass.config_entries.async_update_entry(
        meter.entry, options={"scan_interval": 0.01, "live_interval": 0.01}
    )
    meter.put("a.rnd", 2 * LARGE)
    task = await meter.begin()
    meter.sim.inject(Fault.REFUSE_DOD)
    await until(lambda: coordinator.failures > 4)
    assert coordinator.last_update_success
    meter.sim.clear()
    await task
    assert not said(caplog, "lost")


# Who gives up, and who is let go of


@contextlib.contextmanager
def hindered(meter: Meter, fault: Fault | None) -> Generator[None]:
    """Have a fault for a while."""
    if fault is not None:
        meter.sim.inject(fault)
    yield
    meter.sim.clear()


@pytest.mark.parametrize("fault", [None, Fault.GONE, Fault.FTP_DATA_BLOCKED])
async def test_cancelled(meter: Meter, fault: Fault | None) -> None:
    """Whoever gives up, whenever and however often, leaves nothing that runs on."""
    meter.put("a.rnd", LARGE)
    meter.sim.config.ftp_rate = RATE
    with hindered(meter, fault):
        for times in (1, 3):
            for wait in (0.0, 0.005, 0.01, 0.02, 0.2):
                task = asyncio.ensure_future(meter.files.async_download(STORE))
                await asyncio.sleep(wait)
                for _ in range(times):
                    task.cancel()
                    await asyncio.sleep(0)
                with pytest.raises(asyncio.CancelledError):
                    await task
                meter.is_tidy()
    assert meter.here() == {}
    await meter.recovers()


async def test_cancelled_in_the_middle(meter: Meter) -> None:
    """Who gives up in the middle of a file leaves nothing of it."""
    meter.put("a.rnd", LARGE)
    task = await meter.begin()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    meter.is_tidy()
    assert meter.here() == {}
    await meter.recovers()


async def test_cancelled_while_waiting(meter: Meter) -> None:
    """Who waits for a turn and gives up is in nobody's way."""
    meter.put("a.rnd", LARGE)
    task = await meter.begin()
    waiting = asyncio.ensure_future(meter.files.async_list("/"))
    await until(lambda: meter.files._waiting)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert meter.files._waiting == 0
    await task
    assert meter.sim.ftp_sessions_opened == 1


@pytest.mark.parametrize("how", ["unload", "reload", "stop"])
async def test_let_go_of(meter: Meter, how: str) -> None:
    """A meter that is unloaded, or a Home Assistant that stops, ends its transfers."""
    meter.put("a.rnd", LARGE)
    files = meter.files
    task = await meter.begin()
    waiting = asyncio.ensure_future(files.async_list("/"))
    ready = asyncio.ensure_future(files.async_until_ready())
    await until(lambda: files._waiting == 2)
    if how == "stop":
        meter.hass.bus.async_fire(EVENT_HOMEASSISTANT_STOP)
        await until(lambda: files._closed)
    else:
        act = getattr(meter.hass.config_entries, f"async_{how}")
        assert await act(meter.entry.entry_id)
        assert task.done() or not files._lock.locked()
    late = asyncio.ensure_future(files.async_list(STORE))
    for each in (task, waiting, ready, late):
        assert await meter.fails(each) == "not_loaded"
    assert meter.here() == {}
    assert files.trouble is None
    if how == "reload":
        assert meter.files is not files
        await meter.recovers()
    assert meter.sim.ftp_sessions_opened <= 2


# Turns


async def test_two_callers(meter: Meter) -> None:
    """A file that several want at once comes once."""
    path = meter.put("a.rnd", 500_000)
    meter.put("b.rnd", 500_000)
    await meter.files.async_list(STORE)
    meter.sim.config.ftp_rate = 10 * RATE
    downloads = await asyncio.gather(
        meter.files.async_download(STORE), meter.files.async_download(STORE)
    )
    assert len(meter.sim.ftp_retrievals) == 2
    assert {len(download.saved + download.skipped) for download in downloads} == {2}
    assert sum(download.size for download in downloads) == 1_000_000
    meter.sim.state.card.remove(path)
    meter.put("a.rnd", 400_000)
    meter.files.async_forget()
    assert len(set(await asyncio.gather(*(meter.files.async_fetch(path) for _ in range(3))))) == 1
    assert len(meter.sim.ftp_retrievals) == 3
    assert meter.here() == {"a.rnd": 400_000, "b.rnd": 500_000}
    assert meter.sim.ftp_sessions_at_once == 1


async def test_fairness(meter: Meter) -> None:
    """What is opened during a long download has its turn after the file that is under way."""
    paths = [meter.put(f"{name}.wav", 300_000) for name in "abc"]
    picture = "/NL-43/Screenshot/1.bmp"
    meter.sim.state.card.add_file(picture, Pattern(100), meter.sim.state.clock.now())
    task = await meter.begin()
    place = await meter.files.async_fetch(picture)
    assert place.stat().st_size == 100
    assert not task.done()
    assert meter.files.progress is not None
    await task
    assert meter.sim.ftp_retrievals == [paths[0], picture, *paths[1:]]
    assert meter.sim.ftp_sessions_at_once == 1


async def test_stand_by(meter: Meter) -> None:
    """In stand-by the control connection is others'; FTP is used, and the clock is the site's."""
    coordinator = meter.entry.runtime_data.coordinator
    await coordinator.async_set_polling(on=False)
    connections = meter.sim.connections_opened
    path = meter.put("a.rnd")
    assert meter.files.to_utc(datetime(2026, 1, 1)) is None  # noqa: DTZ001 - as listed
    assert await meter.files.async_root() == "/NL-43"
    place = await meter.files.async_fetch(path)
    shown = meter.sim.state.card.file(path).modified().replace(second=0, microsecond=0)
    site = shown.replace(tzinfo=dt_util.get_default_time_zone())
    assert place.stat().st_mtime == site.timestamp()
    await meter.files.async_fetch(path)
    assert meter.sim.ftp_retrievals == [path]
    assert meter.sim.connections_opened == connections


async def test_root(meter: Meter) -> None:
    """The stores are in the folder of the model; a card of no meter has none."""
    sessions = meter.sim.ftp_sessions_opened
    assert await meter.files.async_root() == "/NL-43"
    assert meter.sim.ftp_sessions_opened == sessions
    await meter.entry.runtime_data.coordinator.async_set_polling(on=False)
    meter.sim.state.card.remove("/NL-43")
    assert await meter.files.async_root() == "/"


async def test_login(meter: Meter) -> None:
    """Without a login nothing is tried; one that is taken away counts from the next turn."""
    meter.put("a.rnd", LARGE)
    task = await meter.begin()
    waiting = asyncio.ensure_future(meter.files.async_list("/"))
    await until(lambda: meter.files._waiting)
    data = {CONF_HOST: meter.sim.host, CONF_PORT: meter.sim.port}
    meter.hass.config_entries.async_update_entry(meter.entry, data=data)
    assert not meter.files.has_login
    await task
    assert await meter.fails(waiting) == "no_ftp_login"
    assert meter.sim.ftp_sessions_opened == 1


async def test_until_ready(meter: Meter, monkeypatch: pytest.MonkeyPatch) -> None:
    """FTP that was switched on is waited for, not for ever, and not for another trouble."""
    meter.sim.press("FTP,Off")
    ready = asyncio.ensure_future(meter.files.async_until_ready())
    await until(lambda: meter.files.trouble is not None)
    meter.sim.press("FTP,On")
    await ready
    assert meter.files.trouble is None
    meter.sim.inject(Fault.FTP_DATA_BLOCKED)
    assert await meter.fails(meter.files.async_until_ready()) == "ftp_data"
    meter.sim.inject(Fault.FTP_LOGIN)
    assert await meter.fails(meter.files.async_until_ready()) == "ftp_login"
    meter.sim.clear()
    monkeypatch.setattr(files_module, "READY_LIMIT", 0.2)
    meter.sim.press("FTP,Off")
    began = meter.hass.loop.time()
    assert await meter.fails(meter.files.async_until_ready()) == "ftp_unreachable"
    assert 0.1 <= meter.hass.loop.time() - began < 2


async def test_listeners(meter: Meter, caplog: pytest.LogCaptureFixture) -> None:
    """A listener that fails ends no transfer, and spoils nothing for the others."""

    def fail() -> None:
        message = "of no avail"
        raise ValueError(message)

    remove = meter.files.async_add_listener(fail)
    meter.put("a.rnd", 100)
    with progress_of(meter.files) as seen:
        await meter.files.async_download(STORE)
    remove()
    assert seen[-1] is None
    assert said(caplog, "a listener failed")
    caplog.clear()


# Listings


async def test_listings_are_kept_for_a_while(meter: Meter, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who clicks through folders asks the meter once; what it has written is asked anew."""
    meter.put("a.rnd")
    for _ in range(2):
        assert [entry.name for entry in (await meter.files.async_list(STORE)).entries] == ["a.rnd"]
        await meter.files.async_find(f"{STORE}/a.rnd")
        await meter.files.async_walk(STORE)
    assert meter.sim.ftp_sessions_opened == 1
    meter.put("b.rnd")
    assert len((await meter.files.async_list(f"{STORE}/")).entries) == 1
    meter.files.async_forget()
    assert len((await meter.files.async_list(STORE)).entries) == 2
    meter.put("c.rnd")
    monkeypatch.setattr(files_module, "LISTING_AGE", 0.0)
    await asyncio.sleep(0.01)
    assert len((await meter.files.async_list(STORE)).entries) == 3


async def test_a_listing_from_before(meter: Meter) -> None:
    """A listing that was under way when the meter wrote is not kept."""
    meter.sim.config.ftp_rate = 500
    listing = asyncio.ensure_future(meter.files.async_list("/NL-43"))
    await until(lambda: meter.sim.ftp_sessions_opened)
    await asyncio.sleep(0.2)
    meter.files.async_forget()
    assert not listing.done()
    meter.hurry()
    await listing
    assert meter.files._listings == {}


async def test_few_lines_are_kept(meter: Meter, monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest listings go, and the newest stays however long it is."""
    monkeypatch.setattr(files_module, "MAX_LINES", 5)
    for name in "abcdef":
        meter.put(f"{name}/1.rnd")
    await meter.files.async_list(f"{STORE}/a")
    await meter.files.async_list(f"{STORE}/b")
    await meter.files.async_list(f"{STORE}/a")
    assert list(meter.files._listings) == [f"{STORE}/a", f"{STORE}/b"]
    await meter.files.async_list(f"{STORE}/c")
    assert list(meter.files._listings) == [f"{STORE}/b", f"{STORE}/c"]
    await meter.files.async_list(STORE)
    assert list(meter.files._listings) == [STORE]


async def test_too_many_files(meter: Meter, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither many files nor many folders go on without an end."""
    monkeypatch.setattr(files_module, "MAX_FILES", 10)
    for number in range(10):
        meter.put(f"{number}/a.rnd")
    assert await meter.fails(meter.files.async_download(STORE)) == "too_many_files"
    assert meter.here() == {}
    meter.sim.state.card.remove(f"{STORE}/0")
    for number in range(1, 6):
        meter.sim.state.card.remove(f"{STORE}/{number}")
    meter.files.async_forget()
    await meter.files.async_download(STORE)
    assert len(meter.here()) == 4


async def test_deep_folders(meter: Meter) -> None:
    """What lies deeper than any meter's files is left out, and that is said."""
    path = meter.put("1/2/3/4/5/6/7/8/a.rnd")
    meter.put("1/2/3/4/5/6/7/8/9/b.rnd")
    files, unusable = await meter.files.async_walk(STORE)
    assert [file.path for file in files] == [path]
    assert unusable == 1


async def test_names(meter: Meter) -> None:
    """A name that cannot be one here is counted and never used."""
    good = meter.put("ok.rnd")
    folder = meter.sim.state.card.find(STORE)
    for name in ("../x.rnd", "..", ".hidden", "a\\b", "a\0b", "\u202eb", "n" * 250):
        folder.children[name] = replace(meter.sim.state.card.file(good), name=name)  # type: ignore[union-attr]
    download = await meter.files.async_download(STORE)
    assert [place.name for place in download.saved] == ["ok.rnd"]
    # `..` is in many servers' listings.
    assert download.unusable == 6
    assert sizes(meter.media) == {f"{HOME}/ok.rnd": 1000}


BAD_PATHS: Final = (
    "x",
    "NL-43/a",
    "//x",
    "/NL-43/../x",
    "/NL-43//x",
    "/a\0b",
    "/.x",
    "/a\nb",
    "/\u0142",
)


async def test_bad_paths(meter: Meter) -> None:
    """What cannot be a path of the card is not asked for."""
    files = meter.files
    for path in BAD_PATHS:
        for action in (
            files.async_find(path),
            files.async_walk(path),
            files.async_fetch(path),
            files.async_list(path),
            files.async_download(path),
        ):
            assert await meter.fails(action) == "bad_path", path
    assert await meter.fails(files.async_find("")) == "bad_path"
    assert meter.sim.ftp_sessions_opened == 0


async def test_not_on_the_card(meter: Meter) -> None:
    """What is not listed is not asked for, and a folder is no file."""
    meter.put("a.rnd")
    for path in (f"{STORE}/b.rnd", f"{STORE}/a", "/NL-44"):
        assert await meter.fails(meter.files.async_download(path)) == "no_such_file"
        assert await meter.fails(meter.files.async_fetch(path)) == "no_such_file"
    for path in (STORE, "/"):
        assert await meter.fails(meter.files.async_fetch(path)) == "no_such_file"
    assert await meter.fails(meter.files.async_list("/NL-44")) == "ftp_not_found"
    assert meter.sim.ftp_retrievals == []


# Here


async def test_bad_targets(meter: Meter) -> None:
    """Nothing is saved elsewhere than below the media folder, and in sight."""
    path = meter.put("a.rnd")
    for target in ("..", "/etc", "a/../..", ".x", "a\\b", "a/.x", "a\0", "\u202e"):
        assert await meter.fails(meter.files.async_download(path, target)) == "bad_target", target
    assert meter.sim.ftp_sessions_opened == 0
    assert sizes(meter.media) == {}


async def test_links_that_lead_out(meter: Meter, tmp_path_factory: pytest.TempPathFactory) -> None:
    """A link is followed in the media folder, not out of it."""
    outside = tmp_path_factory.mktemp("outside")
    path = meter.put("a.rnd")
    (meter.media / "nl43").symlink_to(outside)
    assert await meter.fails(meter.files.async_fetch(path)) == "bad_target"
    (meter.media / "nl43").unlink()
    (meter.media / "nl43").symlink_to(meter.media / "nl43")
    assert await meter.fails(meter.files.async_fetch(path)) == "cannot_write"
    (meter.media / "nl43").unlink()
    (meter.media / "real").mkdir()
    (meter.media / "nl43").symlink_to(meter.media / "real")
    place = await meter.files.async_fetch(path)
    assert sizes(meter.media / "real") == {f"{SERIAL}{path}": 1000}
    place.unlink()
    place.symlink_to(outside / "a.rnd")
    assert await meter.fails(meter.files.async_fetch(path)) == "bad_target"
    place.unlink()
    place.with_name(".a.rnd.part").symlink_to(outside / "a.rnd")
    await meter.files.async_fetch(path)
    assert sizes(outside) == {}


async def test_what_a_crash_left(meter: Meter) -> None:
    """What is left of a transfer that was never ended is written anew."""
    path = meter.put("a.rnd", 10)
    place = meter.media / f"nl43/{SERIAL}{path}"
    place.parent.mkdir(parents=True)
    place.with_name(".a.rnd.part").write_text("much longer than the file")
    await meter.files.async_fetch(path)
    assert meter.here() == {"a.rnd": 10}


async def test_in_the_way(meter: Meter) -> None:
    """A folder in a file's place, or a file in a folder's, is said before anything is fetched."""
    path = meter.put("a/b.rnd")
    place = meter.media / f"nl43/{SERIAL}{path}"
    place.mkdir(parents=True)
    assert await meter.fails(meter.files.async_download(STORE)) == "cannot_write"
    place.rmdir()
    place.parent.rmdir()
    place.parent.write_text("mine")
    assert await meter.fails(meter.files.async_fetch(path)) == "cannot_write"
    assert place.parent.read_text() == "mine"
    assert meter.sim.ftp_retrievals == []
    place.parent.unlink()
    await meter.files.async_fetch(path)
    assert meter.here() == {"a/b.rnd": 1000}


async def test_media_folder(meter: Meter) -> None:
    """The local folder is the one, or else the first that there is."""
    assert meter.files.media_folder == meter.media
    meter.hass.config.media_dirs = {"nas": str(meter.media / "nas"), "x": "/nowhere"}
    path = meter.put("a.rnd")
    assert await meter.files.async_fetch(path) == meter.media / f"nas/nl43/{SERIAL}{path}"


async def test_no_room(meter: Meter, monkeypatch: pytest.MonkeyPatch) -> None:
    """What will not fit is not begun."""
    path = meter.put("a.rnd")
    monkeypatch.setattr(files_module, "DISK_RESERVE", 2**60)
    assert await meter.fails(meter.files.async_fetch(path)) == "disk_full"
    assert meter.sim.ftp_retrievals == []
    monkeypatch.undo()
    # A card may claim what no disk has.
    huge = f"{STORE}/huge.wav"
    meter.sim.state.card.add_file(huge, Pattern(2**50), meter.sim.state.clock.now())
    meter.files.async_forget()
    assert await meter.fails(meter.files.async_fetch(huge)) == "disk_full"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux has a full device")
async def test_full_disk(meter: Meter, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that is full on the way is said to be, and the older copy stays."""
    path = meter.put("a.rnd", 100)
    place = await meter.files.async_fetch(path)
    meter.put("a.rnd", LARGE)
    real = aiofiles.open
    with monkeypatch.context() as patch:
        patch.setattr(aiofiles, "open", lambda _path, _mode: real("/dev/full", "wb"))
        meter.files.async_forget()
        assert await meter.fails(meter.files.async_fetch(path)) == "disk_full"
    assert place.stat().st_size == 100
    assert meter.files.trouble is None
    await meter.recovers()


async def test_files_of_limited_size(meter: Meter) -> None:
    """An error in the middle of writing is said, and leaves nothing of the file."""
    path = meter.put("a.rnd", 3_000_000)
    place = meter.media / f"nl43/{SERIAL}{path}"
    place.parent.mkdir(parents=True)
    place.write_text("older")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_500_000, hard))
    try:
        assert await meter.fails(meter.files.async_fetch(path)) == "cannot_write"
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert place.read_text() == "older"
    await meter.recovers()


async def test_what_cannot_be_removed(meter: Meter, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that lets nothing be removed is no other error than the one that is said."""
    path = meter.put("a.rnd")
    meter.sim.config.ftp_rate = RATE

    def refuse(*_args: Any, **_kwargs: Any) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", refuse)
        patch.setattr(Path, "replace", refuse)
        with pytest.raises(HomeAssistantError) as caught:
            await meter.files.async_fetch(path)
        assert caught.value.translation_key == "cannot_write"
        assert os.strerror(errno.EROFS) in text_of(caught.value)
    await meter.recovers()
