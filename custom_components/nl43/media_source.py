"""The card of each meter in Home Assistant's media browser: meters, stores, files."""

from collections.abc import Generator
import contextlib
from datetime import datetime, timedelta
from typing import Final, override

from homeassistant.components.media_player import BrowseError, MediaClass
from homeassistant.components.media_source import (
    BrowseMediaSource,
    MediaSource,
    MediaSourceItem,
    PlayMedia,
    Unresolvable,
)
from homeassistant.config_entries import ConfigEntryState
from homeassistant.core import HomeAssistant
from homeassistant.exceptions import HomeAssistantError, ServiceValidationError
from homeassistant.util import dt as dt_util

from .access import current_user, may_read, readable_entry
from .const import DOMAIN
from .coordinator import Nl43Coordinator
from .errors import translated
from .files import CardFile, Nl43Files
from .media import SVG, MediaId, View, address, async_words, is_text, type_of
from .rion import Priority, RionError
from .rion.listing import Entry, Listing
from .rion.vocabulary import CLOCK
from .runtime import Nl43ConfigEntry
from .saving import async_begin_to_save

_NOON: Final = timedelta(hours=12)
_HALF_A_MINUTE: Final = timedelta(seconds=30)
_UNITS: Final = ("B", "kB", "MB", "GB")
_CLASSES: Final = {"audio": MediaClass.MUSIC, "image": MediaClass.IMAGE}


async def async_get_media_source(hass: HomeAssistant) -> MediaSource:
    """Return the media source; Home Assistant asks for it when somebody first looks."""
    words = await async_words(hass)
    return Nl43MediaSource(hass, words["meters"])


class Nl43MediaSource(MediaSource):
    """The cards of all meters."""

    name: str

    def __init__(self, hass: HomeAssistant, name: str) -> None:
        """Prepare; nothing is asked before somebody looks."""
        super().__init__(DOMAIN)
        self.hass = hass
        self.name = name

    @override
    async def async_browse_media(self, item: MediaSourceItem) -> BrowseMediaSource:
        """Return what is in a folder."""
        with _raising(BrowseError):
            if not item.identifier:
                return self._meters()
            wanted = _parse(item.identifier)
            entry = _usable_entry(self.hass, wanted.entry_id)
            if not wanted.path:
                return await self._stores(entry)
            return await self._files(entry, wanted.path)

    @override
    async def async_resolve_media(self, item: MediaSourceItem) -> PlayMedia:
        """Return where a file can be had, or begin to save a folder."""
        with _raising(Unresolvable):
            wanted = _parse(item.identifier)
            entry = _usable_entry(self.hass, wanted.entry_id)
            found = await entry.runtime_data.files.async_find(wanted.path)
            if wanted.view is View.SAVING:
                async_begin_to_save(self.hass, entry, wanted.path)
                return PlayMedia(address(View.SAVING, entry.entry_id, wanted.path), SVG)
            mime_type = None if found.is_folder else type_of(found.name)
            if mime_type is None:
                raise translated(ServiceValidationError, "not_playable", entry, path=wanted.path)
            if is_text(found.name):
                # The browser's player shows sound and pictures, and nothing else.
                return PlayMedia(address(View.PICTURES, entry.entry_id, wanted.path), SVG)
            return PlayMedia(address(View.FILES, entry.entry_id, wanted.path), mime_type)

    # Levels

    def _meters(self) -> BrowseMediaSource:
        """Return the meters whose card can be read; why not, if there is no other."""
        user = current_user()
        readable = [
            entry
            for entry in self.hass.config_entries.async_entries(DOMAIN)
            if user is None or may_read(self.hass, user, entry)
        ]
        usable = [entry for entry in readable if _is_usable(entry)]
        if readable and not usable:
            _usable_entry(self.hass, readable[0].entry_id)
        meters = [_folder(MediaId(entry.entry_id), entry.title) for entry in usable]
        return _folder(None, self.name, meters)

    async def _stores(self, entry: Nl43ConfigEntry) -> BrowseMediaSource:
        """Return a meter's stores, the newest first."""
        files = entry.runtime_data.files
        await _know_the_clock(entry.runtime_data.coordinator)
        root = await files.async_root()
        listing = await _list_root(files, root)
        stores = [
            _folder(
                MediaId(entry.entry_id, f"{root.rstrip('/')}/{store.name}"),
                _titled(store.name, _moment(files, store)),
            )
            for store in sorted(listing.entries, key=_age, reverse=True)
            if store.is_folder
        ]
        return _folder(MediaId(entry.entry_id), entry.title, stores, listing.unusable)

    async def _files(self, entry: Nl43ConfigEntry, path: str) -> BrowseMediaSource:
        """Return all files in a store, and how to save them."""
        files, words = entry.runtime_data.files, await async_words(self.hass)
        if not (await files.async_find(path)).is_folder:
            raise translated(ServiceValidationError, "no_such_file", entry, path=path)
        found, unusable = await files.async_walk(path)
        children = [
            _file(MediaId(entry.entry_id, file.path), file, path)
            for file in sorted(found, key=lambda file: file.path)
        ]
        if children:
            children.insert(0, _save(MediaId(entry.entry_id, path, View.SAVING), words["save"]))
        return _folder(MediaId(entry.entry_id, path), path.rpartition("/")[2], children, unusable)


# What is shown


def _folder(
    media_id: MediaId | None,
    title: str,
    children: list[BrowseMediaSource] | None = None,
    unusable: int = 0,
) -> BrowseMediaSource:
    """Return a folder, with its children where it is the one that is looked at."""
    return BrowseMediaSource(
        domain=DOMAIN,
        identifier=None if media_id is None else str(media_id),
        media_class=MediaClass.DIRECTORY,
        media_content_type="",
        title=title,
        can_play=False,
        can_expand=True,
        children=children,
        # Long names read best in a list, which music is; of what is in it, this is the icon.
        children_media_class=MediaClass.DIRECTORY if children is None else MediaClass.MUSIC,
        not_shown=unusable,
    )


def _file(media_id: MediaId, file: CardFile, store: str) -> BrowseMediaSource:
    """Return a file of a store."""
    name = file.path.removeprefix(f"{store}/")
    mime_type = SVG if is_text(name) else type_of(name)
    kind = (mime_type or "").partition("/")[0]
    return BrowseMediaSource(
        domain=DOMAIN,
        identifier=str(media_id),
        media_class=_CLASSES.get(kind, MediaClass.URL),
        media_content_type=mime_type or "",
        title=_titled(name, _size(file.entry.size)),
        can_play=mime_type is not None,
        can_expand=False,
    )


def _save(media_id: MediaId, title: str) -> BrowseMediaSource:
    """Return what saves a folder: the media browser has no button for it."""
    return BrowseMediaSource(
        domain=DOMAIN,
        identifier=str(media_id),
        media_class=MediaClass.DIRECTORY,
        media_content_type=SVG,
        title=title,
        can_play=True,
        can_expand=False,
    )


def _titled(name: str, more: str | None) -> str:
    """Return a name with what else is known of it."""
    return f"{name} · {more}" if more else name


def _size(size: int) -> str:
    """Return a size for a person."""
    power = max((len(str(size)) - 1) // 3, 0)
    unit = _UNITS[min(power, len(_UNITS) - 1)]
    return f"{size / 1000 ** _UNITS.index(unit):.{1 if power else 0}f} {unit}"


def _age(entry: Entry) -> tuple[datetime, str]:
    """Return what sorts the newest last; what has no time counts as the oldest."""
    return entry.modified or datetime.min, entry.name  # noqa: DTZ901 - the meter's time has no zone


def _moment(files: Nl43Files, entry: Entry) -> str | None:
    """Return when something was written, in Home Assistant's time zone, as exactly as is known."""
    if entry.modified is None:
        return None
    # Listed times are cut off to the minute, and what their clock is off by is not whole minutes.
    # Of a day alone the middle is the least wrong.
    middle = _HALF_A_MINUTE if entry.to_the_minute else _NOON
    moment = files.to_utc(entry.modified + middle)
    if moment is None:
        return None
    form = "%Y-%m-%d %H:%M" if entry.to_the_minute else "%Y-%m-%d"
    return f"{dt_util.as_local(moment):{form}}"


# What is asked for


def _parse(identifier: str) -> MediaId:
    """Return what an id names."""
    try:
        return MediaId.parse(identifier)
    except ValueError as err:
        raise ServiceValidationError(
            translation_domain=DOMAIN, translation_key="no_such_media"
        ) from err


def _is_usable(entry: Nl43ConfigEntry) -> bool:
    """Tell whether a meter's card can be read now."""
    return entry.state is ConfigEntryState.LOADED and entry.runtime_data.files.has_login


def _usable_entry(hass: HomeAssistant, entry_id: str) -> Nl43ConfigEntry:
    """Return a meter whose card the one who asks may read; ServiceValidationError if not."""
    entry = readable_entry(hass, current_user(), entry_id)
    if not entry.runtime_data.files.has_login:
        raise translated(ServiceValidationError, "no_ftp_login", entry)
    return entry


async def _know_the_clock(coordinator: Nl43Coordinator) -> None:
    """Ask for the meter's clock, which gives times their meaning, where it was not asked yet."""
    data = coordinator.data
    can_ask = coordinator.polling and coordinator.last_update_success
    if can_ask and data.clock_offset is None and CLOCK.name not in data.lacking:
        with contextlib.suppress(RionError):
            await coordinator.async_ask(CLOCK, Priority.PERSON)


async def _list_root(files: Nl43Files, root: str) -> Listing:
    """Return what the meter has stored; nothing, before it stores for the first time."""
    try:
        return await files.async_list(root)
    except HomeAssistantError as err:
        if err.translation_key != "ftp_not_found":
            raise
        return Listing((), 0)


@contextlib.contextmanager
def _raising(kind: type[HomeAssistantError]) -> Generator[None]:
    """Let errors be of the one kind whose text Home Assistant passes on."""
    try:
        yield
    except HomeAssistantError as err:
        raise kind(
            str(err),
            translation_domain=err.translation_domain,
            translation_key=err.translation_key,
            translation_placeholders=err.translation_placeholders,
        ) from err
